//! What every change of a circuit goes through: draining of the stripes, and publishing.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use crate::access::Access;
use crate::in_flight::StartBucket;
use crate::state::Locked;
use crate::transition::Change;
use crate::votes;

pub(crate) trait Publish: Access {
    /// Takes the lock, and enters the successes of a passing circuit into its windows.
    fn lock_drained(&self, now: u64) -> MutexGuard<'_, Locked> {
        let mut locked = self.common().lock();
        if locked.circuit.word.is_passing() {
            self.drain(&mut locked, now);
        }
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        circuit.expire(config, now);
        locked
    }

    /// Enters the successes of a passing circuit into its windows.
    fn drain(&self, locked: &mut Locked, now: u64) {
        let epoch = locked.config.pace.epoch(now);
        let tag = votes::tag(locked.circuit.word, epoch);
        let Locked {
            circuit,
            config,
            drained,
            ..
        } = locked;
        circuit.expire(config, now);
        for stripe in self.stripes() {
            stripe.successes.drain(tag, |age, count| {
                *drained = drained.wrapping_add(count);
                circuit.successes(age, count, epoch);
            });
        }
    }

    /// The calls in flight that are slow already.
    fn overdue(&self, locked: &Locked, now: u64) -> u64 {
        match locked.config.slow_after {
            Some(_) => self.overdue_at(locked.present_bucket(now)),
            None => 0,
        }
    }

    fn overdue_at(&self, present: StartBucket) -> u64 {
        let in_flight = self.stripes().filter_map(|stripe| stripe.in_flight.get());
        in_flight.map(|stripe| stripe.overdue(present)).sum()
    }

    /// Begins a new period, if there is one: calls in flight of the one before are not held
    /// against it, and it is open again where the share of a ramp is applied.
    fn begin_period(&self, locked: &mut Locked) {
        let common = self.common();
        let word = locked.circuit.word;
        if word == common.word() || locked.circuit.since != word.generation() {
            return;
        }
        common.gate_ramps.store(false, Ordering::Relaxed);
        if locked.config.slow_after.is_some() {
            self.begin_watch(locked);
        }
    }

    /// Begins another watch of slow calls.
    fn begin_watch(&self, locked: &mut Locked) {
        locked.watch = locked.watch.wrapping_add(1);
        for stripe in self.stripes() {
            stripe.begin_watch(&locked.config, locked.watch);
        }
    }

    /// Makes a change visible; then, outside of the lock, reports it and wakes the parked tasks.
    fn publish(
        &self,
        mut locked: MutexGuard<'_, Locked>,
        change: Option<Change>,
        keeps: bool,
        now: u64,
    ) {
        let common = self.common();
        self.begin_period(&mut locked);
        let stored = common.store(&mut locked, self.stripes(), keeps, now);
        if let Some(change) = &change {
            self.stripe().counters.count_change(change);
        }
        drop(locked);
        if let Some(change) = &change {
            self.report(change);
        }
        // After new settings too: waiters may have to wait longer now, or not at all.
        if stored {
            common.wake();
        }
    }
}

impl<X: Access> Publish for X {}
