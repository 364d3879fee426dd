//! What happened, for everything that listens; nothing is built when nothing does.

mod bus;
mod changes;
mod event_type;
mod filter;
mod kind;
mod misconfiguration;
mod source;
mod subscription;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::InstanceName;
use bus::Bus;

pub use changes::{ChangeFeed, Changes};
pub use event_type::EventType;
pub use filter::EventFilter;
pub use kind::{Event, EventKind, Severity};
pub use misconfiguration::Misconfiguration;
pub use source::EventSource;
pub use subscription::{ListenerGuard, Received, Subscription};

/// Delivers events to subscriptions and listeners, and keeps the last changes. Clones share.
///
/// There are two sorts of events. What happens to a call (a rejection, a retry) is as frequent as
/// calls are: it is built only where somebody asks for such. A change (a transition, a command, an
/// alert) is rare: each has a number, and the last 1,024 are kept for later subscribers. A subscriber that
/// asks for changes alone makes no call build anything.
///
/// Events are delivered outside of every lock of the layers. Each subscription has a channel of its
/// own: one that lags loses the oldest of the events that it asked for, and receives how many. A
/// listener that panics is left in place, its panic is caught and counted, and neither the call nor
/// the other listeners notice.
///
/// ```
/// use seawall_core::{EventFilter, EventKind, EventSource, Events, Received};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let events = Events::new(16);
/// let mut subscription = events.subscribe_to(EventFilter::changes());
///
/// let breaker = EventSource::new("breaker", "alpaca");
/// breaker.attach(&events);
/// breaker.emit(|| EventKind::Transition { from: "closed", to: "open", reason: "failure_rate" });
///
/// let Some(Received::Event(event)) = subscription.next().await else { panic!() };
/// assert_eq!(event.name.as_str(), "alpaca");
///
/// // Who comes later reads what was kept.
/// assert_eq!(events.changes_since(0).events, [event]);
/// assert!(events.changes_since(1).events.is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct Events {
    bus: Arc<Bus>,
}

impl Events {
    /// Delivers to subscriptions through a ring of `capacity` events each, at least one, and keeps
    /// the last 1,024 changes.
    pub fn new(capacity: usize) -> Self {
        Self {
            // The channel panics outside of these bounds.
            bus: Arc::new(Bus::new(capacity.clamp(1, MOST), 1_024)),
        }
    }

    /// Keeps the last `changes` from now on, at most a million; 0 keeps none.
    #[must_use]
    pub fn keep_changes(self, changes: usize) -> Self {
        self.bus.kept.limit_to(changes.min(MOST));
        self
    }

    /// Subscribes to everything that happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_to(EventFilter::all())
    }

    /// Subscribes to what the filter asks for, from now on.
    #[must_use]
    pub fn subscribe_to(&self, filter: EventFilter) -> Subscription {
        let (sender, feed) = broadcast::channel(self.bus.capacity);
        // An error means that the subscription is about to go.
        let id = self.bus.add(filter, move |event| drop(sender.send(*event)));
        Subscription {
            feed,
            bus: Arc::downgrade(&self.bus),
            id,
        }
    }

    /// Calls `listener` for every event, on the thread where it happens, until the returned
    /// guard is dropped; it may still be running on another thread then. A listener must be short;
    /// what takes time belongs into a subscription.
    #[must_use = "the listener is removed when the guard is dropped"]
    pub fn listen(&self, listener: impl Fn(&Event) + Send + Sync + 'static) -> ListenerGuard {
        self.listen_to(EventFilter::all(), listener)
    }

    /// Like [`listen`](Self::listen), for every event that the filter asks for.
    #[must_use = "the listener is removed when the guard is dropped"]
    pub fn listen_to(
        &self,
        filter: EventFilter,
        listener: impl Fn(&Event) + Send + Sync + 'static,
    ) -> ListenerGuard {
        ListenerGuard {
            id: self.bus.add(filter, listener),
            bus: Arc::clone(&self.bus),
            detached: false,
        }
    }

    /// The changes after the one of number `id` (0: all) that are kept, and how many are not kept
    /// any more. A number that was not given yet, as one of an earlier process may be, counts as 0.
    pub fn changes_since(&self, id: u64) -> Changes {
        self.bus.kept.since(id)
    }

    /// The changes after the one of number `id` that are kept, then those that come, without a gap
    /// and none twice: what a stream to a browser needs that reconnects.
    ///
    /// Changes are read from where they are kept, and filtered as they are read. So one that lags
    /// behind by more than is kept receives how many it has missed of every type, not of its own.
    #[must_use]
    pub fn follow(&self, filter: EventFilter, id: u64) -> ChangeFeed {
        self.bus.kept.follow(filter, id)
    }

    /// Whether anything listens.
    #[inline]
    pub fn is_listening(&self) -> bool {
        self.bus.wants(u32::MAX)
    }

    /// Whether anything listens to what happens to calls.
    #[inline]
    pub fn wants_calls(&self) -> bool {
        self.bus.wants(event_type::CALLS)
    }

    /// Numbers and keeps a change, and delivers. To be called outside of every lock.
    fn publish(&self, pattern: &'static str, name: InstanceName, kind: EventKind) {
        let event_type = kind.event_type();
        let is_wanted = self.bus.wants(event_type.bit());
        if !is_wanted && !event_type.is_change() {
            return;
        }
        let mut event = Event {
            sequence: None,
            at: Instant::now(),
            time: SystemTime::now(),
            pattern,
            name,
            kind,
        };
        if event_type.is_change() {
            self.bus.kept.keep(&mut event);
        }
        if is_wanted {
            self.bus.deliver(&event);
        }
    }

    /// How many times a listener has panicked.
    pub fn listener_panics(&self) -> u64 {
        self.bus.panics()
    }
}

/// The most events of a channel, and the most changes that are kept.
const MOST: usize = 1 << 20;

impl Default for Events {
    /// A ring of 1,024 events.
    fn default() -> Self {
        Self::new(1_024)
    }
}

crate::impl_debug!(Events: |this|
    listening = this.is_listening(),
    listener_panics = this.listener_panics(),
);

#[cfg(test)]
mod tests;
