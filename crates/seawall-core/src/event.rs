//! What happened, for everything that listens; nothing is built when nothing does.

mod kind;
mod misconfiguration;
mod source;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::broadcast;

pub use kind::{Event, EventKind};
pub use misconfiguration::Misconfiguration;
pub use source::EventSource;

type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

struct Bus {
    /// Subscriptions and listeners together: what the hot path looks at.
    listening: Arc<AtomicUsize>,
    feed: broadcast::Sender<Event>,
    listeners: RwLock<Arc<[(u64, Listener)]>>,
    next_id: AtomicU64,
    panics: AtomicU64,
}

/// Delivers events to subscriptions and listeners. Clones share.
///
/// Events are delivered outside of every lock of the layers. A subscription that lags loses the
/// oldest events and receives how many; a listener that panics is left in place, its panic is
/// caught and counted, and neither the call nor the other listeners notice.
///
/// ```
/// use seawall_core::{Received, Event, Events, EventSource, EventKind};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let events = Events::new(16);
/// let mut subscription = events.subscribe();
///
/// let breaker = EventSource::new("breaker", "alpaca");
/// breaker.attach(&events);
/// breaker.emit(|| EventKind::Transition { from: "closed", to: "open", reason: "failure_rate" });
///
/// let Some(Received::Event(event)) = subscription.next().await else { panic!() };
/// assert_eq!(event.name.as_str(), "alpaca");
/// # }
/// ```
#[derive(Clone)]
pub struct Events {
    bus: Arc<Bus>,
}

impl Events {
    /// Delivers to subscriptions through a ring of `capacity` events, at least one.
    pub fn new(capacity: usize) -> Self {
        // The channel panics outside of these bounds.
        let (feed, _) = broadcast::channel(capacity.clamp(1, 1 << 20));
        Self {
            bus: Arc::new(Bus {
                listening: Arc::default(),
                feed,
                listeners: RwLock::new(Arc::new([])),
                next_id: AtomicU64::new(0),
                panics: AtomicU64::new(0),
            }),
        }
    }

    /// Subscribes to what happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        let feed = self.bus.feed.subscribe();
        self.bus.listening.fetch_add(1, Ordering::Relaxed);
        Subscription {
            feed,
            listening: Arc::clone(&self.bus.listening),
        }
    }

    /// Calls `listener` for every event, on the thread where it happens, until the returned
    /// guard is dropped; it may still be running on another thread then. A listener must be short;
    /// what takes time belongs into a subscription.
    #[must_use = "the listener is removed when the guard is dropped"]
    pub fn listen(&self, listener: impl Fn(&Event) + Send + Sync + 'static) -> ListenerGuard {
        let id = self.bus.next_id.fetch_add(1, Ordering::Relaxed);
        let listener: Listener = Arc::new(listener);
        self.bus.change(|all| all.push((id, listener)));
        self.bus.listening.fetch_add(1, Ordering::Relaxed);
        ListenerGuard {
            id,
            bus: Arc::clone(&self.bus),
            detached: false,
        }
    }

    /// Whether anything listens.
    #[inline]
    pub fn is_listening(&self) -> bool {
        self.bus.listening.load(Ordering::Relaxed) != 0
    }

    /// Delivers an event. Call it outside of every lock.
    pub fn emit(&self, event: &Event) {
        // An error means that nobody is subscribed.
        let _ = self.bus.feed.send(*event);
        let listeners = Arc::clone(
            &self
                .bus
                .listeners
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for (_, listener) in listeners.iter() {
            if catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                self.bus.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many times a listener has panicked.
    pub fn listener_panics(&self) -> u64 {
        self.bus.panics.load(Ordering::Relaxed)
    }
}

impl Default for Events {
    /// A ring of 1,024 events.
    fn default() -> Self {
        Self::new(1_024)
    }
}

crate::impl_debug!(Events: |this|
    listening = this.bus.listening,
    listener_panics = this.bus.panics,
);

impl Bus {
    fn change(&self, change: impl FnOnce(&mut Vec<(u64, Listener)>)) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all = listeners.to_vec();
        change(&mut all);
        let before = std::mem::replace(&mut *listeners, all.into());
        drop(listeners);
        // A listener may own what leads back to this bus: it is dropped outside of the lock.
        drop(before);
    }
}

/// What a subscription hands out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Received {
    /// An event.
    Event(Event),
    /// This many events were lost here, since the subscription lagged behind.
    Missed(u64),
}

