//! One call on the pool, as its caller sees it: waits for a place, starts the work, cancels it
//! when it is dropped.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use seawall_core::{
    EventKind, FailureKind, Outcome, PartitionKey, Reason, Rejectable, Rejection, Sent,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::pool::Pool;
use crate::connections::gate::Taken;
use crate::connections::room::{Below, Call, Denied, Place, Room, Waiting, add};

/// What is done on the pool.
pub(crate) trait Work {
    type Response: Send + 'static;
    type Error: Rejectable + Send + 'static;

    /// Starts it. The task keeps the place until it has dropped all that it works with.
    fn start(self, runtime: &Runtime, place: Place) -> Task<Self::Response, Self::Error>;
}

type Task<T, E> = JoinHandle<Ended<T, E>>;

/// How the work ended, if it did not panic after the call was made.
#[derive(Debug)]
pub(crate) enum Ended<T, E> {
    Answered(Result<T, E>),
    /// It panicked before the call was made.
    PanickedBefore,
}

/// No key: a pool has one set of places.
const POOL: PartitionKey = PartitionKey(0);

pub(crate) struct Errand<W: Work> {
    // First, so that the work is cancelled before anything else is let go.
    step: Step<W>,
    call: Call,
    /// The threads live as long as a call does; `None` once it has answered.
    pool: Option<Arc<Pool>>,
}

enum Step<W: Work> {
    /// It has a place, and begins at the first poll.
    Placed(Place, W),
    Waiting(Pin<Box<Waiting>>, W),
    Running(Running<W::Response, W::Error>),
    Rejected(Rejection),
    Done,
}

/// Aborts the task when it is dropped.
struct Running<T, E>(Task<T, E>);

impl<T, E> Drop for Running<T, E> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Nothing has to be ready on this side.
struct Nothing;

impl Below for Nothing {
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn give_up(&mut self) {}
}

impl<W: Work> Errand<W> {
    pub(crate) fn new(pool: &Arc<Pool>, work: W) -> Self {
        let room = pool.room();
        let step = match room.gate.try_take(POOL) {
            Ok(()) => Step::Placed(Place::in_flight(Arc::clone(room), POOL), work),
            Err(Taken::Wait) => Step::Waiting(Box::pin(Waiting::new(Arc::clone(room), POOL)), work),
            Err(Taken::Full) => {
                return Self {
                    step: Step::Rejected(room.reject(Reason::BulkheadFull)),
                    call: Call::counted(),
                    pool: None,
                };
            }
        };
        Self {
            step,
            call: Call::of(Arc::clone(room)),
            pool: Some(Arc::clone(pool)),
        }
    }

    pub(crate) const fn step(&self) -> &'static str {
        match &self.step {
            Step::Placed(..) => "placed",
            Step::Waiting(..) => "waiting",
            Step::Running(..) => "running",
            Step::Rejected(..) => "rejected",
            Step::Done => "done",
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<W::Response, W::Error>> {
        if let Step::Waiting(waiting, _) = &mut self.step {
            let turned = ready!(waiting.as_mut().poll(cx, &mut Nothing));
            let Step::Waiting(waiting, work) = self.take() else {
                unreachable!("it was waiting")
            };
            // Out of the line first.
            drop(waiting);
            self.step = match turned {
                Ok(place) => Step::Placed(place, work),
                Err(Denied::Rejected(reason)) => {
                    drop(work);
                    let rejected = self.call.end(|room| room.reject(reason));
                    Step::Rejected(rejected.expect("a call ends once"))
                }
                Err(Denied::Failed(never)) => match never {},
            };
        }
        if let Step::Placed(..) = &self.step {
            let Step::Placed(place, work) = self.take() else {
                unreachable!("it had a place")
            };
            let pool = self.pool.as_ref().expect("kept until it has answered");
            self.step = Step::Running(Running(work.start(pool.runtime(), place)));
        }
        match &mut self.step {
            Step::Running(running) => {
                let ended = ready!(Pin::new(&mut running.0).poll(cx));
                self.step = Step::Done;
                let answer = match ended {
                    Ok(Ended::Answered(answer)) => {
                        self.call
                            .end(|room| room.counters.settled(&meaning(&answer)));
                        answer
                    }
                    Ok(Ended::PanickedBefore) => Err(self.panicked(Sent::No)),
                    // It is aborted by nobody but this future, and the threads live as long.
                    Err(_panicked) => Err(self.panicked(Sent::Maybe)),
                };
                self.pool = None;
                Poll::Ready(answer)
            }
            Step::Rejected(rejection) => {
                let error = W::Error::from(*rejection);
                self.step = Step::Done;
                self.pool = None;
                Poll::Ready(Err(error))
            }
            Step::Done => panic!("a call on a pool was polled after it has answered"),
            Step::Placed(..) | Step::Waiting(..) => unreachable!("left above"),
        }
    }

    fn take(&mut self) -> Step<W> {
        std::mem::replace(&mut self.step, Step::Done)
    }

    fn panicked(&mut self, sent: Sent) -> W::Error {
        let count = |room: &Room| {
            add(&room.counters.panicked);
            let rejection = room.observer.rejection(Reason::Panicked).with_sent(sent);
            room.observer.emit(|| EventKind::Rejected(rejection));
            rejection
        };
        let rejection = self.call.end(count);
        rejection.expect("a call ends once").into()
    }
}

/// What an answer means to the one who counts.
fn meaning<T>(answer: &Result<T, impl Rejectable>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Success,
        Err(error) => error
            .rejection()
            .map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome),
    }
}
