//! One period of the history of a service.

use serde::Serialize;

/// One period of a service, 10 s or a minute.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryPoint {
    /// When the period ended, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// Calls per second, rejected ones included.
    pub calls_per_second: f32,
    /// The share of failed calls among those that succeeded or failed.
    pub error_ratio: Option<f32>,
    /// What 99 of 100 calls did not exceed.
    pub p99_seconds: Option<f32>,
}

/// What is kept of the past of a service.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceHistory {
    /// The name of the service.
    pub name: &'static str,
    /// The registry that it is in.
    pub registry: &'static str,
    /// Periods of 10 s, of the last hour; oldest first.
    pub ten_seconds: Vec<HistoryPoint>,
    /// Periods of a minute, of the last 24 hours; oldest first.
    pub minutes: Vec<HistoryPoint>,
}
