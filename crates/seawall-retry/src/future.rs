//! The future: attempts, and the waits between them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{Classify, Outcome, Reason, Rejectable, Rejection, Sent, deadline};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use crate::hooks::{Hook, Hooks, MemoryOf, WaitOf};
use crate::layer::CommonLocal;
use crate::track::{Next, Track};
use crate::{CopyRequest, RetryPredicate, StopReason};

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
    pub struct ResponseFuture<S, Req, C, D, P, H = Hooks>
    where
        S: Service<Req>,
        H: Hook<Req, S::Response, S::Error>,
    {
        #[pin]
        stage: Stage<S::Future, S, Result<S::Response, S::Error>, WaitOf<H, Req, S::Response, S::Error>>,
        call: Option<Call<S, Req, C, D, P, H, MemoryOf<H, Req, S::Response, S::Error>>>,
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
        // The pause before the next attempt.
        Waiting {
            #[pin]
            pause: Sleep,
        },
        // The pause before the next attempt is the adviser's own.
        Yielding {
            #[pin]
            wait: W,
            not_before: Option<Instant>,
        },
        // The pause is over; the service of the next attempt is not ready yet.
        Readying {
            service: S,
        },
        // There was no first attempt.
        Answered {
            answer: Option<R>,
        },
        Done,
    }
}

/// After so many attempts without a pause the task lets others run, and a deadline above is
/// looked at: an inner service that fails at once never says `Pending`.
const BREATH: u32 = 32;

/// What a call needs as long as it is not answered.
struct Call<S, Req, C, D, P, H, M> {
    common: CommonLocal<S, C, D, P, H>,
    /// The request of the next attempt.
    copy: Option<Req>,
    track: Track<M>,
    /// Whether the timer is set for the attempt that is under way.
    armed: bool,
    // Boxed, since only calls with a limit that are not answered at once need it, and every
    // future would be as large.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S, Req, C, D, P, H> ResponseFuture<S, Req, C, D, P, H>
where
    S: Service<Req>,
    H: Hook<Req, S::Response, S::Error>,
{
    /// The first attempt is under way.
    #[inline(always)]
    pub(crate) const fn new(
        attempt: S::Future,
        common: CommonLocal<S, C, D, P, H>,
        copy: Option<Req>,
        track: Track<MemoryOf<H, Req, S::Response, S::Error>>,
    ) -> Self {
        Self {
            stage: Stage::Calling { attempt },
            call: Some(Call {
                common,
                copy,
                track,
                armed: false,
                timer: None,
            }),
        }
    }

    /// The first attempt comes after a pause.
    #[cold]
    pub(crate) fn paced(
        pause: Duration,
        common: CommonLocal<S, C, D, P, H>,
        request: Req,
        track: Track<MemoryOf<H, Req, S::Response, S::Error>>,
    ) -> Self {
        let pause = sleep(pause);
        Self {
            stage: Stage::Waiting { pause },
            call: Some(Call {
                common,
                copy: Some(request),
                track,
                armed: false,
                timer: None,
            }),
        }
    }

    /// There is no attempt.
    #[cold]
    pub(crate) const fn answered(answer: Result<S::Response, S::Error>) -> Self {
        Self {
            stage: Stage::Answered {
                answer: Some(answer),
            },
            call: None,
        }
    }
}

impl<S, Req, C, D, P, H, M> Call<S, Req, C, D, P, H, M> {
    /// What an answer means; `None` for a success, of which there is nothing more to say.
    #[inline]
    fn judged<T, E>(&self, result: &Result<T, E>) -> Option<Outcome>
    where
        C: Classify<T, E>,
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let rules = &self.common.common().rules;
        self.track.judged(rules, self.common.stripe(), result)
    }

    #[cold]
    fn consider<T, E>(
        &mut self,
        outcome: Outcome,
        result: &mut Result<T, E>,
    ) -> Next<WaitOf<H, Req, T, E>>
    where
        C: Classify<T, E>,
        E: Rejectable,
        P: CopyRequest<Req>,
        H: Hook<Req, T, E>,
        H::RetryPredicate: RetryPredicate<Req, T, E, Memory = M>,
    {
        let rules = &self.common.common().rules;
        let (counters, copy) = (self.common.stripe(), self.copy.as_mut());
        self.track.consider(rules, counters, copy, outcome, result)
    }

    /// Whether attempts are limited here.
    #[inline]
    fn is_timed(&self) -> bool {
        self.common.common().rules.core.timed
    }

    /// Ready when the attempt has no time left.
    #[cold]
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let core = &self.common.common().rules.core;
        if !self.armed {
            self.armed = true;
            let now = Instant::now();
            self.track.begin(core, now);
            let own = core.config.attempt_timeout();
            let own = own.map(|limit| deadline(now, limit));
            let overall = core.config.overall_timeout().and(self.track.deadline);
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
        let overall = core.config.overall_timeout().and(self.track.deadline);
        let reason = match overall {
            Some(end) if end <= timer.deadline() => Reason::DeadlineExceeded,
            _ => Reason::AttemptTimeout,
        };
        Poll::Ready(core.reject(reason, Sent::Maybe))
    }

    /// Ready when the deadline has passed; the task is woken then.
    #[cold]
    fn poll_expiry(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.track.deadline else {
            return Poll::Pending;
        };
        let timer = set(&mut self.timer, at);
        Pin::new(&mut coop::unconstrained(timer)).poll(cx)
    }

