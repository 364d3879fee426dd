//! Numbers the tenths of a window whose length may change while calls are counted.

use std::sync::PoisonError;

use crate::sync::{AtomicU64, Mutex, Ordering, fence};

/// The number of the tenth that a moment lies in. It only grows, also when the length changes:
/// buckets are reused by number, and one of a far period would count nothing for as long.
///
/// Three words that belong together are read without a lock: the version is odd while they change,
/// and another one after that. A reader that sees either takes the lock.
#[derive(Debug)]
pub(crate) struct Periods {
    version: AtomicU64,
    /// The number of the period that began at `since_ns`.
    base: AtomicU64,
    since_ns: AtomicU64,
    length_ns: AtomicU64,
    /// Held while the words change.
    change: Mutex<()>,
}

impl Periods {
    pub(crate) fn new(length_ns: u64) -> Self {
        Self {
            version: AtomicU64::new(0),
            base: AtomicU64::new(0),
            since_ns: AtomicU64::new(0),
            length_ns: AtomicU64::new(length_ns.max(1)),
            change: Mutex::new(()),
        }
    }

    /// The period that `now_ns` lies in.
    #[inline]
    pub(crate) fn at(&self, now_ns: u64) -> u64 {
        let version = self.version.load(Ordering::Acquire);
        let period = self.read(now_ns);
        // After the words: what they are read from is not newer than the version.
        fence(Ordering::Acquire);
        if version & 1 == 0 && self.version.load(Ordering::Relaxed) == version {
            return period;
        }
        self.at_locked(now_ns)
    }

    #[cold]
    fn at_locked(&self, now_ns: u64) -> u64 {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(now_ns)
    }

    /// The words may belong to two lengths; the caller checks that.
    #[inline]
    fn read(&self, now_ns: u64) -> u64 {
        let base = self.base.load(Ordering::Relaxed);
        let since_ns = self.since_ns.load(Ordering::Relaxed);
        let length_ns = self.length_ns.load(Ordering::Relaxed).max(1);
        base.saturating_add(now_ns.saturating_sub(since_ns) / length_ns)
    }

    /// Periods are as long as that from `now_ns` on. The one under way goes on as one of them.
    pub(crate) fn set_length(&self, now_ns: u64, length_ns: u64) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if self.length_ns.load(Ordering::Relaxed) == length_ns.max(1) {
            return;
        }
        let period = self.read(now_ns);
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        // Before the words: a reader that sees one of them sees the odd version.
        fence(Ordering::Release);
        self.base.store(period, Ordering::Relaxed);
        self.since_ns.store(now_ns, Ordering::Relaxed);
        self.length_ns.store(length_ns.max(1), Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_go_on_when_their_length_changes() {
        let periods = Periods::new(10);
        assert_eq!((periods.at(9), periods.at(10), periods.at(99)), (0, 1, 9));
        periods.set_length(99, 100);
        assert_eq!(
            (periods.at(99), periods.at(198), periods.at(199)),
            (9, 9, 10)
        );
        // A thread whose clock was read before the change.
        assert_eq!(periods.at(50), 9);
        periods.set_length(199, 1);
        assert_eq!(periods.at(204), 15);
    }

    proptest! {
        #[test]
        fn the_number_never_falls_and_moves_on_with_each_length(
            steps in proptest::collection::vec((0_u64..1_000, 0_u64..50), 1..40),
        ) {
            let periods = Periods::new(7);
            let (mut now, mut last) = (0, 0);
            for (wait, length) in steps {
                now += wait;
                let period = periods.at(now);
                prop_assert!(period >= last);
                periods.set_length(now, length);
                prop_assert_eq!(periods.at(now), period);
                prop_assert_eq!(periods.at(now + length.max(1)), period + 1);
                last = period;
            }
        }
    }
}
