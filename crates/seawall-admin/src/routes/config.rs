//! The configuration: what is in force, and changes of it while the program runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use seawall::config::{Origin, SettingChanges, SettingValue};
use seawall::reload::{ChangedSetting, ReloadError, ReloadableConfig, Reloaded};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::control::{Why, check_reason};
use crate::audit::unix_ms;
use crate::auth::{Operating, Viewing};
use crate::extract::{Body, Path};
use crate::problem::{Asked, Commanded, Problem};
use crate::state::Shared;

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigView {
    /// The number of the configuration; the first one is 1.
    generation: u64,
    /// Since when it is in force, in milliseconds since 1970.
    since_unix_ms: u64,
    /// The file; `null` where there is none.
    source: Option<String>,
    /// What is wrong with the file now, so that it is not in force.
    rejected: Option<RejectedView>,
    /// The services, by name.
    services: Vec<String>,
    /// Settings that were changed here, beside what the file says; `null` where the file has mistakes now, so
    /// that it says nothing.
    changed: Option<Vec<ChangedView>>,
}

/// What is wrong with the file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedView {
    /// Since when, in milliseconds since 1970.
    since_unix_ms: u64,
    /// Each mistake with its place.
    mistakes: Vec<String>,
}

/// A setting that was changed here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedView {
    /// The service.
    service: String,
    /// The setting: `bulkhead.max_concurrent`.
    key: String,
    /// What the file says.
    configured: String,
    /// What is in force.
    in_force: String,
}

impl From<ChangedSetting> for ChangedView {
    fn from(setting: ChangedSetting) -> Self {
        Self {
            service: setting.service,
            key: setting.key,
            configured: setting.configured,
            in_force: setting.in_force,
        }
    }
}

/// A setting of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingView {
    /// Its key in the file: `retry.attempts`.
    key: String,
    /// Its value, as a file has it.
    value: String,
    /// Where that comes from: a place in the file, a variable, or `base` for the provider or kind.
    origin: String,
}

/// Settings to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    /// By service and key: `{"feed": {"bulkhead.max_concurrent": 4}}`; `null` takes a setting back to
    /// what the file says. Other values are those of a file: a switch, a number, a text or a list.
    set: BTreeMap<String, BTreeMap<String, Value>>,
    /// The `generation` that the change is based on, which a dry run answers; `null` for a dry run.
    #[serde(default)]
    generation: Option<u64>,
    /// Why: it is written to the audit log. `null` for a dry run.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

/// What a change does, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReloadedView {
    /// The number of the configuration in force: what a change is based on.
    generation: u64,
    /// Whether it is done; `false` after a dry run.
    applied: bool,
    /// Services whose settings are others.
    changed: Vec<String>,
    /// Services that are new.
    added: Vec<String>,
    /// Services that are there no more.
    removed: Vec<String>,
    /// Settings that do not reach a layer that was replaced in the program.
    not_reached: Vec<String>,
}

fn config(shared: &Shared) -> Result<ReloadableConfig, Problem> {
    let detail = "the program has no configuration that can be changed while it runs";
    shared
        .config
        .clone()
        .ok_or_else(|| Problem::not_found(detail))
}

fn view(reloaded: Reloaded, generation: u64, applied: bool) -> ReloadedView {
    let not_reached = reloaded.not_reached.iter();
    ReloadedView {
        generation,
        applied,
        not_reached: not_reached.map(ToString::to_string).collect(),
        changed: reloaded.changed,
        added: reloaded.added,
        removed: reloaded.removed,
    }
}

fn problem(error: &ReloadError) -> Problem {
    let mistakes = error.mistakes().iter().map(ToString::to_string).collect();
    let status = match error {
        ReloadError::Nested | ReloadError::OtherGeneration(_) => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string()).with_mistakes(mistakes)
}

/// Runs what reads files where that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_panicked| {
        let detail = "reading the configuration panicked";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })
}