    fn expired<T, E>(&self) -> Result<T, E>
    where
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let rules = &self.common.common().rules;
        self.track.expired(rules, self.common.stripe())
    }

    fn stopped<T, E>(&self, end: StopReason, error: E) -> Result<T, E>
    where
        C: Classify<T, E>,
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let rules = &self.common.common().rules;
        self.track.stopped(rules, self.common.stripe(), end, error)
    }

    /// The request of the attempt that is made now, and a copy for the one after it.
    fn next_request<T, E>(&mut self) -> Option<Result<Req, E>>
    where
        P: CopyRequest<Req>,
        H: Hook<Req, T, E>,
    {
        let mut request = self.copy.take()?;
        let rules = &self.common.common().rules;
        if self.track.wants_copy(&rules.core) {
            self.copy = rules.copy.copy(&request);
        }
        self.armed = false;
        let prepared = self.track.prepare(rules, &mut request);
        Some(prepared.map(|()| {
            self.track.departed();
            request
        }))
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

impl<S, Req, C, D, P, H> Future for ResponseFuture<S, Req, C, D, P, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
    P: CopyRequest<Req>,
    H: Hook<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(call) = this.call.as_mut() else {
                if let StageProj::Answered { answer } = this.stage.as_mut().project()
                    && let Some(answer) = answer.take()
                {
                    return Poll::Ready(answer);
                }
                panic!("a retry's future was polled after it had answered");
            };
            match this.stage.as_mut().project() {
                // ## Calling => (Done | Waiting | Yielding | Readying)
                StageProj::Calling { attempt } => {
                    // Not touched, moved or borrowed mutably before it is known to be no success:
                    // the answer of most calls goes through as it is.
                    let out = attempt.poll(cx);
                    let outcome = match &out {
                        Poll::Ready(result) => call.judged(result),
                        Poll::Pending if call.is_timed() => Some(Outcome::Unknown),
                        Poll::Pending => return out,
                    };
                    let Some(outcome) = outcome else {
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return out;
                    };
                    let (mut result, outcome) = match out {
                        Poll::Ready(result) => (result, outcome),
                        Poll::Pending => {
                            let limit = ready!(call.poll_limit(cx));
                            (Err(limit.into()), limit.outcome())
                        }
                    };
                    let Next::Pause(pause, wait) = call.consider(outcome, &mut result) else {
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return Poll::Ready(result);
                    };
                    // The failed attempt and its answer go first, and with them whatever they
                    // hold of the services below: a permit, a connection, a body.
                    drop(result);
                    this.stage.set(Stage::Done);
                    if let Some(wait) = wait {
                        let told = (!pause.is_zero()).then(|| deadline(Instant::now(), pause));
                        this.stage.set(Stage::Yielding {
                            wait,
                            not_before: told,
                        });
                    } else if pause.is_zero() {
                        let service = call.common.common().spare();
                        this.stage.set(Stage::Readying { service });
                        if call.track.attempt.is_multiple_of(BREATH) {
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
                    ready!(pause.poll(cx));
                    let service = call.common.common().spare();
                    this.stage.set(Stage::Readying { service });
                }
                // ## Yielding => (Waiting | Readying | Done)
                StageProj::Yielding { wait, not_before } => {
                    if wait.poll(cx).is_pending() {
                        ready!(call.poll_expiry(cx));
                        let answer = call.expired();
                        this.stage.set(Stage::Done);
                        *this.call = None;
                        return Poll::Ready(answer);
                    }
                    // What the upstream asked for may take longer.
                    match *not_before {
                        Some(at) => this.stage.set(Stage::Waiting {
                            pause: sleep_until(at),
                        }),
                        None => {
                            let service = call.common.common().spare();
                            this.stage.set(Stage::Readying { service });
                            if call.track.attempt.is_multiple_of(BREATH) {
                                cx.waker().wake_by_ref();
                                return Poll::Pending;
                            }
                        }
                    }
                }
                // ## Readying => (Calling | Done)
                StageProj::Readying { service } => {
                    let failed = match service.poll_ready(cx) {
                        Poll::Pending => {
                            ready!(call.poll_expiry(cx));
                            call.expired()
                        }
                        Poll::Ready(Err(error)) => call.stopped(StopReason::NotReady, error),
                        // The task may not have been polled for a while.
                        Poll::Ready(Ok(())) if call.track.is_late() => call.expired(),
                        Poll::Ready(Ok(())) => match call.next_request() {
                            Some(Ok(request)) => {
                                let attempt = service.call(request);
                                this.stage.set(Stage::Calling { attempt });
                                continue;
                            }
                            Some(Err(error)) => call.stopped(StopReason::NoPrepare, error),
                            // `decide` ends the call when there is no copy.
                            None => panic!("a retry's future was polled after it had panicked"),
                        },
                    };
                    this.stage.set(Stage::Done);
                    *this.call = None;
                    return Poll::Ready(failed);
                }
                // Only after a panic of the inner service's `clone`.
                StageProj::Answered { .. } | StageProj::Done => {
                    panic!("a retry's future was polled after it had panicked")
                }
            }
        }
    }
}

impl<S, Req, C, D, P, H> fmt::Debug for ResponseFuture<S, Req, C, D, P, H>
where
    S: Service<Req>,
    H: Hook<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Calling { .. } => "calling",
            Stage::Waiting { .. } | Stage::Yielding { .. } => "waiting",
            Stage::Readying { .. } => "readying",
            Stage::Answered { .. } => "answered",
            Stage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .field("attempt", &self.call.as_ref().map(|c| c.track.attempt))
            .finish_non_exhaustive()
    }
}
