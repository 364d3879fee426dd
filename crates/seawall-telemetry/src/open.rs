//! A call or an attempt that is not over.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::{Complete, Operation, Outcome, ReadFor, Rejection, SharedReadings};

use crate::counts::{End, error_type};
use crate::measure::{Part, is_due};
use crate::span::{self, Entered};
use crate::state::{Id, here};
use crate::stripe::Ended;

/// When a call began that has not waited yet.
const NOT_YET: u64 = u64::MAX;
// Above the id of the instance: the operation, and what is known of the call.
const OPERATION_SHIFT: u32 = Id::BITS;
const ATTEMPT: u64 = 1 << (OPERATION_SHIFT + 16);
const MEASURED: u64 = ATTEMPT << 1;
const OVER: u64 = MEASURED << 1;
const HAS_SPAN: u64 = OVER << 1;
/// What more is done about the call than to count it.
const WATCHED: u64 = MEASURED | HAS_SPAN;

/// A call or an attempt under way, counted exactly once. Dropped without an outcome, it counts as
/// abandoned.
// Two words, so that futures that hold one stay small.
#[derive(Debug)]
pub struct OpenCall {
    // Atomic, so that it is loaded by itself: a load of both words at once waits until the stores of each
    // have left the processor, which costs more than all that is counted.
    word: AtomicU64,
    /// By the clock of the process; where it has a span, the place of that, which has this then.
    started: u64,
}

/// A part of a call that is watched, which runs until it is [left](OpenCall::leave).
pub(crate) struct Running {
    part: Option<Part>,
    _span: Option<Entered>,
}

impl OpenCall {
    #[inline]
    pub(crate) fn new(id: Id, operation: Operation, is_attempt: bool) -> Self {
        let mut word = id.bits() | u64::from(operation.number()) << OPERATION_SHIFT;
        let mut arrival = None;
        if is_attempt {
            word |= ATTEMPT;
        } else {
            if SharedReadings::are_open() {
                // The layers below need it anyway.
                arrival = Some(id.clock().shared_now(ReadFor::Arrival));
            }
            if is_due(id) {
                word |= MEASURED;
            }
        }
        let mut started = arrival.unwrap_or(NOT_YET);
        if let Some(place) = span::open(id, operation, is_attempt, arrival) {
            word |= HAS_SPAN;
            started = place;
        }
        Self {
            word: AtomicU64::new(word),
            started,
        }
    }

    #[inline]
    fn word(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    #[inline]
    fn has(&self, flag: u64) -> bool {
        self.word() & flag != 0
    }

    #[inline]
    fn end_here(&mut self) {
        *self.word.get_mut() |= OVER;
    }

    #[inline]
    fn id(&self) -> Id {
        Id::from_bits(self.word())
    }

    fn operation(&self) -> Operation {
        Operation::from_number((self.word() >> OPERATION_SHIFT) as u16)
    }

    /// Whether its overhead is measured, or it has a span.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.has(WATCHED)
    }

    /// A part of the call runs; `None` where it is not watched.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Running> {
        self.is_watched().then(|| self.enter_watched())
    }

    #[cold]
    #[inline(never)]
    fn enter_watched(&self) -> Running {
        // The span first: what a subscriber does then is no overhead.
        let span = self.has(HAS_SPAN).then(|| span::enter(self.started));
        let is_measured = self.has(MEASURED);
        Running {
            part: is_measured.then(|| Part::enter(self.id().clock())),
            _span: span.flatten(),
        }
    }

    /// That part is over.
    #[inline]
    pub(crate) fn leave(&self, running: Option<Running>) {
        if let Some(running) = running {
            self.leave_watched(running);
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_watched(&self, mut running: Running) {
        if let Some(part) = running.part.take() {
            let took = part.leave();
            here(self.id(), |stripe| stripe.add_overhead(&took));
        }
    }

    /// The call waits, or is not over with its response: its time runs from the first time on.
    #[inline]
    pub(crate) fn wait(&mut self) {
        if self.started == NOT_YET {
            self.started = self.id().clock().now();
        }
    }

    /// The call is over with its response.
    #[inline]
    pub(crate) fn succeed_or_fail(&mut self, outcome: Outcome) {
        if outcome == Outcome::Success && self.started == NOT_YET && !self.is_watched() {
            let (is_attempt, operation) = (self.has(ATTEMPT), self.operation());
            here(self.id(), |stripe| {
                stripe.count_at_once(is_attempt, operation);
            });
            self.end_here();
            return;
        }
        self.end_with(outcome);
    }

    #[inline(never)]
    fn end_with(&mut self, outcome: Outcome) {
        let error = error_type(outcome, None);
        let now = self.end(End::of(outcome, false), error);
        if outcome != Outcome::Success {
            self.count_error(outcome, None, now);
        }
    }

    /// The call, to be completed by what holds it then; this one is over.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        let word = AtomicU64::new(self.word());
        self.end_here();
        let started = self.started;
        Self { word, started }
    }

    /// One that is over.
    #[inline]
    pub(crate) const fn over() -> Self {
        Self {
            word: AtomicU64::new(OVER),
            started: NOT_YET,
        }
    }

    fn end(&mut self, end: End, error: Option<u8>) -> u64 {
        let now = if self.started == NOT_YET {
            0
        } else {
            self.id().clock().now()
        };
        self.end_at(end, error, now);
        now
    }

    fn end_at(&mut self, end: End, error: Option<u8>, now: u64) {
        let took_ns = if self.started == NOT_YET {
            0
        } else if self.has(HAS_SPAN) {
            now.saturating_sub(span::end(self.started, end, error))
        } else {
            now.saturating_sub(self.started)
        };
        let ended = Ended {
            is_attempt: self.has(ATTEMPT),
            operation: self.operation(),
            end,
            took_ns,
        };
        let is_measured = self.has(MEASURED);
        here(self.id(), |stripe| {
            stripe.count(ended);
            if is_measured {
                stripe.add_overhead_sample();
            }
        });
        self.end_here();
    }

    /// The call has failed with an error.
    #[cold]
    pub(crate) fn fail(&mut self, outcome: Outcome, rejection: Option<&Rejection>) {
        let now = self.id().clock().now();
        let end = End::of_error(outcome, rejection);
        self.end_at(end, error_type(outcome, rejection), now);
        self.count_error(outcome, rejection, now);
    }

    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        self.end(End::Abandoned, None);
    }

    #[cold]
    fn count_error(&self, outcome: Outcome, rejection: Option<&Rejection>, now: u64) {
        if self.has(ATTEMPT) {
            return;
        }
        if let Some(error) = error_type(outcome, rejection) {
            let rejected = rejection.map(|rejection| (now, *rejection));
            let operation = self.operation();
            here(self.id(), |stripe| stripe.fail(operation, error, rejected));
        }
    }
}

impl Complete for OpenCall {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        // Of one that was handed on after it had been counted, nothing is left to do.
        if !self.has(OVER) {
            self.end_with(outcome);
        }
    }
}

impl Drop for OpenCall {
    #[inline]
    fn drop(&mut self) {
        if !self.has(OVER) {
            self.abandon();
        }
    }
}
