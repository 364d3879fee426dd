//! Who a request is of, and whether they may make it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use crate::audit::AuditEntry;
use crate::problem::Problem;
use crate::session;
use crate::state::Shared;
use crate::streams::OpenStream;
use crate::{Identity, Role};

/// Who makes a request, if that is known.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Option<Identity>,
    pub(crate) from: Option<SocketAddr>,
}

impl Caller {
    fn of(shared: &Shared, parts: &Parts) -> Result<Self, Problem> {
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            identity: identify(shared, &parts.headers)?,
            from: from.map(|ConnectInfo(address)| *address),
        })
    }

    /// What to write down about it.
    pub(crate) fn name(&self) -> String {
        let name = self.identity.as_ref().map(|identity| &*identity.who);
        name.unwrap_or("nobody").to_owned()
    }

    /// An entry of the audit log about what they ask for.
    pub(crate) fn entry(&self, action: &str, target: String, reason: &str) -> AuditEntry {
        AuditEntry {
            from: self.from.map(|address| address.to_string()),
            reason: reason.to_owned(),
            ..AuditEntry::of(self.name(), action, target)
        }
    }
}

/// Whom the token or the session of a request is of. A token that is wrong is no request without one.
fn identify(shared: &Shared, headers: &HeaderMap) -> Result<Option<Identity>, Problem> {
    let unauthorized = |detail: &'static str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let tokens = shared.tokens();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = token else {
            return Err(unauthorized(
                "`authorization` is of another form, accepted is `Bearer TOKEN`",
            ));
        };
        return match tokens.find(token) {
            Some((identity, _)) => Ok(Some(identity)),
            None => Err(unauthorized("this token is not known")),
        };
    }
    let Some(secret) = session::cookie(headers) else {
        return Ok(None);
    };
    let token = shared.sessions.token(secret);
    Ok(token.and_then(|digest| tokens.find_digest(&digest)))
}

/// Notes whom a request is of, for its rate: a flood of others behind the same proxy takes nothing from those
/// that have a token.
pub(crate) async fn note_caller(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Ok(Some(identity)) = identify(&shared, request.headers()) {
        request.extensions_mut().insert(identity);
    }
    next.run(request).await
}

/// Somebody that asks who they are: nobody, where they have no token.
pub(crate) struct Asking(pub(crate) Caller);

impl FromRequestParts<Arc<Shared>> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        Caller::of(shared, parts).map(Self)
    }
}

/// From where a request comes, if that is known.
pub(crate) struct From(pub(crate) Option<SocketAddr>);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(from.map(|ConnectInfo(address)| *address)))
    }
}

/// Opens a stream for a caller, by the tokens of now.
pub(crate) fn open_stream(
    shared: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<OpenStream, Problem> {
    let mut stream = shared.streams.open(caller.identity.as_ref(), caller.from)?;
    if !headers.contains_key(header::AUTHORIZATION) {
        let session = session::cookie(headers).and_then(|secret| shared.sessions.follow(secret));
        if let Some((ends, lives)) = session {
            stream.end_with(ends, lives);
        }
    }
    // The tokens may have changed, or the session ended, before this stream was one that ends by that.
    let identity = identify(shared, headers)?;
    let caller = Caller {
        identity,
        from: None,
    };
    check(shared, &caller, Role::Viewer)?;
    Ok(stream)
}

/// Whether a caller may do what `role` may.
///
/// Where there never was a token, what only shows is open to everybody that reaches the server, which binds to
/// loopback unless it is configured otherwise; nothing can be commanded.
fn check(shared: &Shared, caller: &Caller, role: Role) -> Result<(), Problem> {
    match &caller.identity {
        Some(identity) if identity.role >= role => Ok(()),
        Some(identity) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "the role of `{}` is {}, accepted is {role} or more",
                identity.who, identity.role
            ),
        )),
        None if shared.is_open() && role == Role::Viewer => Ok(()),
        None if shared.is_open() => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "control is off: no token is configured, so nobody can be asked who they are",
        )),
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            format!("a token of the role {role} or more is needed"),
        )),
    }
}

macro_rules! needs {
    ($($(#[$meta:meta])* $Name:ident => $role:expr),+ $(,)?) => {
        $(
            $(#[$meta])*
            #[derive(Debug)]
            pub(crate) struct $Name(pub(crate) Caller);

            impl FromRequestParts<Arc<Shared>> for $Name {
                type Rejection = Problem;

                async fn from_request_parts(
                    parts: &mut Parts,
                    shared: &Arc<Shared>,
                ) -> Result<Self, Problem> {
                    let caller = Caller::of(shared, parts)?;
                    check(shared, &caller, $role)?;
                    Ok(Self(caller))
                }
            }
        )+
    };
}

needs! {
    /// Somebody that may see what is shown.
    Viewing => Role::Viewer,
    /// Somebody that may command layers.
    Operating => Role::Operator,
    /// Somebody that may do everything.
    Administering => Role::Admin,
}
