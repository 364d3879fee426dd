//! What a dashboard shows of everything at one moment.

use seawall_health::ScoreReport;
use serde::Serialize;

use crate::alert_view::{AlertView, SilenceView};

/// How well something works.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord, Default)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Level {
    /// It does what it should.
    #[default]
    Ok,
    /// It works, but not in full, or something needs attention.
    Degraded,
    /// It does not work.
    Down,
}

impl Level {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// A judgement, for a lamp and for people.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// How well it works.
    pub level: Level,
    /// Why, in words: `throttled, 12 s left, 3 of 200 requests left`.
    pub words: String,
}

/// Everything at one moment: what the first screen of a dashboard shows.
///
/// Times are in seconds, shares are from 0 to 1, and what is not known is `null`: no number in it is
/// infinite or not a number.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// When it was read, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// The name of the monitor, mostly that of the program.
    pub program: &'static str,
    /// Whether the figures are being read.
    pub monitor: MonitorView,
    /// Whether one can trade.
    pub verdict: Verdict,
    /// Every upstream, the one with most trouble first.
    pub services: Vec<ServiceOverview>,
    /// How many services are left out, since there are more than the monitor may have.
    pub services_left_out: u64,
    /// Alerts that are firing, and the last ones that are over; newest first.
    pub alerts: Vec<AlertView>,
    /// The silences that hold, the newest first: whether anything is firing that they match, or not.
    pub silences: Vec<SilenceView>,
    /// The health score, where the program has one.
    pub score: Option<ScoreView>,
    /// Orders of all services, where there are any.
    pub orders: Option<OrdersView>,
    /// The health checks, where the monitor has them.
    pub checks: Vec<CheckView>,
    /// How much of it works, over all services.
    pub totals: Totals,
}

/// Whether the figures are being read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MonitorView {
    /// Whether it samples at its interval. Otherwise the figures are those of the last sample.
    pub is_running: bool,
    /// Since when it does or does not, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// When the figures were read; `null` before the first sample.
    pub last_sample_unix_ms: Option<u64>,
    /// How many samples there were.
    pub samples: u64,
    /// The time between two samples.
    pub interval_seconds: f64,
}

/// How much of it works, over all services.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Circuits, those of keys included.
    pub circuits: u64,
    /// Circuits that are open, forced ones included.
    pub open_circuits: u64,
    /// Circuits that are half-open.
    pub half_open_circuits: u64,
    /// Calls per second.
    pub calls_per_second: f64,
    /// The share of failed calls among those that succeeded or failed.
    pub error_ratio: Option<f64>,
    /// Calls per second that a layer rejected.
    pub rejections_per_second: f64,
    /// Attempts per second that a rate limit rejected; a call that is tried again may have several.
    pub rate_limited_per_second: f64,
    /// Attempts per second that a bulkhead rejected; a call that is tried again may have several.
    pub bulkhead_rejections_per_second: f64,
    /// How long a call took, on average.
    pub average_seconds: Option<f64>,
    /// Alerts that are firing.
    pub active_alerts: u64,
}

