//! What is known of checks at one moment.

use std::time::Duration;

use seawall_core::InstanceName;
use tokio::time::Instant;

use crate::{Depth, Status};

/// What is known of one check.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// The check.
    pub name: InstanceName,
    /// How deep it looks.
    pub depth: Depth,
    /// Whether the whole is unhealthy when this is.
    pub critical: bool,
    /// How well the checked thing is.
    pub status: Status,
    /// Since when, on tokio's clock.
    pub since: Instant,
    /// What the last run said: why it failed, mostly. `None` when it had nothing to say.
    pub message: Option<String>,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Successes in a row.
    pub consecutive_successes: u32,
    /// When the last run began, if there was one.
    pub last_run: Option<Instant>,
    /// How long the last run took.
    pub took: Option<Duration>,
    /// How often it was run.
    pub runs: u64,
    /// How many runs failed.
    pub failures: u64,
}

/// What is known of all checks of a monitor.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// How well the whole is; see [`aggregate`](crate::aggregate).
    pub status: Status,
    /// Each check, in the order in which they were registered.
    pub checks: Vec<CheckReport>,
}

impl HealthReport {
    /// What is known of the check of that name.
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|c| c.name.as_str() == name)
    }
}
