//! The future: attempts, and the waits between them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, Outcome, Policies, Rejectable, RequestMeta,
    deadline, impl_debug, is_large,
};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use crate::StopReason;
use crate::call::{Call, ProgressOf, ResultOf, WaitFor};
use crate::hooks::{Hook, Hooks, StateOf};
use crate::progress::{Next, Pause, Progress};
use crate::rules::{CommonLocal, PolicyFor};

pin_project! {
    /// The response of a [`Retry`](crate::Retry).
    ///
    /// While it waits it holds the copy of the request, what is [kept](seawall_core::KeepResponse)
    /// of the last response, and nothing of the inner service. When it completes it has dropped
    /// everything.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait outside of a Tokio
    /// runtime with time enabled.
    pub struct ResponseFuture<S, Req, X, H = Hooks>
    where
        S: Service<Req>,
        X: Policies,
        X::Keeper: KeepResponse<S::Response>,
        H: Hook<Req, S::Response, S::Error>,
    {
        #[pin]
        stage: Stage<S::Future, S, ResultOf<S, Req>, WaitFor<S, Req, H>>,
        // Both or neither: `None` when there is no first attempt, and from the end of the call on.
        // Apart, so that a call is put together without a branch.
        call: Option<Call<S, Req, X, H>>,
        common: Option<CommonLocal<S, X, H>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, S, R, W> {
        // An attempt is under way.
        Calling {
            #[pin]
            attempt: F,
        },
        // The response of an attempt that is tried again is read.
        Keeping,
        // The delay before the next attempt.
        Delaying {
            #[pin]
            delay: Sleep,
        },
        // The predicate's own wait before the next attempt.
        PredicateWait {
            #[pin]
            wait: W,
            not_before: Option<Instant>,
        },
        // The wait is over; the service of the next attempt is not ready yet.
        Readying {
            service: S,
        },
        // There was no first attempt.
        WithoutAttempt {
            result: Option<R>,
        },
        Done,
    }
}

/// What a step of the future leads to.
enum Step<R> {
    /// The stage that it has set.
    Next,
    /// The end of the call.
    Complete(R),
}

impl<S, Req, X, H> ResponseFuture<S, Req, X, H>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
    H: Hook<Req, S::Response, S::Error>,
{
    /// Makes the first attempt. `common` and `copy` are taken once it is made.
    // Always, and the state of the call is put together where it stays: moved, it is read in larger
    // pieces than it was written in, which stalls longer than all the rest takes.
    #[inline(always)]
    pub(crate) fn calling(
        attempt: impl FnOnce() -> S::Future,
        common: &mut Option<CommonLocal<S, X, H>>,
        copy: &mut Option<Req>,
        meta: &RequestMeta,
        state: StateOf<H, Req, S::Response, S::Error>,
        has_token: bool,
    ) -> Self {
        if is_large::<S::Future>() {
            return Self::calling_in_place(attempt, common, copy, meta, state, has_token);
        }
        let stage = Stage::Calling { attempt: attempt() };
        let progress = Progress::new(meta, state, 1, has_token);
        let call = Call::new(copy.take(), progress);
        Self {
            stage,
            call: Some(call),
            common: common.take(),
        }
    }

    /// The same with a large future of the attempt, which is built where it stays.
    // In here nothing is to be dropped should the call panic, and nothing branches: else that future
    // would be put somewhere first, and copied from there.
    #[inline(never)]
    fn calling_in_place(
        attempt: impl FnOnce() -> S::Future,
        common: &mut Option<CommonLocal<S, X, H>>,
        copy: &mut Option<Req>,
        meta: &RequestMeta,
        state: StateOf<H, Req, S::Response, S::Error>,
        has_token: bool,
    ) -> Self {
        let stage = Stage::Calling { attempt: attempt() };
        let progress = Progress::new(meta, state, 1, has_token);
        Self {
            stage,
            call: Some(Call::new(copy.take(), progress)),
            common: common.take(),
        }
    }

    /// The first attempt comes after a delay.
    #[cold]
    pub(crate) fn delayed(
        delay: Duration,
        common: CommonLocal<S, X, H>,
        request: Req,
        progress: ProgressOf<S, Req, X, H>,
    ) -> Self {
        let delay = sleep(delay);
        Self {
            stage: Stage::Delaying { delay },
            call: Some(Call::new(Some(request), progress)),
            common: Some(common),
        }
    }

    /// There is no attempt.
    #[cold]
    pub(crate) const fn without_attempt(result: ResultOf<S, Req>) -> Self {
        Self {
            stage: Stage::WithoutAttempt {
                result: Some(result),
            },
            call: None,
            common: None,
        }
    }
}

impl<S, Req, X, H> Future for ResponseFuture<S, Req, X, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error>,
    X::Describer: Describe<Req>,
    X::Copier: CopyRequest<Req>,
    X::Keeper: KeepResponse<S::Response>,
    H: Hook<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (Some(call), Some(common)) = (this.call.as_mut(), this.common.as_ref()) else {
                return Poll::Ready(take_result(this.stage));
            };
            let step = if let StageProj::Calling { attempt } = this.stage.as_mut().project() {
                // Not touched, moved or borrowed mutably before it is known to be no success:
                // the result of most calls goes through as it is.
                let out = attempt.poll(cx);
                let outcome = match &out {
                    Poll::Ready(result) => call.classify_result(common, result),
                    Poll::Pending if is_timed(common) => Some(Outcome::Unknown),
                    Poll::Pending => return out,
                };
                let Some(outcome) = outcome else {
                    this.stage.set(Stage::Done);
                    *this.call = None;
                    *this.common = None;
                    return out;
                };
                ready!(call.leave_attempt(common, this.stage.as_mut(), out, outcome, cx))
            } else {
                ready!(call.poll_between_attempts(common, this.stage.as_mut(), cx))
            };
            if let Step::Complete(result) = step {
                this.stage.set(Stage::Done);
                *this.call = None;
                *this.common = None;
                return Poll::Ready(result);
            }
        }
    }
}

