//! Admission of calls while a circuit does not simply pass them.

use seawall_core::CircuitCause;

use crate::circuit::Circuit;
use crate::circuit::half_open::HalfOpen;
use crate::config::BreakerConfig;
use crate::entry_point::EntryPoint;
use crate::state_word::{CircuitState, StateWord};
use crate::transition::{Change, Figures};

/// A rejection: how many nanoseconds it lasts at least, if that is known, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) wait: Option<u64>,
    pub(crate) cause: CircuitCause,
}

/// What to do with a call in a state that does not simply pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Let it pass under this word.
    Pass(StateWord),
    /// Let it pass under this word, which never votes, and report that it would have been rejected.
    Shadow(StateWord, Denial),
    Reject(Denial),
}

impl Circuit {
    /// Admits or rejects a call. An open circuit whose time is over turns half-open here, and a
    /// ramp that is completed closes. `ramps` is whether the share of a ramp is applied at this
    /// entry point.
    pub(crate) fn admit(
        &mut self,
        config: &BreakerConfig,
        at: EntryPoint,
        ramps: bool,
        now: u64,
    ) -> (Admission, Option<Change>) {
        let change = self.advance(config, at, now);
        let denial = self.denial(config, at, ramps, now);
        if self.word.state() == CircuitState::HalfOpen {
            if let Some((step, _)) = self.half.step(config.rare().ramp, now) {
                if ramps {
                    let halvings = HalfOpen::halvings(config.rare().ramp, step);
                    self.half.count_call(halvings, step);
                }
            } else if denial.is_none() {
                self.half.take(at, now);
            }
        }
        let admission = match denial {
            None => Admission::Pass(self.word),
            Some(denial) if self.is_shadow() => Admission::Shadow(self.word.unjudged(), denial),
            Some(denial) => Admission::Reject(denial),
        };
        (admission, change)
    }

    /// Whether calls pass that would be rejected. A circuit that an operator forces open rejects in
    /// shadow mode too.
    pub(super) fn is_shadow(&self) -> bool {
        self.word.is_shadow() && self.word.state() != CircuitState::ForcedOpen
    }

    /// Makes the transitions that are due when a call comes.
    fn advance(&mut self, config: &BreakerConfig, at: EntryPoint, now: u64) -> Option<Change> {
        if self.word.state() == CircuitState::HalfOpen {
            self.half.step_back(now);
        }
        let cause = match self.word.state() {
            CircuitState::Open if now >= self.open_until => CircuitCause::OpenTimeOver,
            CircuitState::ForcedOpen if now >= self.open_until => CircuitCause::ForcedTimeOver,
            CircuitState::HalfOpen if self.half.is_ramping() => return self.end_ramp(config, now),
            // Hung and lost probes must not keep the circuit half-open forever. In a new
            // generation their results no longer vote.
            CircuitState::HalfOpen
                if self.half.is_full(config, at) && self.half.is_lost(config, at, now) =>
            {
                CircuitCause::ProbesLost
            }
            _ => return None,
        };
        Some(self.enter(CircuitState::HalfOpen, cause, Figures::NONE, now))
    }

    /// Why a call that came now would be rejected, if it would; changes nothing. Not in a ramp,
    /// whose share is applied to calls alone.
    pub(crate) fn would_reject(
        &self,
        config: &BreakerConfig,
        at: EntryPoint,
        now: u64,
    ) -> Option<Denial> {
        let lost =
            self.word.state() == CircuitState::HalfOpen && self.half.is_lost(config, at, now);
        if lost || self.is_ramping() || self.is_shadow() {
            return None;
        }
        self.denial(config, at, true, now)
    }

    pub(super) fn denial(
        &self,
        config: &BreakerConfig,
        at: EntryPoint,
        ramps: bool,
        now: u64,
    ) -> Option<Denial> {
        let wait = (self.open_until != u64::MAX).then(|| self.open_until.saturating_sub(now));
        match self.word.state() {
            CircuitState::Closed | CircuitState::ForcedClosed => None,
            CircuitState::Open | CircuitState::ForcedOpen => {
                (now < self.open_until).then(|| Denial {
                    wait,
                    cause: self.why_open(),
                })
            }
            CircuitState::HalfOpen if self.half.is_ramping() => {
                let (step, left) = self.half.step(config.rare().ramp, now)?;
                let halvings = HalfOpen::halvings(config.rare().ramp, step);
                let passes = !ramps || self.half.would_pass(halvings, step);
                (!passes).then(|| Denial {
                    wait: Some(left),
                    cause: CircuitCause::Recovering {
                        percent: (100_u32 >> halvings.min(31)) as u8,
                    },
                })
            }
            CircuitState::HalfOpen => self.half.is_full(config, at).then_some(Denial {
                wait: None,
                cause: CircuitCause::Probing,
            }),
        }
    }

    /// How many nanoseconds a waiter has to wait at most until the slot of a lost probe is free; 0
    /// where no call has to wait.
    pub(crate) fn time_left(&self, config: &BreakerConfig, at: EntryPoint, now: u64) -> u64 {
        match self.word.state() {
            CircuitState::HalfOpen if !self.half.is_ramping() => {
                self.half.time_left(config, at, now)
            }
            _ => 0,
        }
    }
}
