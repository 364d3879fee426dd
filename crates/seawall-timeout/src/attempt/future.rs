//! The future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::Rejectable;

use super::mode::{Lesson, sealed};
use crate::race::Race;

pin_project! {
    /// The answer of [`AttemptTimeout`](super::AttemptTimeout).
    ///
    /// When it answers, in time or not, it has dropped the inner future and its timer.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when it has to arm its timer outside of a
    /// Tokio runtime with time enabled.
    pub struct ResponseFuture<F, L = ()> {
        #[pin]
        race: Race<F>,
        lesson: L,
    }
}

impl<F, L> ResponseFuture<F, L> {
    #[inline]
    pub(crate) const fn new(race: Race<F>, lesson: L) -> Self {
        Self { race, lesson }
    }
}

impl<F, L, T, E> Future for ResponseFuture<F, L>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    L: Lesson<T, E>,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(allowed) = sealed::Lesson::<T, E>::polled(this.lesson) {
            this.race.as_mut().allow(allowed);
        }
        let out = this.race.poll(cx);
        if let Poll::Ready(result) = &out {
            sealed::Lesson::ended(this.lesson, result);
        }
        out
    }
}

impl<F, L> fmt::Debug for ResponseFuture<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("state", &self.race.state())
            .finish_non_exhaustive()
    }
}