/// An upstream: all instances of one registry with its name.
///
/// Rates, shares and quantiles are those of the monitor's window, the last 10 s by default.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceOverview {
    /// The name.
    pub name: &'static str,
    /// The registry that it is in.
    pub registry: &'static str,
    /// How well it works.
    pub level: Level,
    /// Why, in words.
    pub verdict: String,
    /// How much trouble it has, by which services are sorted; 0 is none.
    pub trouble: f64,
    /// The state in a word: of its circuit, or of the layer that stops calls.
    pub state: &'static str,
    /// How long its circuit has been in that state.
    pub state_seconds: Option<f64>,
    /// When an open circuit probes, from now.
    pub next_probe_seconds: Option<f64>,
    /// Calls per second, rejected ones included.
    pub calls_per_second: f64,
    /// The share of failed calls among those that succeeded or failed.
    pub error_ratio: Option<f64>,
    /// The share of failed calls at which its circuit opens.
    pub error_threshold: Option<f64>,
    /// The share of slow calls among those that succeeded or failed.
    pub slow_ratio: Option<f64>,
    /// The share of slow calls at which its circuit opens.
    pub slow_threshold: Option<f64>,
    /// The share of calls that a layer rejected.
    pub rejected_ratio: Option<f64>,
    /// Calls per second that the upstream turned away as too many.
    pub throttled_per_second: f64,
    /// How long a call took, on average; rejected ones are left out of all of these.
    pub average_seconds: Option<f64>,
    /// What half of the calls did not exceed.
    pub p50_seconds: Option<f64>,
    /// What 95 of 100 calls did not exceed.
    pub p95_seconds: Option<f64>,
    /// What 99 of 100 calls did not exceed.
    pub p99_seconds: Option<f64>,
    /// Calls in flight, where a bulkhead counts them.
    pub in_flight: Option<f64>,
    /// How many may be.
    pub max_concurrent: Option<f64>,
    /// Calls that wait for a permit or for tokens.
    pub queue_depth: Option<f64>,
    /// How many may wait for a permit.
    pub max_waiting: Option<f64>,
    /// How long its rate limit is paused, from now; `null` also for a pause until it is resumed.
    pub pause_seconds: Option<f64>,
    /// The limits of its rate limits.
    pub limits: Vec<LimitView>,
    /// What is left of the budget for retries.
    pub retry_budget: Option<BudgetView>,
    /// The share of calls with a hedge.
    pub hedge_share: Option<f64>,
    /// The share of calls that went on at another deployment, where a router knows several.
    pub fallback_share: Option<f64>,
    /// The share of calls that were answered by something else than the upstream's answer to them.
    pub degraded_share: Option<f64>,
    /// The last call that was rejected.
    pub last_rejection: Option<RejectionView>,
    /// The last two minutes, oldest first.
    pub sparkline: Vec<Spark>,
    /// The last snapshots together.
    pub summary: Summary,
    /// How healthy it is, where its calls are observed or a check has its name.
    pub health: Option<&'static str>,
    /// Its orders, where it has any.
    pub orders: Option<OrdersView>,
    /// Its score from 0 to 100, where the program has one.
    pub score: Option<f64>,
}

/// One limit of a rate limit.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitView {
    /// The instance, and the number of the limit where it has several: `alpaca`, `alpaca/1`.
    pub name: String,
    /// What it counts: `requests`, `weight`.
    pub unit: &'static str,
    /// What is left; below zero where more was used than estimated.
    pub available: Option<f64>,
    /// The most that can be left.
    pub capacity: Option<f64>,
    /// Its window.
    pub window_seconds: Option<f64>,
    /// When all of it is there again, if nothing is taken.
    pub resets_in_seconds: Option<f64>,
    /// What the upstream has last reported of its own limit.
    pub provider: Option<ProviderLimitView>,
    /// The share that is used: of the upstream's own limit where it is known, else of ours.
    pub used_share: Option<f64>,
}

/// What the upstream has last reported of its own limit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderLimitView {
    /// What is left.
    pub remaining: Option<f64>,
    /// The limit.
    pub limit: Option<f64>,
    /// When it is renewed.
    pub resets_in_seconds: Option<f64>,
    /// How old the report is.
    pub age_seconds: Option<f64>,
}

/// What is left of a budget for extra attempts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// Extra attempts that are paid for.
    pub balance: f64,
    /// The most that can be.
    pub capacity: Option<f64>,
}

/// A call that was rejected: the layers that it passed, and the one that rejected it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectionView {
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// The pattern of the layer, where it is known.
    pub pattern: Option<&'static str>,
    /// The name of the layer.
    pub name: &'static str,
    /// Why, as the label of metrics.
    pub reason: &'static str,
    /// Why, with its figures.
    pub words: String,
    /// What to do.
    pub advice: &'static str,
    /// The patterns of the layers that the call had passed, from the outermost on.
    pub passed: Vec<&'static str>,
}

/// One sample of a sparkline.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Spark {
    /// How long before the overview it ended, to a hundredth.
    pub ago_seconds: f32,
    /// Calls per second.
    pub calls_per_second: f32,
    /// The share of failed calls.
    pub error_ratio: Option<f32>,
    /// What 99 of 100 calls did not exceed.
    pub p99_seconds: Option<f32>,
}

impl Overview {
    /// The same with the last `number` points of each sparkline: what a viewer needs that has the others. With
    /// all of them, an overview of 100 services is a megabyte of JSON; with one it is a tenth of that.
    #[must_use]
    pub fn with_last_sparks(&self, number: usize) -> Self {
        let mut overview = self.clone();
        for service in &mut overview.services {
            let excess = service.sparkline.len().saturating_sub(number);
            service.sparkline.drain(..excess);
        }
        overview
    }
}

/// Where a figure goes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Trend {
    /// The later half of the snapshots is better than the earlier one.
    Better,
    /// Both are alike.
    Steady,
    /// The later half is worse.
    Worse,
    /// One half has no calls.
    Unknown,
}