/// The configuration in force, and what was changed here.
#[utoipa::path(
    get, path = "/api/v1/config", tag = "config",
    responses((status = OK, body = ConfigView), Asked),
)]
pub(crate) async fn show(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<ConfigView>, Problem> {
    let config = config(&shared)?;
    let shown = blocking(move || {
        let status = config.status();
        let rejected = status.rejected.map(|rejected| RejectedView {
            since_unix_ms: unix_ms(rejected.since),
            mistakes: match rejected.error.mistakes() {
                [] => vec![rejected.error.to_string()],
                mistakes => mistakes.iter().map(ToString::to_string).collect(),
            },
        });
        let changed = config.changed_settings().ok();
        let current = config.current();
        Ok(ConfigView {
            generation: status.generation,
            since_unix_ms: unix_ms(status.since),
            source: status.source.map(|path| path.display().to_string()),
            rejected,
            services: current
                .services()
                .map(|service| service.name().to_owned())
                .collect(),
            changed: changed.map(|all| all.into_iter().map(ChangedView::from).collect()),
        })
    });
    Ok(Json(shown.await?))
}

/// The settings of a service, and where each comes from.
#[utoipa::path(
    get, path = "/api/v1/config/services/{service}", tag = "config",
    params(("service" = String, Path, description = "The name of the service")),
    responses((status = OK, body = Vec<SettingView>), Asked),
)]
pub(crate) async fn service(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<Vec<SettingView>>, Problem> {
    let current = config(&shared)?.current();
    let service = current.service(&name);
    let service = service.map_err(|unknown| Problem::not_found(unknown.to_string()))?;
    let settings = service.effective().into_iter().map(|setting| SettingView {
        key: setting.key,
        value: setting.value,
        origin: match setting.origin {
            Origin::Defaults(place) | Origin::Service(place) => place.to_string(),
            _ => "base".to_owned(),
        },
    });
    Ok(Json(settings.collect()))
}

/// Changes settings while the program runs: all of them, or with a mistake none. Without a `generation` it
/// is a dry run, which answers what would change; with that of the dry run it is done, unless the
/// configuration has changed since.
#[utoipa::path(
    post, path = "/api/v1/config/changes", tag = "config", request_body = ChangeRequest,
    responses((status = OK, body = ReloadedView), Commanded),
)]
pub(crate) async fn change(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<ReloadedView>, Problem> {
    let config = config(&shared)?;
    let changes = changes(&request.set)?;
    let Some(based_on) = request.generation else {
        let tried = blocking(move || {
            let generation = config.status().generation;
            let reloaded = config
                .try_changes(&changes)
                .map_err(|error| problem(&error))?;
            Ok(view(reloaded, generation, false))
        });
        return Ok(Json(tried.await?));
    };
    let reason = request.reason.unwrap_or_default();
    check_reason(&reason)?;
    let target = serde_json::to_string(&request.set).unwrap_or_default();
    let entry = caller.entry("configure", target, &reason);
    let done = shared.audited(entry, move || {
        let reloaded = config.change_from(based_on, &changes);
        let reloaded = reloaded.map_err(|error| problem(&error))?;
        let generation = reloaded.generation;
        Ok(view(reloaded, generation, true))
    });
    Ok(Json(done.await?))
}

/// Reads the file again now.
#[utoipa::path(
    post, path = "/api/v1/config/reload", tag = "config", request_body = Why,
    responses((status = OK, body = ReloadedView), Commanded),
)]
pub(crate) async fn reload(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Body(why): Body<Why>,
) -> Result<Json<ReloadedView>, Problem> {
    let config = config(&shared)?;
    check_reason(&why.reason)?;
    let entry = caller.entry("reload", "config".to_owned(), &why.reason);
    let done = shared.audited(entry, move || {
        let reloaded = config.reload().map_err(|error| problem(&error))?;
        let generation = reloaded.generation;
        Ok(view(reloaded, generation, true))
    });
    Ok(Json(done.await?))
}

/// Writes what was changed here to the overlay file, from which the next start has it again.
#[utoipa::path(
    post, path = "/api/v1/config/save", tag = "config", request_body = Why,
    responses((status = NO_CONTENT), Commanded),
)]
pub(crate) async fn save(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Body(why): Body<Why>,
) -> Result<StatusCode, Problem> {
    let config = config(&shared)?;
    check_reason(&why.reason)?;
    let entry = caller.entry("save", "config".to_owned(), &why.reason);
    let saved = shared.audited(entry, move || {
        config
            .save_changes()
            .map(|_path| ())
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::Unsupported => Problem::conflict(error.to_string()),
                _ => {
                    let detail = format!("the overlay file cannot be written: {error}");
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                }
            })
    });
    saved.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn changes(set: &BTreeMap<String, BTreeMap<String, Value>>) -> Result<SettingChanges, Problem> {
    let mut changes = SettingChanges::new();
    for (service, settings) in set {
        for (key, value) in settings {
            changes = match value {
                Value::Null => changes.unset(service, key),
                value => {
                    let value = of_json(value).ok_or_else(|| {
                        let detail = format!(
                            "`{service}.{key}` is {value}, accepted is true or false, a number, a text, a list \
                             of these, or null"
                        );
                        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                    })?;
                    changes.set(service, key, value)
                }
            };
        }
    }
    if changes.is_empty() {
        let detail = "`set` has no setting, accepted is one or more";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(changes)
}

fn of_json(value: &Value) -> Option<SettingValue> {
    Some(match value {
        Value::Bool(on) => (*on).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => number.into(),
            (None, None) => return None,
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => {
            SettingValue::List(values.iter().map(of_json).collect::<Option<_>>()?)
        }
        Value::Null | Value::Object(_) => return None,
    })
}
