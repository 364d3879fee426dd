//! The last changes, for readers that come later.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Event, EventFilter};

/// The last changes and how many there were.
pub(super) struct Kept {
    ring: Arc<Mutex<Ring>>,
    /// The number of the last one, outside of the lock: it wakes followers.
    last: watch::Sender<u64>,
}

struct Ring {
    last: u64,
    limit: usize,
    events: VecDeque<Event>,
}

impl Kept {
    pub(super) fn new(limit: usize) -> Self {
        let ring = Ring {
            last: 0,
            limit,
            events: VecDeque::new(),
        };
        Self {
            ring: Arc::new(Mutex::new(ring)),
            last: watch::Sender::new(0),
        }
    }

    pub(super) fn limit_to(&self, limit: usize) {
        let mut ring = lock(&self.ring);
        ring.limit = limit;
        ring.shorten();
    }

    /// Numbers the change and keeps it.
    pub(super) fn keep(&self, event: &mut Event) {
        let number = {
            let mut ring = lock(&self.ring);
            ring.last += 1;
            event.sequence = NonZeroU64::new(ring.last);
            ring.events.push_back(*event);
            ring.shorten();
            ring.last
        };
        // Wakers run code of the executor.
        self.last.send_if_modified(|last| {
            let is_later = *last < number;
            *last = number.max(*last);
            is_later
        });
    }

    pub(super) fn since(&self, id: u64) -> Changes {
        lock(&self.ring).since(id)
    }

    pub(super) fn follow(&self, filter: EventFilter, id: u64) -> ChangeFeed {
        ChangeFeed {
            ring: Arc::clone(&self.ring),
            latest: self.last.subscribe(),
            filter,
            last: id,
        }
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ring {
    fn shorten(&mut self) {
        let excess = self.events.len().saturating_sub(self.limit);
        self.events.drain(..excess);
    }

    fn since(&self, id: u64) -> Changes {
        // A number that was not given yet is one of an earlier process.
        let seen = if id > self.last { 0 } else { id };
        let lost = self.last - self.events.len() as u64;
        let first = usize::try_from(seen.saturating_sub(lost)).unwrap_or(usize::MAX);
        Changes {
            missed: lost.saturating_sub(seen),
            events: self.events.iter().skip(first).copied().collect(),
            last: self.last,
        }
    }
}

/// Changes that somebody has not seen; see [`Events::changes_since`](crate::Events::changes_since).
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Changes {
    /// So many changes that came before these are not kept any more, whatever their type.
    pub missed: u64,
    /// The changes, in the order of their numbers.
    pub events: Vec<Event>,
    /// The number of the last change that there was, whether it is among these or not; where to go
    /// on from.
    pub last: u64,
}

/// Every change from a number on: those that are kept, then those that come; see
/// [`Events::follow`](crate::Events::follow).
pub struct ChangeFeed {
    ring: Arc<Mutex<Ring>>,
    latest: watch::Receiver<u64>,
    filter: EventFilter,
    last: u64,
}

impl ChangeFeed {
    /// Waits until there are changes that it has not handed out, and hands out all of them; `None`
    /// when no more can come. Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Changes> {
        loop {
            if let Some(changes) = self.try_next() {
                return Some(changes);
            }
            self.latest.changed().await.ok()?;
        }
    }

    /// The changes that it has not handed out, if there are any.
    pub fn try_next(&mut self) -> Option<Changes> {
        // Before the ring is read: what comes after that wakes again.
        self.latest.borrow_and_update();
        let mut changes = lock(&self.ring).since(self.last);
        self.last = changes.last;
        changes.events.retain(|event| self.filter.matches(event));
        (changes.missed > 0 || !changes.events.is_empty()).then_some(changes)
    }
}

crate::impl_debug!(ChangeFeed: |this| filter = this.filter, last = this.last);
