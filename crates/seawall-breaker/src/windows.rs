//! What a circuit has counted, and the built-in rules.

use std::mem;

use seawall_core::CircuitCause;

use crate::ages::Ages;
use crate::buckets::Buckets;
use crate::config::{BreakerConfig, RateRule};
use crate::ring::Ring;
use crate::rule::WindowStats;
use crate::transition::Figures;

/// The last calls, of which the marked and the old ones are known.
#[derive(Debug)]
struct LastCalls {
    ring: Ring,
    ages: Ages,
}

impl LastCalls {
    fn new(capacity: u32) -> Self {
        Self {
            ring: Ring::new(capacity),
            ages: Ages::default(),
        }
    }

    fn expire(&mut self, slice: u32) {
        self.ages.expire(slice);
        self.ring.keep_newest(self.ages.total());
    }

    fn push(&mut self, marked: bool) {
        self.ages.add(1);
        self.ring.push(marked);
    }

    fn push_unmarked(&mut self, count: u64) {
        self.ages.add(count);
        self.ring.push_unmarked(count);
    }

    fn clear(&mut self) {
        self.ages.clear();
        self.ring.clear();
    }
}

/// The windows of a configuration. Each is there only while a rule needs it.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    failures: Option<LastCalls>,
    slow: Option<Box<LastCalls>>,
    time: Option<Box<Buckets>>,
    /// Failures since the last success.
    run: Ages,
}

