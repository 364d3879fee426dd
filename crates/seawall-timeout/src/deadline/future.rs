//! The future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::Rejectable;

use crate::instance::TimeoutKind;
use crate::race::Race;

pin_project! {
    /// The response of [`Deadline`](crate::Deadline).
    ///
    /// When it completes, in time or not, it has dropped the inner future and its timer.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, when it has to arm its timer outside of a Tokio
    /// runtime with time enabled, and when that runtime has been shut down since.
    pub struct DeadlineFuture<F> {
        #[pin]
        race: Race<F>,
    }
}

impl<F> DeadlineFuture<F> {
    #[inline]
    pub(super) const fn new(race: Race<F>) -> Self {
        Self { race }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project()
            .race
            .poll(cx, |limits, _| TimeoutKind::Deadline {
                limit_ns: Some(limits.limit_ns),
            })
    }
}

seawall_core::impl_debug!(DeadlineFuture<F>: |this| state = this.race.state());
