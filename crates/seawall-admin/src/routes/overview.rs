//! What a monitor makes of the figures: an overview, its live stream, and history.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use http::{HeaderMap, StatusCode, header};
use seawall_monitor::{
    CheckView, HistoryPoint, Level, Monitor, MonitorView, Overview, ScoreView, ServiceHistory,
    ServiceOverview, Summary, Totals, Verdict,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Viewing, open_stream};
use crate::extract::{Path, Query};
use crate::frames::{Frames, Viewer};
use crate::problem::{Asked, Found, Problem, Streamed};
use crate::reading::reading;
use crate::state::Shared;

/// The most points of a history: minutes of a day.
const MOST_POINTS: usize = 1_440;

pub(super) fn frames(shared: &Shared) -> Result<&Arc<Frames>, Problem> {
    let detail = "the program has no monitor";
    shared
        .frames
        .as_ref()
        .ok_or_else(|| Problem::not_found(detail))
}

pub(super) fn monitor(shared: &Shared) -> Result<&Monitor, Problem> {
    Ok(&frames(shared)?.monitor)
}

/// Whether one can trade, and how well each service works.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResilienceHealth<'a> {
    /// When it was read, in milliseconds since 1970.
    at_unix_ms: u64,
    /// The program.
    program: &'a str,
    /// Whether the figures are being read.
    monitor: MonitorView,
    /// Whether one can trade.
    verdict: &'a Verdict,
    /// Every service, the one with most trouble first.
    services: Vec<ServiceHealth<'a>>,
    /// The health checks, where the monitor has them.
    checks: &'a [CheckView],
    /// The health score, where the program has one.
    score: Option<&'a ScoreView>,
}

/// How well a service works.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceHealth<'a> {
    /// The name.
    name: &'a str,
    /// The registry that it is in.
    registry: &'a str,
    /// How well it works.
    level: Level,
    /// Why, in words.
    verdict: &'a str,
    /// How much trouble it has; 0 is none.
    trouble: f64,
    /// The state in a word.
    state: &'a str,
    /// How healthy it is, where that is checked.
    health: Option<&'a str>,
    /// Its score from 0 to 100, where the program has one.
    score: Option<f64>,
}

impl<'a> ServiceHealth<'a> {
    fn of(service: &'a ServiceOverview) -> Self {
        Self {
            name: service.name,
            registry: service.registry,
            level: service.level,
            verdict: &service.verdict,
            trouble: service.trouble,
            state: service.state,
            health: service.health,
            score: service.score,
        }
    }
}

/// Whether one can trade, how well each service works and why, and the health score.
#[utoipa::path(
    get, path = "/api/v1/resilience/health", tag = "resilience",
    responses((status = OK, body = ResilienceHealth<'static>), Found),
)]
pub(crate) async fn health(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    let overview = monitor(&shared)?.overview();
    let health = ResilienceHealth {
        at_unix_ms: overview.at_unix_ms,
        program: overview.program,
        monitor: overview.monitor,
        verdict: &overview.verdict,
        services: overview.services.iter().map(ServiceHealth::of).collect(),
        checks: &overview.checks,
        score: overview.score.as_ref(),
    };
    Ok(Json(health).into_response())
}

/// What services do, in figures. Rates, shares and quantiles are those of the last 10 s, unless the monitor is
/// set otherwise; times are in seconds, shares from 0 to 1.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResilienceMetrics {
    /// When it was read, in milliseconds since 1970.
    at_unix_ms: u64,
    /// All services together.
    totals: Totals,
    /// Every service, the one with most trouble first.
    services: Vec<ServiceMetrics>,
}

/// The figures of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceMetrics {
    /// The name.
    name: &'static str,
    /// The registry that it is in.
    registry: &'static str,
    /// Calls per second, rejected ones included.
    calls_per_second: f64,
    /// The share of failed calls among those that succeeded or failed.
    error_ratio: Option<f64>,
    /// The share of slow calls among those that succeeded or failed.
    slow_ratio: Option<f64>,
    /// The share of calls that a layer rejected.
    rejected_ratio: Option<f64>,
    /// Calls per second that the upstream turned away as too many.
    throttled_per_second: f64,
    /// How long a call took, on average.
    average_seconds: Option<f64>,
    /// What half of the calls did not exceed.
    p50_seconds: Option<f64>,
    /// What 95 of 100 calls did not exceed.
    p95_seconds: Option<f64>,
    /// What 99 of 100 calls did not exceed.
    p99_seconds: Option<f64>,
    /// Calls in flight, where a bulkhead counts them.
    in_flight: Option<f64>,
    /// Calls that wait for a permit or for tokens.
    queue_depth: Option<f64>,
    /// The last snapshots together.
    summary: Summary,
}

