//! One call on the pool, as its caller sees it: waits for a permit, starts the work, cancels it
//! when it is dropped.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use seawall_core::queue::{Stopped, Target, Waiter};
use seawall_core::{
    Classify, EventKind, PartitionKey, Reason, Rejectable, Rejection, Sent, classify_result,
};

use super::threads::ThreadPool;
use crate::pool::{CallGuard, PoolCall, PoolPermit, PoolState};
use crate::semaphore::Admission;

/// What is done on the pool.
pub(crate) trait Work {
    type Response: Send + 'static;
    type Error: Rejectable + Send + 'static;

    /// Completes with `None` when the work panicked; dropped before, it cancels the work.
    type Task: Future<Output = Option<Ended<Self::Response, Self::Error>>> + Unpin;

    /// Starts it. It keeps the permit until it has dropped all that it works with.
    fn start(self, pool: &ThreadPool, permit: PoolPermit) -> Self::Task;
}

/// How the work ended, if it did not panic after the call was made.
#[derive(Debug)]
pub(crate) enum Ended<T, E> {
    Completed(Result<T, E>),
    /// It panicked before the call was made.
    PanickedBefore,
}

/// No key: all calls of a pool share its permits.
const KEY: PartitionKey = PartitionKey(0);

/// A call; `C` classifies its result.
pub(crate) struct PoolTask<W: Work, C> {
    // First, so that the work is cancelled before anything else is dropped.
    step: Step<W>,
    call: CallGuard,
    classifier: C,
    /// The threads live as long as a call does; `None` once it has completed.
    pool: Option<Arc<ThreadPool>>,
}

enum Step<W: Work> {
    /// It has a permit, and begins at the first poll.
    Admitted(PoolPermit, W),
    Waiting(Pin<Box<Waiter<PoolCall>>>, W),
    Running(W::Task),
    Rejected(Rejection),
    Done,
}

/// Nothing has to be ready on this side.
struct AlwaysReady;

impl Target for AlwaysReady {
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn release(&mut self) {}
}

impl<W: Work, C: Classify<W::Response, W::Error>> PoolTask<W, C> {
    pub(crate) fn new(pool: &Arc<ThreadPool>, work: W, classifier: C) -> Self {
        let state = pool.state();
        let admission = state.permits.try_acquire(KEY);
        if let Admission::Shadowed(reason) = admission {
            state.counters.shadow(&state.source, reason);
        }
        let step = match admission {
            Admission::Admitted | Admission::Shadowed(_) => {
                Step::Admitted(PoolPermit::new(Arc::clone(state), KEY), work)
            }
            Admission::Wait => {
                let waiter = Waiter::new(PoolCall::new(Arc::clone(state), KEY, None));
                Step::Waiting(Box::pin(waiter), work)
            }
            Admission::Rejected(reason) => {
                return Self {
                    step: Step::Rejected(state.reject(reason)),
                    call: CallGuard::counted(),
                    classifier,
                    pool: None,
                };
            }
        };
        Self {
            step,
            call: CallGuard::new(Arc::clone(state)),
            classifier,
            pool: Some(Arc::clone(pool)),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<W::Response, W::Error>> {
        if let Step::Waiting(waiter, _) = &mut self.step {
            let waited = ready!(waiter.as_mut().poll(cx, &mut AlwaysReady));
            let Step::Waiting(waiter, work) = self.take() else {
                unreachable!("it was waiting")
            };
            // Out of the queue first.
            drop(waiter);
            self.step = match waited {
                Ok(permit) => Step::Admitted(permit, work),
                Err(Stopped::Rejected(rejection)) => {
                    drop(work);
                    self.call.end(|_counted| ());
                    Step::Rejected(rejection)
                }
                Err(Stopped::Failed(never)) => match never {},
            };
        }
        if let Step::Admitted(..) = &self.step {
            let Step::Admitted(permit, work) = self.take() else {
                unreachable!("it had a permit")
            };
            let pool = self.pool.as_ref().expect("kept until it has completed");
            self.step = Step::Running(work.start(pool, permit));
        }
        match &mut self.step {
            Step::Running(running) => {
                let ended = ready!(Pin::new(running).poll(cx));
                self.step = Step::Done;
                let result = match ended {
                    Some(Ended::Completed(result)) => {
                        let outcome = classify_result(&self.classifier, &result);
                        self.call.end(|state| state.counters.completed(&outcome));
                        result
                    }
                    Some(Ended::PanickedBefore) => Err(self.panicked(Sent::No)),
                    // Nothing but this future cancels it, and the threads live as long.
                    None => Err(self.panicked(Sent::Maybe)),
                };
                self.pool = None;
                Poll::Ready(result)
            }
            Step::Rejected(rejection) => {
                let error = W::Error::from(*rejection);
                self.step = Step::Done;
                self.pool = None;
                Poll::Ready(Err(error))
            }
            Step::Done => panic!("a call on a pool was polled after completion"),
            Step::Admitted(..) | Step::Waiting(..) => unreachable!("left above"),
        }
    }

    fn take(&mut self) -> Step<W> {
        std::mem::replace(&mut self.step, Step::Done)
    }

    fn panicked(&mut self, sent: Sent) -> W::Error {
        let count = |state: &PoolState| {
            state.counters.panicked.add();
            let rejection = state.source.rejection(Reason::Panicked).with_sent(sent);
            state.source.emit_call(|| EventKind::Rejected(rejection));
            rejection
        };
        let rejection = self.call.end(count);
        rejection.expect("a call ends once").into()
    }
}

impl<W: Work, C> PoolTask<W, C> {
    pub(crate) const fn step(&self) -> &'static str {
        match &self.step {
            Step::Admitted(..) => "admitted",
            Step::Waiting(..) => "waiting",
            Step::Running(..) => "running",
            Step::Rejected(..) => "rejected",
            Step::Done => "done",
        }
    }
}
