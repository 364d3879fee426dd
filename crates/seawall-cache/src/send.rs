//! A call of the inner service: first its readiness, then the call, by one instance.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Outcome, Reason, Rejection};
use tower_service::Service;

/// Whether a rejection says nothing of the upstream, but that the time of this one caller is over.
pub(crate) const fn is_own(rejection: &Rejection) -> bool {
    matches!(
        rejection.reason(),
        Reason::DeadlineExceeded | Reason::QueueTimeout
    )
}

/// Whether what cannot be shared is worth a call of each waiter at once. Of what is no good answer, as that a key
/// has expired, the next one is mostly the same.
pub(crate) const fn is_for_each(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::Degraded)
}

pin_project! {
    /// Polls an instance ready, and calls it in the same poll.
    #[project = SendingProj]
    pub(crate) enum Sending<S, Req>
    where
        S: Service<Req>,
    {
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S: Service<Req>, Req> Sending<S, Req> {
    pub(crate) const fn new(service: S, request: Req) -> Self {
        let request = Some(request);
        Self::Readying { service, request }
    }
}

impl<S: Service<Req>, Req> Future for Sending<S, Req> {
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                SendingProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        panic!("the call of a cache was polled after it had panicked");
                    };
                    let future = service.call(request);
                    self.set(Self::Calling { future });
                }
                SendingProj::Calling { future } => return future.poll(cx),
            }
        }
    }
}