impl Windows {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let timed =
            config.rare().failure_rate_over.is_some() || config.rare().slow_rate_over.is_some();
        Self {
            failures: config.failure_rate.map(|r| LastCalls::new(r.over)),
            slow: config
                .rare()
                .slow_rate
                .map(|r| Box::new(LastCalls::new(r.over))),
            time: timed.then(Buckets::new),
            run: Ages::default(),
        }
    }

    /// Failures since the last success that are young enough.
    pub(crate) fn run(&self) -> u32 {
        u32::try_from(self.run.total()).unwrap_or(u32::MAX)
    }

    /// The slice in which calls are counted.
    pub(crate) fn slice(&self) -> u32 {
        self.run.newest()
    }

    /// Bytes on the heap, with some for what an allocator keeps per block.
    pub(crate) fn heap(&self) -> usize {
        const BLOCK: usize = 16;
        let ring = |calls: &LastCalls| calls.ring.heap() + BLOCK;
        let slow = |calls: &LastCalls| ring(calls) + size_of::<LastCalls>() + BLOCK;
        self.failures.as_ref().map_or(0, ring)
            + self.slow.as_deref().map_or(0, slow)
            + self
                .time
                .as_ref()
                .map_or(0, |_| size_of::<Buckets>() + BLOCK)
    }

    /// The window of `failure_rate`.
    pub(crate) fn calls(&self, config: &BreakerConfig) -> Option<WindowStats> {
        let (LastCalls { ring, .. }, rule) = (self.failures.as_ref()?, config.failure_rate?);
        let stats = WindowStats::of(ring.len().into(), ring.marks().into(), 0);
        Some(stats.from(rule.min_calls))
    }

    /// The window of `slow_rate`.
    pub(crate) fn slow_calls(&self, config: &BreakerConfig) -> Option<WindowStats> {
        let (LastCalls { ring, .. }, rule) = (self.slow.as_deref()?, config.rare().slow_rate?);
        let stats = WindowStats::of(ring.len().into(), 0, ring.marks().into());
        Some(stats.from(rule.min_calls))
    }

    /// The time window as seen in `epoch`.
    pub(crate) fn time(&self, config: &BreakerConfig, epoch: u64) -> Option<WindowStats> {
        let rule = config
            .rare()
            .failure_rate_over
            .or(config.rare().slow_rate_over)?;
        Some(self.time.as_ref()?.timed(epoch).from(rule.min_calls))
    }

    /// Whether nothing that still counts has failed or was slow.
    pub(crate) fn is_clean(&self, epoch: u64) -> bool {
        let marked = |calls: Option<&LastCalls>| calls.is_some_and(|calls| calls.ring.marks() > 0);
        let timed = self.time.as_ref().map(|buckets| buckets.timed(epoch));
        self.run() == 0
            && !marked(self.failures.as_ref())
            && !marked(self.slow.as_deref())
            && timed.is_none_or(|stats| stats.failures == 0 && stats.slow == 0)
    }

    /// Forgets the calls that are too old in `slice`, but for those of the time window.
    pub(crate) fn expire(&mut self, slice: u32) {
        self.run.expire(slice);
        if let Some(calls) = &mut self.failures {
            calls.expire(slice);
        }
        if let Some(calls) = &mut self.slow {
            calls.expire(slice);
        }
    }

    /// Enters `count` successes that were not slow; `epoch` is `None` for those that are out of
    /// the time window.
    pub(crate) fn succeed(&mut self, epoch: Option<u64>, count: u64) {
        if count == 0 {
            return;
        }
        self.run.clear();
        if let Some(calls) = &mut self.failures {
            calls.push_unmarked(count);
        }
        if let Some(calls) = &mut self.slow {
            calls.push_unmarked(count);
        }
        if let (Some(buckets), Some(epoch)) = (&mut self.time, epoch) {
            buckets.succeed(epoch, count);
        }
    }

    /// Enters one call: whether it failed, if it votes, and whether it was slow.
    pub(crate) fn enter(&mut self, epoch: u64, failed: Option<bool>, slow: bool) {
        match failed {
            Some(true) => self.run.add(1),
            Some(false) => self.run.clear(),
            // Only its duration counts.
            None if !slow => return,
            None => {}
        }
        if let (Some(calls), Some(failed)) = (&mut self.failures, failed) {
            calls.push(failed);
        }
        if let Some(calls) = &mut self.slow {
            calls.push(slow);
        }
        if let Some(buckets) = &mut self.time {
            buckets.enter(epoch, failed, slow);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.run.clear();
        if let Some(calls) = &mut self.failures {
            calls.clear();
        }
        if let Some(calls) = &mut self.slow {
            calls.clear();
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
            && self.run() >= limit
        {
            let run = self.run();
            let figures = Figures {
                of: run.into(),
                among: run.into(),
                limit: limit.into(),
            };
            let failures = u16::try_from(run).unwrap_or(u16::MAX);
            return Some((CircuitCause::ConsecutiveFailures(failures), figures));
        }
        let stats = self.calls(config).unwrap_or_default();
        if let Some(figures) = exceeded(config.failure_rate, stats.failures, stats.calls) {
            let percent = figures.percent();
            return Some((CircuitCause::FailureRate { percent }, figures));
        }
        if let (Some(rule), Some(buckets)) = (config.rare().failure_rate_over, &self.time) {
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
        let (slow, calls) = with(self.slow_calls(config));
        if let Some(figures) = exceeded(config.rare().slow_rate, slow, calls) {
            let percent = figures.percent();
            return Some((CircuitCause::SlowRate { percent }, figures));
        }
        let (slow, calls) = with(self.time(config, epoch));
        let figures = exceeded(config.rare().slow_rate_over, slow, calls)?;
        let percent = figures.percent();
        Some((CircuitCause::SlowRateOverTime { percent }, figures))
    }

    /// Takes the shape of other settings and keeps what it can hold: the newest calls.
    pub(crate) fn configure(&mut self, old: &BreakerConfig, new: &BreakerConfig, now: u64) {
        let fresh = Self::new(new);
        let resized = |old: Option<&mut LastCalls>, fresh: Option<LastCalls>| match (old, fresh) {
            (Some(old), Some(fresh)) => Some(LastCalls {
                ring: old.ring.resized(fresh.ring.capacity()),
                ages: mem::take(&mut old.ages),
            }),
            (_, fresh) => fresh,
        };
        if old.failure_rate.map(|r| r.over) != new.failure_rate.map(|r| r.over) {
            self.failures = resized(self.failures.as_mut(), fresh.failures);
        }
        if old.rare().slow_rate.map(|r| r.over) != new.rare().slow_rate.map(|r| r.over) {
            let fresh = fresh.slow.map(|calls| *calls);
            self.slow = resized(self.slow.as_deref_mut(), fresh).map(Box::new);
        }
        let calls = self
            .failures
            .as_mut()
            .into_iter()
            .chain(self.slow.as_deref_mut());
        for ages in calls.map(|calls| &mut calls.ages).chain([&mut self.run]) {
            ages.configure(old.aging, new.aging, now);
        }
        self.expire(new.aging.slice(now));
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
