//! The last runs of a check, and where they are going.

use std::collections::VecDeque;
use std::time::Duration;

seawall_core::state_words! {
    /// Where the runs of a check are going: the newer half of its history beside the older one.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RunTrend))]
    pub enum Trend {
        /// There are fewer than four runs to compare.
        #[default]
        Unknown = "unknown",
        /// Fewer runs fail, or as many in less than four fifths of the time.
        Improving = "improving",
        /// Neither.
        Steady = "steady",
        /// More runs fail, or as many and they take more than five quarters of the time.
        Worsening = "worsening",
    }
}

/// What the last runs of a check were like, those without a result left out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckTrend {
    /// How many runs there are.
    pub runs: u32,
    /// How many of them failed.
    pub failures: u32,
    /// How long they took on average. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::seconds")
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub average: Duration,
    /// How long the slowest took. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::seconds")
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub slowest: Duration,
    /// Where they are going.
    pub trend: Trend,
}

impl CheckTrend {
    /// The share of runs that failed, from 0 to 1; 0 without runs.
    pub fn error_rate(&self) -> f64 {
        f64::from(self.failures) / f64::from(self.runs.max(1))
    }
}

#[derive(Clone, Copy, Debug)]
struct Past {
    took: Duration,
    failed: bool,
}

/// The last runs, up to a limit.
#[derive(Debug)]
pub(crate) struct History {
    runs: VecDeque<Past>,
    limit: usize,
}

/// What differs by less is the same: clocks and schedulers are no finer.
const NOISE: Duration = Duration::from_millis(1);

impl History {
    pub(crate) const fn new(limit: u32) -> Self {
        Self {
            runs: VecDeque::new(),
            limit: limit as usize,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit as usize;
        self.drop_oldest();
    }

    pub(crate) fn push(&mut self, took: Duration, failed: bool) {
        self.runs.push_back(Past { took, failed });
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        let surplus = self.runs.len().saturating_sub(self.limit);
        self.runs.drain(..surplus);
    }

    /// The runs that failed and all runs, once there are as many as are kept.
    pub(crate) fn full(&self) -> Option<(usize, usize)> {
        let is_full = self.runs.len() >= self.limit;
        is_full.then(|| (failures(self.runs.iter()), self.runs.len()))
    }

    pub(crate) fn trend(&self) -> CheckTrend {
        let runs = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        CheckTrend {
            runs,
            failures: u32::try_from(failures(self.runs.iter())).unwrap_or(runs),
            average: average(self.runs.iter()),
            slowest: self
                .runs
                .iter()
                .map(|run| run.took)
                .max()
                .unwrap_or_default(),
            trend: self.direction(),
        }
    }

    fn direction(&self) -> Trend {
        let half = self.runs.len() / 2;
        if half < 2 {
            return Trend::Unknown;
        }
        // Of an odd number the one in the middle is in neither half.
        let older = self.runs.iter().take(half);
        let newer = self.runs.iter().skip(self.runs.len() - half);
        let (before, now) = (failures(older.clone()), failures(newer.clone()));
        if before != now {
            return if now > before {
                Trend::Worsening
            } else {
                Trend::Improving
            };
        }
        let (before, now) = (average(older), average(newer));
        if before.abs_diff(now) <= NOISE {
            Trend::Steady
        } else if now > before.saturating_mul(5) / 4 {
            Trend::Worsening
        } else if now < before.saturating_mul(4) / 5 {
            Trend::Improving
        } else {
            Trend::Steady
        }
    }
}

fn failures<'a>(runs: impl Iterator<Item = &'a Past>) -> usize {
    runs.filter(|run| run.failed).count()
}

fn average<'a>(runs: impl ExactSizeIterator<Item = &'a Past>) -> Duration {
    let count = u32::try_from(runs.len().max(1)).unwrap_or(u32::MAX);
    runs.fold(Duration::ZERO, |sum, run| sum.saturating_add(run.took)) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(runs: &[(u64, bool)], limit: u32) -> History {
        let mut history = History::new(limit);
        for (ms, failed) in runs {
            history.push(Duration::from_millis(*ms), *failed);
        }
        history
    }

    #[test]
    fn few_runs_have_no_trend() {
        assert_eq!(of(&[], 20).trend(), CheckTrend::default());
        let three = of(&[(1, false), (9, true), (5, false)], 20).trend();
        assert_eq!(
            (three.runs, three.failures, three.trend),
            (3, 1, Trend::Unknown)
        );
        assert_eq!(three.average, Duration::from_millis(5));
        assert_eq!(three.slowest, Duration::from_millis(9));
        assert_eq!(three.error_rate(), 1.0 / 3.0);
    }

    #[test]
    fn failures_decide_before_times() {
        let fails = |f: [bool; 4], ms: [u64; 4]| {
            let runs: Vec<_> = ms.into_iter().zip(f).collect();
            of(&runs, 4).trend().trend
        };
        let same = [10; 4];
        assert_eq!(fails([false, false, true, false], same), Trend::Worsening);
        assert_eq!(
            fails([true, false, false, false], [1, 1, 90, 90]),
            Trend::Improving
        );
        assert_eq!(fails([false; 4], same), Trend::Steady);
        assert_eq!(fails([false; 4], [10, 10, 13, 13]), Trend::Worsening);
        assert_eq!(fails([false; 4], [10, 10, 12, 12]), Trend::Steady);
        assert_eq!(fails([false; 4], [10, 10, 7, 7]), Trend::Improving);
        assert_eq!(fails([false; 4], [1, 1, 2, 2]), Trend::Steady, "noise");
    }

    #[test]
    fn the_rate_is_known_of_a_full_history_alone() {
        assert_eq!(of(&[(1, true)], 2).full(), None);
        let mut history = of(&[(1, true), (1, false), (1, false)], 2);
        assert_eq!(history.full(), Some((0, 2)));
        history.set_limit(1);
        assert_eq!(history.full(), Some((0, 1)));
    }

    proptest! {
        /// The obvious model: all runs, of which the last count.
        #[test]
        fn it_agrees_with_the_last_runs(
            runs in proptest::collection::vec((0_u64..10_000, any::<bool>()), 0..60),
            limit in 1_u32..30,
        ) {
            let history = of(&runs, limit);
            let kept = &runs[runs.len().saturating_sub(limit as usize)..];
            let trend = history.trend();
            prop_assert_eq!(trend.runs as usize, kept.len());
            prop_assert_eq!(trend.failures as usize, kept.iter().filter(|r| r.1).count());
            let slowest = kept.iter().map(|r| r.0).max().unwrap_or(0);
            prop_assert_eq!(trend.slowest, Duration::from_millis(slowest));
            prop_assert!(trend.average <= trend.slowest);
            prop_assert_eq!(history.full().is_some(), kept.len() == limit as usize);
        }
    }
}
