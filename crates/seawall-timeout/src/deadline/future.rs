//! The future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::Rejectable;

use crate::race::Race;

pin_project! {
    /// The answer of [`Deadline`](super::Deadline).
    ///
    /// When it answers, in time or not, it has dropped the inner future and its timer.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when it has to arm its timer outside of a
    /// Tokio runtime with time enabled.
    pub struct ResponseFuture<F> {
        #[pin]
        race: Race<F>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) const fn new(race: Race<F>) -> Self {
        Self { race }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll(cx)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("state", &self.race.state())
            .finish_non_exhaustive()
    }
}
