//! The future: the first attempt, the delay, and the race.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, CopyRequest, KeepResponse, Policies, Rejectable, RequestMeta, impl_debug,
};
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::call::{Call, ResultOf};
use crate::extra::ExtraPoll;
use crate::state::{CallSettings, CommonLocal};

pin_project! {
    /// The response of a [`Hedge`](crate::Hedge).
    ///
    /// When it completes it has dropped every attempt.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait outside of a Tokio
    /// runtime with time enabled.
    pub struct ResponseFuture<S, Req, X>
    where
        S: Service<Req>,
        X: Policies,
        X::Keeper: KeepResponse<S::Response>,
    {
        // None when it has completed.
        #[pin]
        first: Option<S::Future>,
        // The delay before the next extra attempt, armed when the first attempt is pending.
        #[pin]
        timer: Option<Sleep>,
        call: Option<Call<S, Req, X>>,
    }
}

impl<S, Req, X> ResponseFuture<S, Req, X>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    #[inline]
    pub(crate) const fn new(
        first: S::Future,
        common: CommonLocal<S, X>,
        settings: CallSettings,
        copy: Option<Req>,
        meta: RequestMeta,
    ) -> Self {
        Self {
            first: Some(first),
            timer: None,
            call: Some(Call::new(common, settings, copy, &meta)),
        }
    }
}

impl<S, Req, X> Future for ResponseFuture<S, Req, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error>,
    X::Copier: CopyRequest<Req>,
    X::Keeper: KeepResponse<S::Response>,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut() else {
            panic!("a hedge's future was polled after it had completed");
        };
        if call.race.is_some() {
            let out = poll_race(call, this.first.as_mut(), this.timer.as_mut(), cx, true);
            if out.is_ready() {
                finish(this.first, this.timer, this.call);
            }
            return out;
        }
        let Some(first) = this.first.as_mut().as_pin_mut() else {
            unreachable!("without a race the result of the first attempt ends the call");
        };
        call.begin();
        let out = first.poll(cx);
        match &out {
            Poll::Ready(result) => call.completed_alone(result),
            Poll::Pending if call.copy.is_none() => return out,
            Poll::Pending => {
                // An extra attempt that is due begins the race.
                let out = poll_race(call, this.first.as_mut(), this.timer.as_mut(), cx, false);
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

/// Drops what is left: a caller that sends again at once finds the permit and the connection free.
#[inline]
fn finish<S, Req, X>(
    mut first: Pin<&mut Option<S::Future>>,
    mut timer: Pin<&mut Option<Sleep>>,
    call: &mut Option<Call<S, Req, X>>,
) where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    first.set(None);
    timer.set(None);
    *call = None;
}

/// Polls every attempt, the first one first unless it was polled just now, and begins the next one
/// when it is due.
#[inline(never)]
fn poll_race<S, Req, X>(
    call: &mut Call<S, Req, X>,
    mut first: Pin<&mut Option<S::Future>>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
    poll_first: bool,
) -> Poll<ResultOf<S, Req>>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies<
            Classifier: Classify<S::Response, S::Error>,
            Copier: CopyRequest<Req>,
            Keeper: KeepResponse<S::Response>,
        >,
{
    if poll_first
        && let Some(attempt) = first.as_mut().as_pin_mut()
        && let Poll::Ready(result) = attempt.poll(cx)
    {
        first.set(None);
        let judgement = call.classify_result(&result);
        if judgement.is_good() {
            call.won(None, &judgement, false, cx);
            return Poll::Ready(result);
        }
        call.first_failed(result, &judgement);
    }
    let mut from = 0;
    loop {
        if let Some(result) = poll_extras(call, from, first.is_some(), cx) {
            return Poll::Ready(result);
        }
        if let Some(race) = &mut call.race {
            race.poll_keeping(cx);
        }
        // Extra attempts that were not sent yet are gone: what to do about a failure is up to a
        // retry.
        if first.is_none()
            && !call.race.as_ref().is_some_and(|race| race.is_on())
            && let Some(result) = call.all_failed()
        {
            return Poll::Ready(result);
        }
        if poll_delay(call, timer.as_mut(), cx).is_pending() {
            return Poll::Pending;
        }
        timer.set(None);
        call.begin_extra_attempt();
        from = call
            .race
            .as_ref()
            .map_or(0, |race| race.extras.len().saturating_sub(1));
    }
}

/// Polls the extra attempts from number `from` on; a good result, if there is one. `first` says
/// whether the first attempt is still under way.
fn poll_extras<S, Req, X>(
    call: &mut Call<S, Req, X>,
    from: usize,
    first: bool,
    cx: &mut Context<'_>,
) -> Option<ResultOf<S, Req>>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: Policies<Classifier: Classify<S::Response, S::Error>, Keeper: KeepResponse<S::Response>>,
{
    let mut index = from;
    let end = call.deadline;
    while let Some(race) = &mut call.race
        && let Some(extra) = race.extras.get_mut(index)
    {
        match extra.poll(end, cx) {
            ExtraPoll::Pending => index += 1,
            ExtraPoll::NotReady => {
                drop(race.extras.remove(index));
                call.extra_not_sent();
                // Others may be gone with it.
                index = 0;
            }
            ExtraPoll::Completed(result, sent) => {
                drop(race.extras.remove(index));
                let judgement = call.classify_result(&result);
                if judgement.is_good() {
                    call.won(Some(&sent), &judgement, first, cx);
                    return Some(result);
                }
                call.extra_failed(result, &judgement, sent);
                index = 0;
            }
        }
    }
    None
}

/// Ready when the next extra attempt is due.
fn poll_delay<S, Req, X>(
    call: &mut Call<S, Req, X>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
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
        // does so at every poll would never be hedged otherwise.
        Some(timer) => Pin::new(&mut coop::unconstrained(timer)).poll(cx),
    }
}

impl_debug!(ResponseFuture<S, Req, X> where [
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>
]: |this|
    done = this.call.is_none(),
    extra_attempts = this.call.as_ref().map_or(0, |call| call.extra_attempts),
);
