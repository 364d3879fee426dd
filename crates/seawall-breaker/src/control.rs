//! Commands, settings and readings of a circuit.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::circuit::Circuit;
use crate::config::BreakerConfig;
use crate::counts::{CircuitCounts, CircuitSnapshot};
use crate::publish::Publish;
use crate::state::Locked;
use crate::sync::Ordering;
use crate::transition::{Change, Explanation, Transition, TransitionCounts};

pub(crate) trait Control: Publish {
    /// Carries out a command. `keeps` is whether what is counted goes on counting.
    fn command(&self, keeps: bool, act: impl FnOnce(&mut Circuit, u64) -> Option<Change>) {
        let now = self.common().now();
        let mut locked = self.lock_drained(now);
        let change = act(&mut locked.circuit, now);
        self.publish(locked, change, keeps, now);
    }

    fn force_open(&self) {
        self.command(false, Circuit::force_open);
    }

    fn force_closed(&self) {
        self.command(true, Circuit::force_closed);
    }

    fn automatic(&self) {
        self.command(true, Circuit::automatic);
    }

    fn reset(&self) {
        self.command(false, |circuit, now| Some(circuit.reset(now)));
    }

    /// Takes the settings that `new` makes of the present ones; none to keep them.
    fn configure_with(&self, new: impl FnOnce(&BreakerConfig) -> Option<Arc<BreakerConfig>>) {
        let common = self.common();
        let now = common.now();
        let mut locked = self.lock_drained(now);
        let Some(config) = new(&locked.config) else {
            return;
        };
        let old = mem::replace(&mut locked.config, config);
        if old.slow_after != locked.config.slow_after {
            common.next_check.store(0, Ordering::Relaxed);
            self.begin_watch(&mut locked);
        }
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        let change = circuit.configure(&old, config, now);
        self.publish(locked, change, true, now);
    }

    fn config(&self) -> Arc<BreakerConfig> {
        Arc::clone(&self.common().lock().config)
    }

    /// The first generation of the present period.
    fn since(&self) -> u64 {
        self.common().lock().circuit.since
    }

    fn explain(&self) -> Explanation {
        let now = self.common().now();
        let locked = self.common().lock();
        locked.circuit.explain(&locked.config, now)
    }

    fn last_transition(&self) -> Option<Transition> {
        let common = self.common();
        let locked = common.lock();
        let last = locked.circuit.log().last();
        last.map(|change| change.to_transition(&common.setup.clock))
    }

    /// The counters of this moment.
    fn counts_of(&self, locked: &mut Locked) -> CircuitCounts {
        let rare = self.stripes().filter_map(|stripe| stripe.counters.get());
        let mut counts = CircuitCounts::sum(rare);
        counts.rejected += self.stripes().map(|s| s.rejected.get()).sum::<u64>();
        counts.success += locked.drained;
        let not_drained = self.stripes().map(|stripe| stripe.successes.peek());
        counts.success += not_drained.sum::<u64>();
        counts.success += self.common().periods.carried_over.load(Ordering::Relaxed);
        locked.reported_successes = locked.reported_successes.max(counts.success);
        counts.success = locked.reported_successes;
        counts
    }

    fn counts(&self) -> CircuitCounts {
        self.counts_of(&mut self.common().lock())
    }

    /// Everything at one moment.
    fn snapshot(&self) -> CircuitSnapshot {
        let common = self.common();
        let now = common.now();
        let mut locked = self.lock_drained(now);
        let counts = self.counts_of(&mut locked);
        let (circuit, config) = (&locked.circuit, &locked.config);
        let state = circuit.word.state();
        let windows = circuit.windows();
        let until = circuit.open_until;
        let ends = state.is_rejecting() && until != u64::MAX;
        let transitions = circuit.log().iter();
        CircuitSnapshot {
            name: common.setup.name(),
            state,
            in_state: Duration::from_nanos(now.saturating_sub(circuit.in_state_since())),
            shadow: circuit.word.is_shadow(),
            probes_in: ends.then(|| Duration::from_nanos(until.saturating_sub(now))),
            ramp_share: circuit.ramp_share(config, now),
            calls: windows.calls(config),
            slow_calls: windows.slow_calls(config),
            time: windows.time(config, config.pace.epoch(now)),
            failures_in_a_row: windows.run(),
            overdue: self.overdue(&locked, now),
            openings_in_a_row: circuit.streak(),
            transitions: transitions
                .map(|change| change.to_transition(&common.setup.clock))
                .collect(),
            counts,
        }
    }

    /// How often each transition happened.
    fn transitions(&self) -> TransitionCounts {
        let locked = self.common().lock();
        locked.circuit.transitions().cloned().unwrap_or_default()
    }
}

impl<X: Publish> Control for X {}
