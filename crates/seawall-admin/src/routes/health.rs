//! Health and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use seawall_health::{CheckReport, HealthMonitor, HealthReport, ScoreReport, Status};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Operating, Viewing};
use crate::extract::Path;
use crate::problem::{Commanded, Problem, Shown};
use crate::prometheus;
use crate::reading::reading;
use crate::state::Shared;
use crate::view::{ComponentView, components, each};

/// How healthy the program is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// The program.
    name: &'static str,
    /// `healthy`, `degraded`, `unhealthy`, or `unknown` before the first check. Where the audit log lacks
    /// entries, it is `degraded` at best.
    status: &'static str,
    /// How many circuits are open.
    open_circuits: usize,
}

/// The same with every check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailedHealth {
    #[serde(flatten)]
    summary: HealthView,
    /// Every check with its last result.
    checks: Option<HealthReport>,
    /// Whether the audit log has everything.
    audit: AuditHealth,
    /// Components that are not in their usual state.
    components: Vec<ComponentState>,
}

/// Whether the audit log has everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditHealth {
    /// `healthy`, or `degraded` while entries wait for the disk.
    status: &'static str,
    /// Entries of what was done that could not be written, and are tried again each second.
    unwritten: usize,
    /// Entries that are lost, since there were too many of these.
    lost: u64,
}

/// The same with the score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComprehensiveHealth {
    #[serde(flatten)]
    health: DetailedHealth,
    /// The health score with its parts and what would make it better; `null` where none is set.
    score: Option<ScoreReport>,
}

/// The state of a component.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComponentState {
    service: &'static str,
    pattern: &'static str,
    name: &'static str,
    state: &'static str,
}

fn status(shared: &Shared) -> Status {
    let health = shared.health.as_ref();
    let status = health.map_or(Status::Healthy, HealthMonitor::status);
    match status {
        Status::Unhealthy => status,
        _ if shared.audit.unwritten() > 0 => Status::Degraded,
        _ => status,
    }
}

fn audit_health(shared: &Shared) -> AuditHealth {
    let unwritten = shared.audit.unwritten();
    let status = match unwritten {
        0 => Status::Healthy,
        _ => Status::Degraded,
    };
    AuditHealth {
        status: status.as_str(),
        unwritten,
        lost: shared.audit.lost(),
    }
}

fn summary(shared: &Shared) -> HealthView {
    let circuits = each(shared, |pattern| pattern == "breaker");
    let is_open = |circuit: &&ComponentView| matches!(circuit.state, "open" | "forced_open");
    HealthView {
        name: shared.name.as_str(),
        status: status(shared).as_str(),
        open_circuits: circuits.iter().filter(is_open).count(),
    }
}

/// 503 where the program is not healthy enough to be relied on.
fn code(shared: &Shared) -> StatusCode {
    match status(shared) {
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

/// How healthy the program is: 200, or 503 when it is unhealthy. For load balancers: it needs no token.
#[utoipa::path(
    get, path = "/health", tag = "health",
    responses((status = OK, body = HealthView), (status = SERVICE_UNAVAILABLE, body = HealthView)),
)]
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    (code(&shared), Json(summary(&shared))).into_response()
}

/// Every check with its last result, and what is not in its usual state.
#[utoipa::path(
    get, path = "/health/detailed", tag = "health",
    responses(
        (status = OK, body = DetailedHealth), (status = SERVICE_UNAVAILABLE, body = DetailedHealth), Shown),
)]
pub(crate) async fn detailed(_: Viewing, State(shared): State<Arc<Shared>>) -> Response {
    let checks = shared.health.as_ref().map(HealthMonitor::report);
    let health = detailed_of(&shared, checks);
    (code(&shared), Json(health)).into_response()
}

/// The same with the health score from 0 to 100, its parts, and what would make it better.
#[utoipa::path(
    get, path = "/api/v1/system/health/comprehensive", tag = "system",
    responses((status = OK, body = ComprehensiveHealth), Shown),
)]
pub(crate) async fn comprehensive(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<ComprehensiveHealth>, Problem> {
    // The score reads files of the system.
    let read = reading(move || {
        let report = shared.health.as_ref().map(HealthMonitor::comprehensive);
        let (checks, score) = match report {
            Some(report) => (Some(report.health), report.score),
            None => (None, None),
        };
        let health = detailed_of(&shared, checks);
        Json(ComprehensiveHealth { health, score })
    });
    read.await
}

fn detailed_of(shared: &Shared, checks: Option<HealthReport>) -> DetailedHealth {
    let unusual = components(shared).into_iter().filter(|component| {
        !matches!(
            component.state,
            "closed" | "ok" | "healthy" | "normal" | "idle"
        )
    });
    let states = unusual.map(|component| ComponentState {
        service: component.service,
        pattern: component.pattern,
        name: component.name,
        state: component.state,
    });
    DetailedHealth {
        summary: summary(shared),
        checks,
        audit: audit_health(shared),
        components: states.collect(),
    }
}

/// Every counter and gauge, by component.
#[utoipa::path(
    get, path = "/health/metrics", tag = "health",
    responses((status = OK, body = BTreeMap<String, Vec<ComponentView>>), Shown),
)]
pub(crate) async fn metrics(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    reading(move || {
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let own = shared.unregistered();
        let own = own
            .iter()
            .map(|own| ComponentView::unregistered(&shared, &**own));
        for component in components(&shared).into_iter().chain(own) {
            let of_service = by_service.entry(component.service).or_default();
            of_service.push(component);
        }
        Json(by_service).into_response()
    })
    .await
}

/// Every counter and gauge, as `OpenMetrics` text for Prometheus.
#[utoipa::path(
    get, path = "/health/prometheus", tag = "health",
    responses(
        (status = OK, body = String, content_type = "application/openmetrics-text"), Shown),
)]
pub(crate) async fn prometheus(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    let text = reading(move || prometheus::render(&shared));
    let text = text.await?.map_err(|_error| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response())
}

/// Runs a check now, whatever its interval.
#[utoipa::path(
    post, path = "/api/v1/health/checks/{name}/run", tag = "health",
    params(("name" = String, Path, description = "The name of the check")),
    responses(
        (status = OK, body = CheckReport), Commanded),
)]
pub(crate) async fn run_check(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<CheckReport>, Problem> {
    let missing = || Problem::not_found(format!("there is no check `{name}`"));
    let health = shared.health.clone().ok_or_else(missing)?;
    let target = format!("check/{name}");
    let entry = caller.entry("run_check", target, "");
    shared.audited(entry, || Ok(())).await?;
    let report = health.run_check(&name).await;
    report.map(Json).ok_or_else(missing)
}
