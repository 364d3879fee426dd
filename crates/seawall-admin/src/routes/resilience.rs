//! Circuits.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::auth::Viewing;
use crate::problem::Shown;
use crate::state::Shared;
use crate::view::{ComponentView, each};

fn breakers(shared: &Shared) -> Vec<ComponentView> {
    each(shared, |pattern| pattern == "breaker")
}

/// Every circuit: its state, figures and settings.
#[utoipa::path(
    get, path = "/api/v1/resilience/circuit-breakers", tag = "resilience",
    responses((status = OK, body = Vec<ComponentView>), Shown),
)]
pub(crate) async fn circuit_breakers(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Json<Vec<ComponentView>> {
    Json(breakers(&shared))
}

/// The same.
#[utoipa::path(
    get, path = "/api/v1/system/health/circuit-breakers", tag = "system",
    responses((status = OK, body = Vec<ComponentView>), Shown),
)]
pub(crate) async fn system_circuit_breakers(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
) -> Json<Vec<ComponentView>> {
    Json(breakers(&shared))
}
