//! The future: waits for its turn if it must, connects, hands the place to the connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{FailureKind, Outcome, PartitionKey, Rejectable, Rejection};
use tower_service::Service;

use super::Limited;
use super::room::{Below, Call, Denied, Place, Room, Waiting};

pin_project! {
    /// The connection that a [`ConnectionLimit`](super::ConnectionLimit) makes.
    ///
    /// Dropped at any point, it gives back what it holds; once it has answered, the connection
    /// alone holds the place.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct ConnectFuture<S, Target>
    where
        S: Service<Target>,
    {
        #[pin]
        step: Step<S, Target, S::Future>,
        call: Call,
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    enum Step<S, Target, F> {
        Connecting { #[pin] inner: F, place: Place },
        // Boxed, so that the futures of those who need not wait stay small.
        Waiting { line: Pin<Box<Line<S, Target>>> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    struct Line<S, Target> {
        // First, so that it leaves the line before the connector is dropped.
        #[pin]
        waiting: Waiting,
        service: S,
        target: Option<Target>,
    }
}

impl<S: Service<Target>, Target> ConnectFuture<S, Target> {
    pub(crate) const fn connecting(inner: S::Future, place: Place, room: Arc<Room>) -> Self {
        Self {
            step: Step::Connecting { inner, place },
            call: Call::of(room),
        }
    }

    pub(crate) fn waiting(service: S, target: Target, room: Arc<Room>, key: PartitionKey) -> Self {
        let line = Box::pin(Line {
            waiting: Waiting::new(Arc::clone(&room), key),
            service,
            target: Some(target),
        });
        Self {
            step: Step::Waiting { line },
            call: Call::of(room),
        }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
            call: Call::counted(),
        }
    }
}

/// The connector of a call that waits.
struct Connector<'a, S, Target> {
    service: &'a mut S,
    target: std::marker::PhantomData<fn(Target)>,
}

impl<S: Service<Target> + Clone, Target> Below for Connector<'_, S, Target> {
    type Error = S::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn give_up(&mut self) {
        let fresh = self.service.clone();
        *self.service = fresh;
    }
}

/// What an error of the connector means to the one who counts.
fn meaning(error: &impl Rejectable) -> Outcome {
    error
        .rejection()
        .map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome)
}

impl<S, Target> Future for ConnectFuture<S, Target>
where
    S: Service<Target> + Clone,
    S::Error: Rejectable,
{
    type Output = Result<Limited<S::Response>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut step, call) = (this.step, this.call);
        loop {
            match step.as_mut().project() {
                StepProj::Connecting { inner, .. } => {
                    let answer = ready!(inner.poll(cx));
                    let StepDone::Connecting { place, .. } =
                        step.as_mut().project_replace(Step::Done)
                    else {
                        unreachable!("it was connecting")
                    };
                    return Poll::Ready(match answer {
                        Ok(connection) => {
                            call.end(|room| room.counters.settled(&Outcome::Success));
                            Ok(Limited::new(connection, place))
                        }
                        Err(error) => {
                            drop(place);
                            call.end(|room| room.counters.settled(&meaning(&error)));
                            Err(error)
                        }
                    });
                }
                StepProj::Waiting { line } => {
                    let line = line.as_mut().project();
                    let mut below = Connector {
                        service: line.service,
                        target: std::marker::PhantomData,
                    };
                    let error = match ready!(line.waiting.poll(cx, &mut below)) {
                        Ok(place) => {
                            let target = line.target.take().expect("a call departs once");
                            let inner = line.service.call(target);
                            step.set(Step::Connecting { inner, place });
                            continue;
                        }
                        Err(Denied::Failed(error)) => {
                            call.end(|room| room.counters.settled(&meaning(&error)));
                            error
                        }
                        Err(Denied::Rejected(reason)) => {
                            let rejected = call.end(|room| room.reject(reason));
                            rejected.expect("a call ends once").into()
                        }
                    };
                    step.set(Step::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Rejected { rejection } => {
                    let error = S::Error::from(*rejection);
                    step.set(Step::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Done => panic!("`ConnectFuture` polled after it has answered"),
            }
        }
    }
}

impl<S: Service<Target>, Target> fmt::Debug for ConnectFuture<S, Target> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Connecting { .. } => "connecting",
            Step::Waiting { .. } => "waiting",
            Step::Rejected { .. } => "rejected",
            Step::Done => "done",
        };
        f.debug_struct("ConnectFuture")
            .field("step", &step)
            .finish()
    }
}
