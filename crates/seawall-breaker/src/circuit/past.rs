//! What a circuit keeps of its transitions.

use fastrand::Rng;

use crate::transition::{Change, TransitionCounts};

/// Transitions that are remembered.
const LOG: usize = 8;

/// The past of a circuit that has changed its state, in a box of its own: most circuits of a
/// registry never do.
#[derive(Debug)]
pub(super) struct Past {
    /// The last transitions, oldest first.
    log: Vec<Change>,
    counts: TransitionCounts,
    /// Of the jitter; made by the first opening that has some.
    rng: Option<Rng>,
}

impl Past {
    /// The past, which begins now if there is none yet.
    pub(super) fn of(past: &mut Option<Box<Self>>) -> &mut Self {
        past.get_or_insert_with(|| {
            Box::new(Self {
                log: Vec::new(),
                counts: TransitionCounts::default(),
                rng: None,
            })
        })
    }

    pub(super) fn log(&self) -> &[Change] {
        &self.log
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Change> {
        self.log.last_mut()
    }

    pub(super) const fn counts(&self) -> &TransitionCounts {
        &self.counts
    }

    pub(super) fn enter(&mut self, change: Change) {
        if self.log.len() == LOG {
            self.log.remove(0);
        }
        self.log.push(change);
        self.counts.add(change.from, change.to, 1);
    }

    /// The next number of the jitter, from 0 to 1.
    pub(super) fn draw(&mut self, seed: Option<u64>) -> f64 {
        let rng = self
            .rng
            .get_or_insert_with(|| seed.map_or_else(Rng::new, Rng::with_seed));
        rng.f64()
    }

    /// The next jitter is drawn by another seed.
    pub(super) fn reseed(&mut self) {
        self.rng = None;
    }

    /// Bytes of each block on the heap.
    pub(super) fn heap(&self) -> [usize; 2] {
        [
            self.log.capacity() * size_of::<Change>(),
            self.counts.heap(),
        ]
    }
}
