//! What is done to a circuit, whoever holds it: its stripes on several lines, or a key's only one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use seawall_core::{EventKind, Outcome, Rejection};
use tokio::time::Instant;

use crate::buckets::epoch_by;
use crate::cause::{Cause, Change};
use crate::circuit::{Admission, Asks, Circuit, Settled, Verdict};
use crate::config::{BreakerConfig, HalfOpenPolicy};
use crate::flights::Flight;
use crate::rule::{Rule, RuleContext};
use crate::shared::{Cold, Common, Held, Root, Stripe};
use crate::sync::Ordering;
use crate::votes;
use crate::word::{State, Word};

/// What an admission knows of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stub {
    pub(crate) word: Word,
    /// When the call started, in the clock's nanoseconds; [`UNMEASURED`] where nobody asks.
    pub(crate) start: u64,
    pub(crate) flight: Flight,
}

pub(crate) const UNMEASURED: u64 = u64::MAX;

/// The circuit of one admission, settling or command.
pub(crate) trait Circuits {
    fn common(&self) -> &Common;
    /// Every stripe.
    fn each(&self) -> impl Iterator<Item = &Stripe>;
    /// The stripe to count in.
    fn stripe(&self) -> &Stripe;

    /// Tells who listens that the circuit has changed. Called outside of the lock.
    fn told(&self, change: &Change) {
        self.common().setup.observer.emit(|| EventKind::Transition {
            from: change.from.as_str(),
            to: change.to.as_str(),
            reason: change.cause.as_str(),
        });
    }

    /// Settles a call that was admitted as `stub`.
    // Always: what nearly every call comes to is a few instructions.
    #[inline(always)]
    fn settle(&self, stub: Stub, outcome: &Outcome) {
        let common = self.common();
        let well = stub.word.is_passing() && matches!(outcome, Outcome::Success);
        // Read before the state word is found unchanged, which proves that it is the right one.
        if well && common.beat(stub.word).is_plain() {
            let successes = &self.stripe().successes;
            if stub.start == UNMEASURED && successes.count(&common.state, stub.word, 0, false) {
                return;
            }
        }
        // One by one: what is passed on by memory must lie in memory before it is known whether it
        // is passed on at all.
        self.settle_measured(stub.word, stub.start, stub.flight, outcome);
    }

    /// Settles where time plays a part, or something stands in the way.
    #[inline(never)]
    fn settle_measured(&self, word: Word, start: u64, flight: Flight, outcome: &Outcome) {
        let stub = Stub {
            word,
            start,
            flight,
        };
        let well = word.is_passing() && matches!(outcome, Outcome::Success);
        let common = self.common();
        let here = self.stripe();
        let beat = common.beat(stub.word);
        let window = beat.window();
        let measured = stub.start != UNMEASURED;
        let now = if measured || window != 0 {
            common.now()
        } else {
            0
        };
        if stub.flight.is_watched() {
            land(here, stub.flight);
        }
        if well && (!measured || now.saturating_sub(stub.start) < beat.slow_after()) {
            let epoch = epoch_by(window, now);
            let poll = common.poll();
            if here.successes.success(poll, stub.word, epoch, window != 0) {
                return;
            }
        }
        self.settle_cold(stub, outcome);
    }

    #[cold]
    fn settle_cold(&self, stub: Stub, outcome: &Outcome) {
        let common = self.common();
        let now = common.now();
        let took = stub.took(now);
        self.settle_locked(stub, now, true, |config| Settled::of(config, outcome, took));
    }

