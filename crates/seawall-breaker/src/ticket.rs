//! One admission, one outcome.

use seawall_core::{Outcome, Settle};

use crate::shared::{Circuits, Held};
use crate::word::Word;

/// The admission of one call, settled exactly once.
///
/// It carries the generation in which the call was admitted; a result that comes in a later one
/// is counted as late and does not vote. Dropped before it was settled, also before the call's
/// future was first polled, it counts as abandoned: no vote, and a probe's place is given back.
#[must_use = "a dropped ticket counts as abandoned"]
#[derive(Debug)]
pub struct Ticket {
    held: Held,
    word: Word,
    settled: bool,
}

impl Ticket {
    #[inline]
    pub(crate) fn new(held: Held, word: Word) -> Self {
        Self {
            held,
            word,
            settled: false,
        }
    }

    /// Whether the call is a probe of a half-open circuit.
    pub const fn is_probe(&self) -> bool {
        !self.word.is_passing()
    }
}

impl Settle for Ticket {
    #[inline]
    fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.held.settle(self.held.stripe(), self.word, &outcome);
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            self.held.abandon(self.held.stripe(), self.word);
        }
    }
}

/// A place in the herd of a half-open circuit, given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    held: Held,
    word: Word,
}

impl Pass {
    pub(crate) fn new(held: Held, word: Word) -> Self {
        Self { held, word }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.held.leave_herd(self.word);
    }
}
