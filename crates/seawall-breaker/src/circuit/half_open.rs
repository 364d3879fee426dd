//! The half-open state: probes that decide, then perhaps a ramp.

use std::ops::{Deref, DerefMut};

use seawall_core::ns;

use crate::config::{BreakerConfig, Ramp};
use crate::entry_point::EntryPoint;

/// Probes and ramp of the present half-open generation.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    /// When a probe last started or responded.
    probes_since: u64,
    /// When the gate last let a call pass, or a probe last responded. Apart from the probes', or
    /// calls that pass the gate and find no free probe slot would keep a hung probe alive.
    gate_since: u64,
    /// Probes in flight.
    pub(crate) probes: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    /// Calls that the gate let pass and that have not ended: the probe queue.
    pub(crate) queued: u32,
    ramp: Option<Ramping>,
}

/// The present half-open generation in a box of its own: most circuits are not half-open.
#[derive(Debug)]
pub(crate) struct MaybeHalfOpen(Option<Box<HalfOpen>>);

impl MaybeHalfOpen {
    /// Of a circuit in another state.
    pub(crate) const NOT: Self = Self(None);

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.0.as_deref().map_or(0, size_of_val)
    }
}

impl From<HalfOpen> for MaybeHalfOpen {
    fn from(half: HalfOpen) -> Self {
        Self(Some(Box::new(half)))
    }
}

impl Deref for MaybeHalfOpen {
    type Target = HalfOpen;

    fn deref(&self) -> &HalfOpen {
        self.0.as_deref().unwrap_or(&HalfOpen::NO_PROBES)
    }
}

impl DerefMut for MaybeHalfOpen {
    fn deref_mut(&mut self) -> &mut HalfOpen {
        self.0.get_or_insert_with(|| Box::new(HalfOpen::NO_PROBES))
    }
}

#[derive(Clone, Copy, Debug)]
struct Ramping {
    since: u64,
    /// The step that `calls` belongs to.
    step: u64,
    /// Calls that came in this step.
    calls: u64,
}

/// What the probes have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    Undecided,
    Healthy,
    Unhealthy,
}

impl HalfOpen {
    const NO_PROBES: Self = Self {
        probes_since: 0,
        gate_since: 0,
        probes: 0,
        succeeded: 0,
        failed: 0,
        queued: 0,
        ramp: None,
    };

    pub(crate) fn probing(now: u64) -> Self {
        Self {
            probes_since: now,
            gate_since: now,
            ..Self::NO_PROBES
        }
    }

    pub(crate) fn ramping(now: u64) -> Self {
        Self {
            ramp: Some(Ramping {
                since: now,
                step: 0,
                calls: 0,
            }),
            ..Self::probing(now)
        }
    }

    pub(crate) fn is_ramping(&self) -> bool {
        self.ramp.is_some()
    }

    /// Takes a probe slot, or a slot of the probe queue.
    pub(crate) fn take(&mut self, at: EntryPoint, now: u64) {
        let (taken, since) = match at {
            EntryPoint::Gate => (&mut self.queued, &mut self.gate_since),
            EntryPoint::Breaker => (&mut self.probes, &mut self.probes_since),
        };
        (*taken, *since) = (taken.saturating_add(1), now);
    }

    /// Whether every slot is taken. There are never more slots than successes are still needed:
    /// if all calls in flight succeed, the circuit closes.
    pub(crate) fn is_full(&self, config: &BreakerConfig, at: EntryPoint) -> bool {
        let taken = match at {
            EntryPoint::Gate => self.queued,
            EntryPoint::Breaker => self.probes,
        };
        let needed = config.close_policy.needed().saturating_sub(self.succeeded);
        taken >= config.probes.min(needed)
    }

    /// How many nanoseconds the holders of the slots may still take until they count as lost.
    pub(crate) fn time_left(&self, config: &BreakerConfig, at: EntryPoint, now: u64) -> u64 {
        let since = match at {
            EntryPoint::Gate => self.gate_since,
            EntryPoint::Breaker => self.probes_since,
        };
        let timeout = ns(config.probe_timeout);
        since
            .saturating_add(timeout)
            .saturating_sub(now)
            .min(timeout)
    }

    /// A clock that stepped back must not lengthen a timeout.
    pub(crate) fn step_back(&mut self, now: u64) {
        self.probes_since = self.probes_since.min(now);
        self.gate_since = self.gate_since.min(now);
        if let Some(ramping) = &mut self.ramp {
            ramping.since = ramping.since.min(now);
        }
    }

    /// Whether the holders of the slots have taken too long.
    pub(crate) fn is_lost(&self, config: &BreakerConfig, at: EntryPoint, now: u64) -> bool {
        self.time_left(config, at, now) == 0
    }

    /// A probe has ended: whether the upstream is healthy, if the probe shows it.
    pub(crate) fn settle(&mut self, healthy: Option<bool>, now: u64) {
        self.probes = self.probes.saturating_sub(1);
        match healthy {
            Some(true) => self.succeeded = self.succeeded.saturating_add(1),
            Some(false) => self.failed = self.failed.saturating_add(1),
            None => return,
        }
        // The probe time runs from the last sign of life.
        (self.probes_since, self.gate_since) = (now, now);
    }

    pub(crate) fn result(&self, config: &BreakerConfig) -> ProbeResult {
        if self.failed > config.close_policy.spare() {
            ProbeResult::Unhealthy
        } else if self.succeeded >= config.close_policy.needed() {
            ProbeResult::Healthy
        } else {
            ProbeResult::Undecided
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

    /// Counts a call of this step, and whether it passes: the first one, then each 2^halvings-th.
    pub(crate) fn count_call(&mut self, halvings: u32, step: u32) -> bool {
        let Some(ramping) = &mut self.ramp else {
            return true;
        };
        if ramping.step != u64::from(step) {
            (ramping.step, ramping.calls) = (step.into(), 0);
        }
        let passes = ramping.passes(halvings);
        ramping.calls = ramping.calls.wrapping_add(1);
        passes
    }

    /// Whether the next call of this step would pass.
    pub(crate) fn would_pass(&self, halvings: u32, step: u32) -> bool {
        let next = |r: Ramping| r.step != u64::from(step) || r.passes(halvings);
        self.ramp.is_none_or(next)
    }
}

impl Ramping {
    fn passes(self, halvings: u32) -> bool {
        self.calls & ((1_u64 << halvings.min(63)) - 1) == 0
    }
}
