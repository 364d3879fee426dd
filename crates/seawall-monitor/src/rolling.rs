//! The last samples of a service, and what they are together.

use std::collections::VecDeque;
use std::time::Duration;

use seawall_core::{HistogramSnapshot, Ratio};
use seawall_health::ServiceFigures;
use tokio::time::Instant;

use crate::counts::Counts;
use crate::overview::{Spark, Summary, Trend, number};

/// Of fewer calls a share says nothing.
const FEWEST_CALLS: u64 = 20;

/// One sample: what was new in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tick {
    pub(crate) seconds: f64,
    pub(crate) success: u64,
    pub(crate) failure: u64,
    pub(crate) throttled: u64,
    pub(crate) rejected: u64,
    pub(crate) degraded: u64,
    pub(crate) calls: u64,
    pub(crate) rate_limited: u64,
    pub(crate) bulkhead_rejections: u64,
    pub(crate) slow: u64,
    pub(crate) hedged: u64,
    pub(crate) rerouted: u64,
    pub(crate) unpaid: u64,
    /// Calls whose time is known, and all of it.
    pub(crate) timed: u64,
    pub(crate) timed_seconds: f64,
}

impl Tick {
    fn of(new: &Counts, seconds: f64) -> Self {
        Self {
            seconds,
            success: new.success,
            failure: new.failure,
            throttled: new.throttled,
            rejected: new.rejected,
            degraded: new.degraded,
            calls: new.calls(),
            rate_limited: new.rate_limited,
            bulkhead_rejections: new.bulkhead_rejections,
            slow: new.slow,
            hedged: new.hedged,
            rerouted: new.rerouted,
            unpaid: new.unpaid,
            timed: new.latency.count(),
            timed_seconds: new.latency.sum().as_secs_f64(),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.timed_seconds += other.timed_seconds;
        for (ours, theirs) in [
            (&mut self.success, other.success),
            (&mut self.failure, other.failure),
            (&mut self.throttled, other.throttled),
            (&mut self.rejected, other.rejected),
            (&mut self.degraded, other.degraded),
            (&mut self.calls, other.calls),
            (&mut self.rate_limited, other.rate_limited),
            (&mut self.bulkhead_rejections, other.bulkhead_rejections),
            (&mut self.slow, other.slow),
            (&mut self.hedged, other.hedged),
            (&mut self.rerouted, other.rerouted),
            (&mut self.unpaid, other.unpaid),
            (&mut self.timed, other.timed),
        ] {
            *ours = ours.saturating_add(theirs);
        }
    }

    /// So many of something per second; 0 where no time has passed.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        number(count as f64 / self.seconds).unwrap_or_default()
    }

    /// The share of failed calls among those that succeeded or failed.
    pub(crate) fn error_ratio(&self) -> Option<f64> {
        share(self.failure, self.success.saturating_add(self.failure))
    }

    pub(crate) fn slow_ratio(&self) -> Option<f64> {
        share(self.slow, self.success.saturating_add(self.failure))
    }

    pub(crate) fn rejected_ratio(&self) -> Option<f64> {
        share(self.rejected, self.calls)
    }

    pub(crate) fn degraded_ratio(&self) -> Option<f64> {
        share(self.degraded, self.calls)
    }

    /// What it comes to for a score; `None` of too few calls.
    pub(crate) fn figures(&self, name: &'static str) -> Option<ServiceFigures> {
        let fresh = self.success.saturating_add(self.failure);
        let all = fresh.saturating_add(self.degraded);
        if all < FEWEST_CALLS {
            return None;
        }
        let failed = share(self.failure, all).unwrap_or_default();
        let degraded = share(self.degraded, all).unwrap_or_default();
        let average = self.average_seconds().unwrap_or_default();
        let average = Duration::try_from_secs_f64(average).unwrap_or(Duration::MAX);
        let figures = ServiceFigures::new(name, failed, average);
        Some(figures.degraded(Ratio::new(degraded).ok()?))
    }

    pub(crate) fn average_seconds(&self) -> Option<f64> {
        number(self.timed_seconds / self.timed as f64)
    }
}

/// A share from 0 to 1; `None` of nothing.
pub(crate) fn share(part: u64, all: u64) -> Option<f64> {
    // Counters are read one after the other; a call that ends in between makes no 101 %.
    number(part as f64 / all as f64).map(|share| share.min(1.0))
}

/// How long calls of the last samples took.
#[derive(Debug)]
struct LatencyWindow {
    /// The sums at some of the last samples, with the number of the sample.
    marks: VecDeque<(u64, HistogramSnapshot)>,
    samples: u64,
    every: u64,
}

impl LatencyWindow {
    /// Of the last `samples`, in steps of a tenth.
    fn new(samples: u64) -> Self {
        Self {
            marks: VecDeque::from([(0, HistogramSnapshot::default())]),
            samples,
            every: (samples / 10).max(1),
        }
    }

    fn push(&mut self, number: u64, sum: &HistogramSnapshot) {
        if number.is_multiple_of(self.every) {
            self.marks.push_back((number, sum.clone()));
        }
        // The first one is the last that is old enough.
        while let Some((second, _)) = self.marks.get(1)
            && second.saturating_add(self.samples) <= number
        {
            self.marks.pop_front();
        }
    }

