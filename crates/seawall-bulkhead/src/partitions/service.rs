//! The service and its future: a place of the key's share, or a place in the key's line.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::striped::Anchor;
use seawall_core::{
    CompleteOnResponse, DefaultMeta, Describe, ErrorIsFailure, Reason, Rejectable, TrackCompletion,
};
use tower_service::Service;

use super::PartitionPermit;
use super::permit::{Common, KeyWaiting};
use crate::observe::{Stripe, reject};
use crate::places::Entry;
use crate::wait::Step;

/// A service whose calls share a pool of places fairly by key; made by
/// [`PartitionedBulkheadLayer`](crate::PartitionedBulkheadLayer).
///
/// An instance holds no place, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct PartitionedBulkhead<S, H = CompleteOnResponse, D = DefaultMeta> {
    inner: S,
    state: Anchor<Common, Stripe>,
    hold: H,
    describe: D,
}

impl<S, H, D> PartitionedBulkhead<S, H, D> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, Stripe>, hold: H, describe: D) -> Self {
        Self {
            inner,
            state,
            hold,
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

impl<S, H, D, Req> Service<Req> for PartitionedBulkhead<S, H, D>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<PartitionPermit, S::Response> + Clone,
    D: Describe<Req>,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = PartitionedFuture<S, Req, H>;

    // The inner service alone: a place that was taken here could be held for ever by an instance
    // that is never called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.describe.describe(&req);
        let common = self.state.common();
        let late = meta
            .deadline
            .is_some_and(|at| tokio::time::Instant::now() >= at);
        let entry = if late {
            Entry::Rejected(Reason::DeadlineExceeded)
        } else {
            common.pool().enter(meta.key)
        };
        let step = match entry {
            Entry::Taken | Entry::Watched(_) => {
                // Before the inner call: if that panics, the place goes back.
                let permit = PartitionPermit::of(self.state.local(), meta.key);
                let hold = self.hold.clone();
                Step::Running {
                    inner: self.inner.call(req),
                    permit,
                    hold,
                    classify: ErrorIsFailure,
                }
            }
            // A reservation below would be kept from others by an instance that may never call
            // again.
            Entry::Rejected(reason) => {
                let rejection = reject(&common.observer, self.state.here(), reason);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                Step::Rejected { rejection }
            }
            Entry::Wait => {
                let waiting = KeyWaiting::new(self.state.local(), &meta);
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                Step::waiting(service, req, waiting, self.hold.clone(), ErrorIsFailure)
            }
        };
        PartitionedFuture { step }
    }
}

impl<S: fmt::Debug, H, D> fmt::Debug for PartitionedBulkhead<S, H, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedBulkhead")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of a [`PartitionedBulkhead`].
    ///
    /// Dropped at any point, it gives back what it holds. Once it has answered it holds nothing,
    /// even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct PartitionedFuture<S, Req, H>
    where
        S: Service<Req>,
    {
        #[pin]
        step: Step<S, Req, H, ErrorIsFailure, S::Future, KeyWaiting>,
    }
}

impl<S, Req, H> Future for PartitionedFuture<S, Req, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<PartitionPermit, S::Response>,
{
    type Output = Result<H::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().step.poll(cx)
    }
}

impl<S: Service<Req>, Req, H> fmt::Debug for PartitionedFuture<S, Req, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedFuture")
            .field("step", &self.step.name())
            .finish()
    }
}
