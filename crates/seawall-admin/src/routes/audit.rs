//! The audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::audit::{AuditEntry, KEPT};
use crate::auth::Operating;
use crate::extract::Query;
use crate::problem::{Operated, Problem};
use crate::state::Shared;

/// How much of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HowMany {
    /// The most entries; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Who has commanded what, the newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "control", params(HowMany),
    responses((status = OK, body = Vec<AuditEntry>), Operated),
)]
pub(crate) async fn audit(
    _: Operating,
    State(shared): State<Arc<Shared>>,
    Query(how_many): Query<HowMany>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let limit = how_many.limit.unwrap_or(100);
    if !(1..=KEPT).contains(&limit) {
        let detail = format!("`limit` is {limit}, accepted is 1 to {KEPT}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(Json(shared.audit.recent(limit)))
}
