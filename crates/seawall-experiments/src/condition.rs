//! A figure and the bound within which it should be.

use std::fmt;
use std::time::Duration;

use seawall_core::{InvalidConfig, Ratio, Span};
use seawall_monitor::{Overview, ServiceOverview};
use serde::Serialize;

use crate::raw::RawCondition;
use crate::times::length;

/// A figure that every monitor has. Of all services it is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// Whether more of it is better.
    more_is_better: bool,
    /// Whether it is one of the program, and not of a service.
    pub(crate) of_program: bool,
}

macro_rules! figures {
    ($($name:literal $more:literal $program:literal,)*) => {
        pub(crate) const FIGURES: &[Figure] = &[$(Figure {
            name: $name,
            more_is_better: $more,
            of_program: $program,
        }),*];
    };
}

figures! {
    "success_ratio" true false,
    "error_ratio" false false,
    "rejected_ratio" false false,
    "slow_ratio" false false,
    "calls_per_second" true false,
    "average_seconds" false false,
    "p50_seconds" false false,
    "p95_seconds" false false,
    "p99_seconds" false false,
    "queue_depth" false false,
    "score" true true,
    "orders_in_doubt" false true,
    "open_circuits" false true,
}

impl Figure {
    fn find(name: &str) -> Option<&'static Self> {
        FIGURES.iter().find(|figure| figure.name == name)
    }

    /// The figure in an overview, of one service or of all; none where there is none, as without a call.
    pub(crate) fn read(&self, overview: &Overview, service: Option<&str>) -> Option<f64> {
        if self.of_program {
            return match self.name {
                "score" => overview.score.as_ref().map(|view| view.score),
                "orders_in_doubt" => overview.orders.map(|orders| orders.in_doubt as f64),
                _ => Some(overview.totals.open_circuits as f64),
            };
        }
        let services = overview.services.iter();
        let services = services.filter(|it| service.is_none_or(|name| it.name == name));
        let figures = services.filter_map(|service| self.of_service(service));
        figures.reduce(|a, b| match self.more_is_better {
            true => a.min(b),
            false => a.max(b),
        })
    }

    /// What is accepted in place of a bound that always holds, or never can.
    fn accepted(&self, bound: Bound) -> Option<&'static str> {
        let most = match self.name {
            "score" => 100.0,
            name if name.ends_with("_ratio") => 1.0,
            _ => f64::INFINITY,
        };
        let is_accepted = match bound {
            Bound::AtLeast(least) => least > 0.0 && least <= most,
            Bound::AtMost(at_most) => at_most >= 0.0 && at_most < most,
        };
        let accepted = match bound {
            Bound::AtLeast(_) if most == 1.0 => "a number above 0, up to 1",
            Bound::AtLeast(_) if most == 100.0 => "a number above 0, up to 100",
            Bound::AtLeast(_) => "a number above 0",
            Bound::AtMost(_) if most == 1.0 => "a number from 0, below 1",
            Bound::AtMost(_) if most == 100.0 => "a number from 0, below 100",
            Bound::AtMost(_) => "a number from 0",
        };
        (!is_accepted).then_some(accepted)
    }

    fn of_service(&self, service: &ServiceOverview) -> Option<f64> {
        match self.name {
            "success_ratio" => success_ratio(service),
            "error_ratio" => service.error_ratio,
            "rejected_ratio" => service.rejected_ratio,
            "slow_ratio" => service.slow_ratio,
            "calls_per_second" => Some(service.calls_per_second),
            "average_seconds" => service.average_seconds,
            "p50_seconds" => service.p50_seconds,
            "p95_seconds" => service.p95_seconds,
            "p99_seconds" => service.p99_seconds,
            _ => service.queue_depth,
        }
    }
}

/// The share of all calls that succeeded: none of those that were rejected or turned away did.
fn success_ratio(service: &ServiceOverview) -> Option<f64> {
    let rejected = service.rejected_ratio?;
    let turned_away = match service.calls_per_second {
        calls if calls > 0.0 => (service.throttled_per_second / calls).min(1.0),
        _ => 0.0,
    };
    let sent = (1.0 - rejected - turned_away).max(0.0);
    Some(sent * (1.0 - service.error_ratio.unwrap_or_default()))
}

/// Where a figure comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Figure(&'static Figure),
    /// A metric of the program's own, by the name that the runner has for it.
    Own,
}

