//! The score of a service, from its errors and its response times.

use std::time::Duration;

use seawall_core::{InstanceName, Ratio};

use crate::{CheckReport, HealthHandle, Status};

/// What a service has done recently, and what it may.
///
/// ```
/// use std::time::Duration;
/// use seawall_health::{Ratio, ServiceFigures};
///
/// let figures = ServiceFigures::new("broker", 0.0, Duration::from_millis(80));
/// assert!(figures.score() > 99.0);
/// let at_the_limits = ServiceFigures::new("broker", 0.1, Duration::from_secs(5));
/// assert_eq!(at_the_limits.score(), 40.0);
/// // No call fails, since its fallback answers all of them.
/// let answered = ServiceFigures::new("broker", 0.0, Duration::ZERO).degraded(Ratio::new(1.0)?);
/// assert_eq!(answered.score(), 50.0);
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceFigures {
    name: InstanceName,
    error_rate: f64,
    degraded_rate: f64,
    slowness: Slowness,
    max_error_rate: f64,
    /// What it depends on and is down.
    because_of: Option<InstanceName>,
    /// Whether the program can do its work without it.
    critical: bool,
}

/// What a degraded answer costs, of what a failure costs.
const DEGRADED_COST: f64 = 0.5;

/// From which share on degraded answers are worth a word.
const DEGRADED_NAMED: f64 = 0.0005;

/// How slow it is, and how slow it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slowness {
    Time(Duration, Duration),
    Share(f64, f64),
}

impl ServiceFigures {
    /// A service of this share of failed calls, from 0 to 1, and this usual response time. Its limits are
    /// 10 % and 5 s. A share that is not a number has no marks: leave a service without calls out.
    pub fn new(name: impl Into<InstanceName>, error_rate: f64, response_time: Duration) -> Self {
        Self {
            name: name.into(),
            error_rate,
            degraded_rate: 0.0,
            slowness: Slowness::Time(response_time, Duration::from_secs(5)),
            max_error_rate: 0.1,
            because_of: None,
            critical: true,
        }
    }

    /// Sets other limits: the share of failed calls and the response time that are just acceptable.
    #[must_use]
    pub fn limits(mut self, max_error_rate: Ratio, slow_after: Duration) -> Self {
        self.max_error_rate = max_error_rate.get();
        if let Slowness::Time(_, limit) = &mut self.slowness {
            *limit = slow_after;
        }
        self
    }

    /// Sets the share of calls that were answered by something else than the upstream: by its fallback, or
    /// by a stale entry of a cache. They are not among the failed ones; 0 unless set.
    #[must_use]
    pub const fn degraded(mut self, degraded_rate: Ratio) -> Self {
        self.degraded_rate = degraded_rate.get();
        self
    }

    /// What a layer has observed; `None` with too few calls to judge by. Its limits are those of the
    /// layer, and its slowness is the share of slow calls. Of a layer around a fallback, the shares of
    /// failed and of degraded calls are those of all calls.
    pub fn of_layer(layer: &HealthHandle) -> Option<Self> {
        let (stats, config) = (layer.passive_stats(), layer.config());
        let slowness = Slowness::Share(stats.slow_rate(), config.max_slow_rate().get());
        (stats.answered() >= u64::from(config.min_calls())).then(|| Self {
            name: layer.name(),
            error_rate: stats.failed_of_answered(),
            degraded_rate: stats.degraded_rate(),
            slowness,
            max_error_rate: config.max_error_rate().get(),
            because_of: None,
            critical: true,
        })
    }

    /// What the last runs of a check were like; `None` without runs. One that is unhealthy fails now,
    /// whatever its history.
    pub fn of_check(check: &CheckReport) -> Option<Self> {
        let error_rate = match check.status {
            Status::Unhealthy => 1.0,
            _ => check.trend.error_rate(),
        };
        let mut figures = Self::new(check.name, error_rate, check.trend.average);
        figures.because_of = check.because_of;
        figures.critical = check.critical;
        (check.trend.runs > 0 || check.status == Status::Unhealthy).then_some(figures)
    }

