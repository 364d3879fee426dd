//! The future: attempts, and the waits between them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{
    Budget, Classify, Meta, Outcome, Reason, Refusable, Rejection, Replay, Sent, What, judge,
};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use crate::CopyRequest;
use crate::decide::{Answered, Decision, End, World, corrected, decide, wants_copy};
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
            // Ends the wait at the request's deadline. Boxed, since only a spare service that is
            // not ready needs it, and every future would be as large.
            expiry: Option<Pin<Box<Sleep>>>,
        },
        Done,
    }
}

impl<F, S> Stage<F, S> {
    const fn readying(service: S) -> Self {
        Self::Readying {
            service,
            expiry: None,
        }
    }
}

/// After so many attempts without a pause the task lets others run, and a deadline above is
/// looked at: an inner service that fails at once never says `Pending`.
const BREATH: u32 = 32;

/// What a call needs as long as it is not answered.
struct Call<S, Req, C, D, P> {
    common: CommonLocal<S, C, D, P>,
    /// The request of the next attempt.
    copy: Option<Req>,
    replay: Replay,
    deadline: Option<Instant>,
    /// Attempts made so far.
    attempt: u32,
    /// Whether one of the attempts that were answered may have reached the upstream.
    maybe_sent: bool,
    paid: Option<Paid>,
}

/// What follows an answer.
enum Next {
    /// It is the answer of the call.
    Answer,
    /// It says that nothing was sent, which is not true of the whole call: this is the answer.
    Instead(Rejection),
    /// Another attempt after this pause.
    Pause(Duration),
}

/// A token that was taken for an extra attempt.
struct Paid {
    budget: Budget,
    /// Whether the attempt is being made. It is not any more when it was refused before anything
    /// was sent; the token then waits for an attempt that is.
    in_flight: bool,
}

impl Drop for Paid {
    fn drop(&mut self) {
        // The call ended in its pause, or its extra attempt was never sent.
        if !self.in_flight {
            self.budget.refund();
        }
    }
}

/// The generator, the clock, the copier and the budget; remembers whether a token was taken.
struct Real<'a, Req, P> {
    core: &'a Core,
    copier: &'a P,
    copy: Option<&'a Req>,
    deadline: Option<Instant>,
    paid: Option<Paid>,
}

impl<Req, P: CopyRequest<Req>> World for Real<'_, Req, P> {
    fn has_copy(&mut self) -> bool {
        // A streamed body may have grown too long since it was copied, or still be read: then
        // the copy is there and cannot be sent, and neither can a copy of it be had.
        self.copy
            .is_some_and(|copy| self.copier.copy(copy).is_some())
    }

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
            self.paid = Some(Paid {
                budget: budget.clone(),
                in_flight: false,
            });
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
                maybe_sent: false,
                paid: None,
            }),
        }
    }
}

impl<S, Req, C, D, P> Call<S, Req, C, D, P> {
    /// Judges an answer.
    #[inline]
    fn answered<T, E>(&mut self, result: &Result<T, E>) -> Next
    where
        C: Classify<T, E>,
        E: Refusable,
        P: CopyRequest<Req>,
    {
        let common = self.common.common();
        let outcome = judge(&common.classify, result);
        if outcome == Outcome::Success {
            self.common.stripe().answered(Kind::Success);
            if let Some(budget) = &common.core.budget {
                budget.deposit();
            }
            return Next::Answer;
        }
        self.consider(outcome, result)
    }

