//! What a call needs until it completes, and the steps between its attempts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use seawall_core::{
    CopyRequest, Figure, KeepResponse, Outcome, Policies, Reason, Rejectable, Rejection, Sent,
    deadline,
};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::StopReason;
use crate::hooks::{Hook, WaitOf};
use crate::progress::{Next, Pause, Progress};
use crate::rules::{CommonLocal, PolicyFor};

/// After so many attempts without a pause the task lets others run, and a deadline above is
/// looked at: an inner service that fails at once is never `Pending`.
const YIELD_EVERY: u32 = 32;

pub(crate) type ResultOf<S, Req> =
    Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;
pub(crate) type WaitFor<S, Req, H> =
    WaitOf<H, Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>;
pub(crate) type ProgressOf<S, Req, X, H> =
    Progress<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error, X, H>;

pub(crate) struct Call<S, Req, X, H>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
    H: Hook<Req, S::Response, S::Error>,
{
    /// The request of the next attempt.
    copy: Option<Req>,
    pub(crate) progress: ProgressOf<S, Req, X, H>,
    /// Whether the timer is set for the attempt that is under way.
    armed: bool,
    // Boxed, since only calls with a limit that do not complete at once need it, and every
    // future would be as large.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S, Req, X, H> Call<S, Req, X, H>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
    H: Hook<Req, S::Response, S::Error>,
{
    #[inline(always)]
    pub(crate) const fn new(copy: Option<Req>, progress: ProgressOf<S, Req, X, H>) -> Self {
        Self {
            copy,
            progress,
            armed: false,
            timer: None,
        }
    }

    /// Whether the task should let others run before the next attempt; it is woken then.
    pub(crate) fn yields(&self, cx: &Context<'_>) -> bool {
        let yields = self.progress.attempt.is_multiple_of(YIELD_EVERY);
        if yields {
            cx.waker().wake_by_ref();
        }
        yields
    }
}

impl<S, Req, X, H> Call<S, Req, X, H>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: PolicyFor<Req, S::Response, S::Error>,
    H: Hook<Req, S::Response, S::Error>,
{
    /// The outcome of a result; `None` for a success that is the end of the call.
    #[inline]
    pub(crate) fn classify_result(
        &mut self,
        common: &CommonLocal<S, X, H>,
        result: &ResultOf<S, Req>,
    ) -> Option<Outcome> {
        let rules = &common.common().rules;
        let stripe = (&**common.stripe(), common.is_here_alone());
        self.progress.judge(rules, stripe, result)
    }

    /// Reads the response of an attempt that is tried again, before this pause.
    pub(crate) fn begin_keeping(
        &mut self,
        common: &CommonLocal<S, X, H>,
        response: S::Response,
        pause: Pause<WaitFor<S, Req, H>>,
    ) {
        let rules = &common.common().rules;
        self.progress.begin_keeping(rules, response, pause);
    }

    /// What follows an attempt that is no success.
    pub(crate) fn after_attempt(
        &mut self,
        common: &CommonLocal<S, X, H>,
        outcome: Outcome,
        result: &mut ResultOf<S, Req>,
    ) -> Next<WaitFor<S, Req, H>> {
        let rules = &common.common().rules;
        let (stripe, copy) = (common.stripe(), self.copy.as_mut());
        let progress = &mut self.progress;
        progress.after_attempt(rules, stripe, copy, outcome, result)
    }

    /// Ready when the attempt has no time left.
    pub(crate) fn poll_limit(
        &mut self,
        common: &CommonLocal<S, X, H>,
        cx: &mut Context<'_>,
    ) -> Poll<Rejection> {
        let core = &common.common().rules.core;
        if !self.armed {
            self.armed = true;
            let now = core.state.clock.instant_now();
            self.progress.begin(core, || now);
            let limit = core.state.attempt_timeout();
            let own = limit.map(|limit| deadline(now, limit));
            let overall = self.progress.overall_deadline();
            let Some(until) = own.into_iter().chain(overall).min() else {
                return Poll::Pending;
            };
            set(&mut self.timer, until);
        }
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        // Also when the attempt has used up the task's budget of progress.
        ready!(Pin::new(&mut coop::unconstrained(timer.as_mut())).poll(cx));
        let (reason, figure) = match self.progress.overall_deadline() {
            Some(end) if end <= timer.deadline() => {
                let attempts = Figure::Attempts(self.progress.made(false));
                (Reason::DeadlineExceeded, Some(attempts))
            }
            _ => {
                let limit = core.state.attempt_timeout().map(Figure::Limit);
                (Reason::AttemptTimeout, limit)
            }
        };
        let mut rejection = core.rejection(reason, Sent::Maybe);
        if let Some(figure) = figure {
            rejection = rejection.with_figure(figure);
        }
        Poll::Ready(core.emitted(rejection))
    }

    /// Ready with the call's result when the deadline has passed between two attempts.
    #[cold]
    pub(crate) fn poll_deadline(
        &mut self,
        common: &CommonLocal<S, X, H>,
        cx: &mut Context<'_>,
    ) -> Poll<ResultOf<S, Req>> {
        let Some(at) = self.progress.deadline else {
            return Poll::Pending;
        };
        let timer = set(&mut self.timer, at);
        ready!(Pin::new(&mut coop::unconstrained(timer)).poll(cx));
        Poll::Ready(self.expired(common))
    }

    /// The call's result when there is no time for another attempt.
    #[cold]
    pub(crate) fn expired(&mut self, common: &CommonLocal<S, X, H>) -> ResultOf<S, Req> {
        let rules = &common.common().rules;
        self.progress.expired(rules, common.stripe())
    }

    /// The call's result when its next attempt failed before it was made.
    pub(crate) fn failed_before_attempt(
        &mut self,
        common: &CommonLocal<S, X, H>,
        reason: StopReason,
        error: S::Error,
    ) -> ResultOf<S, Req> {
        let (rules, stripe) = (&common.common().rules, common.stripe());
        self.progress
            .failed_before_attempt(rules, stripe, reason, error)
    }

    /// The request of the attempt that is made now, and a copy for the one after it; or the
    /// call's result.
    pub(crate) fn next_request(
        &mut self,
        common: &CommonLocal<S, X, H>,
    ) -> Result<Req, ResultOf<S, Req>> {
        // The task may not have been polled for a while.
        if self.progress.is_late() {
            return Err(self.expired(common));
        }
        let Some(mut request) = self.copy.take() else {
            // `decide` ends the call when there is no copy.
            panic!("a retry's future was polled after it had panicked")
        };
        let rules = &common.common().rules;
        if self
            .progress
            .wants_copy(rules.core.state.attempt_settings())
        {
            self.copy = rules.policy.copier().copy(&request);
        }
        self.armed = false;
        if let Err(error) = self.progress.prepare(rules, &mut request) {
            return Err(self.failed_before_attempt(common, StopReason::PrepareFailed, error));
        }
        self.progress.departed();
        Ok(request)
    }
}

/// Sets the timer to an instant.
fn set(timer: &mut Option<Pin<Box<Sleep>>>, at: Instant) -> Pin<&mut Sleep> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if timer.deadline() != at {
        timer.as_mut().reset(at);
    }
    timer.as_mut()
}
