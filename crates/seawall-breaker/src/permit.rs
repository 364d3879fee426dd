//! One admission, one outcome.

use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

use seawall_core::{Complete, Outcome};

use crate::access::{CircuitRef, Single};
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::in_flight::StartBucket;
use crate::record::{AdmissionRecord, UNMEASURED};
use crate::settle::Settle;
use crate::state::LocalState;
use crate::state_word::StateWord;

/// The admission of one call, settled exactly once.
///
/// It carries the generation in which the call was admitted; a result that comes in a later
/// period of the circuit is counted as late and does not vote. Dropped before it was settled, it
/// counts as abandoned: no vote, unless the settings say otherwise, and a probe slot is given back.
/// While it lives, a circuit of a [`BreakerRegistry`](crate::BreakerRegistry) is not evicted.
#[must_use = "a dropped permit counts as abandoned"]
pub struct Permit<D: CircuitRef = Single> {
    /// `None` once it is settled. Dropped by hand: what the compiler adds to `drop` would be a
    /// function call per response.
    held: ManuallyDrop<Option<D::Held>>,
    record: AdmissionRecord,
}

impl<D: CircuitRef> Permit<D> {
    #[inline]
    pub(crate) fn new(held: D::Held, record: AdmissionRecord) -> Self {
        Self {
            held: ManuallyDrop::new(Some(held)),
            record,
        }
    }

    /// Settled already.
    pub(crate) const NONE: Self = Self {
        held: ManuallyDrop::new(None),
        record: AdmissionRecord::NONE,
    };

    /// Takes the permit out of a future, field by field: a copy of the struct would wait for the
    /// stores that have just written it.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        Self {
            held: ManuallyDrop::new(self.held.take()),
            record: AdmissionRecord {
                word: self.record.word,
                start: self.record.start,
                note: self.record.note,
            },
        }
    }

    /// Counts the call among those in flight, if slow ones are watched: nothing has ended it at once.
    #[inline(always)]
    pub(crate) fn watch(&mut self) {
        if self.record.note.bucket() == StartBucket::NOT_YET {
            self.watch_now();
        }
    }

    #[inline(never)]
    fn watch_now(&mut self) {
        if let Some(held) = self.held.as_ref() {
            let AdmissionRecord { word, start, note } = self.record;
            let bucket = match start {
                UNMEASURED => StartBucket::NONE,
                start => held.count_in_flight(word, start),
            };
            self.record.note = note.counted_in(bucket);
        }
    }

    /// The same permit, held by a caller, who may take any time with it.
    #[inline]
    pub(crate) fn watched(mut self) -> Self {
        self.watch();
        self
    }

    /// Whether the call decides about a half-open circuit: as a probe, or as one of its ramp.
    pub const fn is_probe(&self) -> bool {
        self.record.word.is_probe()
    }

    /// Reports that the upstream asked to stay away for `wait` beside a failure, before the permit is
    /// completed with that failure: the circuit that opens by it, or is open already, stays open for
    /// that long, within
    /// [`max_retry_after`](crate::BreakerConfigBuilder::max_retry_after).
    ///
    /// Of several waits the one that ends last counts.
    pub fn delay_probe(&mut self, wait: Duration) {
        if let Some(held) = self.held.as_ref() {
            self.record.note = held.delay_probe(self.record.note, wait);
        }
    }

    /// The inner service panicked.
    #[cold]
    pub(crate) fn panicked(&mut self) {
        if let Some(held) = self.held.take() {
            held.settle_panicked(self.record);
        }
    }

    #[cold]
    fn abandon(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon(self.record);
        }
    }
}

impl<D: CircuitRef> Complete for Permit<D> {
    #[inline(always)]
    fn complete(mut self, outcome: Outcome) {
        if let Some(held) = self.held.take() {
            held.settle(self.record, &outcome);
        }
    }
}

impl<D: CircuitRef> Drop for Permit<D> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.held.is_some() {
            self.abandon();
        }
    }
}

impl<D: CircuitRef> fmt::Debug for Permit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("is_probe", &self.is_probe())
            .finish_non_exhaustive()
    }
}

/// The permit of a call that is being made: if it is still here when it is dropped, the inner service
/// panicked.
pub(crate) struct Departing<D: CircuitRef>(pub(crate) Permit<D>);

impl<D: CircuitRef> Drop for Departing<D> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.held.is_some() {
            self.0.panicked();
        }
    }
}

/// A slot of a half-open circuit: in the probe queue, or a probe slot that readiness has reserved.
/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// `None` once a permit has taken the slot over.
    held: Option<LocalState>,
    at: EntryPoint,
    word: StateWord,
}

impl Reservation {
    pub(crate) fn new(held: LocalState, at: EntryPoint, word: StateWord) -> Self {
        Self {
            held: Some(held),
            at,
            word,
        }
    }

    pub(crate) const fn word(&self) -> StateWord {
        self.word
    }

    /// Hands the slot over to a permit of this word.
    pub(crate) fn into_word(mut self) -> StateWord {
        self.held = None;
        self.word
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.give_back(self.at, self.word);
        }
    }
}
