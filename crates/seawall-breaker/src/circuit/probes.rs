//! Results of the probes and of the ramp.

use seawall_core::CircuitCause;

use crate::circuit::Circuit;
use crate::circuit::half_open::{HalfOpen, ProbeResult};
use crate::circuit::settled::Settled;
use crate::config::BreakerConfig;
use crate::state_word::CircuitState;
use crate::transition::{Change, Figures};

impl Circuit {
    /// Settles a call of this period that passed a half-open circuit, as a probe or in the ramp.
    /// Its slot is free afterwards: waiters should be woken.
    pub(crate) fn settle_probe(
        &mut self,
        config: &BreakerConfig,
        settled: Settled,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        if self.word.state() != CircuitState::HalfOpen {
            return None;
        }
        if self.half.is_ramping() {
            self.count(config, settled, now);
            let opened = self.evaluate(config, settled, overdue, now);
            return opened.or_else(|| self.end_ramp(config, now));
        }
        self.note(settled);
        // A slow probe is no proof that the upstream is healthy.
        let healthy = match settled.failed() {
            None if !settled.slow => None,
            failed => Some(failed == Some(false) && !settled.slow),
        };
        self.half.settle(healthy, now);
        if let Some(hint) = settled.hint {
            return Some(self.open(config, hint.cause, Figures::NONE, Some(hint), now));
        }
        self.decide(config, now)
    }

    /// Opens or closes as soon as the result of the probes is certain.
    pub(super) fn decide(&mut self, config: &BreakerConfig, now: u64) -> Option<Change> {
        let (succeeded, failed) = (u64::from(self.half.succeeded), u64::from(self.half.failed));
        let among = succeeded + failed;
        match self.half.result(config) {
            ProbeResult::Undecided => None,
            ProbeResult::Unhealthy => {
                let limit = f64::from(config.close_policy.spare());
                let figures = Figures {
                    of: failed,
                    among,
                    limit,
                };
                Some(self.open(config, CircuitCause::ProbeFailed, figures, None, now))
            }
            ProbeResult::Healthy => {
                let limit = f64::from(config.close_policy.needed());
                let figures = Figures {
                    of: succeeded,
                    among,
                    limit,
                };
                let to = if config.rare().ramp.is_some() {
                    CircuitState::HalfOpen
                } else {
                    CircuitState::Closed
                };
                let change = self.enter(to, CircuitCause::ProbesSucceeded, figures, now);
                if config.rare().ramp.is_some() {
                    self.half = HalfOpen::ramping(now).into();
                }
                Some(change)
            }
        }
    }

    pub(super) fn end_ramp(&mut self, config: &BreakerConfig, now: u64) -> Option<Change> {
        let over = self.half.step(config.rare().ramp, now).is_none();
        over.then(|| {
            self.enter(
                CircuitState::Closed,
                CircuitCause::RampCompleted,
                Figures::NONE,
                now,
            )
        })
    }

    /// A probe of this period was dropped: it does not vote, and its slot is free. Returns whether
    /// calls may be waiting for it.
    pub(crate) fn release_probe(&mut self) -> bool {
        self.half.probes = self.half.probes.saturating_sub(1);
        self.word.state() == CircuitState::HalfOpen
    }

    /// A call that the gate let pass in this period has ended. Returns whether calls may be
    /// waiting for its slot.
    pub(crate) fn release_queued(&mut self) -> bool {
        self.half.queued = self.half.queued.saturating_sub(1);
        self.word.state() == CircuitState::HalfOpen
    }

    pub(crate) fn is_ramping(&self) -> bool {
        self.word.state() == CircuitState::HalfOpen && self.half.is_ramping()
    }

    /// The share of the calls that pass while the circuit ramps up, from 0 to 1.
    pub(crate) fn ramp_share(&self, config: &BreakerConfig, now: u64) -> Option<f64> {
        if !self.is_ramping() {
            return None;
        }
        let (step, _) = self.half.step(config.rare().ramp, now)?;
        Some(0.5_f64.powi(HalfOpen::halvings(config.rare().ramp, step) as i32))
    }
}
