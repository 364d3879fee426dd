//! The service.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Describe, Refusable, Undescribed};
use tokio::time::Instant;
use tower_service::Service;

use super::ResponseFuture;
use crate::observe::{Common, Cut};
use crate::race::{Limit, Race};

/// A service whose attempts are cut off; see [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer).
#[derive(Clone)]
pub struct AttemptTimeout<S, D = Undescribed> {
    inner: S,
    state: Anchor<Common, ()>,
    describe: D,
}

impl<S, D> AttemptTimeout<S, D> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, ()>, describe: D) -> Self {
        Self {
            inner,
            state,
            describe,
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

impl<S, D, Req> Service<Req> for AttemptTimeout<S, D>
where
    S: Service<Req>,
    S::Error: Refusable,
    D: Describe<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let common = self.state.common();
        let until = self.describe.describe(&request).deadline;
        // The clock is read only for requests that have a deadline.
        if until.is_some_and(|until| until <= Instant::now()) {
            return ResponseFuture::new(Race::Refused {
                rejection: common.tag().cut(Cut::Late),
            });
        }
        let limit = Limit {
            after_ns: common.after_ns(),
            until,
            cut: Cut::Attempt,
        };
        let tag = common.tag();
        ResponseFuture::new(Race::start(self.inner.call(request), limit, tag))
    }
}

impl<S: fmt::Debug, D> fmt::Debug for AttemptTimeout<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeout")
            .field("inner", &self.inner)
            .field("name", &self.state.common().name())
            .field("timeout", &self.state.common().after())
            .finish_non_exhaustive()
    }
}
