//! What an operator does to a circuit, and what it shows of itself.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::{Change, Explanation, Transition};
use crate::circuit::Circuit;
use crate::circuits::Circuits;
use crate::config::BreakerConfig;
use crate::counts::{CircuitSnapshot, Counts};
use crate::shared::Cold;
use crate::sync::Ordering;
use crate::word::State;

/// Commands and readings of whoever holds a circuit.
pub(crate) trait Control: Circuits {
    /// Carries out a command. `keeps` says whether what is counted goes on counting.
    fn command(
        &self,
        keeps: bool,
        act: impl FnOnce(&mut Circuit, &BreakerConfig, u64) -> Option<Change>,
    ) {
        let common = self.common();
        let now = common.now();
        let mut cold = common.lock();
        if cold.circuit.word.is_passing() {
            self.drain(&mut cold, now);
        }
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let change = act(circuit, config, now);
        self.publish(cold, change, keeps, now);
    }

    /// Takes other settings.
    fn configure(&self, config: Arc<BreakerConfig>) {
        let common = self.common();
        let now = common.now();
        let mut cold = common.lock();
        if cold.circuit.word.is_passing() {
            self.drain(&mut cold, now);
        }
        let old = mem::replace(&mut cold.config, config);
        if old.slow_after != cold.config.slow_after {
            cold.watch = cold.watch.wrapping_add(1);
            common.next_look.store(0, Ordering::Relaxed);
            for stripe in self.each() {
                stripe.watch(&cold.config, cold.watch);
            }
        }
        let Cold {
            circuit, config, ..
        } = &mut *cold;
        let change = circuit.configure(&old, config, now);
        self.publish(cold, change, true, now);
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
        let cold = self.common().lock();
        cold.circuit.explain(&cold.config, now)
    }

    fn last_transition(&self) -> Option<Transition> {
        let common = self.common();
        let cold = common.lock();
        let last = cold.circuit.log().last();
        last.map(|change| change.on(&common.setup.clock))
    }

    /// The counters of this moment.
    fn counts(&self, cold: &mut Cold) -> Counts {
        let common = self.common();
        let mut counts = Counts {
            successes: cold.totals.successes + common.carried.load(Ordering::Relaxed),
            failures: cold.totals.failures,
            abstained: cold.totals.abstained,
            slow: cold.totals.slow,
            abandoned: common.rare.abandoned.load(Ordering::Relaxed),
            late: common.rare.late.load(Ordering::Relaxed),
            unjudged: common.rare.unjudged.load(Ordering::Relaxed),
            would_reject: common.rare.would_reject.load(Ordering::Relaxed),
            not_ready: common.rare.not_ready.load(Ordering::Relaxed),
            gate_not_ready: common.rare.gate_not_ready.load(Ordering::Relaxed),
            ..Counts::default()
        };
        for (_, to, n) in cold.transitions() {
            *match to {
                State::Open | State::ForcedOpen => &mut counts.opened,
                State::HalfOpen => &mut counts.half_opened,
                State::Closed | State::Disabled => &mut counts.closed,
            } += n;
        }
        for stripe in self.each() {
            let (rejected, gate_rejected) = stripe.rejections();
            counts.successes += stripe.successes.peek();
            counts.rejected += rejected;
            counts.gate_rejected += gate_rejected;
        }
        cold.totals.told = cold.totals.told.max(counts.successes);
        counts.successes = cold.totals.told;
        counts
    }

    /// Everything at one moment.
    fn snapshot(&self) -> CircuitSnapshot {
        let common = self.common();
        let now = common.now();
        let mut cold = common.lock();
        if cold.circuit.word.is_passing() {
            self.drain(&mut cold, now);
        }
        let counts = self.counts(&mut cold);
        let circuit = &cold.circuit;
        let word = circuit.word;
        let state = word.state();
        let windows = circuit.windows();
        let until = circuit.open_until;
        let rejects = matches!(state, State::Open | State::ForcedOpen) && until != u64::MAX;
        CircuitSnapshot {
            state,
            shadow: word.is_shadow(),
            probes_in: rejects.then(|| Duration::from_nanos(until.saturating_sub(now))),
            ramp_share: circuit.ramp_share(&cold.config, now),
            calls: windows.calls(),
            slow_calls: windows.slow_calls(),
            time: windows.time(cold.config.pace.epoch(now)),
            failures_in_a_row: windows.run(),
            overdue: self.overdue(&cold, now),
            openings_in_a_row: circuit.streak(),
            transitions: circuit
                .log()
                .iter()
                .map(|change| change.on(&common.setup.clock))
                .collect(),
            counts,
        }
    }

    /// Transitions by the states before and after, those that never were left out.
    fn transitions(&self) -> Vec<(State, State, u64)> {
        self.common().lock().transitions().collect()
    }
}

impl<X: Circuits> Control for X {}
