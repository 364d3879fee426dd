//! Alerts: what is firing, who knows of it, and which are silenced.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use seawall_monitor::{
    AlertCommandError, AlertKind, AlertView, SilenceMatcher, SilenceView, SinkStats,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::{Why, check_reason};
use super::overview::monitor;
use crate::auth::{Operating, Viewing};
use crate::commands::LONGEST;
use crate::extract::{Body, Path};
use crate::problem::{Commanded, Found, Problem};
use crate::state::Shared;

/// Alerts, silences, and what sinks did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertsView {
    /// Those that are firing, and the last ones that are over; newest first.
    alerts: Vec<AlertView>,
    /// The silences that hold, the newest first.
    silences: Vec<SilenceView>,
    /// Where alerts go.
    sinks: Vec<SinkStats>,
}

/// That somebody knows of an alert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcknowledgeRequest {
    /// Why: it is shown to others, and written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
    /// After how many seconds it ends, up to seven days. An alert that is firing then is sent again.
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: u64,
}

/// Which alerts are not to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceRequest {
    /// Those of this rule: `ManyFailures`.
    #[serde(default)]
    rule: Option<String>,
    /// Those of this service.
    #[serde(default)]
    service: Option<String>,
    /// Every alert: needed where neither a rule nor a service is given.
    #[serde(default)]
    all: bool,
    /// Why: it is shown to others, and written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
    /// After how many seconds it ends, up to seven days. What is firing then is sent.
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: u64,
}

fn check_expiry(seconds: u64) -> Result<Duration, Problem> {
    let lasts = Duration::from_secs(seconds);
    if lasts.is_zero() || lasts > LONGEST {
        let longest = LONGEST.as_secs();
        let detail = format!("`expires_in_seconds` is {seconds}, accepted is 1 to {longest}");
        return Err(unprocessable(detail));
    }
    Ok(lasts)
}

fn unprocessable(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

fn problem(error: AlertCommandError) -> Problem {
    let status = match error {
        AlertCommandError::TooManySilences => StatusCode::CONFLICT,
        AlertCommandError::NoTime | AlertCommandError::TooLong(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::NOT_FOUND,
    };
    Problem::new(status, error.to_string())
}

/// Alerts that are firing and the last ones that are over, silences, and where alerts go.
#[utoipa::path(
    get, path = "/api/v1/resilience/alerts", tag = "alerts",
    responses((status = OK, body = AlertsView), Found),
)]
pub(crate) async fn alerts(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<AlertsView>, Problem> {
    let monitor = monitor(&shared)?;
    Ok(Json(AlertsView {
        alerts: monitor.alerts(),
        silences: monitor.silences(),
        sinks: monitor.sinks(),
    }))
}

/// Notes that somebody knows of an alert that is firing, for a time.
#[utoipa::path(
    post, path = "/api/v1/resilience/alerts/{id}/acknowledge", tag = "alerts",
    params(("id" = u64, Path, description = "The number of the alert", example = 1)),
    request_body = AcknowledgeRequest,
    responses((status = OK, body = AlertView), Commanded),
)]
pub(crate) async fn acknowledge(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    Body(request): Body<AcknowledgeRequest>,
) -> Result<Json<AlertView>, Problem> {
    check_reason(&request.reason)?;
    let lasts = check_expiry(request.expires_in_seconds)?;
    let monitor = monitor(&shared)?.clone();
    let mut entry = caller.entry("acknowledge", format!("alert/{id}"), &request.reason);
    entry.expires_in_seconds = Some(lasts.as_secs());
    let who = caller.name();
    let done = shared.audited(entry, move || {
        let done = monitor.acknowledge(id, &who, &request.reason, lasts);
        done.map_err(problem)?;
        find(monitor.alerts(), id)
    });
    Ok(Json(done.await?))
}

