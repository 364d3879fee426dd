//! Components: a list, and each by itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::Viewing;
use crate::extract::{Path, Query};
use crate::problem::{Asked, Problem};
use crate::reading::reading;
use crate::state::Shared;
use crate::view::{ComponentView, components};

/// Which components to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Those of this service.
    service: Option<String>,
    /// Those of this pattern: `breaker`.
    pattern: Option<String>,
    /// Those of this name.
    name: Option<String>,
}

/// Every component: state, figures, settings, commands.
#[utoipa::path(
    get, path = "/api/v1/components", tag = "components", params(Filter),
    responses((status = OK, body = Vec<ComponentView>), Asked),
)]
pub(crate) async fn list(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|it| it == is);
    reading(move || {
        let mut all = components(&shared);
        all.retain(|component| {
            fits(&filter.service, component.service)
                && fits(&filter.pattern, component.pattern)
                && fits(&filter.name, component.name)
        });
        Json(all).into_response()
    })
    .await
}

/// Which of several components.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    /// The service, where several have one of that name.
    pub(crate) service: Option<String>,
}

/// One component.
#[utoipa::path(
    get, path = "/api/v1/components/{pattern}/{name}", tag = "components",
    params(("pattern" = String, Path, description = "The pattern: `breaker`"),
        ("name" = String, Path, description = "The name of the instance"), Of),
    responses((status = OK, body = ComponentView), Asked),
)]
pub(crate) async fn detail(
    _: Viewing,
    State(shared): State<Arc<Shared>>,
    Path((pattern, name)): Path<(String, String)>,
    Query(of): Query<Of>,
) -> Result<Json<ComponentView>, Problem> {
    let (registry, component) = shared.find(of.service.as_deref(), &pattern, &name)?;
    Ok(Json(ComponentView::of(&shared, registry, &*component)))
}
