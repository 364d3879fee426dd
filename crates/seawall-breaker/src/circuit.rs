//! The rules of a circuit: pure, under one lock, `now` passed in.
//!
//! Everything here happens rarely: on failures, in the half-open state, on transitions and on
//! commands. Successes of a closed circuit come in bulk (see `votes`).

use crate::config::BreakerConfig;
use crate::ring::Ring;
use crate::word::{State, Word};

/// Why a circuit changed its state.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// So many calls in a row failed.
    ConsecutiveFailures,
    /// Too large a share of the last calls failed.
    FailureRate,
    /// The open time is over.
    OpenTimeOver,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Probes did not answer in time; their places are dealt again.
    ProbesLost,
    /// An operator said so.
    Operator,
}

impl Cause {
    /// The cause as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbesLost => "probes_lost",
            Self::Operator => "operator",
        }
    }
}

/// One transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) cause: Cause,
    /// When, in the clock's nanoseconds.
    pub(crate) at: u64,
}

/// What to do with a call in a state that does not simply pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Let it pass under this word.
    Pass(Word),
    /// Refuse it; come back after so many nanoseconds, if known.
    Refuse(Option<u64>),
}

/// Who asks for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The gate: reserves a place in the herd that may wait for a probe.
    Gate,
    /// The breaker: reserves a probe.
    Breaker,
}

#[derive(Debug)]
pub(crate) struct Circuit {
    pub(crate) word: Word,
    ring: Option<Ring>,
    /// Failures since the last success.
    run: u32,
    /// When an open circuit probes.
    pub(crate) open_until: u64,
    /// When a probe was last let out, or last succeeded.
    probes_since: u64,
    /// When the gate last let a call pass, or a probe last succeeded. Apart from the probes', or
    /// calls that pass the gate and find no probe free would keep a hung probe alive.
    herd_since: u64,
    /// Probes under way.
    probes: u32,
    probe_successes: u32,
    /// Calls that the gate let pass in the half-open state and that have not ended.
    herd: u32,
    pub(crate) last: Option<Change>,
}

