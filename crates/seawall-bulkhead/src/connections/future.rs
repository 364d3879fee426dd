//! The future: waits for its turn if it must, connects, hands the permit to the connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::queue::{InnerService, Stopped, Waiter};
use seawall_core::{Outcome, PartitionKey, Rejectable, Rejection};
use tower_service::Service;

use super::limited::Limited;
use crate::call::outcome_of;
use crate::pool::{CallGuard, PoolCall, PoolPermit, PoolState};

pin_project! {
    /// The connection that a [`ConnectionLimit`](super::ConnectionLimit) makes.
    ///
    /// Dropped at any point, it releases what it holds; once it has completed, the connection
    /// alone holds the permit.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct ConnectFuture<S, Target>
    where
        S: Service<Target>,
    {
        #[pin]
        step: Step<S, Target, S::Future>,
        call: CallGuard,
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    enum Step<S, Target, F> {
        Connecting { #[pin] inner: F, permit: PoolPermit },
        // Boxed, so that the futures of connects that need not wait stay small.
        Waiting { call: Pin<Box<WaitingConnect<S, Target>>> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    struct WaitingConnect<S, Target> {
        // First, so that it leaves the queue before the connector is dropped.
        #[pin]
        waiter: Waiter<PoolCall>,
        service: S,
        target: Option<Target>,
    }
}

impl<S: Service<Target>, Target> ConnectFuture<S, Target> {
    /// Whether it waits for a permit, and nothing was begun.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.step, Step::Waiting { .. })
    }

    pub(crate) const fn connecting(
        inner: S::Future,
        permit: PoolPermit,
        state: Arc<PoolState>,
    ) -> Self {
        Self {
            step: Step::Connecting { inner, permit },
            call: CallGuard::new(state),
        }
    }

    pub(crate) fn waiting(
        service: S,
        target: Target,
        state: Arc<PoolState>,
        key: PartitionKey,
    ) -> Self {
        let call = Box::pin(WaitingConnect {
            waiter: Waiter::new(PoolCall::new(Arc::clone(&state), key, None)),
            service,
            target: Some(target),
        });
        Self {
            step: Step::Waiting { call },
            call: CallGuard::new(state),
        }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
            call: CallGuard::counted(),
        }
    }
}

impl<S, Target, F> Step<S, Target, F> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "connecting",
            Self::Waiting { .. } => "waiting",
            Self::Rejected { .. } => "rejected",
            Self::Done => "done",
        }
    }
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
                    let result = ready!(inner.poll(cx));
                    let StepDone::Connecting { permit, .. } =
                        step.as_mut().project_replace(Step::Done)
                    else {
                        unreachable!("it was connecting")
                    };
                    return Poll::Ready(match result {
                        Ok(connection) => {
                            call.end(|state| state.counters.completed(&Outcome::Success));
                            Ok(Limited::new(connection, permit))
                        }
                        Err(error) => {
                            drop(permit);
                            call.end(|state| state.counters.completed(&outcome_of(&error)));
                            Err(error)
                        }
                    });
                }
                StepProj::Waiting { call: waiting } => {
                    let waiting = waiting.as_mut().project();
                    let mut connector = InnerService::new(waiting.service);
                    let error = match ready!(waiting.waiter.poll(cx, &mut connector)) {
                        Ok(permit) => {
                            let target = waiting.target.take().expect("a connect starts once");
                            let inner = waiting.service.call(target);
                            step.set(Step::Connecting { inner, permit });
                            continue;
                        }
                        Err(Stopped::Failed(error)) => {
                            call.end(|state| state.counters.completed(&outcome_of(&error)));
                            error
                        }
                        Err(Stopped::Rejected(rejection)) => {
                            call.end(|_counted| ());
                            rejection.into()
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
                StepProj::Done => panic!("`ConnectFuture` polled after completion"),
            }
        }
    }
}

seawall_core::impl_debug!(ConnectFuture<S, Target> where [S: Service<Target>]:
    |this| step = this.step.name());
