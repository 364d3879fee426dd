//! The future: the first attempt, the delay, and the race.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, CopyRequest, Rejectable, RequestMeta};
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::call::{Answer, Call};
use crate::layer::CommonLocal;
use crate::race::Came;

pin_project! {
    /// The answer of a [`Hedge`](crate::Hedge).
    ///
    /// When it answers it has dropped every attempt.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when it has to wait outside of a Tokio runtime
    /// with time enabled.
    pub struct ResponseFuture<S, Req, C, D, P>
    where
        S: Service<Req>,
    {
        // None when it was answered.
        #[pin]
        first: Option<S::Future>,
        // The delay before the next extra attempt, armed when the first attempt is pending.
        #[pin]
        timer: Option<Sleep>,
        call: Option<Call<S, Req, C, D, P>>,
    }
}

impl<S, Req, C, D, P> ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req>,
{
    #[inline]
    pub(crate) const fn new(
        first: S::Future,
        common: CommonLocal<S, C, D, P>,
        copy: Option<Req>,
        meta: RequestMeta,
    ) -> Self {
        Self {
            first: Some(first),
            timer: None,
            call: Some(Call::new(common, copy, &meta)),
        }
    }
}

impl<S, Req, C, D, P> Future for ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
    P: CopyRequest<Req>,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut() else {
            panic!("a hedge's future was polled after it had answered");
        };
        if call.race.is_some() {
            let out = race(call, this.first.as_mut(), this.timer.as_mut(), cx, true);
            if out.is_ready() {
                finish(this.first, this.timer, this.call);
            }
            return out;
        }
        let Some(first) = this.first.as_mut().as_pin_mut() else {
            unreachable!("without a race the answer of the first attempt ends the call");
        };
        call.begin();
        let out = first.poll(cx);
        match &out {
            Poll::Ready(answer) => call.answered_alone(answer),
            Poll::Pending if call.copy.is_none() => return out,
            Poll::Pending => {
                // One that is due joins a race.
                let out = race(call, this.first.as_mut(), this.timer.as_mut(), cx, false);
                if out.is_ready() {
                    finish(this.first, this.timer, this.call);
                }
                return out;
            }
        }
        finish(this.first, this.timer, this.call);
        out
    }
}

/// Drops what is left: whoever sends again at once finds the place, the permit and the connection
/// free.
#[inline]
fn finish<S, Req, C, D, P>(
    mut first: Pin<&mut Option<S::Future>>,
    mut timer: Pin<&mut Option<Sleep>>,
    call: &mut Option<Call<S, Req, C, D, P>>,
) where
    S: Service<Req>,
{
    first.set(None);
    timer.set(None);
    *call = None;
}

/// Polls every attempt, the first one first unless it was polled just now, and begins the next one
/// when it is due.
#[inline(never)]
fn race<S, Req, C, D, P>(
    call: &mut Call<S, Req, C, D, P>,
    mut first: Pin<&mut Option<S::Future>>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
    poll_first: bool,
) -> Poll<Answer<S, Req>>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
    P: CopyRequest<Req>,
{
    if poll_first
        && let Some(attempt) = first.as_mut().as_pin_mut()
        && let Poll::Ready(answer) = attempt.poll(cx)
    {
        first.set(None);
        let verdict = call.judge(&answer);
        if verdict.is_good() {
            call.won(None, &verdict, false);
            return Poll::Ready(answer);
        }
        call.first_failed(answer, &verdict);
    }
    let mut from = 0;
    loop {
        if let Some(answer) = extras(call, from, first.is_some(), cx) {
            return Poll::Ready(answer);
        }
        // Extra attempts that were not sent yet are gone: what the failure calls for is the affair
        // of a retry.
        if first.is_none()
            && !call.race.as_ref().is_some_and(|race| race.is_on())
            && let Some(answer) = call.all_failed()
        {
            return Poll::Ready(answer);
        }
        if wait(call, timer.as_mut(), cx).is_pending() {
            return Poll::Pending;
        }
        timer.set(None);
        call.fire();
        from = call
            .race
            .as_ref()
            .map_or(0, |race| race.extras.len().saturating_sub(1));
    }
}

/// Polls the extra attempts from number `from` on; a good answer, if there is one. `first` says
/// whether the first attempt is still under way.
fn extras<S, Req, C, D, P>(
    call: &mut Call<S, Req, C, D, P>,
    from: usize,
    first: bool,
    cx: &mut Context<'_>,
) -> Option<Answer<S, Req>>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
{
    let mut index = from;
    let end = call.deadline;
    while let Some(race) = &mut call.race
        && let Some(extra) = race.extras.get_mut(index)
    {
        match extra.poll(end, cx) {
            Came::Pending => index += 1,
            Came::NotReady => {
                drop(race.extras.remove(index));
                call.extra_failed(None);
                // Others may be gone with it.
                index = 0;
            }
            Came::Answer(answer, sending) => {
                drop(race.extras.remove(index));
                let verdict = call.judge(&answer);
                if verdict.is_good() {
                    call.won(Some(&sending), &verdict, first);
                    return Some(answer);
                }
                call.extra_failed(Some((&verdict, sending)));
                index = 0;
            }
        }
    }
    None
}

/// Ready when the next extra attempt is due.
fn wait<S, Req, C, D, P>(
    call: &mut Call<S, Req, C, D, P>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    S: Service<Req>,
{
    if call.copy.is_none() {
        timer.set(None);
        return Poll::Pending;
    }
    if timer.is_none() {
        match call.next_at() {
            Some(at) => timer.set(Some(sleep_until(at))),
            None => call.copy = None,
        }
    }
    match timer.as_pin_mut() {
        None => Poll::Pending,
        Some(timer) if coop::has_budget_remaining() => timer.poll(cx),
        // Also when the attempts have used up the task's budget of progress: a busy service that
        // does so at every poll would never be hedged.
        Some(timer) => Pin::new(&mut coop::unconstrained(timer)).poll(cx),
    }
}

impl<S, Req, C, D, P> fmt::Debug for ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let race = self.call.as_ref().and_then(|call| call.race.as_ref());
        f.debug_struct("ResponseFuture")
            .field("done", &self.call.is_none())
            .field("extra_attempts", &race.map_or(0, |race| race.extras.len()))
            .finish_non_exhaustive()
    }
}
