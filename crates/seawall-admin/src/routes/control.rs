//! Commands.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use seawall_core::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::components::Of;
use crate::Role;
use crate::auth::{Administering, Caller, Operating};
use crate::commands::{ActiveCommand, LONGEST, begins, inverse};
use crate::extract::{Body, Path, Query};
use crate::problem::{Commanded, Problem};
use crate::state::{Shared, target_name};
use crate::view::ComponentView;

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// A command to a component.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandRequest {
    /// `block`, `bypass`, `drain`, `resume`, `shadow_on`, `shadow_off`; `reset` needs the role admin.
    #[schema(pattern = "^(block|bypass|drain|resume|shadow_on|shadow_off|reset)$")]
    command: String,
    /// Why: it is shown to others, and written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
    /// After how many seconds it ends by itself, up to seven days. `null`: when it is ended.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: Option<u64>,
}

/// A component after a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandedView {
    #[serde(flatten)]
    component: ComponentView,
    /// The commands that this one ended, those of others and longer ones included: one for a minute takes the
    /// place of one for an hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<ActiveCommand>,
}

/// Why something is commanded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Why: it is written to the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    pub(crate) reason: String,
}

pub(crate) fn check_reason(reason: &str) -> Result<(), Problem> {
    let length = reason.chars().count();
    let is_text = !reason.trim().is_empty() && !reason.contains(char::is_control);
    if !is_text || length > MAX_REASON {
        let detail = format!(
            "`reason` is {:?}, accepted is a text of 1 to {MAX_REASON} characters on one line",
            reason.chars().take(60).collect::<String>(),
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// Gives a command to a component: with a reason, and for a time if wanted.
#[utoipa::path(
    post, path = "/api/v1/components/{pattern}/{name}/commands", tag = "control",
    params(("pattern" = String, Path, description = "The pattern: `breaker`"),
        ("name" = String, Path, description = "The name of the instance"), Of),
    request_body = CommandRequest,
    responses((status = OK, body = CommandedView), Commanded),
)]
pub(crate) async fn command(
    Operating(caller): Operating,
    State(shared): State<Arc<Shared>>,
    Path((pattern, name)): Path<(String, String)>,
    Query(of): Query<Of>,
    Body(request): Body<CommandRequest>,
) -> Result<Json<CommandedView>, Problem> {
    let command = Command::ALL
        .into_iter()
        .find(|it| it.as_str() == request.command);
    let Some(command) = command else {
        let accepted: Vec<_> = Command::ALL.iter().map(|it| it.as_str()).collect();
        let detail = format!(
            "`command` is {:?}, accepted is {}",
            request.command,
            accepted.join(", ")
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    let role = caller.identity.as_ref().map(|identity| identity.role);
    if command == Command::Reset && role < Some(Role::Admin) {
        let detail = "`reset` forgets what was learned, accepted is the role admin";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let lasts = request.expires_in_seconds.map(Duration::from_secs);
    give(
        &shared,
        &caller,
        Given {
            service: of.service,
            pattern,
            name,
            command,
            reason: request.reason,
            lasts,
        },
    )
    .await
}

/// In which registry, where several have a circuit of that name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRegistry {
    registry: Option<String>,
}

/// Resets the circuit of a service: it closes, and forgets what it has counted. Needs the role admin.
#[utoipa::path(
    post, path = "/api/v1/system/health/circuit-breakers/{service}/reset", tag = "system",
    params(("service" = String, Path, description = "The name of the circuit"),
        ("registry" = Option<String>, Query, description = "The registry, where several have one of that name")),
    request_body = Why,
    responses((status = OK, body = CommandedView), Commanded),
)]
pub(crate) async fn reset_circuit_breaker(
    Administering(caller): Administering,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(of): Query<OfRegistry>,
    Body(why): Body<Why>,
) -> Result<Json<CommandedView>, Problem> {
    give(
        &shared,
        &caller,
        Given {
            service: of.registry,
            pattern: "breaker".to_owned(),
            name,
            command: Command::Reset,
            reason: why.reason,
            lasts: None,
        },
    )
    .await
}

/// A command with all that belongs to it.
struct Given {
    service: Option<String>,
    pattern: String,
    name: String,
    command: Command,
    reason: String,
    lasts: Option<Duration>,
}

async fn give(
    shared: &Arc<Shared>,
    caller: &Caller,
    given: Given,
) -> Result<Json<CommandedView>, Problem> {
    let Given {
        service,
        pattern,
        name,
        command,
        reason,
        lasts,
    } = given;
    check_reason(&reason)?;
    let (registry, component) = shared.find(service.as_deref(), &pattern, &name)?;
    let role = caller.identity.as_ref().map(|identity| identity.role);
    let end = inverse(command, component.commands());
    if end == Some(Command::Reset) && role < Some(Role::Admin) {
        let detail = format!(
            "only `reset` ends `{}` of a {pattern}, and forgets what was learned, accepted is the role admin",
            command.as_str()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if let Some(lasts) = lasts {
        check_lasts(command, component.commands(), lasts)?;
    }
    let target = (
        registry.service().as_str(),
        component.pattern(),
        component.name().as_str(),
    );
    let mut entry = caller.entry(command.as_str(), target_name(target), &reason);
    entry.expires_in_seconds = lasts.map(|lasts| lasts.as_secs());
    let who = caller.name();
    let (state, to) = (Arc::clone(shared), Arc::clone(&component));
    let runtime = tokio::runtime::Handle::current();
    let done = shared.audited(entry, move || {
        let done = state.command(target, &*to, command, (who, reason), lasts);
        let (number, replaced) = done?;
        if let Some(lasts) = lasts {
            let _runtime = runtime.enter();
            state.end_later(target, to, command, number, lasts);
        }
        Ok(replaced)
    });
    let replaced = done.await?;
    Ok(Json(CommandedView {
        component: ComponentView::of(shared, registry, &*component),
        replaced,
    }))
}

fn check_lasts(command: Command, has: &[Command], lasts: Duration) -> Result<(), Problem> {
    let invalid = |detail: String| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    if !begins(command) || inverse(command, has).is_none() {
        return invalid(format!(
            "`expires_in_seconds` has no effect: nothing ends `{}` by itself",
            command.as_str()
        ));
    }
    if lasts.is_zero() || lasts > LONGEST {
        return invalid(format!(
            "`expires_in_seconds` is {}, accepted is 1 to {}",
            lasts.as_secs(),
            LONGEST.as_secs()
        ));
    }
    Ok(())
}