impl Trend {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Steady => "steady",
            Self::Worse => "worse",
            Self::Unknown => "unknown",
        }
    }
}

/// The last snapshots of a service together.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Summary {
    /// How many there are; at most as many as the monitor keeps.
    pub snapshots: u64,
    /// How long they took.
    pub seconds: f64,
    /// Calls, rejected ones included.
    pub calls: u64,
    /// The share of calls that succeeded among those that succeeded or failed.
    pub success_ratio: Option<f64>,
    /// How long a call took, on average.
    pub average_seconds: Option<f64>,
    /// What half of the calls did not exceed.
    pub p50_seconds: Option<f64>,
    /// What 95 of 100 calls did not exceed.
    pub p95_seconds: Option<f64>,
    /// What 99 of 100 calls did not exceed.
    pub p99_seconds: Option<f64>,
    /// Where the share of successes goes: by more than one point in a hundred.
    pub success_trend: Trend,
    /// Where the average time goes: by more than a tenth.
    pub latency_trend: Trend,
}

/// Orders whose outcome matters.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrdersView {
    /// Orders whose outcome is not known.
    pub in_doubt: u64,
    /// Orders whose look-ups are used up: a person has to look.
    pub exhausted: u64,
    /// Which requests pass: `normal`, `reduce_only`, `cancel_only`, `halted`; of several services the
    /// strictest.
    pub mode: &'static str,
    /// Whether the kill switch is engaged.
    pub kill_switch: bool,
}

/// A health check.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckView {
    /// The name.
    pub name: &'static str,
    /// How healthy what it checks is.
    pub status: &'static str,
    /// Whether everything is unhealthy when this is.
    pub critical: bool,
    /// The message of the last run.
    pub message: Option<String>,
}

/// The health score from 0 to 100.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoreView {
    /// The score.
    pub score: f64,
    /// Below which it is too low.
    pub threshold: f64,
    /// What it is made of.
    pub parts: Vec<ScorePart>,
    /// What would make it better, in words.
    pub recommendations: Vec<String>,
    /// The scores of single services, by name.
    pub services: Vec<ServiceScore>,
}

/// A part of a score.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScorePart {
    /// Its name: `resilience`, `system`.
    pub name: String,
    /// What it reaches, from 0 to 100.
    pub score: f64,
    /// Its weight in the score, in hundredths.
    pub weight: f64,
}

/// The score of one service.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceScore {
    /// The name of the service.
    pub name: String,
    /// Its score, from 0 to 100.
    pub score: f64,
}

impl ScoreView {
    /// A score and the threshold below which it is too low, both from 0 to 100: what is beyond counts as the nearer
    /// of these, and what is no number as 0.
    pub fn new(score: f64, threshold: f64) -> Self {
        Self {
            score: of_100(score),
            threshold: of_100(threshold),
            ..Self::default()
        }
    }

    /// What a health monitor has computed, if it could.
    pub(crate) fn of_report(report: ScoreReport) -> Option<Self> {
        let mut view = Self::new(report.score?, report.threshold);
        for part in report.parts {
            if let Some(score) = part.score {
                view = view.part(part.part.as_str(), score, part.weight);
            }
        }
        for service in report.services {
            view = view.service(service.name.as_str(), service.score);
        }
        for advice in report.recommendations {
            view = view.recommend(advice.words);
        }
        Some(view)
    }

    /// Adds a part: its name, what it reaches, and its weight.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, score: f64, weight: f64) -> Self {
        self.parts.push(ScorePart {
            name: name.into(),
            score: of_100(score),
            weight: of_100(weight),
        });
        self
    }

    /// Adds the score of a service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>, score: f64) -> Self {
        self.services.push(ServiceScore {
            name: name.into(),
            score: of_100(score),
        });
        self
    }

    /// Adds what would make it better.
    #[must_use]
    pub fn recommend(mut self, words: impl Into<String>) -> Self {
        self.recommendations.push(words.into());
        self
    }
}

/// A score or a weight, from 0 to 100.
fn of_100(value: f64) -> f64 {
    number(value).unwrap_or_default().clamp(0.0, 100.0)
}

/// A figure, unless it is infinite or not a number, which JSON has no form for.
pub(crate) fn number(value: f64) -> Option<f64> {
    // Adding zero turns a negative zero into zero.
    value.is_finite().then_some(value + 0.0)
}
