//! What an operator says. It holds until it is taken back, whatever the rules say.

use fastrand::Rng;

use crate::cause::{Cause, Change, Figures};
use crate::circuit::Circuit;
use crate::config::BreakerConfig;
use crate::word::State;

impl Circuit {
    /// Rejects every call until an operator releases the circuit.
    pub(crate) fn force_open(&mut self, now: u64) -> Option<Change> {
        self.force_open_until(u64::MAX, now)
    }

    /// Rejects every call until then, and probes.
    pub(crate) fn force_open_until(&mut self, until: u64, now: u64) -> Option<Change> {
        let again = self.word.state() == State::ForcedOpen && self.open_until == until;
        (!again).then(|| {
            self.open_until = until;
            self.enter(State::ForcedOpen, Cause::Operator, Figures::NONE, now)
        })
    }

    /// Lets every call pass, and counts it, until an operator releases the circuit. A closed
    /// circuit keeps its windows.
    pub(crate) fn force_closed(&mut self, now: u64) -> Option<Change> {
        (self.word.state() != State::Disabled)
            .then(|| self.enter(State::Disabled, Cause::Operator, Figures::NONE, now))
    }

    /// Gives a forced circuit back to the rules: it probes. A disabled one closes and keeps its
    /// windows.
    pub(crate) fn automatic(&mut self, now: u64) -> Option<Change> {
        let to = match self.word.state() {
            State::ForcedOpen => State::HalfOpen,
            State::Disabled => State::Closed,
            _ => return None,
        };
        Some(self.enter(to, Cause::Operator, Figures::NONE, now))
    }

    /// Closes the circuit and forgets its windows and the growth of its open time.
    pub(crate) fn reset(&mut self, now: u64) -> Change {
        self.streak = 0;
        let change = self.enter(State::Closed, Cause::Operator, Figures::NONE, now);
        self.windows.clear();
        change
    }

    /// Turns the shadow on or off: a new generation of the same period. Returns whether it did.
    pub(crate) fn set_shadow(&mut self, on: bool) -> bool {
        let changes = self.word.is_shadow() != on;
        if changes {
            self.word = self.word.again().with_shadow(on);
        }
        changes
    }

    /// Takes other settings: a new generation of the same period. State, open time and windows
    /// stay, as far as the new settings hold them; probes that decide under them do so now.
    pub(crate) fn configure(
        &mut self,
        old: &BreakerConfig,
        new: &BreakerConfig,
        now: u64,
    ) -> Option<Change> {
        self.word = self.word.again().with_shadow(new.shadow);
        self.windows.configure(old, new, now);
        if old.seed != new.seed {
            self.rng = new.seed.map_or_else(Rng::new, Rng::with_seed);
        }
        let change = match self.word.state() {
            State::HalfOpen if self.half.is_ramping() => self.end_ramp(new, now),
            State::HalfOpen => self.decide(new, now),
            _ => None,
        };
        if change.is_some() {
            // Two generations on is the same beat again, which may be read at this moment.
            self.word = self.word.again();
            self.since = self.word.generation();
        }
        change
    }
}
