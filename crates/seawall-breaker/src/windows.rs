//! What a circuit has counted, and the built-in rules.

use seawall_core::CircuitCause;

use crate::buckets::Buckets;
use crate::config::{BreakerConfig, RateRule};
use crate::ring::Ring;
use crate::rule::WindowStats;
use crate::transition::Figures;

/// The windows of a configuration. Each is there only while a rule needs it.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    failures: Option<Ring>,
    slow: Option<Box<Ring>>,
    time: Option<Box<Buckets>>,
    /// Failures since the last success.
    run: u32,
}

impl Windows {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let timed = config.failure_rate_over.is_some() || config.slow_rate_over.is_some();
        Self {
            failures: config.failure_rate.map(|r| Ring::new(r.over)),
            slow: config.slow_rate.map(|r| Box::new(Ring::new(r.over))),
            time: timed.then(Buckets::new),
            run: 0,
        }
    }

    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// Bytes on the heap, with some for what an allocator keeps per block.
    pub(crate) fn heap(&self) -> usize {
        const BLOCK: usize = 16;
        let ring = |ring: &Ring| ring.heap() + BLOCK;
        let slow = |slow: &Ring| ring(slow) + size_of::<Ring>() + BLOCK;
        self.failures.as_ref().map_or(0, ring)
            + self.slow.as_deref().map_or(0, slow)
            + self
                .time
                .as_ref()
                .map_or(0, |_| size_of::<Buckets>() + BLOCK)
    }

    /// The window of `failure_rate`.
    pub(crate) fn calls(&self) -> Option<WindowStats> {
        let stats = |r: &Ring| WindowStats {
            calls: r.len().into(),
            failures: r.marks().into(),
            slow: 0,
        };
        self.failures.as_ref().map(stats)
    }

    /// The window of `slow_rate`.
    pub(crate) fn slow_calls(&self) -> Option<WindowStats> {
        let stats = |r: &Ring| WindowStats {
            calls: r.len().into(),
            failures: 0,
            slow: r.marks().into(),
        };
        self.slow.as_deref().map(stats)
    }

    /// The time window as seen in `epoch`.
    pub(crate) fn time(&self, epoch: u64) -> Option<WindowStats> {
        self.time.as_ref().map(|b| b.timed(epoch))
    }

    /// Whether nothing that still counts has failed or was slow.
    pub(crate) fn is_clean(&self, epoch: u64) -> bool {
        let bad = |stats: Option<WindowStats>| stats.is_some_and(|t| t.failures > 0 || t.slow > 0);
        self.run == 0 && !bad(self.calls()) && !bad(self.slow_calls()) && !bad(self.time(epoch))
    }

    /// Enters `count` successes that were not slow; `epoch` is `None` for those that are out of
    /// the time window.
    pub(crate) fn succeed(&mut self, epoch: Option<u64>, count: u64) {
        if count == 0 {
            return;
        }
        self.run = 0;
        if let Some(ring) = &mut self.failures {
            ring.push_unmarked(count);
        }
        if let Some(ring) = &mut self.slow {
            ring.push_unmarked(count);
        }
        if let (Some(buckets), Some(epoch)) = (&mut self.time, epoch) {
            buckets.succeed(epoch, count);
        }
    }

    /// Enters one call: whether it failed, if it votes, and whether it was slow.
    pub(crate) fn enter(&mut self, epoch: u64, failed: Option<bool>, slow: bool) {
        match failed {
            Some(true) => self.run = self.run.saturating_add(1),
            Some(false) => self.run = 0,
            // Only its duration counts.
            None if !slow => return,
            None => {}
        }
        if let (Some(ring), Some(failed)) = (&mut self.failures, failed) {
            ring.push(failed);
        }
        if let Some(ring) = &mut self.slow {
            ring.push(slow);
        }
        if let Some(buckets) = &mut self.time {
            buckets.enter(epoch, failed, slow);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.run = 0;
        if let Some(ring) = &mut self.failures {
            ring.clear();
        }
        if let Some(ring) = &mut self.slow {
            ring.clear();
        }
        if let Some(buckets) = &mut self.time {
            buckets.clear();
        }
    }

    /// The rule that opens the circuit after a failure, if one does.
    pub(crate) fn failing(
        &self,
        config: &BreakerConfig,
        overdue: u64,
        epoch: u64,
    ) -> Option<(CircuitCause, Figures)> {
        if let Some(limit) = config.consecutive_failures
            && self.run >= limit
        {
            let figures = Figures {
                of: self.run.into(),
                among: self.run.into(),
                limit: limit.into(),
            };
            let failures = u16::try_from(self.run).unwrap_or(u16::MAX);
            return Some((CircuitCause::ConsecutiveFailures(failures), figures));
        }
        let stats = self.calls().unwrap_or_default();
        if let Some(figures) = exceeded(config.failure_rate, stats.failures, stats.calls) {
            let percent = figures.percent();
            return Some((CircuitCause::FailureRate { percent }, figures));
        }
        if let (Some(rule), Some(buckets)) = (config.failure_rate_over, &self.time) {
            let stats = buckets.voted(epoch);
            if let Some(figures) = exceeded(Some(rule), stats.failures, stats.calls) {
                let percent = figures.percent();
                return Some((CircuitCause::FailureRateOverTime { percent }, figures));
            }
        }
        self.slowing(config, overdue, epoch)
    }

    /// The rule about slow calls that opens the circuit, if one does. Overdue calls are in flight
    /// and slow already.
    pub(crate) fn slowing(
        &self,
        config: &BreakerConfig,
        overdue: u64,
        epoch: u64,
    ) -> Option<(CircuitCause, Figures)> {
        let with = |stats: Option<WindowStats>| {
            let stats = stats.unwrap_or_default();
            let slow = stats.slow.saturating_add(overdue);
            (slow, stats.calls.saturating_add(overdue))
        };
        let (slow, calls) = with(self.slow_calls());
        if let Some(figures) = exceeded(config.slow_rate, slow, calls) {
            let percent = figures.percent();
            return Some((CircuitCause::SlowRate { percent }, figures));
        }
        let (slow, calls) = with(self.time(epoch));
        let figures = exceeded(config.slow_rate_over, slow, calls)?;
        let percent = figures.percent();
        Some((CircuitCause::SlowRateOverTime { percent }, figures))
    }

    /// Takes the shape of other settings and keeps what it can hold: the newest calls.
    pub(crate) fn configure(&mut self, old: &BreakerConfig, new: &BreakerConfig, now: u64) {
        let fresh = Self::new(new);
        let resized = |old: Option<&Ring>, fresh: Option<Ring>, rule: Option<RateRule<u32>>| match (
            old, rule,
        ) {
            (Some(ring), Some(rule)) => Some(ring.resized(rule.over)),
            _ => fresh,
        };
        if old.failure_rate.map(|r| r.over) != new.failure_rate.map(|r| r.over) {
            self.failures = resized(self.failures.as_ref(), fresh.failures, new.failure_rate);
        }
        if old.slow_rate.map(|r| r.over) != new.slow_rate.map(|r| r.over) {
            let fresh = fresh.slow.map(|ring| *ring);
            self.slow = resized(self.slow.as_deref(), fresh, new.slow_rate).map(Box::new);
        }
        if old.pace != new.pace {
            self.time = match (&self.time, fresh.time) {
                (Some(buckets), Some(_)) => Some(buckets.rebinned(old.pace, new.pace, now)),
                (_, fresh) => fresh,
            };
        }
    }
}

/// The figures, when enough calls are there and too many of them are bad.
fn exceeded<Over>(rule: Option<RateRule<Over>>, bad: u64, calls: u64) -> Option<Figures> {
    let rule = rule.filter(|rule| rule.is_reached(bad, calls))?;
    Some(Figures {
        of: bad,
        among: calls,
        limit: rule.share,
    })
}
