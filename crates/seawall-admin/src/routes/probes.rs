//! Probes of an orchestrator.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use http::StatusCode;

use crate::problem::{Probed, Problem};
use crate::state::Shared;

/// Whether the process answers. It looks at nothing outside: a restart repairs no upstream.
#[utoipa::path(get, path = "/livez", tag = "probes", responses((status = OK, body = String), Probed))]
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// Whether the process takes requests: not while it starts or shuts down. It looks at no upstream, which
/// all replicas share.
#[utoipa::path(
    get, path = "/readyz", tag = "probes",
    responses((status = OK, body = String), (status = SERVICE_UNAVAILABLE, body = Problem), Probed),
)]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    if shared.is_ready.load(Ordering::Acquire) {
        Ok("ok")
    } else {
        let detail = "the program starts or shuts down";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    }
}