impl Circuit {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        Self {
            word: Word::FIRST,
            ring: config.rate.map(|r| Ring::new(r.window.get())),
            run: 0,
            open_until: 0,
            probes_since: 0,
            herd_since: 0,
            probes: 0,
            probe_successes: 0,
            herd: 0,
            last: None,
        }
    }

    /// Calls and failures in the window.
    pub(crate) fn window(&self) -> (u32, u32) {
        self.ring
            .as_ref()
            .map_or((0, 0), |r| (r.len(), r.failures()))
    }

    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// A closed circuit had `successes` since it was last told, and now one failure.
    pub(crate) fn failure(
        &mut self,
        config: &BreakerConfig,
        successes: u64,
        now: u64,
    ) -> Option<Change> {
        if successes > 0 {
            self.run = 0;
        }
        self.run = self.run.saturating_add(1);
        if let Some(ring) = &mut self.ring {
            ring.push_successes(successes);
            ring.push_failure();
        }
        if self.word.state() != State::Closed {
            return None;
        }
        self.tripped_by(config)
            .map(|cause| self.open(config, cause, now))
    }

    fn tripped_by(&self, config: &BreakerConfig) -> Option<Cause> {
        if config.consecutive.is_some_and(|n| self.run >= n.get()) {
            return Some(Cause::ConsecutiveFailures);
        }
        let (rate, ring) = (config.rate?, self.ring.as_ref()?);
        let judged = ring.len() >= rate.min_calls.get();
        // Compared as counts: a share of 0.3 of 10 calls is 3 failures, not 2.999....
        let limit = rate.threshold.get() * f64::from(ring.len());
        (judged && f64::from(ring.failures()) >= limit - 1e-9).then_some(Cause::FailureRate)
    }

    /// Admits or refuses a call. An open circuit whose time is over turns half-open here.
    pub(crate) fn admit(
        &mut self,
        config: &BreakerConfig,
        asks: Asks,
        now: u64,
    ) -> (Admission, Option<Change>) {
        let mut change = None;
        match self.word.state() {
            State::Closed | State::ForcedClosed => return (Admission::Pass(self.word), None),
            State::ForcedOpen => return (Admission::Refuse(None), None),
            State::Open if now < self.open_until => {
                return (Admission::Refuse(Some(self.open_until - now)), None);
            }
            State::Open => change = Some(self.half_open(Cause::OpenTimeOver, now)),
            State::HalfOpen if self.is_full(config, asks) => {
                if !self.is_lost(config, asks, now) {
                    return (Admission::Refuse(None), None);
                }
                // Hung and lost probes must not keep the circuit half-open for ever. In a new
                // generation their results no longer vote.
                change = Some(self.half_open(Cause::ProbesLost, now));
            }
            State::HalfOpen => {}
        }
        match asks {
            Asks::Gate => (self.herd, self.herd_since) = (self.herd + 1, now),
            Asks::Breaker => (self.probes, self.probes_since) = (self.probes + 1, now),
        }
        (Admission::Pass(self.word), change)
    }

    /// Whether every place of the half-open state is taken.
    fn is_full(&self, config: &BreakerConfig, asks: Asks) -> bool {
        let taken = match asks {
            Asks::Gate => self.herd,
            Asks::Breaker => self.probes,
        };
        // No more than can still be needed.
        let needed = config.successes_to_close.get();
        taken >= config.probes.get() || self.probe_successes.saturating_add(taken) >= needed
    }

    /// Whether those that hold the places have not been heard of for the probe time.
    fn is_lost(&self, config: &BreakerConfig, asks: Asks, now: u64) -> bool {
        let since = match asks {
            Asks::Gate => self.herd_since,
            Asks::Breaker => self.probes_since,
        };
        now >= since.saturating_add(seawall_core::ns(config.probe_timeout.get()))
    }

    /// Whether a call that asked now would be refused; changes nothing.
    pub(crate) fn would_refuse(&self, config: &BreakerConfig, asks: Asks, now: u64) -> bool {
        match self.word.state() {
            State::Closed | State::ForcedClosed => false,
            State::ForcedOpen => true,
            State::Open => now < self.open_until,
            State::HalfOpen => self.is_full(config, asks) && !self.is_lost(config, asks, now),
        }
    }

    /// A probe of this generation has answered: well, badly, or with nothing to say.
    pub(crate) fn probe(
        &mut self,
        config: &BreakerConfig,
        well: Option<bool>,
        now: u64,
    ) -> Option<Change> {
        self.probes = self.probes.saturating_sub(1);
        match well {
            None => None,
            Some(false) => Some(self.open(config, Cause::ProbeFailed, now)),
            Some(true) => {
                self.probe_successes = self.probe_successes.saturating_add(1);
                // The probe time runs from the last sign of life.
                (self.probes_since, self.herd_since) = (now, now);
                (self.probe_successes >= config.successes_to_close.get())
                    .then(|| self.become_state(State::Closed, Cause::ProbesSucceeded, now))
            }
        }
    }

    /// A probe of this generation was dropped: it says nothing, and its place is free.
    pub(crate) fn release_probe(&mut self) {
        self.probes = self.probes.saturating_sub(1);
    }

    /// A call that the gate let pass in this generation has ended.
    pub(crate) fn leave_herd(&mut self) {
        self.herd = self.herd.saturating_sub(1);
    }

    /// An operator's command.
    pub(crate) fn force(&mut self, state: State, now: u64) -> Option<Change> {
        // Said again it changes nothing; a reset of a closed circuit still clears its window.
        let again = self.word.state() == state && state != State::Closed;
        (!again).then(|| self.become_state(state, Cause::Operator, now))
    }

    fn open(&mut self, config: &BreakerConfig, cause: Cause, now: u64) -> Change {
        self.open_until = now.saturating_add(seawall_core::ns(config.open_for.get()));
        self.become_state(State::Open, cause, now)
    }

    fn half_open(&mut self, cause: Cause, now: u64) -> Change {
        self.become_state(State::HalfOpen, cause, now)
    }

    /// Enters the next generation: nothing of the one before counts in it.
    fn become_state(&mut self, to: State, cause: Cause, now: u64) -> Change {
        let change = Change {
            from: self.word.state(),
            to,
            cause,
            at: now,
        };
        self.word = self.word.next(to);
        self.run = 0;
        if let Some(ring) = &mut self.ring {
            ring.clear();
        }
        (self.probes, self.probe_successes, self.herd) = (0, 0, 0);
        self.last = Some(change);
        change
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn config() -> BreakerConfig {
        BreakerConfig::builder()
            .failure_rate(0.3, 10)
            .min_calls(10)
            .open_for(Duration::from_secs(10))
            .probes(2)
            .successes_to_close(3)
            .probe_timeout(Duration::from_secs(5))
            .build()
            .expect("valid")
    }

    #[test]
    fn a_rate_is_compared_exactly_and_not_before_the_minimum() {
        let c = config();
        let mut circuit = Circuit::new(&c);
        assert_eq!(circuit.failure(&c, 0, 0), None);
        assert_eq!(circuit.failure(&c, 0, 0), None);
        // The third of nine: over the share, under the minimum.
        assert_eq!(circuit.failure(&c, 6, 0), None);
        // Ten calls, of which four failed.
        let change = circuit.failure(&c, 0, 7).unwrap();
        assert_eq!(change.cause, Cause::FailureRate);
        // Exactly three of ten trip too.
        let mut circuit = Circuit::new(&c);
        circuit.failure(&c, 0, 0);
        circuit.failure(&c, 0, 0);
        assert!(circuit.failure(&c, 7, 0).is_some());
    }

    #[test]
    fn the_window_forgets_failures_that_slid_out() {
        let c = config();
        let mut circuit = Circuit::new(&c);
        circuit.failure(&c, 0, 0);
        circuit.failure(&c, 0, 0);
        assert_eq!(circuit.failure(&c, 1_000_000, 0), None);
        assert_eq!(circuit.window(), (10, 1));
    }

    #[test]
    fn probes_are_bounded_decided_early_and_never_wedge() {
        let c = config();
        let mut circuit = Circuit::new(&c);
        for _ in 0..4 {
            circuit.failure(&c, 3, 0);
        }
        assert_eq!(circuit.word.state(), State::Open);
        let (refused, _) = circuit.admit(&c, Asks::Breaker, 9 * SECOND);
        assert_eq!(refused, Admission::Refuse(Some(SECOND)));

        let (first, change) = circuit.admit(&c, Asks::Breaker, 10 * SECOND);
        assert_eq!(change.unwrap().to, State::HalfOpen);
        let (second, _) = circuit.admit(&c, Asks::Breaker, 10 * SECOND);
        assert!(matches!(
            (first, second),
            (Admission::Pass(_), Admission::Pass(_))
        ));
        let full = circuit.admit(&c, Asks::Breaker, 14 * SECOND);
        assert_eq!(full, (Admission::Refuse(None), None));
        // One is cancelled and gives its place back.
        assert_eq!(circuit.probe(&c, None, 14 * SECOND), None);
        assert!(matches!(
            circuit.admit(&c, Asks::Breaker, 14 * SECOND),
            (Admission::Pass(_), None)
        ));
        // Both hang: after the probe time the places are dealt again.
        let (again, change) = circuit.admit(&c, Asks::Breaker, 19 * SECOND);
        assert_eq!(change.unwrap().cause, Cause::ProbesLost);
        assert_eq!(again, Admission::Pass(circuit.word));
        // Three successes close; no fourth probe is let out for them.
        assert_eq!(circuit.probe(&c, Some(true), 19 * SECOND), None);
        circuit.admit(&c, Asks::Breaker, 19 * SECOND);
        assert_eq!(circuit.probe(&c, Some(true), 19 * SECOND), None);
        circuit.admit(&c, Asks::Breaker, 19 * SECOND);
        let (extra, _) = circuit.admit(&c, Asks::Breaker, 19 * SECOND);
        assert_eq!(extra, Admission::Refuse(None));
        let closed = circuit.probe(&c, Some(true), 19 * SECOND).unwrap();
        assert_eq!(closed.to, State::Closed);
    }

    #[test]
    fn an_open_time_without_end_saturates() {
        let c = BreakerConfig::builder()
            .consecutive_failures(1)
            .open_for(Duration::MAX)
            .build()
            .unwrap();
        let mut circuit = Circuit::new(&c);
        assert!(circuit.failure(&c, 0, 5).is_some());
        assert!(circuit.would_refuse(&c, Asks::Gate, u64::MAX - 1));
    }
}
