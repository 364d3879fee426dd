//! What the gate, the breaker and their handles share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{Clock, Name, Observer, Outcome, Reason, Rejection, Vote, What};

use crate::circuit::{Admission, Asks, Change, Circuit};
use crate::config::BreakerConfig;
use crate::parking::Parking;
use crate::sync::{AtomicU64, Ordering};
use crate::votes;
use crate::word::{State, Word};

pub(crate) type Root = Shared<Common, Stripe>;
pub(crate) type Held = Local<Common, Stripe>;
pub(crate) type Anchored = Anchor<Common, Stripe>;

/// The counters of one stripe.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    /// Successes of the generation in force; see [`votes`].
    pub(crate) successes: AtomicU64,
    /// Successes of earlier generations that a later one found.
    carried: AtomicU64,
    refused: AtomicU64,
    not_ready: AtomicU64,
    gate_refused: AtomicU64,
    gate_not_ready: AtomicU64,
    late: AtomicU64,
    abandoned: AtomicU64,
}

pub(crate) struct Common {
    pub(crate) observer: Observer,
    pub(crate) gate_observer: Observer,
    pub(crate) config: BreakerConfig,
    pub(crate) clock: Clock,
    state: AtomicU64,
    open_until: AtomicU64,
    pub(crate) parking: Arc<Parking>,
    cold: Mutex<Cold>,
}

struct Cold {
    circuit: Circuit,
    successes: u64,
    failures: u64,
    abstained: u64,
    /// Transitions by the state that was entered.
    opened: u64,
    half_opened: u64,
    closed: u64,
}

/// Counters and window of a circuit at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that said nothing about the upstream: throttled, bad request, local refusal.
    pub abstained: u64,
    /// Calls that were dropped before they were answered.
    pub abandoned: u64,
    /// Results that came in a later generation than they were admitted in, and did not vote.
    pub late: u64,
    /// Calls that the breaker refused since the circuit was open.
    pub refused: u64,
    /// Calls that the breaker refused since it was open when readiness was asked.
    pub not_ready: u64,
    /// Calls that the gate refused since the circuit was open.
    pub gate_refused: u64,
    /// Calls that the gate refused since it was open when readiness was asked.
    pub gate_not_ready: u64,
    /// Transitions into the open state.
    pub opened: u64,
    /// Transitions into the half-open state.
    pub half_opened: u64,
    /// Transitions into the closed state.
    pub closed: u64,
    /// Calls in the window, as of the last failure.
    pub window_calls: u32,
    /// Failures in the window.
    pub window_failures: u32,
    /// Failures in a row, as of the last failure.
    pub failures_in_a_row: u32,
}

