//! Who receives events.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::changes::Kept;
use super::{Event, EventFilter};

type Deliver = dyn Fn(&Event) + Send + Sync;

/// A receiver of events: a listener, or the channel of a subscription.
#[derive(Clone)]
struct Receiver {
    id: u64,
    filter: Arc<EventFilter>,
    deliver: Arc<Deliver>,
}

pub(super) struct Bus {
    /// The types that anybody asks for: what the hot path looks at.
    wanted: AtomicU32,
    pub(super) capacity: usize,
    pub(super) kept: Kept,
    receivers: RwLock<Arc<[Receiver]>>,
    next_id: AtomicU64,
    panics: AtomicU64,
}

impl Bus {
    pub(super) fn new(capacity: usize, kept: usize) -> Self {
        Self {
            wanted: AtomicU32::new(0),
            capacity,
            kept: Kept::new(kept),
            receivers: RwLock::new(Arc::new([])),
            next_id: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// Whether a receiver asks for one of these types.
    #[inline]
    pub(super) fn wants(&self, types: u32) -> bool {
        self.wanted.load(Ordering::Relaxed) & types != 0
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn add(
        &self,
        filter: EventFilter,
        deliver: impl Fn(&Event) + Send + Sync + 'static,
    ) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let receiver = Receiver {
            id,
            filter: Arc::new(filter),
            deliver: Arc::new(deliver),
        };
        self.change(|all| all.push(receiver));
        id
    }

    pub(super) fn remove(&self, id: u64) {
        self.change(|all| all.retain(|receiver| receiver.id != id));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Receiver>)) {
        let mut receivers = self
            .receivers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all = receivers.to_vec();
        change(&mut all);
        let types = all.iter().fold(0, |set, one| set | one.filter.wanted());
        self.wanted.store(types, Ordering::Relaxed);
        let before = std::mem::replace(&mut *receivers, all.into());
        drop(receivers);
        // A listener may own what leads back to this bus: it is dropped outside of the lock.
        drop(before);
    }

    pub(super) fn deliver(&self, event: &Event) {
        let receivers = Arc::clone(
            &self
                .receivers
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for receiver in receivers.iter().filter(|one| one.filter.matches(event)) {
            if catch_unwind(AssertUnwindSafe(|| (receiver.deliver)(event))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
