//! The future: attempts, and the waits between them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{Budget, Classify, Meta, Outcome, Refusable, Replay, What, judge};
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use crate::CopyRequest;
use crate::decide::{Answered, Decision, End, World, decide, wants_copy};
use crate::layer::{CommonLocal, Core};
use crate::observe::Kind;

pin_project! {
    /// The answer of a [`Retry`](crate::Retry).
    ///
    /// While it waits it holds the copy of the request and nothing of the inner service. When it
    /// answers it has dropped everything.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when it has to wait outside of a Tokio runtime
    /// with time enabled.
    pub struct ResponseFuture<S, Req, C, D, P>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S::Future, S>,
        call: Option<Call<S, Req, C, D, P>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, S> {
        // An attempt is under way.
        Calling {
            #[pin]
            attempt: F,
        },
        // The pause before the next attempt.
        Waiting {
            #[pin]
            pause: Sleep,
        },
        // The pause is over; the service of the next attempt is not ready yet.
        Readying {
            service: S,
        },
        Done,
    }
}

/// What a call needs as long as it is not answered.
struct Call<S, Req, C, D, P> {
    common: CommonLocal<S, C, D, P>,
    /// The request of the next attempt.
    copy: Option<Req>,
    replay: Replay,
    deadline: Option<Instant>,
    /// Attempts made so far.
    attempt: u32,
    paid: Option<Paid>,
}

/// A token that was taken for an attempt which has not been made yet.
struct Paid(Option<Budget>);

impl Paid {
    fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        // The call was dropped in its pause, or the spare service failed.
        if let Some(budget) = &self.0 {
            budget.refund();
        }
    }
}

/// The generator, the clock and the budget; remembers whether a token was taken.
struct Real<'a> {
    core: &'a Core,
    deadline: Option<Instant>,
    paid: Option<Paid>,
}

impl World for Real<'_> {
    fn draw(&mut self) -> f64 {
        self.core.draw()
    }

    fn time_left(&mut self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    fn withdraw(&mut self) -> bool {
        let Some(budget) = &self.core.budget else {
            return true;
        };
        let taken = budget.withdraw();
        if taken {
            self.paid = Some(Paid(Some(budget.clone())));
        }
        taken
    }
}

impl<S, Req, C, D, P> ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req>,
{
    #[inline]
    pub(crate) const fn new(
        attempt: S::Future,
        common: CommonLocal<S, C, D, P>,
        copy: Option<Req>,
        meta: Meta,
    ) -> Self {
        Self {
            stage: Stage::Calling { attempt },
            call: Some(Call {
                common,
                copy,
                replay: meta.replay,
                deadline: meta.deadline,
                attempt: 1,
                paid: None,
            }),
        }
    }
}

impl<S, Req, C, D, P> Call<S, Req, C, D, P> {
    /// Judges an answer; the pause before another attempt, or `None` when this is the answer.
    #[inline]
    fn answered<T, E>(&mut self, result: &Result<T, E>) -> Option<Duration>
    where
        C: Classify<T, E>,
        E: Refusable,
    {
        let common = self.common.common();
        let outcome = judge(&common.classify, result);
        if outcome == Outcome::Success {
            self.common.stripe().answered(Kind::Success);
            if let Some(budget) = &common.core.budget {
                budget.deposit();
            }
            return None;
        }
        self.consider(outcome, result)
    }

    #[cold]
    fn consider<T, E>(&mut self, outcome: Outcome, result: &Result<T, E>) -> Option<Duration>
    where
        C: Classify<T, E>,
        E: Refusable,
    {
        let common = self.common.common();
        let core = &common.core;
        let refusal = result
            .as_ref()
            .err()
            .and_then(Refusable::rejection)
            .copied();
        let seen = Answered {
            outcome,
            refusal,
            hint: match refusal {
                Some(_) => None,
                None => common.classify.retry_after(result.as_ref()),
            },
            replay: self.replay,
            attempt: self.attempt,
            has_copy: self.copy.is_some(),
        };
        let mut world = Real {
            core,
            deadline: self.deadline,
            paid: None,
        };
        let decision = decide(&core.config, &seen, &mut world);
        let kind = Kind::of(outcome, refusal.is_some());
        let counters = self.common.stripe();
        counters.answered(kind);
        match decision {
            Decision::End(end) => {
                counters.ended(end);
                if end == End::Budget {
                    core.ledger.observer.tell(|| What::BudgetExhausted);
                }
                None
            }
            Decision::Wait(delay) => {
                counters.retried(kind);
                self.paid = world.paid;
                let attempt = self.attempt.saturating_add(1);
                let what = || What::Retry { attempt, delay };
                core.ledger.observer.tell(what);
                Some(delay)
            }
        }
    }

    /// The request of the attempt that is made now, and a copy for the one after it.
    fn next_request(&mut self) -> Option<Req>
    where
        P: CopyRequest<Req>,
    {
        let request = self.copy.take()?;
        self.attempt = self.attempt.saturating_add(1);
        let common = self.common.common();
        if wants_copy(&common.core.config, self.replay, self.attempt) {
            self.copy = common.copy.copy(&request);
        }
        if let Some(paid) = self.paid.take() {
            paid.spend();
        }
        Some(request)
    }
}

impl<S, Req, C, D, P> Future for ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    C: Classify<S::Response, S::Error>,
    P: CopyRequest<Req>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(call) = this.call.as_mut() else {
                panic!("a retry's future was polled after it had answered");
            };
            match this.stage.as_mut().project() {
                // ## Calling => (Done | Waiting | Readying)
                StageProj::Calling { attempt } => {
                    let out = attempt.poll(cx);
                    let pause = match &out {
                        Poll::Pending => return out,
                        Poll::Ready(result) => call.answered(result),
                    };
                    let Some(pause) = pause else {
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return out;
                    };
                    // The failed attempt and its answer go first, and with them whatever they
                    // hold of the services below: a permit, a connection, a body.
                    drop(out);
                    this.stage.set(Stage::Done);
                    if pause.is_zero() {
                        let service = call.common.common().spare();
                        this.stage.set(Stage::Readying { service });
                    } else {
                        this.stage.set(Stage::Waiting {
                            pause: sleep(pause),
                        });
                    }
                }
                // ## Waiting => Readying
                StageProj::Waiting { pause } => {
                    if pause.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let service = call.common.common().spare();
                    this.stage.set(Stage::Readying { service });
                }
                // ## Readying => (Calling | Done)
                StageProj::Readying { service } => {
                    let failed = match service.poll_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => None,
                        Poll::Ready(Err(error)) => Some(error),
                    };
                    if let Some(error) = failed {
                        call.common.stripe().ended(End::NotReady);
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return Poll::Ready(Err(error));
                    }
                    let Some(request) = call.next_request() else {
                        // `decide` ends the call when there is no copy.
                        unreachable!("an attempt was decided on without a request");
                    };
                    let attempt = service.call(request);
                    this.stage.set(Stage::Calling { attempt });
                }
                // Only after a panic of the inner service's `clone`.
                StageProj::Done => panic!("a retry's future was polled after it had panicked"),
            }
        }
    }
}

impl<S, Req, C, D, P> fmt::Debug for ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Calling { .. } => "calling",
            Stage::Waiting { .. } => "waiting",
            Stage::Readying { .. } => "readying",
            Stage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .field("attempt", &self.call.as_ref().map(|call| call.attempt))
            .finish_non_exhaustive()
    }
}