impl ServiceMetrics {
    fn of(service: &ServiceOverview) -> Self {
        Self {
            name: service.name,
            registry: service.registry,
            calls_per_second: service.calls_per_second,
            error_ratio: service.error_ratio,
            slow_ratio: service.slow_ratio,
            rejected_ratio: service.rejected_ratio,
            throttled_per_second: service.throttled_per_second,
            average_seconds: service.average_seconds,
            p50_seconds: service.p50_seconds,
            p95_seconds: service.p95_seconds,
            p99_seconds: service.p99_seconds,
            in_flight: service.in_flight,
            queue_depth: service.queue_depth,
            summary: service.summary,
        }
    }
}

/// What services do, in figures: rates, shares, response times.
#[utoipa::path(
    get, path = "/api/v1/resilience/metrics", tag = "resilience",
    responses((status = OK, body = ResilienceMetrics), Found),
)]
pub(crate) async fn metrics(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<ResilienceMetrics>, Problem> {
    let overview = monitor(&shared)?.overview();
    Ok(Json(ResilienceMetrics {
        at_unix_ms: overview.at_unix_ms,
        totals: overview.totals,
        services: overview.services.iter().map(ServiceMetrics::of).collect(),
    }))
}

/// Everything that the first screen of a dashboard shows.
#[utoipa::path(
    get, path = "/api/v1/resilience/dashboard", tag = "resilience",
    responses((status = OK, body = Overview), Found),
)]
pub(crate) async fn dashboard(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    let monitor = monitor(&shared)?.clone();
    reading(move || Json(&*monitor.overview()).into_response()).await
}

/// The same as it changes, as server-sent events: `overview` first, and again after a gap, with everything;
/// then `frame` at each sample and at what changes between two of them, with the last point of each sparkline
/// alone; `heartbeat` after 5 s without one.
///
/// A frame with the same `monitor.samples` as the one before has no new point. A viewer that is slow
/// is sent the newest one, never all that it has missed. A stream ends after an hour, with its session,
/// and when the tokens change. What happened before is in `/api/v1/events`.
#[utoipa::path(
    get, path = "/api/v1/resilience/dashboard/stream", tag = "resilience",
    responses(
        (status = OK, body = String, content_type = "text/event-stream"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"), Streamed),
)]
pub(crate) async fn stream(
    Viewing(caller): Viewing,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let frames = frames(&shared)?;
    let stream = open_stream(&shared, &caller, &headers)?;
    let viewer = Viewer::new(frames, stream, &shared.streams);
    let frames = unfold(viewer, |mut viewer| async {
        let frame = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), viewer))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::from_stream(frames)).into_response())
}

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// `10s`: an hour in points of 10 s, which it is unless given; `1m`: a day in minutes.
    #[param(pattern = "^(10s|1m)$")]
    resolution: Option<String>,
    /// Only the service of this registry.
    registry: Option<String>,
    /// The most points, the last ones; all unless given.
    #[param(minimum = 1, maximum = 1440)]
    limit: Option<usize>,
}

/// The past of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryView {
    /// The name of the service.
    name: &'static str,
    /// The registry that it is in.
    registry: &'static str,
    /// How long a point is.
    resolution_seconds: u32,
    /// The points, the oldest first. Where nothing was sampled there is none.
    points: Vec<HistoryPoint>,
}

/// The past of a service, of each registry that has one of that name; also of one that is gone.
#[utoipa::path(
    get, path = "/api/v1/resilience/history/{service}", tag = "resilience",
    params(("service" = String, Path, description = "The name of the service"), Part),
    responses((status = OK, body = Vec<HistoryView>), Asked),
)]
pub(crate) async fn history(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Query(part): Query<Part>,
) -> Result<Json<Vec<HistoryView>>, Problem> {
    let invalid = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    type Points = fn(ServiceHistory) -> Vec<HistoryPoint>;
    let (resolution_seconds, points): (_, Points) = match part.resolution.as_deref() {
        None | Some("10s") => (10, |history| history.ten_seconds),
        Some("1m") => (60, |history| history.minutes),
        Some(other) => {
            let detail = format!("`resolution` is {other:?}, accepted is 10s or 1m");
            return Err(invalid(detail));
        }
    };
    let limit = part.limit.unwrap_or(MOST_POINTS);
    if !(1..=MOST_POINTS).contains(&limit) {
        let detail = format!("`limit` is {limit}, accepted is 1 to {MOST_POINTS}");
        return Err(invalid(detail));
    }
    let mut all = monitor(&shared)?.history(&service);
    if let Some(registry) = &part.registry {
        all.retain(|history| history.registry == registry);
    }
    if all.is_empty() {
        let detail = format!("there is no service `{service}`");
        return Err(Problem::not_found(detail));
    }
    let views = all.into_iter().map(|history| {
        let (name, registry) = (history.name, history.registry);
        let mut points = points(history);
        points.drain(..points.len().saturating_sub(limit));
        HistoryView {
            name,
            registry,
            resolution_seconds,
            points,
        }
    });
    Ok(Json(views.collect()))
}
