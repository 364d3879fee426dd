//! Sessions of browsers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::nested::prefix;
use crate::Role;
use crate::audit::AuditEntry;
use crate::auth::{Asking, From};
use crate::extract::Body;
use crate::problem::{LoggedIn, LoggedOut, Problem, Shown};
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
    /// The name of the token; `null` where there is none, or one that is not accepted any more.
    who: Option<String>,
    /// What they may do. Without a token that is nothing where there are any, and to see where there is none.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Whether anything can be commanded here: whether there are tokens.
    control: bool,
}

/// Where a cookie of these routes is sent: to them alone, and over TLS alone where they are reached by it.
pub(crate) struct Scope {
    path: String,
    is_secure: bool,
}

impl FromRequestParts<Arc<Shared>> for Scope {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let OriginalUri(original) = OriginalUri::from_request_parts(parts, shared).await?;
        let path = prefix(&original, parts.uri.path());
        let is_plain = |c: char| c.is_ascii_graphic() && c != ';';
        let path = match path {
            path if !path.is_empty() && path.chars().all(is_plain) => path.to_owned(),
            _ => "/".to_owned(),
        };
        // A client that says so of itself has its own cookie withheld from it, and no more.
        let forwarded = parts.headers.get("x-forwarded-proto");
        let is_secure = shared.secure_cookies
            || original.scheme_str() == Some("https")
            || forwarded.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
        Ok(Self { path, is_secure })
    }
}

impl Scope {
    fn cookie(&self, secret: &str, seconds: u64) -> String {
        let path = &self.path;
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!(
            "{COOKIE}={secret}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        )
    }
}

/// Begins a session: a cookie that stands for the token, for 12 hours.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = LogIn,
    responses((status = OK, body = SessionView), LoggedIn),
)]
pub(crate) async fn log_in(
    State(shared): State<Arc<Shared>>,
    From(from): From,
    scope: Scope,
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
    let cookie = scope.cookie(&secret, LASTS.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Json(view)).into_response())
}

/// Ends the session of the cookie, if there is one.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses((status = NO_CONTENT), LoggedOut),
)]
pub(crate) async fn log_out(
    State(shared): State<Arc<Shared>>,
    scope: Scope,
    headers: HeaderMap,
) -> Response {
    if let Some(secret) = cookie(&headers) {
        shared.sessions.end(secret);
    }
    let gone = scope.cookie("", 0);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}

/// Who this request is of, and what they may do. It is answered without a token, too, so that a page knows whether
/// to ask for one.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session",
    responses((status = OK, body = SessionView), Shown),
)]
pub(crate) async fn session(
    Asking(caller): Asking,
    State(shared): State<Arc<Shared>>,
) -> Json<SessionView> {
    let identity = caller.identity;
    Json(SessionView {
        who: identity.as_ref().map(|identity| identity.who.to_string()),
        role: identity.map(|identity| identity.role),
        control: !shared.tokens().is_empty(),
    })
}
