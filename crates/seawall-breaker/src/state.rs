//! The state that the gate, the breaker and their handles share.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{
    Clock, EventSource, Events, InstanceName, Misconfiguration, Operated, ReadFor, Reason,
    Rejection,
};

use crate::buckets::epoch_by;
use crate::circuit::Circuit;
use crate::circuit::admit::Denial;
use crate::config::BreakerConfig;
use crate::config_snapshot::ConfigSnapshot;
use crate::entry_point::EntryPoint;
use crate::in_flight::StartBucket;
use crate::state_word::StateWord;
use crate::stripe::Stripe;
use crate::sync::{AtomicU64, Ordering};
use crate::votes::{self, Periods, SharedWords};
use crate::wakers::Wakers;

pub(crate) type SharedState = Shared<Common, Stripe>;
pub(crate) type LocalState = Local<Common, Stripe>;
pub(crate) type AnchoredState = Anchor<Common, Stripe>;

/// What the circuits of one layer have in common.
pub(crate) struct Setup {
    pub(crate) breaker_events: EventSource,
    pub(crate) gate_events: EventSource,
    pub(crate) clock: Clock,
}

impl Setup {
    pub(crate) fn new(name: InstanceName) -> Arc<Self> {
        Arc::new(Self {
            breaker_events: EventSource::new("breaker", name),
            gate_events: EventSource::beside("gate", name),
            clock: Clock::start(),
        })
    }

    /// Events of the breaker and of its gate go there from now on.
    pub(crate) fn attach(&self, events: &Events) {
        self.breaker_events.attach(events);
        self.gate_events.attach(events);
    }

    pub(crate) fn operated(&self) -> Operated {
        self.breaker_events.operated()
    }

    pub(crate) fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.breaker_events.misconfigured()
    }

    pub(crate) const fn name(&self) -> InstanceName {
        self.breaker_events.name()
    }

    #[inline]
    pub(crate) const fn events(&self, at: EntryPoint) -> &EventSource {
        match at {
            EntryPoint::Gate => &self.gate_events,
            EntryPoint::Breaker => &self.breaker_events,
        }
    }
}

/// One circuit, without its stripes. What every call reads comes first, and the rest is elsewhere: of
/// many keys in turn each call waits for the memory of another circuit.
#[repr(C)]
pub(crate) struct Common {
    pub(crate) state: AtomicU64,
    pub(crate) setup: Arc<Setup>,
    background: Box<Background>,
}

/// The part of a circuit that a success without a time window does not read.
pub(crate) struct Background {
    pub(crate) open_until: AtomicU64,
    /// Why the circuit is open: the bits of a [`seawall_core::CircuitCause`].
    cause: AtomicU32,
    /// Whether the gate applies the share of a ramp in this period.
    pub(crate) gate_ramps: AtomicBool,
    /// Whether calls wait while probes are in flight.
    waits: AtomicBool,
    snapshots: [ConfigSnapshot; 2],
    pub(crate) periods: Periods,
    /// When the calls in flight are checked next.
    pub(crate) next_check: AtomicU64,
    wakers: OnceLock<Arc<Wakers>>,
    locked: Mutex<Locked>,
}

impl Deref for Common {
    type Target = Background;

    #[inline(always)]
    fn deref(&self) -> &Background {
        &self.background
    }
}

/// What the lock guards.
pub(crate) struct Locked {
    pub(crate) circuit: Circuit,
    pub(crate) config: Arc<BreakerConfig>,
    /// The number of the present watch of calls in flight; see [`crate::in_flight`].
    pub(crate) watch: u64,
    /// Successes that were counted without the lock, and were taken from the stripes since.
    pub(crate) drained: u64,
    /// The most successes that were ever reported: a count that moves from one word to another
    /// must not make a counter fall.
    pub(crate) reported_successes: u64,
}

impl Common {
    pub(crate) fn new(setup: Arc<Setup>, config: Arc<BreakerConfig>) -> Self {
        let now = setup.clock.now();
        let circuit = Circuit::new(&config, now);
        let snapshots = [ConfigSnapshot::empty(), ConfigSnapshot::empty()];
        snapshots[0].write(&config, 0);
        let (state, word) = (AtomicU64::new(circuit.word.0), circuit.word);
        let background = Background {
            open_until: AtomicU64::new(0),
            cause: AtomicU32::new(0),
            gate_ramps: AtomicBool::new(false),
            waits: AtomicBool::new(config.waits()),
            snapshots,
            periods: Periods::new(votes::tag(word, config.pace.epoch(now))),
            next_check: AtomicU64::new(0),
            wakers: OnceLock::new(),
            locked: Mutex::new(Locked {
                circuit,
                config,
                watch: 0,
                drained: 0,
                reported_successes: 0,
            }),
        };
        Self {
            state,
            setup,
            background: Box::new(background),
        }
    }

    /// Bytes on the heap, apart from those of the windows.
    pub(crate) fn heap(&self) -> usize {
        size_of_val(&*self.background)
    }

    #[inline]
    pub(crate) fn word(&self) -> StateWord {
        StateWord(self.state.load(Ordering::Acquire))
    }

    /// The settings of the generation of `word`.
    #[inline]
    pub(crate) fn settings(&self, word: StateWord) -> &ConfigSnapshot {
        &self.snapshots[(word.generation() & 1) as usize]
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.setup.clock.now()
    }

    /// The time of a call's arrival or departure, which the layers of its stack share.
    #[inline]
    pub(crate) fn shared_now(&self, wanted: ReadFor) -> u64 {
        self.setup.clock.shared_now(wanted)
    }