type StageOf<S, Req, H> =
    Stage<<S as Service<Req>>::Future, S, ResultOf<S, Req>, WaitFor<S, Req, H>>;

/// Whether the attempt that is under way is limited in time.
#[inline]
fn is_timed<S, X, H>(common: &CommonLocal<S, X, H>) -> bool {
    let state = &common.common().rules.core.state;
    state.attempt_settings().is_timed()
}

/// The result of a call that has made no attempt.
#[cold]
fn take_result<F, S, R, W>(stage: Pin<&mut Stage<F, S, R, W>>) -> R {
    if let StageProj::WithoutAttempt { result } = stage.project()
        && let Some(result) = result.take()
    {
        return result;
    }
    panic!("a retry's future was polled after it had completed");
}

impl<S, Req, X, H> Call<S, Req, X, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: PolicyFor<Req, S::Response, S::Error>,
    H: Hook<Req, S::Response, S::Error>,
{
    /// Calling => (Done | Keeping | PredicateWait | Delaying | Readying)
    #[cold]
    #[inline(never)]
    fn leave_attempt(
        &mut self,
        common: &CommonLocal<S, X, H>,
        mut stage: Pin<&mut StageOf<S, Req, H>>,
        out: Poll<ResultOf<S, Req>>,
        outcome: Outcome,
        cx: &mut Context<'_>,
    ) -> Poll<Step<ResultOf<S, Req>>> {
        let (mut result, outcome) = match out {
            Poll::Ready(result) => (result, outcome),
            Poll::Pending => {
                let limit = ready!(self.poll_limit(common, cx));
                (Err(limit.into()), limit.outcome())
            }
        };
        let next = self.after_attempt(common, outcome, &mut result);
        let Next::Retry {
            delay,
            wait,
            is_kept,
        } = next
        else {
            return Poll::Ready(Step::Complete(result));
        };
        // The failed attempt goes first, and with it whatever it holds of the services below: a
        // permit, a connection.
        stage.set(Stage::Done);
        let pause = Pause {
            wait,
            not_before: (!delay.is_zero()).then(|| deadline(Instant::now(), delay)),
        };
        match result {
            Ok(response) if is_kept => {
                self.begin_keeping(common, response, pause);
                stage.set(Stage::Keeping);
                return Poll::Ready(Step::Next);
            }
            Err(error) if is_kept => self.progress.keep(Err(error)),
            result => drop(result),
        }
        self.pause(common, stage, pause, cx)
    }

    /// Begins the wait before the next attempt.
    fn pause(
        &self,
        common: &CommonLocal<S, X, H>,
        mut stage: Pin<&mut StageOf<S, Req, H>>,
        pause: Pause<WaitFor<S, Req, H>>,
        cx: &Context<'_>,
    ) -> Poll<Step<ResultOf<S, Req>>> {
        let Pause { wait, not_before } = pause;
        stage.set(match (wait, not_before) {
            (Some(wait), not_before) => Stage::PredicateWait { wait, not_before },
            (None, None) => return self.ready_next(common, stage, cx),
            (None, Some(at)) => Stage::Delaying {
                delay: sleep_until(at),
            },
        });
        Poll::Ready(Step::Next)
    }

    /// Goes on to the next attempt without a delay.
    fn ready_next(
        &self,
        common: &CommonLocal<S, X, H>,
        mut stage: Pin<&mut StageOf<S, Req, H>>,
        cx: &Context<'_>,
    ) -> Poll<Step<ResultOf<S, Req>>> {
        let service = common.common().service();
        stage.set(Stage::Readying { service });
        if self.yields(cx) {
            return Poll::Pending;
        }
        Poll::Ready(Step::Next)
    }

    #[cold]
    #[inline(never)]
    fn poll_between_attempts(
        &mut self,
        common: &CommonLocal<S, X, H>,
        mut stage: Pin<&mut StageOf<S, Req, H>>,
        cx: &mut Context<'_>,
    ) -> Poll<Step<ResultOf<S, Req>>> {
        let next = match stage.as_mut().project() {
            // ## Keeping => (PredicateWait | Delaying | Readying | Done)
            StageProj::Keeping => {
                let Poll::Ready(pause) = self.progress.poll_keeping(cx) else {
                    return self.poll_deadline(common, cx).map(Step::Complete);
                };
                // What was kept reaches the caller now or never.
                if self.progress.has_no_time() {
                    return Poll::Ready(Step::Complete(self.expired(common)));
                }
                return self.pause(common, stage, pause, cx);
            }
            // ## Delaying => Readying
            StageProj::Delaying { delay } => {
                ready!(delay.poll(cx));
                let service = common.common().service();
                Stage::Readying { service }
            }
            // ## PredicateWait => (Delaying | Readying | Done)
            StageProj::PredicateWait { wait, not_before } => {
                if wait.poll(cx).is_pending() {
                    return self.poll_deadline(common, cx).map(Step::Complete);
                }
                // What the upstream asked for may take longer.
                let Some(at) = *not_before else {
                    return self.ready_next(common, stage, cx);
                };
                Stage::Delaying {
                    delay: sleep_until(at),
                }
            }
            // ## Readying => (Calling | Done)
            StageProj::Readying { service } => match service.poll_ready(cx) {
                Poll::Pending => return self.poll_deadline(common, cx).map(Step::Complete),
                Poll::Ready(Err(error)) => {
                    let result = self.failed_before_attempt(common, StopReason::NotReady, error);
                    return Poll::Ready(Step::Complete(result));
                }
                Poll::Ready(Ok(())) => match self.next_request(common) {
                    Ok(request) => Stage::Calling {
                        attempt: service.call(request),
                    },
                    Err(result) => return Poll::Ready(Step::Complete(result)),
                },
            },
            // Only after a panic of the inner service's `clone`.
            StageProj::Calling { .. } | StageProj::WithoutAttempt { .. } | StageProj::Done => {
                panic!("a retry's future was polled after it had panicked")
            }
        };
        stage.set(next);
        Poll::Ready(Step::Next)
    }
}

impl_debug!(
    ResponseFuture<S, Req, X, H> where [
        S: Service<Req>,
        X: Policies<Keeper: KeepResponse<S::Response>>,
        H: Hook<Req, S::Response, S::Error>
    ]: |this|
    stage = match &this.stage {
        Stage::Calling { .. } => "calling",
        Stage::Keeping => "keeping",
        Stage::Delaying { .. } | Stage::PredicateWait { .. } => "waiting",
        Stage::Readying { .. } => "readying",
        Stage::WithoutAttempt { .. } => "without_attempt",
        Stage::Done => "done",
    },
    attempt = this.call.as_ref().map(|call| call.progress.attempt),
);
