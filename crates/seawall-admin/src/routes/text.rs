//! The first screen for terminals: `curl` gets a table of text.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, header};

use super::nested::prefix;
use super::overview::monitor;
use super::page;
use crate::audit::unix_ms;
use crate::auth::Viewing;
use crate::problem::Problem;
use crate::state::Shared;
use crate::table;

/// Whether a request asks for a type by name.
pub(crate) fn asks_for(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value.split(',').any(|part| {
            let part = part.split(';').next().unwrap_or_default();
            part.trim().eq_ignore_ascii_case(kind)
        })
    })
}

/// The page for browsers, else as `/dashboard`.
pub(crate) async fn root(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    viewing: Result<Viewing, Problem>,
) -> Result<Response, Problem> {
    if asks_for(&headers, "text/html") {
        let prefix = prefix(&uri, "/");
        return Ok(Redirect::temporary(&format!("{prefix}/dashboard")).into_response());
    }
    viewing?;
    overview(&shared, &headers)
}

/// The page for browsers, which signs in where that is needed; else text, unless JSON is asked for by name.
pub(crate) async fn dashboard(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    viewing: Result<Viewing, Problem>,
) -> Result<Response, Problem> {
    if asks_for(&headers, "text/html") {
        return Ok(page::page(&headers));
    }
    viewing?;
    overview(&shared, &headers)
}

fn overview(shared: &Shared, headers: &HeaderMap) -> Result<Response, Problem> {
    let overview = monitor(shared)?.overview();
    if asks_for(headers, "application/json") {
        return Ok(Json(&*overview).into_response());
    }
    Ok(table::of(&overview, unix_ms(SystemTime::now())).into_response())
}