/// A figure and its bound: the hypothesis of an experiment, or a guard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) metric: String,
    pub(crate) source: Source,
    pub(crate) service: Option<String>,
    pub(crate) bound: Bound,
    /// The share of samples that may be outside.
    pub(crate) tolerated: f64,
    /// How long the figure must be outside.
    pub(crate) lasts: Duration,
}

/// The bound of a figure.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure is within the bound; what is not a number is not.
    pub fn holds(&self, figure: f64) -> bool {
        match *self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }

    /// The number.
    pub const fn number(&self) -> f64 {
        match *self {
            Self::AtLeast(number) | Self::AtMost(number) => number,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if let Some(service) = &self.service {
            write!(f, " of {service}")?;
        }
        write!(f, " is {}", self.bound)
    }
}

impl Condition {
    /// The hypothesis.
    pub(crate) fn hypothesis(raw: &RawCondition) -> Result<Self, InvalidConfig> {
        if raw.lasts.is_some() {
            let accepted = "nothing: it has no effect here, `tolerated` may be what is meant";
            return Err(InvalidConfig::new("lasts", "set", accepted));
        }
        Self::of(raw)
    }

    pub(crate) fn guard(raw: &RawCondition) -> Result<Self, InvalidConfig> {
        if raw.tolerated.is_some() {
            let accepted = "nothing: it has no effect here, `lasts` may be what is meant";
            return Err(InvalidConfig::new("tolerated", "set", accepted));
        }
        Self::of(raw)
    }

    /// Rejects a guard that would have to be outside of its bound for longer than there are faults.
    pub(crate) fn can_trip_within(self, during: Duration) -> Result<Self, InvalidConfig> {
        if self.lasts > during {
            let accepted = format!("at most `run.during`, {}", Span(during));
            return Err(InvalidConfig::new("lasts", Span(self.lasts), accepted));
        }
        Ok(self)
    }

    fn of(raw: &RawCondition) -> Result<Self, InvalidConfig> {
        if raw.metric.trim().is_empty() {
            let value = format!("{:?}", raw.metric);
            return Err(InvalidConfig::new("metric", value, "the name of a metric"));
        }
        let source = Figure::find(&raw.metric).map_or(Source::Own, Source::Figure);
        if let Some(service) = &raw.service {
            let accepted = match &source {
                Source::Figure(figure) if figure.of_program => {
                    Some("nothing: the metric is one of the program")
                }
                Source::Own => Some("nothing: the metric is one of the program"),
                Source::Figure(_) if service.trim().is_empty() => Some("the name of a service"),
                Source::Figure(_) => None,
            };
            if let Some(accepted) = accepted {
                return Err(InvalidConfig::new(
                    "service",
                    format!("{service:?}"),
                    accepted,
                ));
            }
        }
        let (field, number, bound) = match (raw.at_least, raw.at_most) {
            (Some(least), None) => ("at_least", least, Bound::AtLeast(least)),
            (None, Some(most)) => ("at_most", most, Bound::AtMost(most)),
            (None, None) => {
                let accepted = "one of `at_least` and `at_most`";
                return Err(InvalidConfig::new("at_least", "missing", accepted));
            }
            (Some(_), Some(_)) => {
                let accepted = "one of `at_least` and `at_most`";
                return Err(InvalidConfig::new(
                    "at_most",
                    "set beside `at_least`",
                    accepted,
                ));
            }
        };
        let accepted = match (&source, number.is_finite()) {
            (_, false) => Some("a number"),
            (Source::Figure(figure), _) => figure.accepted(bound),
            (Source::Own, _) => None,
        };
        if let Some(accepted) = accepted {
            return Err(InvalidConfig::new(field, number, accepted));
        }
        let tolerated = Ratio::new(raw.tolerated.unwrap_or_default())
            .ok()
            .filter(|share| *share < Ratio::ONE);
        let tolerated = tolerated.ok_or_else(|| {
            let accepted = "a number from 0, below 1";
            InvalidConfig::new("tolerated", raw.tolerated.unwrap_or_default(), accepted)
        })?;
        let lasts = raw.lasts.as_deref().map(|text| length("lasts", text));
        Ok(Self {
            metric: raw.metric.clone(),
            source,
            service: raw.service.clone(),
            bound,
            tolerated: tolerated.get(),
            lasts: lasts.transpose()?.unwrap_or_default(),
        })
    }
}
