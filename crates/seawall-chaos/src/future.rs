//! The future: the inner one, or a call that faults hit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::MakeFault;
use crate::call::FaultedCall;

pin_project! {
    /// The future of a [`Chaos`](crate::Chaos).
    ///
    /// Dropped at any moment it leaves nothing behind. Once it has completed it holds nothing, even if
    /// it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, or has to wait outside of a Tokio runtime with time
    /// enabled.
    pub struct ChaosFuture<S, Req, H>
    where
        S: Service<Req>,
        H: MakeFault<Req, S::Response, S::Error>,
    {
        #[pin]
        step: Step<S::Future, Box<FaultedCall<S, Req, H>>, H>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, C, H> {
        Passing {
            #[pin]
            inner: F,
            hooks: H,
        },
        Faulted { call: C },
        Done,
    }
}

impl<S, Req, H> ChaosFuture<S, Req, H>
where
    S: Service<Req>,
    H: MakeFault<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) const fn passing(inner: S::Future, hooks: H) -> Self {
        Self {
            step: Step::Passing { inner, hooks },
        }
    }

    pub(crate) fn faulted(call: FaultedCall<S, Req, H>) -> Self {
        let call = Box::new(call);
        Self {
            step: Step::Faulted { call },
        }
    }
}

impl<S, Req, H> Future for ChaosFuture<S, Req, H>
where
    S: Service<Req>,
    H: MakeFault<Req, S::Response, S::Error>,
{
    type Output = Result<H::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        let result = match step.as_mut().project() {
            StepProj::Passing { inner, hooks } => {
                ready!(inner.poll(cx)).map(|response| hooks.pass(response))
            }
            StepProj::Faulted { call } => ready!(call.poll(cx)),
            StepProj::Done => panic!("`ChaosFuture` polled after it has completed"),
        };
        step.set(Step::Done);
        Poll::Ready(result)
    }
}

seawall_core::impl_debug!(ChaosFuture<S, Req, H> where [S: Service<Req>, H: MakeFault<Req, S::Response, S::Error>]:
    |this| done = matches!(this.step, Step::Done));
