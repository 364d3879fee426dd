//! A wait that ends with its fault.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::active::Active;

/// A wait that a fault makes: over when its time is, and at once when the fault ends.
///
/// # Panics
///
/// When a wait with an end is made outside of a Tokio runtime with time enabled.
pub struct Waiting {
    active: Arc<Active>,
    timer: Option<Pin<Box<Sleep>>>,
    end: Pin<Box<OwnedNotified>>,
}

impl Waiting {
    /// A wait of that length, or as long as the fault lasts.
    pub(crate) fn new(active: &Arc<Active>, length: Option<Duration>) -> Self {
        // Before the flag is read: an end that comes after it is not missed.
        let end = Box::pin(Arc::clone(&active.end).notified_owned());
        let own = length.map(|length| seawall_core::deadline(Instant::now(), length));
        let until = match (own, active.ends_at) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        Self {
            active: Arc::clone(active),
            timer: until.map(|until| Box::pin(sleep_until(until))),
            end,
        }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_over = self.active.is_stopped()
            || self.end.as_mut().poll(cx).is_ready()
            || (self.timer.as_mut()).is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

seawall_core::impl_debug!(Waiting: |this| has_end = this.timer.is_some());
