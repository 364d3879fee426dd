//! Subscriptions and the guards of listeners.

use std::sync::{Arc, Weak};

use tokio::sync::broadcast;

use super::Event;
use super::bus::Bus;

/// What a subscription hands out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Received {
    /// An event.
    Event(Event),
    /// This many events that it asked for were lost here, since the subscription lagged behind.
    Missed(u64),
}

/// A stream of the events that its filter asks for, in the order in which they were emitted; see
/// [`Events::subscribe_to`](crate::Events::subscribe_to).
///
/// What two threads do at once may be received in either order; changes have numbers, and the
/// handle of the instance knows the state. The stream ends when every [`Events`](crate::Events) of
/// its bus, and every layer that is attached to it, is gone.
pub struct Subscription {
    pub(super) feed: broadcast::Receiver<Event>,
    // Not the bus itself, which would keep the stream from ending.
    pub(super) bus: Weak<Bus>,
    pub(super) id: u64,
}

impl Subscription {
    /// Waits for the next event; `None` when no more can come. Cancel-safe: dropping the future
    /// loses no event.
    pub async fn next(&mut self) -> Option<Received> {
        match self.feed.recv().await {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Received> {
        match self.feed.try_recv() {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(_) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.remove(self.id);
        }
    }
}

crate::impl_debug!(Subscription: |this| waiting = this.feed.len());

/// Keeps a listener in place; see [`Events::listen`](crate::Events::listen).
pub struct ListenerGuard {
    pub(super) id: u64,
    pub(super) bus: Arc<Bus>,
    pub(super) detached: bool,
}

impl ListenerGuard {
    /// Leaves the listener in place for as long as the bus lives.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        if !self.detached {
            self.bus.remove(self.id);
        }
    }
}

crate::impl_debug!(ListenerGuard: |this| id = this.id);