    fn latest(&self, sum: &HistogramSnapshot) -> HistogramSnapshot {
        match self.marks.front() {
            Some((_, before)) if before == sum => HistogramSnapshot::default(),
            Some((_, before)) if !before.is_empty() => sum.since(before),
            _ => sum.clone(),
        }
    }
}

/// The last samples of a service. Bounded by time and by number.
#[derive(Debug)]
pub(crate) struct Rolling {
    ticks: VecDeque<(Instant, Tick, Option<f32>)>,
    capacity: usize,
    snapshots: usize,
    samples: u64,
    /// The times of all calls since the start.
    pub(crate) latency: HistogramSnapshot,
    recent: LatencyWindow,
    summary: LatencyWindow,
}

/// How long the sparkline is, and the longest window of a rule.
pub(crate) const SPARKLINE: Duration = Duration::from_secs(120);

impl Rolling {
    pub(crate) fn new(interval: Duration, window: Duration, snapshots: usize) -> Self {
        let ticks = |of: Duration| of.as_nanos().div_ceil(interval.as_nanos().max(1));
        let sparks = usize::try_from(ticks(SPARKLINE)).unwrap_or(usize::MAX);
        Self {
            ticks: VecDeque::new(),
            capacity: sparks.max(snapshots),
            snapshots,
            samples: 0,
            latency: HistogramSnapshot::default(),
            recent: LatencyWindow::new(u64::try_from(ticks(window)).unwrap_or(u64::MAX)),
            summary: LatencyWindow::new(snapshots as u64),
        }
    }

    /// Takes a sample that ended at `now`.
    pub(crate) fn push(&mut self, now: Instant, seconds: f64, new: &Counts) -> Tick {
        let tick = Tick::of(new, seconds);
        let p99 = quantile(&new.latency, 0.99).map(|p99| p99 as f32);
        if !new.latency.is_empty() {
            self.latency = self.latency.merge(&new.latency);
        }
        self.samples += 1;
        self.recent.push(self.samples, &self.latency);
        self.summary.push(self.samples, &self.latency);
        if self.ticks.len() >= self.capacity {
            self.ticks.pop_front();
        }
        self.ticks.push_back((now, tick, p99));
        tick
    }

    /// The sum of the samples that began within `window`.
    pub(crate) fn sum(&self, now: Instant, window: Duration) -> Tick {
        let mut sum = Tick::default();
        let within = window.as_secs_f64() * 1.001;
        for (ended, tick, _) in self.ticks.iter().rev() {
            let age = now.saturating_duration_since(*ended).as_secs_f64();
            // At least the last one, however long the interval is.
            if age + tick.seconds > within && sum.seconds > 0.0 {
                break;
            }
            sum.add(tick);
        }
        sum
    }

    /// The times of the calls of the window.
    pub(crate) fn recent_latency(&self) -> HistogramSnapshot {
        self.recent.latest(&self.latency)
    }

    /// The last two minutes.
    pub(crate) fn sparkline(&self, now: Instant) -> Vec<Spark> {
        let sparks = self.ticks.iter().filter_map(|(ended, tick, p99)| {
            let ago = now.saturating_duration_since(*ended);
            (ago <= SPARKLINE).then(|| Spark {
                ago_seconds: ((ago.as_secs_f64() * 100.0).round() / 100.0) as f32,
                calls_per_second: tick.per_second(tick.calls) as f32,
                error_ratio: tick.error_ratio().map(|share| share as f32),
                p99_seconds: *p99,
            })
        });
        sparks.collect()
    }

    /// The last snapshots together.
    pub(crate) fn summary(&self) -> Summary {
        let first = self.ticks.len().saturating_sub(self.snapshots);
        let count = self.ticks.len() - first;
        let (mut earlier, mut later) = (Tick::default(), Tick::default());
        for (index, (_, tick, _)) in self.ticks.iter().skip(first).enumerate() {
            if index < count / 2 {
                earlier.add(tick);
            } else {
                later.add(tick);
            }
        }
        let mut all = earlier;
        all.add(&later);
        let latency = self.summary.latest(&self.latency);
        Summary {
            snapshots: count as u64,
            seconds: all.seconds,
            calls: all.calls,
            success_ratio: all.error_ratio().map(|share| 1.0 - share),
            average_seconds: all.average_seconds(),
            p50_seconds: quantile(&latency, 0.5),
            p95_seconds: quantile(&latency, 0.95),
            p99_seconds: quantile(&latency, 0.99),
            success_trend: trend(earlier.error_ratio(), later.error_ratio(), |_| 0.01),
            latency_trend: trend(
                earlier.average_seconds(),
                later.average_seconds(),
                |before| before * 0.1,
            ),
        }
    }
}

/// Where a figure goes that is better when it is small, by more than what does not matter.
fn trend(earlier: Option<f64>, later: Option<f64>, tolerance: impl Fn(f64) -> f64) -> Trend {
    let (Some(earlier), Some(later)) = (earlier, later) else {
        return Trend::Unknown;
    };
    if later > earlier + tolerance(earlier) {
        Trend::Worse
    } else if later < earlier - tolerance(earlier) {
        Trend::Better
    } else {
        Trend::Steady
    }
}

/// A quantile in seconds.
pub(crate) fn quantile(snapshot: &HistogramSnapshot, share: f64) -> Option<f64> {
    snapshot.quantile(share).map(|time| time.as_secs_f64())
}