    /// Whether calls wait while probes are in flight.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Relaxed)
    }

    pub(crate) fn wakers(&self) -> &Arc<Wakers> {
        if let Some(wakers) = self.wakers.get() {
            return wakers;
        }
        // Made under the lock: a change that the caller does not see is published later than the
        // wakers, and finds them.
        let _guard = self.lock();
        self.wakers.get_or_init(Arc::default)
    }

    /// Wakes every parked task.
    pub(crate) fn wake(&self) {
        if let Some(wakers) = self.wakers.get() {
            wakers.wake_all();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the share of a ramp is applied at this entry point: at the gate, if calls of this
    /// ramp come through one, and at the breaker otherwise.
    pub(crate) fn ramps(&self, at: EntryPoint) -> bool {
        match at {
            EntryPoint::Gate => {
                self.gate_ramps.store(true, Relaxed);
                true
            }
            EntryPoint::Breaker => !self.gate_ramps.load(Relaxed),
        }
    }

    /// The rejection of a call that comes to an open circuit now, by the word that was just loaded.
    /// Takes no lock.
    #[inline]
    pub(crate) fn rejects_at_once(&self, word: StateWord, at: EntryPoint) -> Option<Rejection> {
        if !word.is_rejecting() || word.is_shadow() {
            return None;
        }
        let events = self.setup.events(at);
        let rejection = events.rejection(Reason::CircuitOpen);
        let cause = self.cause.load(Relaxed);
        let until = self.open_until.load(Ordering::Relaxed);
        if until == u64::MAX {
            return Some(rejection.with_cause_bits(cause));
        }
        let left = until.saturating_sub(self.now());
        // The cause last: before it is known that there is none, and nothing has to be looked at.
        (left > 0).then(|| rejection.with_retry_after_ns(left).with_cause_bits(cause))
    }

    /// The rejection of a call that comes now.
    pub(crate) fn would_reject(&self, word: StateWord, at: EntryPoint) -> Option<Rejection> {
        if word.is_passing() {
            return None;
        }
        if let Some(rejection) = self.rejects_at_once(word, at) {
            return Some(rejection);
        }
        let now = self.now();
        let locked = self.lock();
        let denial = locked.circuit.would_reject(&locked.config, at, now)?;
        drop(locked);
        Some(self.rejection(at, denial))
    }

    pub(crate) fn rejection(&self, at: EntryPoint, denial: Denial) -> Rejection {
        let events = self.setup.events(at);
        let rejection = events.rejection(Reason::CircuitOpen);
        let rejection = rejection.with_cause(denial.cause);
        match denial.wait {
            Some(ns) => rejection.with_retry_after_ns(ns),
            None => rejection,
        }
    }

    /// The rejection of a call whose circuit rejected at the time of `poll_ready`, and has changed
    /// since.
    pub(crate) fn not_ready(&self, at: EntryPoint) -> Rejection {
        self.setup.events(at).rejection(Reason::NotReady)
    }

    /// What a success needs beside its stripe.
    #[inline]
    pub(crate) fn shared_words(&self) -> SharedWords<'_> {
        SharedWords {
            state: &self.state,
            periods: &self.periods,
        }
    }

    /// Stores what the circuit has become, for readers without the lock: the snapshot of the
    /// settings first, the state word after it, and the stripes are re-tagged last. `keeps` is
    /// whether what was counted just before still counts. Returns whether there was anything to
    /// store.
    pub(crate) fn store<'a>(
        &self,
        locked: &mut Locked,
        mut stripes: impl Iterator<Item = &'a Stripe>,
        keeps: bool,
        now: u64,
    ) -> bool {
        let word = locked.circuit.word;
        let before = self.word();
        if word == before {
            return false;
        }
        // The snapshot of the generation in force must not change while it is read.
        debug_assert_ne!(word.generation() & 1, before.generation() & 1);
        let epoch = locked.config.pace.epoch(now);
        let tag = votes::tag(word, epoch);
        self.settings(word).write(&locked.config, locked.watch);
        // In a longer window the clock has fewer buckets behind it, so that its tags may lie before
        // those of the shorter one.
        let fell = votes::is_before(tag, self.periods.start.load(Ordering::Relaxed));
        if fell || locked.circuit.since == word.generation() {
            self.periods.start.store(tag, Ordering::Release);
        }
        // While the circuit does not pass, no success is counted without the lock, so that the
        // stripes can be tagged before that begins: their tags may be of another clock.
        if !before.is_passing() {
            for stripe in stripes.by_ref() {
                let left = stripe.successes.retag_all(word, tag);
                locked.drained = locked.drained.wrapping_add(left);
            }
        }
        let circuit = &mut locked.circuit;
        self.open_until.store(circuit.open_until, Ordering::Relaxed);
        self.cause.store(circuit.why_open().to_bits(), Relaxed);
        self.waits.store(locked.config.waits(), Relaxed);
        self.state.store(word.0, Ordering::Release);
        // Used up if the stripes have been tagged before.
        for stripe in stripes {
            let left = if keeps {
                let left = stripe.successes.retag_all(word, tag);
                circuit.successes(Some(0), left, epoch);
                left
            } else {
                stripe.successes.retag_older(word, tag)
            };
            locked.drained = locked.drained.wrapping_add(left);
        }
        true
    }
}

impl Locked {
    /// The present bucket of the calls in flight.
    pub(crate) fn present_bucket(&self, now: u64) -> StartBucket {
        let pace = self.config.in_flight_pace();
        StartBucket::new(self.watch, epoch_by(pace.reciprocal(), now))
    }
}

// By hand: the window can be a megabyte, and its lock is not held while a writer writes.
impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.setup.name())
            .field("state", &self.word().state())
            .finish_non_exhaustive()
    }
}
