//! The half-open state: probes that decide, then perhaps a ramp.

use seawall_core::ns;

use crate::circuit::Asks;
use crate::config::{BreakerConfig, Ramp};

/// Probes and ramp of the present half-open generation.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    /// When a probe was last let out, or last answered.
    probes_since: u64,
    /// When the gate last let a call pass, or a probe last answered. Apart from the probes', or
    /// calls that pass the gate and find no probe free would keep a hung probe alive.
    herd_since: u64,
    /// Probes under way.
    pub(crate) probes: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    /// Calls that the gate let pass and that have not ended.
    pub(crate) herd: u32,
    ramp: Option<Ramping>,
}

#[derive(Clone, Copy, Debug)]
struct Ramping {
    since: u64,
    /// The step that `dealt` is of.
    step: u64,
    /// Calls that asked in this step.
    dealt: u64,
}

/// What the probes have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Undecided,
    Well,
    Unwell,
}

impl HalfOpen {
    pub(crate) fn probing(now: u64) -> Self {
        Self {
            probes_since: now,
            herd_since: now,
            ..Self::default()
        }
    }

    pub(crate) fn ramping(now: u64) -> Self {
        Self {
            ramp: Some(Ramping {
                since: now,
                step: 0,
                dealt: 0,
            }),
            ..Self::probing(now)
        }
    }

    pub(crate) fn is_ramping(&self) -> bool {
        self.ramp.is_some()
    }

    /// Takes a place for a probe or in the herd.
    pub(crate) fn take(&mut self, asks: Asks, now: u64) {
        match asks {
            Asks::Gate => (self.herd, self.herd_since) = (self.herd.saturating_add(1), now),
            Asks::Breaker => {
                (self.probes, self.probes_since) = (self.probes.saturating_add(1), now);
            }
        }
    }

    /// Whether every place is taken. There are no more of them than successes can still be
    /// needed: if all that are under way succeed, the verdict falls.
    pub(crate) fn is_full(&self, config: &BreakerConfig, asks: Asks) -> bool {
        let taken = match asks {
            Asks::Gate => self.herd,
            Asks::Breaker => self.probes,
        };
        let needed = config.close_policy.needed().saturating_sub(self.succeeded);
        taken >= config.probes.get().min(needed)
    }

    /// How long those that hold the places may still be silent, in nanoseconds.
    pub(crate) fn patience(&self, config: &BreakerConfig, asks: Asks, now: u64) -> u64 {
        let since = match asks {
            Asks::Gate => self.herd_since,
            Asks::Breaker => self.probes_since,
        };
        let timeout = ns(config.probe_timeout.get());
        since
            .saturating_add(timeout)
            .saturating_sub(now)
            .min(timeout)
    }

    /// A clock that stepped back must not lengthen anybody's patience.
    pub(crate) fn step_back(&mut self, now: u64) {
        self.probes_since = self.probes_since.min(now);
        self.herd_since = self.herd_since.min(now);
        if let Some(ramping) = &mut self.ramp {
            ramping.since = ramping.since.min(now);
        }
    }

    /// Whether they have been silent for too long.
    pub(crate) fn is_lost(&self, config: &BreakerConfig, asks: Asks, now: u64) -> bool {
        self.patience(config, asks, now) == 0
    }

    /// A probe has answered: well, badly, or with nothing to say.
    pub(crate) fn settle(&mut self, well: Option<bool>, now: u64) {
        self.probes = self.probes.saturating_sub(1);
        match well {
            Some(true) => self.succeeded = self.succeeded.saturating_add(1),
            Some(false) => self.failed = self.failed.saturating_add(1),
            None => return,
        }
        // The probe time runs from the last sign of life.
        (self.probes_since, self.herd_since) = (now, now);
    }

    pub(crate) fn decision(&self, config: &BreakerConfig) -> Decision {
        if self.failed > config.close_policy.spare() {
            Decision::Unwell
        } else if self.succeeded >= config.close_policy.needed() {
            Decision::Well
        } else {
            Decision::Undecided
        }
    }

    /// The step of the ramp, from 0, and how long it still lasts; `None` when the ramp is over.
    pub(crate) fn step(&self, ramp: Option<Ramp>, now: u64) -> Option<(u32, u64)> {
        let (ramping, ramp) = (self.ramp?, ramp?);
        let length = ns(ramp.step).max(1);
        let spent = now.saturating_sub(ramping.since);
        let step = u32::try_from(spent / length).unwrap_or(u32::MAX);
        (step < ramp.steps).then_some((step, length - spent % length))
    }

    /// How many calls in this step there are for one that passes, as a power of two.
    pub(crate) fn halvings(ramp: Option<Ramp>, step: u32) -> u32 {
        ramp.map_or(0, |r| r.steps.saturating_sub(step))
    }

    /// Deals the share of this step: the first call passes, and then each 2^halvings-th.
    pub(crate) fn deal(&mut self, halvings: u32, step: u32) -> bool {
        let Some(ramping) = &mut self.ramp else {
            return true;
        };
        if ramping.step != u64::from(step) {
            (ramping.step, ramping.dealt) = (step.into(), 0);
        }
        let passes = ramping.passes(halvings);
        ramping.dealt = ramping.dealt.wrapping_add(1);
        passes
    }

    /// Whether the next call of this step would pass.
    pub(crate) fn would_deal(&self, halvings: u32, step: u32) -> bool {
        let next = |r: Ramping| r.step != u64::from(step) || r.passes(halvings);
        self.ramp.is_none_or(next)
    }
}

impl Ramping {
    fn passes(self, halvings: u32) -> bool {
        self.dealt & ((1_u64 << halvings.min(63)) - 1) == 0
    }
}
