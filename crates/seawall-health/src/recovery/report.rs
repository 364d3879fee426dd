//! What is known of a recovery.

use seawall_core::{InstanceName, Samples};
use tokio::time::Instant;

seawall_core::state_words! {
    /// What a recovery is doing.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum RecoveryState {
        /// There is nothing to recover, or nothing that may be done about it.
        #[default]
        Idle = "idle",
        /// The check is unhealthy; the next attempt is waited for.
        Down = "down",
        /// A hook is to put it right.
        Healing = "healing",
        /// Clean validations are counted.
        Validating = "validating",
        /// The hooks that restore are called.
        Restoring = "restoring",
        /// All attempts have failed. The next one comes when a check that is unhealthy has recovered by
        /// itself, when one that is healthy is unhealthy again, or when an operator asks for it.
        GaveUp = "gave_up",
    }
}

/// What is known of the recovery of one check.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryReport {
    /// The check.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub check: InstanceName,
    /// What it is doing.
    pub state: RecoveryState,
    /// Since when, on tokio's clock. Serialized as `since_seconds`: how long ago.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "since_seconds", serialize_with = "crate::ago::seconds")
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub since: Instant,
    /// Which attempt it is, counted from 1; 0 before the first.
    pub attempt: u32,
    /// How many are made before it is given up.
    pub max_attempts: u32,
    /// When the next attempt begins, where that is known. Serialized as `next_attempt_seconds`: how
    /// soon.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "next_attempt_seconds",
            serialize_with = "crate::ago::seconds_to"
        )
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub next_attempt: Option<Instant>,
    /// How many validations in a row were clean so far.
    pub clean: u32,
    /// How many have to be.
    pub validations: u32,
    /// Why the last attempt failed.
    pub message: Option<String>,
    /// How often it was restored.
    pub restored: u64,
    /// How many attempts have failed.
    pub failed: u64,
    /// How often it was given up.
    pub gave_up: u64,
}

impl RecoveryReport {
    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let labels = [("check", self.check.as_str())];
        let active = f64::from(u8::from(self.state != RecoveryState::Idle));
        sink.gauge("seawall_health_recovery_active", &labels, active);
        sink.counter("seawall_health_recoveries_total", &labels, self.restored);
        let metric = "seawall_health_recovery_failures_total";
        sink.counter(metric, &labels, self.failed);
        let metric = "seawall_health_recoveries_given_up_total";
        sink.counter(metric, &labels, self.gave_up);
    }
}
