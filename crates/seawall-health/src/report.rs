//! What is known of checks at one moment.

use std::time::Duration;

use seawall_core::{InstanceName, Samples};
use tokio::time::Instant;

use crate::{CheckCounts, CheckTrend, Depth, RecoveryReport, ScoreReport, Status};

/// What is known of one check.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckReport {
    /// The name of the check.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: InstanceName,
    /// How deep it looks.
    pub depth: Depth,
    /// Whether the aggregate status is unhealthy when this is.
    pub critical: bool,
    /// How healthy what it checks is: unhealthy, too, where that depends on something that is.
    pub status: Status,
    /// Since when its own results say so, on tokio's clock. Serialized as `since_seconds`: how long ago.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "since_seconds", serialize_with = "crate::ago::seconds")
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub since: Instant,
    /// The message of the last run: why it failed, mostly.
    pub message: Option<String>,
    /// The unhealthy check that it directly or indirectly depends on: it is not run until that one
    /// is better.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub because_of: Option<InstanceName>,
    /// The checks that it depends on.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub depends_on: Vec<InstanceName>,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Successes in a row.
    pub consecutive_successes: u32,
    /// When the last run began, if there was one. Serialized as `last_run_seconds`: how long ago.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "last_run_seconds",
            serialize_with = "crate::ago::optional_seconds"
        )
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub last_run: Option<Instant>,
    /// How long the last run took. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub took: Option<Duration>,
    /// What the last runs were like.
    pub trend: CheckTrend,
    /// How often it was run.
    pub runs: u64,
    /// How many runs failed.
    pub failures: u64,
}

/// What is known of all checks of a monitor: its snapshot.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthReport {
    /// The name of the monitor.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: InstanceName,
    /// The aggregate status; see [`aggregate`](crate::aggregate).
    pub status: Status,
    /// Runs of all checks that are registered.
    pub counts: CheckCounts,
    /// Each check, in the order in which they were registered.
    pub checks: Vec<CheckReport>,
    /// The recovery of each check that has one.
    pub recoveries: Vec<RecoveryReport>,
}

/// Everything that a monitor knows: its checks, its recoveries and its score.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComprehensiveReport {
    /// Checks and recoveries.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub health: HealthReport,
    /// The score, if one is set.
    pub score: Option<ScoreReport>,
}

impl HealthReport {
    /// What is known of the check of that name.
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|c| c.name.as_str() == name)
    }

    /// What is known of the recovery of the check of that name, if it has one.
    pub fn recovery(&self, name: &str) -> Option<&RecoveryReport> {
        self.recoveries.iter().find(|r| r.check.as_str() == name)
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let status = f64::from(self.status.as_number());
        sink.gauge("seawall_health_aggregate_status", &[], status);
        for recovery in &self.recoveries {
            recovery.samples(sink);
        }
        for check in &self.checks {
            check.samples(sink);
        }
    }
}

impl CheckReport {
    fn samples(&self, sink: &mut Samples<'_>) {
        let labels = [
            ("check", self.name.as_str()),
            ("depth", self.depth.as_str()),
        ];
        let status = f64::from(self.status.as_number());
        sink.gauge("seawall_health_check_status", &labels, status);
        sink.counter("seawall_health_check_runs_total", &labels, self.runs);
        sink.counter(
            "seawall_health_check_failures_total",
            &labels,
            self.failures,
        );
        if let Some(took) = self.took {
            let seconds = took.as_secs_f64();
            sink.gauge("seawall_health_check_duration_seconds", &labels, seconds);
        }
    }
}
