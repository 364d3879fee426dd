//! Figures that are not per call.

use std::sync::OnceLock;

use seawall_core::WrapError;
use tower_layer::Layer;

use super::{admin, operations, seawall};
use crate::leaf::Leaf;
use crate::tail;

/// A figure beside the rows, with a name that a filter finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Bytes of a breaker: its layer, one service, and what both share.
    BreakerBytes,
    /// Bytes of one of 100,000 keys of a breaker per key: its circuit, its window and its entry in
    /// the map.
    KeyBytes,
    /// Bytes of one of 1,000,000 keys of a rate limit per key: its word and its entry in the map.
    LimitKeyBytes,
    /// The rejection that 1 of 1,000 is slower than, in nanoseconds, with 64 tasks on the circuit.
    RejectionTail,
    /// The median time from a change to its subscriber while two threads call, in nanoseconds.
    EventMedian,
    /// The time that one change of a hundred is later than.
    EventTail,
    /// The longest one of 2,000.
    EventLongest,
    /// A registry's snapshot of 1,000 components, in nanoseconds.
    Snapshot,
    /// 1,000 components published to and rendered by the exporter for Prometheus, in nanoseconds.
    Scrape,
    /// A comprehensive health report of 100 checks, with score and JSON, in microseconds.
    HealthReport,
    /// The same by the route of the admin interface, in nanoseconds.
    HealthRoute,
    /// A scrape of 1,000 components by the route, in nanoseconds.
    ScrapeRoute,
    /// A list of 1,000 components with figures and settings by the route, in nanoseconds.
    ComponentsRoute,
    /// The overview of 100 services with their sparklines by the route, in nanoseconds.
    OverviewRoute,
    /// The share of a core in percent that the first viewer of the dashboard costs.
    FirstViewer,
    /// The time that one call of a hundred is later than, without viewers, in nanoseconds.
    CallsAlone,
    /// The same beside 100 viewers, of which 10 take nothing.
    CallsViewed,
}

impl Extra {
    pub(crate) const ALL: &[Self] = &[
        Self::BreakerBytes,
        Self::KeyBytes,
        Self::LimitKeyBytes,
        Self::RejectionTail,
        Self::EventMedian,
        Self::EventTail,
        Self::EventLongest,
        Self::Snapshot,
        Self::Scrape,
        Self::HealthReport,
        Self::HealthRoute,
        Self::ScrapeRoute,
        Self::ComponentsRoute,
        Self::OverviewRoute,
        Self::FirstViewer,
        Self::CallsAlone,
        Self::CallsViewed,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BreakerBytes => "seawall/breaker/memory",
            Self::KeyBytes => "seawall/breaker/per-key-memory",
            Self::LimitKeyBytes => "seawall/ratelimit/per-key-memory",
            Self::RejectionTail => "seawall/breaker/refused-tail",
            Self::EventMedian => "seawall/operations/event-p50",
            Self::EventTail => "seawall/operations/event-p99",
            Self::EventLongest => "seawall/operations/event-max",
            Self::Snapshot => "seawall/operations/snapshot-1k",
            Self::Scrape => "seawall/operations/scrape-1k",
            Self::HealthReport => "seawall/health/comprehensive",
            Self::HealthRoute => "seawall/admin/comprehensive",
            Self::ScrapeRoute => "seawall/admin/scrape-1k",
            Self::ComponentsRoute => "seawall/admin/components-1k",
            Self::OverviewRoute => "seawall/admin/overview-100",
            Self::FirstViewer => "seawall/admin/first-viewer",
            Self::CallsAlone => "seawall/admin/calls-p99",
            Self::CallsViewed => "seawall/admin/calls-p99-viewers",
        }
    }

    pub(crate) fn measure(self) -> Result<f64, String> {
        match self {
            Self::BreakerBytes => Ok(breaker_bytes()),
            Self::KeyBytes => Ok(key_bytes()),
            Self::LimitKeyBytes => Ok(limit_key_bytes()),
            Self::RejectionTail => tail::p999(&seawall::open_breaker().layer(WrapError::new(Leaf))),
            Self::EventMedian => event(|all| all.len() / 2),
            Self::EventTail => event(|all| all.len() - 1 - all.len() / 100),
            Self::EventLongest => event(|all| all.len() - 1),
            Self::Snapshot => operations::snapshot(),
            Self::Scrape => operations::scrape(),
            Self::HealthReport => super::health::comprehensive().map_err(|error| error.to_string()),
            Self::HealthRoute => admin::comprehensive().map_err(|error| error.to_string()),
            Self::ScrapeRoute => admin::scrape().map_err(|error| error.to_string()),
            Self::ComponentsRoute => admin::components().map_err(|error| error.to_string()),
            Self::OverviewRoute => admin::overview().map_err(|error| error.to_string()),
            Self::FirstViewer => admin::first_viewer().map_err(|error| error.to_string()),
            Self::CallsAlone => viewed(0),
            Self::CallsViewed => viewed(1),
        }
    }
}

/// One of the times from a change to its subscriber, which are measured once.
fn event(index: impl FnOnce(&[f64]) -> usize) -> Result<f64, String> {
    static LATENCIES: OnceLock<Result<Vec<f64>, String>> = OnceLock::new();
    let all = LATENCIES.get_or_init(operations::event_latency).as_ref();
    let all = all.map_err(Clone::clone)?;
    Ok(all[index(all)])
}

/// The p99 of calls without and with viewers, which are measured once.
fn viewed(index: usize) -> Result<f64, String> {
    static P99: OnceLock<Result<[f64; 2], String>> = OnceLock::new();
    let measure = || admin::calls_beside_viewers().map_err(|error| error.to_string());
    P99.get_or_init(measure).clone().map(|p99| p99[index])
}

fn key_bytes() -> f64 {
    const KEYS: u64 = 100_000;
    // Not those that the first few keys are not enough to fill.
    let few = seawall::keyed_bytes(1);
    (seawall::keyed_bytes(KEYS) - few) / (KEYS - 1) as f64
}

fn limit_key_bytes() -> f64 {
    const KEYS: u64 = 1_000_000;
    seawall::limited_keys_bytes(KEYS) / KEYS as f64
}

fn breaker_bytes() -> f64 {
    // The first breaker interns the name, which later ones share.
    let warm = seawall::breaker();
    let mut kept = None;
    let counted = allocation_counter::measure(|| {
        let layer = seawall::breaker();
        kept = Some((layer.layer(WrapError::new(Leaf)), layer));
    });
    drop(warm);
    let inline = kept.as_ref().map_or(0, |(service, layer)| {
        size_of_val(service) + size_of_val(layer)
    });
    counted.bytes_current as f64 + inline as f64
}
