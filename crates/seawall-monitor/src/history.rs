//! The past of a service: points of 10 s for an hour, and of a minute for a day.

use std::collections::VecDeque;

use seawall_core::HistogramSnapshot;

use crate::history_point::HistoryPoint;
use crate::rolling::{Tick, quantile};

/// Points of 10 s that are kept: an hour.
pub(crate) const TEN_SECONDS: usize = 360;
/// Points of a minute that are kept: a day.
pub(crate) const MINUTES: usize = 1_440;

/// The past of a service, bounded by the number of points.
#[derive(Debug)]
pub(crate) struct History {
    ten_seconds: Points,
    minutes: Points,
}

/// Points of one length, the last one of which is not complete.
#[derive(Debug)]
struct Points {
    seconds: f64,
    capacity: usize,
    points: VecDeque<HistoryPoint>,
    /// What was counted since the last point.
    open: Tick,
    /// The times of all calls at the last point.
    before: HistogramSnapshot,
}

impl Points {
    fn new(seconds: f64, capacity: usize) -> Self {
        Self {
            seconds,
            capacity,
            points: VecDeque::new(),
            open: Tick::default(),
            before: HistogramSnapshot::default(),
        }
    }

    fn push(
        &mut self,
        at_unix_ms: u64,
        tick: &Tick,
        latency: &HistogramSnapshot,
    ) -> Option<HistoryPoint> {
        self.open.add(tick);
        // Ticks come a little early or late; half of one is as near as it gets.
        if self.open.seconds + tick.seconds / 2.0 < self.seconds {
            return None;
        }
        let open = std::mem::take(&mut self.open);
        let new = if *latency == self.before {
            HistogramSnapshot::default()
        } else {
            latency.since(&self.before)
        };
        self.before = latency.clone();
        let point = HistoryPoint {
            at_unix_ms,
            calls_per_second: open.per_second(open.calls) as f32,
            error_ratio: open.error_ratio().map(|share| share as f32),
            p99_seconds: quantile(&new, 0.99).map(|p99| p99 as f32),
        };
        self.keep(point);
        Some(point)
    }

    fn keep(&mut self, point: HistoryPoint) {
        if self.points.len() >= self.capacity {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            ten_seconds: Points::new(10.0, TEN_SECONDS),
            minutes: Points::new(60.0, MINUTES),
        }
    }

    /// Takes a sample. Returns the minute that it completes.
    pub(crate) fn push(
        &mut self,
        at_unix_ms: u64,
        tick: &Tick,
        latency: &HistogramSnapshot,
    ) -> Option<HistoryPoint> {
        self.ten_seconds.push(at_unix_ms, tick, latency);
        self.minutes.push(at_unix_ms, tick, latency)
    }

    /// Takes a minute of an earlier process.
    pub(crate) fn restore(&mut self, point: HistoryPoint) {
        self.minutes.keep(point);
    }

    pub(crate) fn ten_seconds(&self) -> Vec<HistoryPoint> {
        self.ten_seconds.points.iter().copied().collect()
    }

    pub(crate) fn minutes(&self) -> Vec<HistoryPoint> {
        self.minutes.points.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(seconds: f64) -> Tick {
        Tick {
            seconds,
            success: 9,
            failure: 1,
            calls: 10,
            ..Tick::default()
        }
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut history = History::new();
        let mut minutes = 0;
        let latency = HistogramSnapshot::default();
        for second in 0..2 * 24 * 3600_u64 {
            let point = history.push(second * 1_000, &tick(1.0), &latency);
            minutes += u64::from(point.is_some());
        }
        assert_eq!(minutes, 2 * 1_440);
        assert_eq!(history.minutes().len(), MINUTES);
        assert_eq!(history.ten_seconds().len(), TEN_SECONDS);
        assert!(history.minutes.points.capacity() <= 2 * MINUTES);
        let last = history.minutes()[MINUTES - 1];
        assert!((last.calls_per_second - 10.0).abs() < 0.01, "{last:?}");
        assert!((last.error_ratio.unwrap() - 0.1).abs() < 0.001, "{last:?}");
        assert_eq!(last.p99_seconds, None);
    }

    #[test]
    fn an_interval_that_divides_nothing_makes_points_near_their_length() {
        let mut history = History::new();
        let latency = HistogramSnapshot::default();
        for second in 0..600_u64 {
            history.push(second, &tick(7.0), &latency);
        }
        // 4,200 s.
        assert_eq!(history.minutes().len(), 66);
        history.push(1, &tick(10_000.0), &latency);
        assert_eq!(history.minutes().len(), 67, "a gap is one point");
    }
}
