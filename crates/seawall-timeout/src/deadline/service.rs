//! The service.

use std::fmt;
use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::striped::Anchor;
use seawall_core::{Rejectable, deadline, ns};
use tokio::time::Instant;
use tower_service::Service;

use super::wait::Wait;
use super::{NoPropagation, PropagateDeadline, ResponseFuture};
use crate::observe::{Common, Cut};
use crate::race::{Limit, Race};

/// A service whose calls have a deadline; see [`DeadlineLayer`](super::DeadlineLayer).
pub struct Deadline<S, P = NoPropagation> {
    inner: S,
    state: Anchor<Common, ()>,
    propagate: P,
    wait: Wait,
}

impl<S, P> Deadline<S, P> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, ()>, propagate: P) -> Self {
        Self {
            inner,
            state,
            propagate,
            wait: Wait::None,
        }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, P, Req> Service<Req> for Deadline<S, P>
where
    S: Service<Req>,
    S::Error: Rejectable,
    P: PropagateDeadline<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A rejection that was promised stays one: the inner service is not asked again, since a
        // place in its queue would be of no use to the call.
        if matches!(self.wait, Wait::Spent) {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                if matches!(self.wait, Wait::Waiting { .. }) {
                    self.wait.ready(self.state.common().after());
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.wait = Wait::None;
                Poll::Ready(Err(error))
            }
            // An error here would end the instance, a buffer above with it: the rejection is given
            // by `call`.
            Poll::Pending => self.wait.pending(self.state.common().after(), cx).map(Ok),
        }
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let common = self.state.common();
        let tag = common.tag();
        let total = common.after_ns();
        let left = match mem::take(&mut self.wait) {
            Wait::None | Wait::Waiting { .. } => total,
            Wait::Waited(waited) => total.saturating_sub(ns(waited)),
            Wait::Spent => 0,
        };
        if left == 0 {
            return ResponseFuture::new(Race::Rejected {
                rejection: tag.cut(Cut::Readiness),
            });
        }
        let mut limit = Limit {
            after_ns: left,
            until: None,
            cut: Cut::Deadline,
        };
        if P::WRITES {
            let now = Instant::now();
            let at = deadline(now, Duration::from_nanos(left));
            let at = self.propagate.propagate(&mut request, at).min(at);
            if at <= now {
                return ResponseFuture::new(Race::Rejected {
                    rejection: tag.cut(Cut::Late),
                });
            }
            limit.until = Some(at);
        }
        ResponseFuture::new(Race::start(self.inner.call(request), limit, tag))
    }
}

impl<S: Clone, P: Clone> Clone for Deadline<S, P> {
    /// A clone has not waited: readiness and the time spent on it belong to one instance.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
            propagate: self.propagate.clone(),
            wait: Wait::None,
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Deadline<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline")
            .field("inner", &self.inner)
            .field("name", &self.state.common().name())
            .field("total", &self.state.common().after())
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