/// Ends that: nobody takes care of the alert any more.
#[utoipa::path(
    post, path = "/api/v1/resilience/alerts/{id}/unacknowledge", tag = "alerts",
    params(("id" = u64, Path, description = "The number of the alert", example = 1)),
    request_body = Why,
    responses((status = OK, body = AlertView), Commanded),
)]
pub(crate) async fn unacknowledge(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    Body(why): Body<Why>,
) -> Result<Json<AlertView>, Problem> {
    check_reason(&why.reason)?;
    let monitor = monitor(&shared)?.clone();
    let entry = caller.entry("unacknowledge", format!("alert/{id}"), &why.reason);
    let done = shared.audited(entry, move || {
        monitor.unacknowledge(id).map_err(problem)?;
        find(monitor.alerts(), id)
    });
    Ok(Json(done.await?))
}

fn find(alerts: Vec<AlertView>, id: u64) -> Result<AlertView, Problem> {
    let mut alerts = alerts.into_iter();
    let found = alerts.find(|alert| alert.id == id);
    found.ok_or_else(|| Problem::not_found(format!("alert {id} is over and not kept any more")))
}

/// Sends no sink the alerts of a rule, of a service or of both, for a time. They are shown.
#[utoipa::path(
    post, path = "/api/v1/resilience/silences", tag = "alerts", request_body = SilenceRequest,
    responses((status = OK, body = SilenceView), Commanded),
)]
pub(crate) async fn silence(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Body(request): Body<SilenceRequest>,
) -> Result<Json<SilenceView>, Problem> {
    check_reason(&request.reason)?;
    let lasts = check_expiry(request.expires_in_seconds)?;
    let monitor = monitor(&shared)?.clone();
    let matcher = matcher(&monitor, &request)?;
    let of = |of: &Option<String>| of.clone().unwrap_or_else(|| "*".to_owned());
    let target = format!("alerts/{}/{}", of(&request.service), of(&request.rule));
    let mut entry = caller.entry("silence", target, &request.reason);
    entry.expires_in_seconds = Some(lasts.as_secs());
    let who = caller.name();
    let done = shared.audited(entry, move || {
        let id = monitor.silence(matcher, &who, &request.reason, lasts);
        let id = id.map_err(problem)?;
        let mut silences = monitor.silences().into_iter();
        let silence = silences.find(|silence| silence.id == id);
        silence.ok_or_else(|| problem(AlertCommandError::NoSilence(id)))
    });
    Ok(Json(done.await?))
}

fn matcher(
    monitor: &seawall_monitor::Monitor,
    request: &SilenceRequest,
) -> Result<SilenceMatcher, Problem> {
    let mut matcher = SilenceMatcher::all();
    if request.all != (request.rule.is_none() && request.service.is_none()) {
        let detail = "accepted is a `rule`, a `service` or both, or `all`";
        return Err(unprocessable(detail.to_owned()));
    }
    if let Some(rule) = &request.rule {
        let rule = AlertKind::by_name(rule);
        matcher = matcher.rule(rule.map_err(|error| unprocessable(error.to_string()))?);
    }
    if let Some(service) = &request.service {
        let overview = monitor.overview();
        let mut services = overview.services.iter();
        // A name is kept for good, so none is made up here.
        let Some(known) = services.find(|it| it.name == service) else {
            let detail = format!("there is no service `{service}`");
            return Err(Problem::not_found(detail));
        };
        matcher = matcher.service(known.name);
    }
    Ok(matcher)
}

/// Ends a silence. What is firing then is sent.
#[utoipa::path(
    post, path = "/api/v1/resilience/silences/{id}/end", tag = "alerts",
    params(("id" = u64, Path, description = "The number of the silence", example = 3)),
    request_body = Why,
    responses((status = NO_CONTENT), Commanded),
)]
pub(crate) async fn end_silence(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    Body(why): Body<Why>,
) -> Result<StatusCode, Problem> {
    check_reason(&why.reason)?;
    let monitor = monitor(&shared)?.clone();
    let entry = caller.entry("end_silence", format!("silence/{id}"), &why.reason);
    let done = shared.audited(entry, move || monitor.unsilence(id).map_err(problem));
    done.await?;
    Ok(StatusCode::NO_CONTENT)
}
