//! Sessions of browsers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Role;
use crate::audit::AuditEntry;
use crate::auth::{From, Viewing};
use crate::extract::Body;
use crate::problem::{LoggedIn, Problem, Shown};
use crate::session::{COOKIE, LASTS, cookie};
use crate::state::Shared;

/// A token to begin a session with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    token: String,
}

/// Who a request is of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// The name of the token; `null` where none is needed.
    who: Option<String>,
    /// What they may do; `null` where there is no token: they may see.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Whether anything can be commanded here: whether there are tokens.
    control: bool,
}

fn set_cookie(secret: &str, seconds: u64) -> String {
    format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}

/// Begins a session: a cookie that stands for the token, for 12 hours.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = LogIn,
    responses((status = OK, body = SessionView), LoggedIn),
)]
pub(crate) async fn log_in(
    State(shared): State<Arc<Shared>>,
    From(from): From,
    Body(LogIn { token }): Body<LogIn>,
) -> Result<Response, Problem> {
    let Some((identity, digest)) = shared.tokens().find(&token) else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this token is not known",
        ));
    };
    let entry = AuditEntry {
        from: from.map(|address| address.to_string()),
        ..AuditEntry::of(identity.who.to_string(), "log_in", "session".to_owned())
    };
    shared.audited(entry, || Ok(())).await?;
    let Some(secret) = shared.sessions.begin(digest) else {
        let detail = "the system has no randomness for a session";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let view = SessionView {
        who: Some(identity.who.to_string()),
        role: Some(identity.role),
        control: true,
    };
    let cookie = set_cookie(&secret, LASTS.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Json(view)).into_response())
}

/// Ends the session of the cookie, if there is one.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = NO_CONTENT)))]
pub(crate) async fn log_out(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(secret) = cookie(&headers) {
        shared.sessions.end(secret);
    }
    let gone = set_cookie("", 0);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}

/// Who this request is of, and what they may do.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session",
    responses((status = OK, body = SessionView), Shown),
)]
pub(crate) async fn session(
    Viewing(caller): Viewing,
    State(shared): State<Arc<Shared>>,
) -> Json<SessionView> {
    let identity = caller.identity;
    Json(SessionView {
        who: identity.as_ref().map(|identity| identity.who.to_string()),
        role: identity.map(|identity| identity.role),
        control: !shared.tokens().is_empty(),
    })
}
