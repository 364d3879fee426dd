//! What the gate, the breaker and their handles share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{Clock, EventSource, InstanceName, Reason, Rejection};

use crate::beat::Beat;
use crate::buckets::epoch_by;
use crate::cause::Change;
use crate::circuit::{Asks, Circuit, Denial};
use crate::config::{BreakerConfig, HalfOpenPolicy};
use crate::flights::{Flight, Flights};
use crate::parking::Parking;
use crate::sync::{AtomicU64, Ordering};
use crate::votes::{self, Poll, Slots};
use crate::word::{State, Word};

pub(crate) type Root = Shared<Common, Stripe>;
pub(crate) type Held = Local<Common, Stripe>;
pub(crate) type Anchored = Anchor<Common, Stripe>;

/// What circuits of one layer share: who speaks, and the clock.
pub(crate) struct Setup {
    pub(crate) observer: EventSource,
    pub(crate) gate_observer: EventSource,
    pub(crate) clock: Clock,
}

impl Setup {
    pub(crate) fn new(name: InstanceName) -> Arc<Self> {
        Arc::new(Self {
            observer: EventSource::new("breaker", name),
            gate_observer: EventSource::new("gate", name),
            clock: Clock::start(),
        })
    }
}

/// The counters of one stripe: what calls write at every call.
#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) successes: Slots,
    rejected: AtomicU64,
    gate_rejected: AtomicU64,
    /// Made when slow calls are watched for the first time.
    pub(crate) flights: OnceLock<Box<Line>>,
}

/// The calls under way of one stripe, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Line(pub(crate) Flights);

impl Stripe {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let stripe = Self {
            successes: Slots::new(),
            rejected: AtomicU64::new(0),
            gate_rejected: AtomicU64::new(0),
            flights: OnceLock::new(),
        };
        stripe.watch(config, 0);
        stripe
    }

    /// Begins another watch of slow calls, if they are watched.
    pub(crate) fn watch(&self, config: &BreakerConfig, watch: u64) {
        if config.slow_after.is_some() {
            let line = self.flights.get_or_init(|| Box::new(Line(Flights::new())));
            line.0.begin(watch);
        }
    }
}

/// One circuit, without its stripes.
pub(crate) struct Common {
    pub(crate) setup: Arc<Setup>,
    pub(crate) state: AtomicU64,
    pub(crate) open_until: AtomicU64,
    /// Why the circuit is open: the bits of a [`seawall_core::CircuitCause`].
    cause: AtomicU32,
    /// Whether a gate has dealt in this period.
    pub(crate) gated: AtomicBool,
    /// Whether calls wait while probes run.
    pub(crate) waits: AtomicBool,
    pub(crate) beats: [Beat; 2],
    pub(crate) born: AtomicU64,
    pub(crate) carried: AtomicU64,
    /// When the calls under way are looked at next.
    pub(crate) next_look: AtomicU64,
    pub(crate) rare: Rare,
    parking: OnceLock<Arc<Parking>>,
    pub(crate) cold: Mutex<Cold>,
}

/// Counters of what happens rarely.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) late: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) unjudged: AtomicU64,
    pub(crate) would_reject: AtomicU64,
    pub(crate) not_ready: AtomicU64,
    pub(crate) gate_not_ready: AtomicU64,
}

/// What the lock guards.
pub(crate) struct Cold {
    pub(crate) circuit: Circuit,
    pub(crate) config: Arc<BreakerConfig>,
    /// The number of the present watch of calls under way; see [`crate::flights`].
    pub(crate) watch: u64,
    pub(crate) totals: Totals,
    /// Transitions by the states before and after.
    pub(crate) transitions: Option<Box<[[u64; 5]; 5]>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) abstained: u64,
    pub(crate) slow: u64,
    /// The most successes that were ever told: a count on its way from one place to another must
    /// not make a counter fall.
    pub(crate) told: u64,
}

