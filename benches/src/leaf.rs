//! The services at the bottom of every subject: always ready, and not boxed.

use std::fmt;
use std::future::{Future, Pending, Ready, pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

/// The request that [`Leaf`] fails.
pub(crate) const FAIL: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafError;

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the leaf fails on request")
    }
}

impl std::error::Error for LeafError {}

pub(crate) type CallResult = Result<u64, LeafError>;

/// What [`Leaf`] does, for peers that wrap a call and not a service.
#[inline]
pub(crate) fn respond(request: u64) -> CallResult {
    if request == FAIL {
        Err(LeafError)
    } else {
        Ok(request ^ 1)
    }
}

/// Responds in `call`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf;

impl Service<u64> for Leaf {
    type Response = u64;
    type Error = LeafError;
    type Future = Ready<CallResult>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeafError>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: u64) -> Self::Future {
        ready(respond(request))
    }
}

/// Fails in `call`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Down;

impl Service<u64> for Down {
    type Response = u64;
    type Error = LeafError;
    type Future = Ready<CallResult>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeafError>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: u64) -> Self::Future {
        ready(Err(LeafError))
    }
}

/// Responds at the second poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late;

impl Service<u64> for Late {
    type Response = u64;
    type Error = LeafError;
    type Future = LateAnswer;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeafError>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: u64) -> LateAnswer {
        LateAnswer {
            request,
            polled: false,
        }
    }
}

pub(crate) struct LateAnswer {
    request: u64,
    polled: bool,
}

impl Future for LateAnswer {
    type Output = CallResult;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallResult> {
        if self.polled {
            return Poll::Ready(respond(self.request));
        }
        self.polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Never responds: what is called holds its permit forever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stuck;

impl Service<u64> for Stuck {
    type Response = u64;
    type Error = LeafError;
    type Future = Pending<CallResult>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LeafError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        pending()
    }
}

/// Makes one call of a service that needs no waiting, while a subject is set up.
pub(crate) fn call_once<S: Service<u64>>(
    service: &mut S,
    request: u64,
) -> Result<S::Response, S::Error> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match service.poll_ready(&mut cx) {
        Poll::Ready(ready) => ready?,
        Poll::Pending => panic!("a service that is set up must be ready"),
    }
    at_once(service.call(request))
}

/// The outcome of a future that is ready at its first poll.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("this future must be ready immediately"),
    }
}
