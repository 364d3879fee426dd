//! Which waiters have been handed a permit.
//!
//! A permit that is released while a call waits goes to that call at once, and is not available in
//! between. The waiter finds it here when it is polled, and takes it without the lock of the queue.
//! The queue, under its lock, takes it back from one that does not come. Of both, one succeeds:
//!
//! ```text
//!                       ,--- the waiter takes it, without the lock: it has left ---> NONE
//! NONE ---> HANDED ----<---- the queue takes it back -------------------------------> NONE
//!                       `--- the waiter asks for its turn ---> KEPT, then either, under the lock
//! ```
//!
//! A place belongs to one waiter until the queue, under its lock, removes that. So where the queue finds
//! `NONE` although it had handed over, the waiter has left; and a waiter that has taken a permit does not
//! look again.

use std::sync::OnceLock;

use seawall_core::queue::WaiterId;

use super::sync::{AtomicU8, Ordering};

/// Places of the first chunk.
const FIRST: usize = if cfg!(seawall_loom) { 4 } else { 256 };

/// Each chunk has as many places as all before it, and the first: together 2^32.
const CHUNKS: usize = if cfg!(seawall_loom) { 31 } else { 25 };

type Chunk = Box<[AtomicU8]>;

const NONE: u8 = 0;
const HANDED: u8 = 1;
const KEPT: u8 = 2;

/// A byte for each place of the queue, by the number of the place. Chunks are added and stay, so that
/// they are found without a lock.
#[derive(Debug)]
pub(super) struct Handed(OnceLock<Box<[OnceLock<Chunk>; CHUNKS]>>);

/// The chunk of a place, how many places that has, and which one of them it is.
const fn locate(place: usize) -> (usize, usize, usize) {
    let nth = place / FIRST;
    if nth == 0 {
        return (0, FIRST, place);
    }
    let before = 1 << nth.ilog2();
    (
        nth.ilog2() as usize + 1,
        before * FIRST,
        place - before * FIRST,
    )
}

impl Handed {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    #[inline]
    fn get(&self, id: WaiterId) -> Option<&AtomicU8> {
        let (chunk, _, at) = locate(id.place() as usize);
        self.0.get()?.get(chunk)?.get()?.get(at)
    }

    /// A waiter has joined the queue.
    #[inline]
    pub(super) fn prepare(&self, id: WaiterId) {
        if self.get(id).is_none() {
            self.add_chunk(id);
        }
    }

    #[cold]
    fn add_chunk(&self, id: WaiterId) {
        let (chunk, len, _) = locate(id.place() as usize);
        let chunks = || Box::new([const { OnceLock::new() }; CHUNKS]);
        let places = || (0..len).map(|_| AtomicU8::new(NONE)).collect::<Chunk>();
        self.0.get_or_init(chunks)[chunk].get_or_init(places);
    }

    #[inline]
    fn state(&self, id: WaiterId) -> u8 {
        self.get(id)
            .map_or(NONE, |place| place.load(Ordering::Acquire))
    }

    fn set(&self, id: WaiterId, state: u8) {
        if let Some(place) = self.get(id) {
            place.store(state, Ordering::Release);
        }
    }

    /// Hands a permit to a waiter that has none.
    pub(super) fn hand(&self, id: WaiterId) {
        self.set(id, HANDED);
    }

    /// The waiter that asks for its turn keeps what was handed to it.
    pub(super) fn keep(&self, id: WaiterId) {
        // It cannot take it meanwhile.
        if self.state(id) == HANDED {
            self.set(id, KEPT);
        }
    }

    /// Whether a waiter may take a permit.
    #[inline]
    pub(super) fn is_handed(&self, id: WaiterId) -> bool {
        self.state(id) == HANDED
    }

    /// Whether there is no permit for a waiter, or none any more.
    #[inline]
    pub(super) fn is_taken(&self, id: WaiterId) -> bool {
        self.state(id) == NONE
    }

    /// The waiter takes its permit; `false` when it was taken back.
    #[inline]
    pub(super) fn take(&self, id: WaiterId) -> bool {
        self.get(id).is_some_and(|place| {
            place
                .compare_exchange(HANDED, NONE, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Under the lock: takes a permit back, or takes it for its waiter; `false` when that has taken it, or
    /// there was none.
    pub(super) fn take_back(&self, id: WaiterId) -> bool {
        match self.state(id) {
            NONE => false,
            HANDED => self.take(id),
            _ => {
                self.set(id, NONE);
                true
            }
        }
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_chunk() {
        let mut next = (0, 0);
        for place in 0..100 * FIRST {
            let (chunk, len, at) = locate(place);
            assert_eq!((chunk, at), next, "place {place}");
            next = if at + 1 < len {
                (chunk, at + 1)
            } else {
                (chunk + 1, 0)
            };
        }
        let (chunk, len, at) = locate(u32::MAX as usize);
        assert!(chunk < CHUNKS && at < len);
    }
}