impl Common {
    pub(crate) fn new(setup: Arc<Setup>, config: Arc<BreakerConfig>) -> Self {
        let now = setup.clock.now();
        let circuit = Circuit::new(&config, now);
        let beats = [Beat::empty(), Beat::empty()];
        beats[0].fill(&config, 0);
        Self {
            state: AtomicU64::new(circuit.word.0),
            open_until: AtomicU64::new(0),
            cause: AtomicU32::new(0),
            gated: AtomicBool::new(false),
            waits: AtomicBool::new(waits(&config)),
            beats,
            born: AtomicU64::new(votes::tag(circuit.word, config.pace.epoch(now))),
            carried: AtomicU64::new(0),
            next_look: AtomicU64::new(0),
            rare: Rare::default(),
            parking: OnceLock::new(),
            cold: Mutex::new(Cold {
                circuit,
                config,
                watch: 0,
                totals: Totals::default(),
                transitions: None,
            }),
            setup,
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.state.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn beat(&self, word: Word) -> &Beat {
        &self.beats[(word.generation() & 1) as usize]
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.setup.clock.now()
    }

    #[inline]
    pub(crate) fn open_until(&self) -> u64 {
        self.open_until.load(Ordering::Relaxed)
    }

    pub(crate) fn parking(&self) -> &Arc<Parking> {
        if let Some(parking) = self.parking.get() {
            return parking;
        }
        // Made under the lock: a change that this one does not see is published later than the
        // parking lot, and finds it.
        let _guard = self.lock();
        self.parking.get_or_init(Arc::default)
    }

    /// Wakes who is parked, if anybody ever was.
    pub(crate) fn wake(&self) {
        if let Some(parking) = self.parking.get() {
            parking.wake_all();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Cold> {
        self.cold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this one deals the share of a ramp: the gate, if calls of this ramp come through
    /// one, and the breaker otherwise.
    pub(crate) fn deals(&self, asks: Asks) -> bool {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        match asks {
            Asks::Gate => {
                self.gated.store(true, relaxed);
                true
            }
            Asks::Breaker => !self.gated.load(relaxed),
        }
    }

    /// The rejection of a call that asked an open circuit now, by the word that was just loaded.
    /// Takes no lock.
    #[inline]
    pub(crate) fn rejects_at_once(&self, word: Word, asks: Asks) -> Option<Rejection> {
        let open = matches!(word.state(), State::Open | State::ForcedOpen);
        if !open || word.is_shadow() {
            return None;
        }
        let cause = self.cause.load(std::sync::atomic::Ordering::Relaxed);
        let rejection = self
            .observer(asks)
            .rejection(Reason::CircuitOpen)
            .with_cause_bits(cause);
        let until = self.open_until();
        if until == u64::MAX {
            return Some(rejection);
        }
        let left = until.saturating_sub(self.now());
        (left > 0).then(|| rejection.with_retry_after(Duration::from_nanos(left)))
    }

    /// The rejection of a call that asked now.
    pub(crate) fn would_reject(&self, word: Word, asks: Asks) -> Option<Rejection> {
        if word.is_passing() {
            return None;
        }
        if let Some(rejection) = self.rejects_at_once(word, asks) {
            return Some(rejection);
        }
        let now = self.now();
        let cold = self.lock();
        let rejection = cold.circuit.would_reject(&cold.config, asks, now)?;
        drop(cold);
        Some(self.rejection(asks, rejection))
    }

    #[inline]
    pub(crate) fn observer(&self, asks: Asks) -> &EventSource {
        match asks {
            Asks::Gate => &self.setup.gate_observer,
            Asks::Breaker => &self.setup.observer,
        }
    }

    pub(crate) fn rejection(&self, asks: Asks, denial: Denial) -> Rejection {
        let rejection = self
            .observer(asks)
            .rejection(Reason::CircuitOpen)
            .with_cause(denial.cause);
        match denial.wait {
            Some(ns) => rejection.with_retry_after(Duration::from_nanos(ns)),
            None => rejection,
        }
    }

    /// The rejection of a call whose readiness was asked while the circuit rejected, and that has
    /// changed since.
    pub(crate) fn not_ready(&self, asks: Asks) -> Rejection {
        self.observer(asks).rejection(Reason::NotReady)
    }

    /// Counts a rejection.
    #[inline]
    pub(crate) fn count_rejection(&self, here: &Stripe, asks: Asks, reason: Reason) {
        let counter = match (asks, reason) {
            (Asks::Breaker, Reason::NotReady) => &self.rare.not_ready,
            (Asks::Breaker, _) => &here.rejected,
            (Asks::Gate, Reason::NotReady) => &self.rare.gate_not_ready,
            (Asks::Gate, _) => &here.gate_rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What a success needs beside its stripe.
    #[inline]
    pub(crate) fn poll(&self) -> Poll<'_> {
        Poll {
            state: &self.state,
            born: &self.born,
            carried: &self.carried,
        }
    }

    /// The present bucket of the calls under way.
    pub(crate) fn flight_now(&self, cold: &Cold, now: u64) -> Flight {
        let pace = cold.config.flight_pace();
        Flight::of(cold.watch, epoch_by(pace.reciprocal(), now))
    }

    /// Stores what the circuit has become, for those who look without the lock: the beat first,
    /// the state word after it, and the stripes are re-tagged last. `keeps` says whether what was
    /// counted a moment ago still counts. Returns whether there was anything to store.
    pub(crate) fn store<'a>(
        &self,
        cold: &mut Cold,
        stripes: impl Iterator<Item = &'a Stripe>,
        keeps: bool,
        now: u64,
    ) -> bool {
        let word = cold.circuit.word;
        let before = self.word();
        if word == before {
            return false;
        }
        // The beat of the generation in force must not change under those who read it.
        debug_assert_ne!(word.generation() & 1, before.generation() & 1);
        let epoch = cold.config.pace.epoch(now);
        let tag = votes::tag(word, epoch);
        self.beat(word).fill(&cold.config, cold.watch);
        // In a longer window the clock has fewer buckets behind it, so that its tags may lie before
        // those of the shorter one.
        let fell = votes::is_before(tag, self.born.load(Ordering::Relaxed));
        if fell || cold.circuit.since == word.generation() {
            self.born.store(tag, Ordering::Release);
        }
        // While the circuit does not pass nobody counts without the lock, so that the stripes can
        // be tagged before anybody may: their tags may be of another clock.
        let mut stripes = stripes;
        if !before.is_passing() {
            for stripe in stripes.by_ref() {
                let left = stripe.successes.retag_all(word, tag);
                cold.totals.successes = cold.totals.successes.saturating_add(left);
            }
        }
        self.open_until
            .store(cold.circuit.open_until, Ordering::Relaxed);
        self.cause.store(
            cold.circuit.why_open().to_bits(),
            std::sync::atomic::Ordering::Relaxed,
        );
        self.waits
            .store(waits(&cold.config), std::sync::atomic::Ordering::Relaxed);
        self.state.store(word.0, Ordering::Release);
        // Used up if the stripes have been tagged before.
        for stripe in stripes {
            let left = if keeps {
                let left = stripe.successes.retag_all(word, tag);
                cold.circuit.successes(Some(0), left, epoch);
                left
            } else {
                stripe.successes.retag_older(word, tag)
            };
            cold.totals.successes = cold.totals.successes.saturating_add(left);
        }
        true
    }
}

fn waits(config: &BreakerConfig) -> bool {
    matches!(config.half_open_policy, HalfOpenPolicy::Wait { .. })
}

impl Cold {
    pub(crate) fn count(&mut self, change: &Change) {
        let by = self.transitions.get_or_insert_with(Box::default);
        by[index(change.from)][index(change.to)] += 1;
    }

    /// Transitions by the states before and after: those that were, and those by the rules from
    /// the start, so that their counters exist before they are needed.
    pub(crate) fn transitions(&self) -> impl Iterator<Item = (State, State, u64)> {
        let pairs = STATES
            .into_iter()
            .flat_map(|from| STATES.into_iter().map(move |to| (from, to)));
        pairs.filter_map(|(from, to)| {
            let count = match &self.transitions {
                Some(by) => by[index(from)][index(to)],
                None => 0,
            };
            let by_rule = matches!(
                (from, to),
                (State::Closed, State::Open)
                    | (State::Open, State::HalfOpen)
                    | (State::HalfOpen, State::Open | State::Closed)
            );
            (count > 0 || by_rule).then_some((from, to, count))
        })
    }
}

/// Every state, in the order of [`index`].
const STATES: [State; 5] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
    State::Disabled,
];

const fn index(state: State) -> usize {
    match state {
        State::Closed => 0,
        State::Open => 1,
        State::HalfOpen => 2,
        State::ForcedOpen => 3,
        State::Disabled => 4,
    }
}

impl Stripe {
    pub(crate) fn rejections(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.rejected), read(&self.gate_rejected))
    }
}

// By hand: the window can be a megabyte, and its lock is not held while a writer writes.
impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.setup.observer.name())
            .field("state", &self.word().state())
            .finish_non_exhaustive()
    }
}
