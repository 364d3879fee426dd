//! One admission, one outcome.

use std::fmt;
use std::mem::ManuallyDrop;

use seawall_core::{Complete, Outcome};

use crate::circuit::Asks;
use crate::circuits::{Circuits, Stub};
use crate::shared::Held;
use crate::word::Word;

/// An admission to the circuit that `X` holds.
pub(crate) struct Admission<X: Circuits> {
    /// Gone once it is settled. Dropped by hand: what the compiler does beside `drop` would be a
    /// call at every answer.
    held: ManuallyDrop<Option<X>>,
    stub: Stub,
}

impl<X: Circuits> Admission<X> {
    #[inline]
    pub(crate) fn new(held: X, stub: Stub) -> Self {
        Self {
            held: ManuallyDrop::new(Some(held)),
            stub,
        }
    }

    /// Takes the admission out of its place in a future, field by field: a copy of the whole
    /// would wait for the stores that have just written it.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        Self {
            held: ManuallyDrop::new(self.held.take()),
            stub: Stub {
                word: self.stub.word,
                start: self.stub.start,
                flight: self.stub.flight,
            },
        }
    }

    #[inline(always)]
    pub(crate) fn complete(mut self, outcome: &Outcome) {
        if let Some(held) = self.held.take() {
            held.settle(self.stub, outcome);
        }
    }

    #[cold]
    fn abandon(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon(self.stub);
        }
    }

    pub(crate) const fn is_probe(&self) -> bool {
        !self.stub.word.is_passing() && !self.stub.word.is_outside()
    }
}

impl<X: Circuits> Drop for Admission<X> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.held.is_some() {
            self.abandon();
        }
    }
}

/// What a future keeps of its admission: sealed, for the tickets of this crate.
pub(crate) trait Admitted: Complete {
    /// The ticket, which leaves nothing behind.
    fn take(&mut self) -> Self;
}

/// The admission of one call, settled exactly once.
///
/// It carries the generation in which the call was admitted; a result that comes in a later
/// period of the circuit is counted as late and does not vote. Dropped before it was settled,
/// also before the call's future was first polled, it counts as abandoned: no vote, unless the
/// settings say otherwise, and a probe's place is given back.
#[must_use = "a dropped ticket counts as abandoned"]
pub struct Permit(Admission<Held>);

impl Permit {
    #[inline]
    pub(crate) fn new(held: Held, stub: Stub) -> Self {
        Self(Admission::new(held, stub))
    }

    /// Whether the call decides about a half-open circuit: as a probe, or as one of its ramp.
    pub const fn is_probe(&self) -> bool {
        self.0.is_probe()
    }
}

impl Admitted for Permit {
    #[inline(always)]
    fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl Complete for Permit {
    #[inline(always)]
    fn complete(self, outcome: Outcome) {
        self.0.complete(&outcome);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("is_probe", &self.is_probe())
            .finish_non_exhaustive()
    }
}

/// A place in the herd of a half-open circuit, or a probe's place that readiness has reserved;
/// given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Gone once a ticket has taken the place over.
    held: Option<Held>,
    asks: Asks,
    word: Word,
}

impl Pass {
    pub(crate) fn new(held: Held, asks: Asks, word: Word) -> Self {
        Self {
            held: Some(held),
            asks,
            word,
        }
    }

    pub(crate) const fn word(&self) -> Word {
        self.word
    }

    /// Hands the place over to a ticket of this word.
    pub(crate) fn into_word(mut self) -> Word {
        self.held = None;
        self.word
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.give_back(self.asks, self.word);
        }
    }
}
