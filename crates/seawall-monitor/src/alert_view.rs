//! What is shown of an alert.

use std::collections::BTreeMap;

use seawall_core::Severity;
use serde::Serialize;

/// Whether an alert still holds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AlertState {
    /// Its condition holds.
    Firing,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// An alert: what is wrong, where, how badly, and what to do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertView {
    /// Its number, unique in the process.
    pub id: u64,
    /// The rule: `BreakerOpened`.
    pub name: &'static str,
    /// How urgent it is: `info`, `warning`, `critical`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub severity: Severity,
    /// Whether it still holds.
    pub state: AlertState,
    /// The service that it is about; `null` where it is about all.
    pub service: Option<&'static str>,
    /// What is wrong, in words.
    pub words: String,
    /// The figure that raised it, or the last one.
    pub value: f64,
    /// At which figure it is raised.
    pub threshold: f64,
    /// When it was raised, in milliseconds since the Unix epoch.
    pub raised_at_unix_ms: u64,
    /// When it was over.
    pub resolved_at_unix_ms: Option<u64>,
    /// What distinguishes it: `program`, which is the name of the monitor, `service`, `registry`, `check`, `limit`.
    pub labels: BTreeMap<&'static str, String>,
    /// Where what to do is written: `docs/runbooks/BreakerOpened.md`.
    pub runbook: String,
    /// That somebody knows of it.
    pub acknowledged: Option<Acknowledgement>,
    /// That it is not sent, by a silence.
    pub silenced: Option<Acknowledgement>,
    /// The number of that silence, by which it is ended.
    pub silence: Option<u64>,
}

/// A silence that holds: alerts that match are shown and not sent.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SilenceView {
    /// Its number, by which it is ended.
    pub id: u64,
    /// The rule of the alerts; `null` for those of every rule.
    pub rule: Option<&'static str>,
    /// Their service; `null` for those of every service.
    pub service: Option<&'static str>,
    /// Who has silenced them, why, and until when.
    #[serde(flatten)]
    pub silenced: Acknowledgement,
}

/// Who has taken notice of an alert, or silenced it, and until when.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
}