impl Common {
    pub(crate) fn new(name: Name, config: BreakerConfig) -> Self {
        Self {
            observer: Observer::new("breaker", name),
            gate_observer: Observer::new("gate", name),
            clock: Clock::start(),
            state: AtomicU64::new(Word::FIRST.0),
            open_until: AtomicU64::new(0),
            parking: Arc::default(),
            cold: Mutex::new(Cold {
                circuit: Circuit::new(&config),
                successes: 0,
                failures: 0,
                abstained: 0,
                opened: 0,
                half_opened: 0,
                closed: 0,
            }),
            config,
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn open_until(&self) -> u64 {
        self.open_until.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Cold> {
        self.cold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a call in a state that does not simply pass.
    #[cold]
    pub(crate) fn admit<'a>(
        &self,
        stripes: impl Iterator<Item = &'a Stripe>,
        asks: Asks,
    ) -> Result<Word, Rejection> {
        let now = self.clock.now();
        let mut cold = self.lock();
        let (admission, change) = cold.circuit.admit(&self.config, asks, now);
        self.publish(cold, stripes, change);
        match admission {
            Admission::Pass(word) => Ok(word),
            Admission::Refuse(wait) => Err(self.refusal(asks, wait)),
        }
    }

    /// Whether a call that asked now would be refused, by the word that was just loaded.
    pub(crate) fn would_refuse(&self, word: Word, asks: Asks) -> Option<Option<u64>> {
        match word.state() {
            State::Closed | State::ForcedClosed => None,
            State::ForcedOpen => Some(None),
            State::Open => {
                let (until, now) = (self.open_until(), self.clock.now());
                (now < until).then(|| Some(until - now))
            }
            State::HalfOpen => {
                let now = self.clock.now();
                let cold = self.lock();
                cold.circuit
                    .would_refuse(&self.config, asks, now)
                    .then_some(None)
            }
        }
    }

    pub(crate) fn refusal(&self, asks: Asks, wait_ns: Option<u64>) -> Rejection {
        let observer = match asks {
            Asks::Gate => &self.gate_observer,
            Asks::Breaker => &self.observer,
        };
        let refused = observer.rejection(Reason::CircuitOpen);
        match wait_ns {
            Some(ns) => refused.with_retry_after(std::time::Duration::from_nanos(ns)),
            None => refused,
        }
    }

    /// Makes a change visible: the state word first, then the stripes; then, outside of the
    /// lock, tells who listens and wakes who is parked.
    fn publish<'a>(
        &self,
        mut cold: MutexGuard<'_, Cold>,
        stripes: impl Iterator<Item = &'a Stripe>,
        change: Option<Change>,
    ) {
        let Some(change) = change else { return };
        let word = cold.circuit.word;
        self.open_until
            .store(cold.circuit.open_until, Ordering::Relaxed);
        self.state.store(word.0, Ordering::Release);
        for stripe in stripes {
            cold.successes += votes::retag(&stripe.successes, word);
        }
        match change.to {
            State::Open | State::ForcedOpen => cold.opened += 1,
            State::HalfOpen => cold.half_opened += 1,
            State::Closed | State::ForcedClosed => cold.closed += 1,
        }
        drop(cold);
        self.observer.tell(|| What::Transition {
            from: change.from.as_str(),
            to: change.to.as_str(),
            reason: change.cause.as_str(),
        });
        self.parking.wake_all();
    }
}

/// Commands and readings that need the stripes beside the common part.
pub(crate) trait Circuits {
    fn common(&self) -> &Common;
    fn each(&self) -> impl Iterator<Item = &Stripe>;

    /// Settles a call that was admitted under `ticket`.
    #[inline]
    fn settle(&self, here: &Stripe, ticket: Word, outcome: &Outcome) {
        let common = self.common();
        let vote = outcome.vote();
        if ticket.is_passing() && vote == Vote::Success {
            let state = &common.state;
            if !votes::success(state, &here.successes, &here.carried, ticket) {
                here.late.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        self.settle_cold(here, ticket, vote);
    }

    #[cold]
    fn settle_cold(&self, here: &Stripe, ticket: Word, vote: Vote) {
        let common = self.common();
        let now = common.clock.now();
        let mut cold = common.lock();
        if cold.circuit.word != ticket {
            drop(cold);
            here.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match vote {
            Vote::Success => cold.successes += 1,
            Vote::Failure => cold.failures += 1,
            Vote::Abstain => cold.abstained += 1,
        }
        let change = if ticket.is_passing() {
            if vote != Vote::Failure {
                return;
            }
            let successes = self
                .each()
                .map(|s| votes::drain(&s.successes, ticket))
                .fold(0, u64::saturating_add);
            cold.successes = cold.successes.saturating_add(successes);
            cold.circuit.failure(&common.config, successes, now)
        } else {
            let well = match vote {
                Vote::Success => Some(true),
                Vote::Failure => Some(false),
                Vote::Abstain => None,
            };
            cold.circuit.probe(&common.config, well, now)
        };
        common.publish(cold, self.each(), change);
    }

    /// A call that was admitted under `ticket` was dropped: no vote, its place goes back.
    #[cold]
    fn abandon(&self, here: &Stripe, ticket: Word) {
        here.abandoned.fetch_add(1, Ordering::Relaxed);
        let common = self.common();
        if !ticket.is_passing() {
            let mut cold = common.lock();
            if cold.circuit.word == ticket {
                cold.circuit.release_probe();
            }
        }
        common.observer.tell(|| What::Abandoned);
    }

    /// A call that the gate let pass under `ticket` has ended.
    #[cold]
    fn leave_herd(&self, ticket: Word) {
        let mut cold = self.common().lock();
        if cold.circuit.word == ticket {
            cold.circuit.leave_herd();
        }
    }

    fn force(&self, state: State) {
        let common = self.common();
        let now = common.clock.now();
        let mut cold = common.lock();
        let change = cold.circuit.force(state, now);
        common.publish(cold, self.each(), change);
    }

    /// State, last transition and counters, of one moment.
    fn look(&self) -> (State, Option<Change>, Counts) {
        let cold = self.common().lock();
        let (state, last) = (cold.circuit.word.state(), cold.circuit.last);
        let (window_calls, window_failures) = cold.circuit.window();
        let mut counts = Counts {
            successes: cold.successes,
            failures: cold.failures,
            abstained: cold.abstained,
            opened: cold.opened,
            half_opened: cold.half_opened,
            closed: cold.closed,
            window_calls,
            window_failures,
            failures_in_a_row: cold.circuit.run(),
            ..Counts::default()
        };
        for stripe in self.each() {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            counts.successes += votes::peek(&stripe.successes) + read(&stripe.carried);
            counts.abandoned += read(&stripe.abandoned);
            counts.late += read(&stripe.late);
            counts.refused += read(&stripe.refused);
            counts.gate_refused += read(&stripe.gate_refused);
            counts.not_ready += read(&stripe.not_ready);
            counts.gate_not_ready += read(&stripe.gate_not_ready);
        }
        (state, last, counts)
    }
}

impl Stripe {
    /// Counts a refusal.
    pub(crate) fn refuse(&self, asks: Asks, reason: Reason) {
        let counter = match (asks, reason) {
            (Asks::Breaker, Reason::NotReady) => &self.not_ready,
            (Asks::Breaker, _) => &self.refused,
            (Asks::Gate, Reason::NotReady) => &self.gate_not_ready,
            (Asks::Gate, _) => &self.gate_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// By hand: the window can be a megabyte, and its lock is not held while a writer writes.
impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.observer.name())
            .field("state", &self.word().state())
            .finish_non_exhaustive()
    }
}

impl Circuits for Held {
    #[inline]
    fn common(&self) -> &Common {
        self.common()
    }
    fn each(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }
}

impl Circuits for Root {
    fn common(&self) -> &Common {
        self.common()
    }
    fn each(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }
}