    /// Takes it for one that the program can do its work without: where every call of it fails, it costs
    /// its points, and does not [cap the score](crate::HealthScore). Checks are as critical as they are set
    /// to be.
    #[must_use]
    pub const fn not_critical(mut self) -> Self {
        self.critical = false;
        self
    }

    /// Whether every call of something that is critical fails.
    pub(super) fn is_missing(&self) -> bool {
        self.critical && self.error_rate >= 1.0
    }

    /// The service.
    pub const fn name(&self) -> InstanceName {
        self.name
    }

    /// The score, from 0 to 100.
    ///
    /// A figure of zero has full marks, one at its limit half of them, and one of five times its limit
    /// none; between these it is linear. The score is the marks for errors times 60 %, plus up to 40 % of
    /// them for the response time: a service that fails fast is worth nothing.
    ///
    /// A degraded answer costs half of what a failure costs: the marks for errors are midway between those of
    /// the failed calls and those that they would have if the degraded ones had failed, too. With all calls
    /// answered by a fallback, and quickly, the score is 50.
    pub fn score(&self) -> f64 {
        let errors = match self.error_rate.is_nan() {
            true => 0.0,
            false => {
                let fresh = marks(self.error_rate, self.max_error_rate);
                let without = marks(self.error_rate + self.degraded_rate, self.max_error_rate);
                fresh - DEGRADED_COST * (fresh - without)
            }
        };
        let speed = match self.slowness {
            Slowness::Time(took, limit) => marks(took.as_secs_f64(), limit.as_secs_f64()),
            Slowness::Share(share, limit) => marks(share, limit),
        };
        100.0 * errors * (0.6 + 0.4 * speed)
    }

    /// What to do, in words.
    pub(super) fn words(&self) -> String {
        let name = self.name;
        match self.because_of {
            Some(cause) => format!("bring `{cause}` back: `{name}` depends on it"),
            None => format!("look at `{name}`: {}", self.trouble()),
        }
    }

    fn trouble(&self) -> String {
        if self.error_rate.is_nan() {
            return "its share of failed calls is not a number".to_owned();
        }
        let mut errors = format!("{:.1} % of the calls fail", self.error_rate * 100.0);
        if self.degraded_rate >= DEGRADED_NAMED {
            let share = self.degraded_rate * 100.0;
            errors += &format!(", {share:.1} % were not answered by the upstream");
        }
        match self.slowness {
            // What is faster than a clock shows is not what is wrong.
            Slowness::Time(took, _) if took < Duration::from_millis(1) => errors,
            Slowness::Time(took, _) => format!("{errors}, they take {took:.2?}"),
            Slowness::Share(share, _) => format!("{errors}, {:.1} % are slow", share * 100.0),
        }
    }
}

/// How good a figure is, from 1 to 0, of which less is better.
fn marks(figure: f64, limit: f64) -> f64 {
    // Where nothing is acceptable, anything is too much, and nothing is fine.
    let of_limit = match figure / limit {
        share if share.is_nan() => 0.0,
        share => share.max(0.0),
    };
    match of_limit {
        share if share <= 1.0 => 1.0 - share / 2.0,
        share => (0.5 - (share - 1.0) / 8.0).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_those_of_the_docs() {
        for (figure, expected) in [
            (0.0, 1.0),
            (0.5, 0.75),
            (1.0, 0.5),
            (3.0, 0.25),
            (5.0, 0.0),
            (9.0, 0.0),
        ] {
            assert_eq!(marks(figure, 1.0), expected);
        }
        assert_eq!((marks(0.0, 0.0), marks(0.1, 0.0)), (1.0, 0.0));
    }

    proptest! {
        #[test]
        fn a_score_is_from_0_to_100_and_falls_with_each_figure(
            rate in 0.0_f64..1.0, more in 0.0_f64..1.0, ms in 0_u64..60_000, later in 0_u64..60_000,
        ) {
            let of = |rate, ms| ServiceFigures::new("s", rate, Duration::from_millis(ms)).score();
            let score = of(rate, ms);
            prop_assert!((0.0..=100.0).contains(&score));
            prop_assert!(of((rate + more).min(1.0), ms) <= score);
            prop_assert!(of(rate, ms + later) <= score);
        }
    }
}
