//! The routes.

#[cfg(feature = "monitor")]
mod alerts;
mod audit;
mod components;
#[cfg(feature = "config")]
mod config;
mod control;
mod events;
mod health;
mod nested;
#[cfg(feature = "monitor")]
mod overview;
#[cfg(feature = "monitor")]
mod page;
mod probes;
mod resilience;
mod session;
#[cfg(feature = "monitor")]
mod text;
#[cfg(feature = "orders")]
pub(crate) mod trading;

use std::sync::Arc;

use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, middleware};
use http::{HeaderValue, StatusCode, header};
use seawall_core::WrapErrorLayer;
use tower::ServiceBuilder;
use tower_http::csrf::CsrfLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::note_caller;
use crate::hosts::name_of;
use crate::problem::{Open, Problem};
use crate::state::Shared;

/// The longest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Seawall admin",
        description = "Health, metrics and control of Seawall stacks.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem))
)]
struct Api;

/// The description of the routes.
#[derive(Clone)]
struct Description(bytes::Bytes);

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "description",
    responses((status = OK, body = Object, content_type = "application/json"), Open),
)]
async fn description(Extension(Description(api)): Extension<Description>) -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], api)
}

/// What an orchestrator asks, which no flood of others may keep from its answer.
fn probes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz))
}

/// Every other route, and their description.
fn all() -> OpenApiRouter<Arc<Shared>> {
    let router = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(health::health))
        .routes(routes!(health::detailed))
        .routes(routes!(health::metrics))
        .routes(routes!(health::prometheus))
        .routes(routes!(health::comprehensive))
        .routes(routes!(health::run_check))
        .routes(routes!(resilience::circuit_breakers))
        .routes(routes!(resilience::system_circuit_breakers))
        .routes(routes!(control::reset_circuit_breaker))
        .routes(routes!(components::list))
        .routes(routes!(components::detail))
        .routes(routes!(control::command))
        .routes(routes!(audit::audit))
        .routes(routes!(events::events))
        .routes(routes!(session::log_in))
        .routes(routes!(session::log_out))
        .routes(routes!(session::session))
        .routes(routes!(description));
    #[cfg(feature = "monitor")]
    let router = router
        .routes(routes!(text::root))
        .routes(routes!(text::dashboard))
        .routes(routes!(overview::health))
        .routes(routes!(overview::metrics))
        .routes(routes!(overview::dashboard))
        .routes(routes!(overview::stream))
        .routes(routes!(overview::history))
        .routes(routes!(alerts::alerts))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::unacknowledge))
        .routes(routes!(alerts::silence))
        .routes(routes!(alerts::end_silence));
    #[cfg(feature = "config")]
    let router = router
        .routes(routes!(config::show))
        .routes(routes!(config::service))
        .routes(routes!(config::change))
        .routes(routes!(config::reload))
        .routes(routes!(config::save));
    #[cfg(feature = "orders")]
    let router = router
        .routes(routes!(trading::trading))
        .routes(routes!(trading::set_mode))
        .routes(routes!(trading::kill_switch));
    router
}

/// The routes with what all of them have in common.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let (router, mut api) = all().split_for_parts();
    let (probes, of_probes) = probes().split_for_parts();
    api.merge(of_probes);
    let api = serde_json::to_vec(&api).unwrap_or_default();
    let api = Description(bytes::Bytes::from(api));
    let csrf = CsrfLayer::new().with_rejection_response(|_| {
        let detail = "a request of another site changes nothing here";
        Problem::new(StatusCode::FORBIDDEN, detail).into_response()
    });
    let note = middleware::from_fn_with_state(Arc::clone(shared), note_caller);
    let unwritten = middleware::map_response_with_state(Arc::clone(shared), note_unwritten);
    let host = middleware::from_fn_with_state(Arc::clone(shared), allow_hosts);
    let router = router
        .route("/events", axum::routing::get(events::events))
        .fallback(|| async { Problem::not_found("there is no such path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path has other methods: `allow` lists them",
            )
        })
        .layer(
            ServiceBuilder::new()
                .layer(note)
                .layer(HandleErrorLayer::new(rejected))
                .layer(shared.rate_limit.clone())
                .layer(WrapErrorLayer)
                .layer(csrf)
                .layer(Extension(api))
                .layer(DefaultBodyLimit::max(MAX_BODY_BYTES)),
        )
        .merge(probes);
    #[cfg(feature = "monitor")]
    let router = router.merge(page::files());
    router
        .layer(
            ServiceBuilder::new()
                .layer(middleware::map_response(headers))
                .layer(unwritten)
                .layer(host),
        )
        .with_state(Arc::clone(shared))
}

/// Rejects what is addressed to a host that this server is not, so that no page of another name can be
/// made to point at it (DNS rebinding).
async fn allow_hosts(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Another server on the way might take the other one (RFC 9112, 3.2).
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        let detail = "`host` is there more than once";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => {
            let value = request.headers().get(header::HOST);
            value.and_then(|value| value.to_str().ok())
        }
    };
    match host.map(name_of) {
        Some(name) if shared.hosts.allows(name) => next.run(request).await,
        _ => Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "`host` is a name that this server does not have: allow it with `allow_host`",
        )
        .into_response(),
    }
}

async fn rejected(_: seawall_core::Error<std::convert::Infallible>) -> Problem {
    let detail = "too many requests of this token or this address";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1)
}

/// Notes in a response that the audit log lacks entries of what was done.
async fn note_unwritten(State(shared): State<Arc<Shared>>, mut response: Response) -> Response {
    let unwritten = shared.audit.unwritten();
    if unwritten > 0 {
        let headers = response.headers_mut();
        headers.insert("seawall-audit-unwritten", unwritten.into());
    }
    response
}

/// Headers of every response: nothing is kept by caches, framed, or taken for another type.
async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
