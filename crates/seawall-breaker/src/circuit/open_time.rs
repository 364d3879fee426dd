//! How long a circuit stays open: by the settings, and by what the upstream asks for.

use seawall_core::{CircuitCause, ns};

use super::past::Past;
use super::settled::{OpenHint, Settled};
use crate::circuit::Circuit;
use crate::config::BreakerConfig;
use crate::state_word::CircuitState;
use crate::transition::{Change, Figures};

impl Circuit {
    /// Opens, for a time that grows while openings follow each other.
    pub(super) fn open(
        &mut self,
        config: &BreakerConfig,
        cause: CircuitCause,
        figures: Figures,
        hint: Option<OpenHint>,
        now: u64,
    ) -> Change {
        let opening = config.opening();
        if self.word.state() == CircuitState::Closed {
            let closed_for = now.saturating_sub(self.closed_since);
            self.streak = opening.decayed(self.streak, closed_for);
        }
        let ordinary = opening.plain(self.streak);
        let own = match hint {
            // A throttle says when to come back, and nothing about the health of the upstream.
            Some(OpenHint {
                cause: CircuitCause::Throttled,
                wait,
            }) => wait.unwrap_or(ordinary),
            Some(OpenHint { wait, .. }) => wait.unwrap_or(0).max(ordinary),
            None => ordinary,
        };
        let asked = self.asked_until.saturating_sub(now);
        if cause != CircuitCause::Throttled {
            self.streak = self.streak.saturating_add(1);
        }
        let draw = if opening.jitter > 0.0 {
            Past::of(&mut self.past).draw(config.seed)
        } else {
            0.0
        };
        self.open_until = now.saturating_add(opening.jittered(own.max(asked), draw));
        let change = self.change(CircuitState::Open, cause, figures, now);
        self.begin(Change {
            by_retry_after: asked > own,
            ..change
        })
    }

    /// Keeps in mind what a call of this period asks for.
    pub(super) fn note(&mut self, settled: Settled) {
        self.asked_until = match settled.failed() {
            Some(true) => self.asked_until.max(settled.asked_until),
            Some(false) => 0,
            None => self.asked_until,
        };
    }

    /// A call of an earlier period does not vote, but an open circuit stays open for as long as the ban
    /// lasts that is its result, or as its failure asks for. Returns whether that is longer.
    pub(crate) fn prolong(&mut self, settled: Settled, now: u64) -> bool {
        let ban = match settled.hint {
            Some(OpenHint {
                cause: CircuitCause::Banned,
                wait: Some(wait),
            }) => now.saturating_add(wait),
            _ => 0,
        };
        let until = ban.max(settled.asked_until);
        let longer = self.word.state() == CircuitState::Open && until > self.open_until;
        if longer {
            self.open_until = until;
            if let Some(last) = self.past.as_deref_mut().and_then(Past::last_mut) {
                (last.until, last.by_retry_after) = (until, ban < until);
            }
        }
        longer
    }

    /// Since when calls could pass, or probe; `None` where they cannot. A command of an operator lasts until it is taken back, or for the time that it was given.
    fn passable_since(&self) -> Option<u64> {
        match self.word.state() {
            CircuitState::Closed => Some(self.closed_since),
            CircuitState::HalfOpen => self.log().last().map(|change| change.at),
            CircuitState::Open | CircuitState::ForcedOpen if self.open_until != u64::MAX => {
                Some(self.open_until)
            }
            _ => None,
        }
    }

    /// Whether a circuit that is not closed, and that no call is in flight through, could have been
    /// probed for as long as it is open at first, and was not: its key does not come back.
    pub(crate) fn is_deserted(&self, config: &BreakerConfig, now: u64) -> bool {
        let rests = |since: u64| now >= since.saturating_add(ns(config.open_for));
        self.passable_since().is_some_and(rests)
    }

    /// Whether the next opening would follow another: the time in which calls could pass has not taken
    /// the growth back.
    pub(crate) fn remembers_openings(&self, config: &BreakerConfig, now: u64) -> bool {
        let passed = self.passable_since().map(|since| now.saturating_sub(since));
        config.opening().decayed(self.streak, passed.unwrap_or(0)) > 0
    }
}
