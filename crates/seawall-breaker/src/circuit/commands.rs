//! Commands of an operator or a recovery. They hold until they are taken back, whatever the rules decide.

use seawall_core::CircuitCause;

use crate::circuit::Circuit;
use crate::config::BreakerConfig;
use crate::state_word::CircuitState;
use crate::transition::{Change, Figures};

impl Circuit {
    /// Rejects every call until an operator takes it back.
    pub(crate) fn force_open(&mut self, now: u64) -> Option<Change> {
        self.force_open_until(u64::MAX, now)
    }

    /// Rejects every call until then, and probes.
    pub(crate) fn force_open_until(&mut self, until: u64, now: u64) -> Option<Change> {
        let cause = CircuitCause::of_command();
        let already = self.word.state() == CircuitState::ForcedOpen && self.open_until == until;
        // An operator takes over what a recovery holds.
        (!already || self.why_open() != cause).then(|| {
            self.open_until = until;
            self.enter(CircuitState::ForcedOpen, cause, Figures::NONE, now)
        })
    }

    /// Lets every call pass, and counts it, until an operator takes it back. A closed circuit
    /// keeps its windows.
    pub(crate) fn force_closed(&mut self, now: u64) -> Option<Change> {
        (self.word.state() != CircuitState::ForcedClosed).then(|| {
            self.enter(
                CircuitState::ForcedClosed,
                CircuitCause::of_command(),
                Figures::NONE,
                now,
            )
        })
    }

    /// Returns a forced circuit to its rules: one that was forced open probes, one that was forced
    /// closed closes and keeps its windows.
    pub(crate) fn automatic(&mut self, now: u64) -> Option<Change> {
        let to = match self.word.state() {
            CircuitState::ForcedOpen => CircuitState::HalfOpen,
            CircuitState::ForcedClosed => CircuitState::Closed,
            _ => return None,
        };
        Some(self.enter(to, CircuitCause::of_command(), Figures::NONE, now))
    }

    /// Closes the circuit and forgets its windows and the growth of its open time.
    pub(crate) fn reset(&mut self, now: u64) -> Change {
        self.streak = 0;
        let change = self.enter(
            CircuitState::Closed,
            CircuitCause::of_command(),
            Figures::NONE,
            now,
        );
        self.windows.clear();
        change
    }

    /// Takes other settings: a new generation of the same period. State, open time and windows
    /// stay, as far as the new settings hold them; probes that decide under them do so now.
    pub(crate) fn configure(
        &mut self,
        old: &BreakerConfig,
        new: &BreakerConfig,
        now: u64,
    ) -> Option<Change> {
        self.word = self.word.same_state().with_settings(new);
        self.windows.configure(old, new, now);
        if old.seed != new.seed
            && let Some(past) = &mut self.past
        {
            past.reseed();
        }
        let change = match self.word.state() {
            CircuitState::HalfOpen if self.half.is_ramping() => self.end_ramp(new, now),
            CircuitState::HalfOpen => self.decide(new, now),
            _ => None,
        };
        if change.is_some() {
            // Two generations on the same snapshot is used again, which may be read at this moment.
            self.word = self.word.same_state();
            self.since = self.word.generation();
        }
        change
    }
}
