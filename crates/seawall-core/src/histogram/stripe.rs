//! What one thread counts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{BUCKETS, bucket};

/// The part of a histogram that one stripe of shared state has; see [`Histogram`](crate::Histogram), which is
/// made of such parts, for its error and its memory.
pub struct HistogramStripe {
    alone: Table,
    /// What threads count that share the stripe.
    shared: OnceLock<Box<Table>>,
}

pub(super) struct Table {
    pub(super) counts: [AtomicU64; BUCKETS],
    pub(super) sum_ns: AtomicU64,
    pub(super) max_ns: AtomicU64,
}

impl HistogramStripe {
    /// Records so many nanoseconds. Of all threads that have it `alone` for any of their records there must
    /// be one; see [`OwnedCounter`](crate::counters::OwnedCounter).
    #[inline]
    pub fn record_here(&self, ns: u64, alone: bool) {
        if alone {
            self.alone.record_alone(ns);
        } else {
            self.record_shared(ns);
        }
    }

    /// Records a duration of zero, by the one thread that has it alone.
    #[inline]
    pub fn record_zero_here(&self) {
        add(&self.alone.counts[0], 1);
    }

    // Apart, so that the usual record does not carry it.
    #[inline(never)]
    fn record_shared(&self, ns: u64) {
        self.shared.get_or_init(Box::default).record_shared(ns);
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.alone).chain(self.shared.get().map(|table| &**table))
    }
}

impl Default for HistogramStripe {
    fn default() -> Self {
        Self {
            alone: Table::default(),
            shared: OnceLock::new(),
        }
    }
}

crate::impl_debug!(HistogramStripe:);

#[inline]
fn add(to: &AtomicU64, n: u64) {
    let sum = to.load(Ordering::Relaxed).wrapping_add(n);
    to.store(sum, Ordering::Relaxed);
}

impl Table {
    #[inline]
    fn record_alone(&self, ns: u64) {
        let add = |to: &AtomicU64, n: u64| {
            to.store(
                to.load(Ordering::Relaxed).wrapping_add(n),
                Ordering::Relaxed,
            );
        };
        add(&self.counts[bucket(ns)], 1);
        add(&self.sum_ns, ns);
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.store(ns, Ordering::Relaxed);
        }
    }

    fn record_shared(&self, ns: u64) {
        self.counts[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}
