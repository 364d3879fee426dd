//! The future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::Rejectable;

use super::measurement::{Measure, NotMeasured};
use crate::instance::TimeoutKind;
use crate::race::Race;

pin_project! {
    /// The response of [`AttemptTimeout`](crate::AttemptTimeout).
    ///
    /// When it completes, in time or not, it has dropped the inner future and its timer.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, when it has to arm its timer outside of a Tokio
    /// runtime with time enabled, and when that runtime has been shut down since.
    pub struct AttemptTimeoutFuture<F, M = NotMeasured> {
        #[pin]
        race: Race<F>,
        measurement: M,
    }
}

impl<F, M> AttemptTimeoutFuture<F, M> {
    #[inline]
    pub(super) const fn new(race: Race<F>, measurement: M) -> Self {
        Self { race, measurement }
    }
}

impl<F, M, T, E> Future for AttemptTimeoutFuture<F, M>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    M: Measure<T, E>,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(learned_ns) = this.measurement.polled() {
            this.race.as_mut().set_learned(learned_ns);
        }
        let out = this.race.poll(cx, |limits, is_deadline| {
            if is_deadline {
                // How long the call had is not known here; a retry around it says how many attempts.
                TimeoutKind::Deadline { limit_ns: None }
            } else {
                TimeoutKind::Attempt {
                    limit_ns: limits.limit_ns,
                }
            }
        });
        if let Poll::Ready(result) = &out {
            this.measurement.ended(result);
        }
        out
    }
}

seawall_core::impl_debug!(AttemptTimeoutFuture<F, M>: |this| state = this.race.state());