    /// Settles under the lock, and asks the own rules outside of it.
    fn settle_locked(
        &self,
        stub: Stub,
        now: u64,
        answered: bool,
        settled: impl FnOnce(&BreakerConfig) -> Settled,
    ) {
        let common = self.common();
        let mut cold = common.lock();
        if !cold.circuit.is_present(stub.word) {
            // It votes no more; but a ban is a ban, and lasts as long as it is told.
            let settled = settled(&cold.config);
            if cold.circuit.prolong(settled, now) {
                let until = cold.circuit.open_until;
                common.open_until.store(until, Ordering::Relaxed);
            }
            drop(cold);
            let counter = if stub.word.is_outside() {
                &common.rare.unjudged
            } else {
                &common.rare.late
            };
            counter.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let settled = settled(&cold.config);
        cold.totals.count(settled, answered);
        let passing = stub.word.is_passing();
        if passing {
            self.drain(&mut cold, now);
        }
        let overdue = self.overdue(&cold, now);
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let change = if passing {
            circuit.settle_closed(config, settled, overdue, now)
        } else {
            circuit.settle_probe(config, settled, overdue, now)
        };
        let asks = change.is_none() && settled.is_judged();
        let asked = asks.then(|| Asked::about(circuit, config, Some(settled), overdue, now));
        let freed = !passing && change.is_none();
        self.publish(cold, change, false, now);
        if freed && common.waits.load(Ordering::Relaxed) {
            common.wake();
        }
        if let Some(asked) = asked.flatten() {
            self.ask(&asked, now);
        }
    }

    /// Asks the own rules, outside of the lock: they are other people's code.
    #[cold]
    fn ask(&self, asked: &Asked, now: u64) {
        let common = self.common();
        let instant = common.setup.clock.instant(now);
        let rules = &asked.config.rules.0;
        // One that panics does not trip: it must not take the answer away from a call, nor end the
        // process where a ticket is dropped while its task unwinds.
        let trips = |rule: &Arc<dyn Rule>| {
            let trips = || rule.trips(&asked.sight, instant).then(|| rule.name());
            catch_unwind(AssertUnwindSafe(trips)).unwrap_or(None)
        };
        let Some(name) = rules.iter().find_map(trips) else {
            return;
        };
        let cause = Cause::Own(name);
        let mut cold = common.lock();
        if !cold.circuit.is_present(asked.word) {
            return;
        }
        if asked.word.is_passing() {
            self.drain(&mut cold, now);
        }
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let change = circuit.open_by(config, cause, now);
        self.publish(cold, change, false, now);
    }

    /// Looks at the calls under way, if that is due; returns whether the circuit has changed.
    #[inline]
    fn look(&self, word: Word, now: u64) -> bool {
        let common = self.common();
        let due = common.next_look.load(Ordering::Relaxed);
        now >= due && self.look_now(word, due, now)
    }

    #[cold]
    fn look_now(&self, word: Word, due: u64, now: u64) -> bool {
        let common = self.common();
        let pace = common.beat(word).flight();
        if pace == 0 {
            return false;
        }
        // One of those who find it due looks, and nobody takes the lock for nothing.
        let next = now
            .saturating_add(common.beat(word).slow_after() / 8)
            .max(now + 1);
        let elected =
            common
                .next_look
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        let flight = Flight::of(common.beat(word).watch(), epoch_by(pace, now));
        if elected.is_err() || common.word() != word || self.overdue_at(flight) == 0 {
            return common.word() != word;
        }
        let mut cold = common.lock();
        if cold.circuit.word.is_passing() {
            self.drain(&mut cold, now);
        }
        let overdue = self.overdue(&cold, now);
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let change = circuit.look(config, overdue, now);
        let asked = if change.is_none() && overdue > 0 {
            Asked::about(circuit, config, None, overdue, now)
        } else {
            None
        };
        self.publish(cold, change, false, now);
        if let Some(asked) = asked {
            self.ask(&asked, now);
        }
        common.word() != word
    }

    fn overdue_at(&self, now: Flight) -> u64 {
        let flights = self.each().filter_map(|stripe| stripe.flights.get());
        flights.map(|line| line.0.overdue(now)).sum()
    }

    /// The calls under way that are slow already.
    fn overdue(&self, cold: &Cold, now: u64) -> u64 {
        if cold.config.slow_after.is_none() {
            return 0;
        }
        self.overdue_at(self.common().flight_now(cold, now))
    }

    /// Enters the successes of a passing circuit into its windows.
    fn drain(&self, cold: &mut Cold, now: u64) {
        let epoch = cold.config.pace.epoch(now);
        let tag = votes::tag(cold.circuit.word, epoch);
        for stripe in self.each() {
            stripe.successes.drain(tag, |age, count| {
                cold.totals.successes = cold.totals.successes.saturating_add(count);
                cold.circuit.successes(age, count, epoch);
            });
        }
    }

    /// What goes with a new period: calls that are still under way from the one before are not
    /// held against it, and nobody has dealt a ramp's share in it.
    fn begin_period(&self, cold: &mut Cold) {
        let common = self.common();
        let word = cold.circuit.word;
        if word == common.word() || cold.circuit.since != word.generation() {
            return;
        }
        common.gated.store(false, Ordering::Relaxed);
        if cold.config.slow_after.is_some() {
            cold.watch = cold.watch.wrapping_add(1);
            for stripe in self.each() {
                stripe.watch(&cold.config, cold.watch);
            }
        }
    }

    /// Makes a change visible; then, outside of the lock, tells who listens and wakes who is
    /// parked.
    fn publish(
        &self,
        mut cold: MutexGuard<'_, Cold>,
        change: Option<Change>,
        keeps: bool,
        now: u64,
    ) {
        let common = self.common();
        self.begin_period(&mut cold);
        let stored = common.store(&mut cold, self.each(), keeps, now);
        if let Some(change) = &change {
            cold.count(change);
        }
        drop(cold);
        if let Some(change) = &change {
            self.told(change);
        }
        // Settings too: who waits may have to wait otherwise now, or not at all.
        if stored {
            common.wake();
        }
    }

    /// Admits a call in a state that does not simply pass.
    #[cold]
    fn admit(&self, asks: Asks) -> Result<Word, Rejection> {
        self.admit_as(asks, self.common().deals(asks))
    }

    /// As [`admit`](Self::admit), with the share of a ramp dealt here or not.
    fn admit_as(&self, asks: Asks, deals: bool) -> Result<Word, Rejection> {
        let common = self.common();
        let now = common.now();
        // On a ramp, too, calls that hang are noticed by those who come after them.
        let word = common.word();
        if word.state() == State::HalfOpen && common.beat(word).flight() != 0 {
            self.look(word, now);
        }
        let mut cold = common.lock();
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let (admission, change) = circuit.admit(config, asks, deals, now);
        self.publish(cold, change, false, now);
        match admission {
            Admission::Pass(word) => Ok(word),
            Admission::Shadow(word, rejection) => {
                // The breaker alone counts: each call that passes the gate comes to it.
                if asks == Asks::Breaker {
                    common.rare.would_reject.fetch_add(1, Ordering::Relaxed);
                    let observer = &common.setup.observer;
                    observer.emit(|| EventKind::Shadowed(common.rejection(asks, rejection)));
                }
                Ok(word)
            }
            Admission::Reject(rejection) => Err(common.rejection(asks, rejection)),
        }
    }

    /// When a call starts that is let pass under `word`.
    #[inline]
    fn start(&self, word: Word) -> u64 {
        let common = self.common();
        if common.beat(word).measures() {
            common.now()
        } else {
            UNMEASURED
        }
    }

    /// The admission of a call that was let pass under `word` and has started.
    #[inline]
    fn stub(&self, word: Word, start: u64) -> Stub {
        let flight = if start == UNMEASURED {
            Flight::NONE
        } else {
            self.take_off(word, start)
        };
        Stub {
            word,
            start,
            flight,
        }
    }

    #[inline(never)]
    fn take_off(&self, word: Word, start: u64) -> Flight {
        let (common, here) = (self.common(), self.stripe());
        let beat = common.beat(word);
        let (pace, watch) = (beat.flight(), beat.watch());
        // In another generation the beat may be another one; such a call is not watched.
        let Some(line) = here.flights.get() else {
            return Flight::NONE;
        };
        if pace == 0 || common.word() != word {
            return Flight::NONE;
        }
        let flight = Flight::of(watch, epoch_by(pace, start));
        line.0.start(flight);
        flight
    }

    /// A call that was admitted as `stub` was dropped: its place goes back, and it votes only by
    /// the settings.
    #[cold]
    fn abandon(&self, stub: Stub) {
        let common = self.common();
        common.rare.abandoned.fetch_add(1, Ordering::Relaxed);
        if stub.flight.is_watched() {
            land(self.stripe(), stub.flight);
        }
        if !stub.word.is_outside() && (!stub.word.is_passing() || stub.start != UNMEASURED) {
            self.abandon_locked(stub);
        }
        common.setup.observer.emit(|| EventKind::Abandoned);
    }

    fn abandon_locked(&self, stub: Stub) {
        let common = self.common();
        let now = common.now();
        let took = stub.took(now);
        let mut cold = common.lock();
        if !cold.circuit.is_present(stub.word) {
            return;
        }
        if Settled::abandoned(&cold.config, took).is_judged() {
            drop(cold);
            self.settle_locked(stub, now, false, |config| Settled::abandoned(config, took));
        } else if !stub.word.is_passing() && cold.circuit.release_probe() {
            drop(cold);
            common.wake();
        }
    }

    /// A probe's place that was reserved and is not used goes back.
    #[cold]
    fn give_back(&self, asks: Asks, word: Word) {
        let common = self.common();
        let mut cold = common.lock();
        if !cold.circuit.is_present(word) {
            return;
        }
        let waited_for = match asks {
            Asks::Gate => cold.circuit.leave_herd(),
            Asks::Breaker => cold.circuit.release_probe(),
        };
        drop(cold);
        if waited_for && common.waits.load(Ordering::Relaxed) {
            common.wake();
        }
    }

    /// How long a call may wait for a place altogether, and how long until a lost probe's place
    /// is dealt again.
    fn patience(&self, asks: Asks, now: u64) -> (Duration, Duration) {
        let cold = self.common().lock();
        let at_most = match cold.config.half_open_policy {
            HalfOpenPolicy::Wait { at_most } => at_most,
            HalfOpenPolicy::Reject => Duration::ZERO,
        };
        let left = cold.circuit.patience(&cold.config, asks, now);
        (at_most, Duration::from_nanos(left))
    }
}

impl Stub {
    fn took(&self, now: u64) -> Option<u64> {
        (self.start != UNMEASURED).then(|| now.saturating_sub(self.start))
    }
}

/// A question for the own rules.
pub(crate) struct Asked {
    sight: RuleContext,
    config: Arc<BreakerConfig>,
    word: Word,
}

impl Asked {
    fn about(
        circuit: &Circuit,
        config: &Arc<BreakerConfig>,
        settled: Option<Settled>,
        overdue: u64,
        now: u64,
    ) -> Option<Self> {
        (!config.rules.0.is_empty() && circuit.is_judged()).then(|| Self {
            sight: circuit.sight(config, settled, overdue, now),
            config: Arc::clone(config),
            word: circuit.word,
        })
    }
}

impl crate::shared::Totals {
    fn count(&mut self, settled: Settled, answered: bool) {
        let more = |counter: &mut u64| *counter = counter.saturating_add(1);
        match settled.verdict {
            Verdict::Success => more(&mut self.successes),
            Verdict::Failure => more(&mut self.failures),
            // One that was abandoned is counted as such.
            Verdict::Ignored if answered => more(&mut self.abstained),
            Verdict::Ignored => {}
        }
        self.slow = self.slow.saturating_add(u64::from(settled.slow));
    }
}

fn land(here: &Stripe, flight: Flight) {
    if let Some(line) = here.flights.get() {
        line.0.end(flight);
    }
}

impl Circuits for Held {
    #[inline(always)]
    fn common(&self) -> &Common {
        self.common()
    }
    fn each(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }
    #[inline(always)]
    fn stripe(&self) -> &Stripe {
        self.stripe()
    }
}

impl Circuits for Root {
    #[inline(always)]
    fn common(&self) -> &Common {
        self.common()
    }
    fn each(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }
    #[inline(always)]
    fn stripe(&self) -> &Stripe {
        self.here()
    }
}

impl Circuits for crate::shared::Anchored {
    #[inline(always)]
    fn common(&self) -> &Common {
        self.common()
    }
    fn each(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }
    #[inline(always)]
    fn stripe(&self) -> &Stripe {
        self.here()
    }
}

/// An instant as far away as told, or as the platform can tell.
pub(crate) fn after(start: Instant, wait: Duration) -> Instant {
    seawall_core::deadline(start, wait)
}