    #[cold]
    fn consider<T, E>(&mut self, outcome: Outcome, result: &Result<T, E>) -> Next
    where
        C: Classify<T, E>,
        E: Refusable,
        P: CopyRequest<Req>,
    {
        let common = self.common.common();
        let core = &common.core;
        let refusal = refusal_in(result);
        let seen = Answered {
            outcome,
            refusal,
            hint: match refusal {
                Some(_) => None,
                None => common.classify.retry_after(result.as_ref()),
            },
            replay: self.replay,
            attempt: self.attempt,
        };
        if let Some(paid) = &mut self.paid {
            paid.in_flight = !seen.is_refused_unsent();
        }
        let mut world = Real {
            core,
            copier: &common.copy,
            copy: self.copy.as_ref(),
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
                self.truth(outcome, refusal)
                    .map_or(Next::Answer, Next::Instead)
            }
            Decision::Wait(delay) => {
                counters.retried(kind);
                if !seen.is_refused_unsent() {
                    self.paid = world.paid;
                }
                self.maybe_sent |= !seen.is_unsent();
                let attempt = self.attempt.saturating_add(1);
                let what = || What::Retry { attempt, delay };
                core.ledger.observer.tell(what);
                Next::Pause(delay)
            }
        }
    }

    /// The answer in place of one that denies what an earlier attempt may have done.
    fn truth(&self, outcome: Outcome, refusal: Option<Rejection>) -> Option<Rejection> {
        if !self.maybe_sent {
            return None;
        }
        // What may be sent any number of times loses nothing by the client's own error.
        if refusal.is_none() && self.replay == Replay::Safe {
            return None;
        }
        let observer = &self.common.common().core.ledger.observer;
        let told = corrected(outcome, refusal, observer.name())?;
        if refusal.is_none() {
            observer.tell(|| What::Refused(told));
        }
        Some(told)
    }

    /// The spare service has failed.
    #[cold]
    fn not_ready<T, E>(&self, error: E) -> Result<T, E>
    where
        C: Classify<T, E>,
        E: Refusable,
    {
        self.common.stripe().ended(End::NotReady);
        let result = Err(error);
        if self.maybe_sent {
            let outcome = judge(&self.common.common().classify, &result);
            if let Some(told) = self.truth(outcome, refusal_in(&result)) {
                return Err(told.into());
            }
        }
        result
    }

    /// The deadline has passed while the spare service was not ready.
    #[cold]
    fn expired(&self) -> Rejection {
        self.common.stripe().ended(End::Deadline);
        let observer = &self.common.common().core.ledger.observer;
        let sent = if self.maybe_sent {
            Sent::Maybe
        } else {
            Sent::No
        };
        let rejection = Rejection::new(Reason::DeadlineExceeded, observer.name()).with_sent(sent);
        observer.tell(|| What::Refused(rejection));
        rejection
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
        if let Some(paid) = &mut self.paid {
            paid.in_flight = true;
        }
        Some(request)
    }
}

fn refusal_in<T, E: Refusable>(result: &Result<T, E>) -> Option<Rejection> {
    result
        .as_ref()
        .err()
        .and_then(Refusable::rejection)
        .copied()
}

/// Ready when the deadline has passed; the task is woken then.
#[cold]
fn poll_expiry(
    deadline: Option<Instant>,
    expiry: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(at) = deadline else {
        return Poll::Pending;
    };
    let timer = expiry.get_or_insert_with(|| Box::pin(sleep_until(at)));
    // Also when the spare service has used up the task's budget of progress.
    Pin::new(&mut coop::unconstrained(timer.as_mut())).poll(cx)
}

impl<S, Req, C, D, P> Future for ResponseFuture<S, Req, C, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    C: Classify<S::Response, S::Error>,
    P: CopyRequest<Req>,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
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
                    let next = match &out {
                        Poll::Pending => return out,
                        Poll::Ready(result) => call.answered(result),
                    };
                    let pause = match next {
                        Next::Answer => {
                            this.stage.set(Stage::Done);
                            *this.call = None;
                            return out;
                        }
                        Next::Instead(told) => {
                            drop(out);
                            this.stage.set(Stage::Done);
                            *this.call = None;
                            return Poll::Ready(Err(told.into()));
                        }
                        Next::Pause(pause) => pause,
                    };
                    // The failed attempt and its answer go first, and with them whatever they
                    // hold of the services below: a permit, a connection, a body.
                    drop(out);
                    this.stage.set(Stage::Done);
                    if pause.is_zero() {
                        let service = call.common.common().spare();
                        this.stage.set(Stage::readying(service));
                        if call.attempt.is_multiple_of(BREATH) {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
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
                    this.stage.set(Stage::readying(service));
                }
                // ## Readying => (Calling | Done)
                StageProj::Readying { service, expiry } => {
                    let failed = match service.poll_ready(cx) {
                        Poll::Pending if poll_expiry(call.deadline, expiry, cx).is_pending() => {
                            return Poll::Pending;
                        }
                        Poll::Pending => Some(Err(call.expired().into())),
                        Poll::Ready(Ok(())) => None,
                        Poll::Ready(Err(error)) => Some(call.not_ready(error)),
                    };
                    if let Some(answer) = failed {
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return Poll::Ready(answer);
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