/// A stream of events, in the order in which they were emitted; see [`Events::subscribe`].
///
/// What two threads do at once may be emitted in either order; the handle of the instance knows
/// the state. The stream ends when every [`Events`] of its bus, and every layer that is attached to
/// it, is gone.
pub struct Subscription {
    feed: broadcast::Receiver<Event>,
    // Not the bus itself, which would keep the stream from ending.
    listening: Arc<AtomicUsize>,
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
        self.listening.fetch_sub(1, Ordering::Relaxed);
    }
}

crate::impl_debug!(Subscription: |this| waiting = this.feed.len());

/// Keeps a listener in place; see [`Events::listen`].
pub struct ListenerGuard {
    id: u64,
    bus: Arc<Bus>,
    detached: bool,
}

impl ListenerGuard {
    /// Leaves the listener in place for as long as the bus lives.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        self.bus.listening.fetch_sub(1, Ordering::Relaxed);
        self.bus.change(|all| all.retain(|(id, _)| *id != self.id));
    }
}

crate::impl_debug!(ListenerGuard: |this| id = this.id);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_emitted(observer: &EventSource) -> bool {
        let mut built = false;
        observer.emit(|| {
            built = true;
            EventKind::Abandoned
        });
        built
    }

    #[test]
    fn nothing_is_built_when_nobody_listens() {
        let observer = EventSource::new("breaker", "quiet");
        assert!(!is_emitted(&observer));
        let events = Events::new(4);
        assert!(observer.attach(&events));
        assert!(!is_emitted(&observer));
        let subscription = events.subscribe();
        assert!(is_emitted(&observer));
        drop(subscription);
        assert!(!is_emitted(&observer));
    }

    #[test]
    fn a_lagging_subscription_loses_the_oldest_and_receives_how_many() {
        let observer = EventSource::new("retry", "lagging");
        let events = Events::new(4);
        observer.attach(&events);
        let mut subscription = events.subscribe();
        for attempt in 0..10 {
            observer.emit(|| EventKind::Retry {
                attempt,
                delay: Duration::ZERO,
            });
        }
        assert_eq!(subscription.try_next(), Some(Received::Missed(6)));
        let mut seen = Vec::new();
        while let Some(Received::Event(event)) = subscription.try_next() {
            if let EventKind::Retry { attempt, .. } = event.kind {
                seen.push(attempt);
            }
        }
        assert_eq!(seen, [6, 7, 8, 9]);
    }

    #[tokio::test]
    async fn a_subscription_ends_with_its_bus() {
        let events = Events::new(4);
        let mut subscription = events.subscribe();
        drop(events);
        assert_eq!(subscription.next().await, None);
    }

    #[test]
    fn a_listener_may_own_what_leads_back_to_the_bus() {
        let events = Events::new(4);
        let inner = events.listen(|_| {});
        let outer = events.listen(move |_| {
            let _ = &inner;
        });
        drop(outer);
        assert!(!events.is_listening());
        events.listen(|_| {}).detach();
        assert!(events.is_listening());
    }

    #[test]
    fn a_panicking_listener_is_counted_and_disturbs_nobody() {
        let observer = EventSource::new("breaker", "panicking");
        let events = Events::new(4);
        observer.attach(&events);
        let _bad = events.listen(|_| panic!("listener"));
        let heard = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&heard);
        let good = events.listen(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(is_emitted(&observer));
        assert!(is_emitted(&observer));
        assert_eq!(heard.load(Ordering::Relaxed), 2);
        assert_eq!(events.listener_panics(), 2);
        drop(good);
        assert!(is_emitted(&observer));
        assert_eq!(heard.load(Ordering::Relaxed), 2);
    }
}
