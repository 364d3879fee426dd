//! The service.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{DefaultMeta, Describe, Rejectable, ns};
use tokio::time::Instant;
use tower_service::Service;

use super::{Fixed, Mode, NoOverride, RequestTimeout, ResponseFuture};
use crate::observe::{Common, Cut};
use crate::race::{Limit, Race};

/// A service whose attempts are cut off; see [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer).
#[derive(Clone)]
pub struct AttemptTimeout<S, D = DefaultMeta, T = NoOverride, L = Fixed> {
    inner: S,
    state: Anchor<Common, ()>,
    describe: D,
    own: T,
    mode: L,
}

impl<S, D, T, L> AttemptTimeout<S, D, T, L> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<Common, ()>,
        describe: D,
        own: T,
        mode: L,
    ) -> Self {
        Self {
            inner,
            state,
            describe,
            own,
            mode,
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

impl<S, D, T, L, Req> Service<Req> for AttemptTimeout<S, D, T, L>
where
    S: Service<Req>,
    S::Error: Rejectable,
    D: Describe<Req>,
    T: RequestTimeout<Req>,
    L: Mode<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, L::Lesson>;

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
            let rejected = Race::Rejected {
                rejection: common.tag().cut(Cut::Late),
            };
            return ResponseFuture::new(rejected, self.mode.none());
        }
        let own = self.own.own_timeout(&request);
        let limit = Limit {
            after_ns: own.map_or_else(|| common.after_ns(), ns),
            until,
            cut: Cut::Attempt,
        };
        let tag = common.tag();
        let lesson = self.mode.lesson(&self.state, own.is_some());
        ResponseFuture::new(Race::start(self.inner.call(request), limit, tag), lesson)
    }
}

impl<S: fmt::Debug, D, T, L> fmt::Debug for AttemptTimeout<S, D, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeout")
            .field("inner", &self.inner)
            .field("name", &self.state.common().name())
            .field("timeout", &self.state.common().after())
            .finish_non_exhaustive()
    }
}
