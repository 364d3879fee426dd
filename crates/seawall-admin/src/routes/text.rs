//! The first screen for terminals: `curl` gets a table of text.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, header};
use seawall_monitor::Overview;

use super::nested::prefix;
use super::overview::monitor;
use super::page;
use crate::audit::unix_ms;
use crate::auth::Viewing;
use crate::problem::{Found, Problem};
use crate::state::Shared;
use crate::table;

/// The types that a request may have by name; the first one where it wants several as much.
const KINDS: [&str; 3] = ["text/html", "application/json", "text/plain"];

/// Whether a request wants this type of [`KINDS`] most, of those that it names.
pub(crate) fn asks_for(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let parts: Vec<_> = values.flat_map(|value| value.split(',')).collect();
    let mut wanted = ("", 0.0);
    for known in KINDS {
        let weight = parts.iter().filter_map(|part| weight(part, known));
        let weight = weight.fold(0.0, f64::max);
        if weight > wanted.1 {
            wanted = (known, weight);
        }
    }
    wanted.0 == kind
}

/// The weight that a part of `accept` gives to a type, if it names that (RFC 9110, 12.5.1).
fn weight(part: &str, kind: &str) -> Option<f64> {
    let mut words = part.split(';').map(str::trim);
    let is_named = words.next()?.eq_ignore_ascii_case(kind);
    let weight = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.trim_end()
            .eq_ignore_ascii_case("q")
            .then(|| value.trim())
    });
    is_named.then(|| weight.and_then(|text| text.parse().ok()).unwrap_or(1.0))
}

/// The page for browsers, else as `/dashboard`.
#[utoipa::path(
    get, path = "/", tag = "dashboard",
    responses(
        (status = OK, content((String = "text/plain"), (Overview = "application/json"))),
        (status = TEMPORARY_REDIRECT, description = "To the page"), Found),
)]
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
#[utoipa::path(
    get, path = "/dashboard", tag = "dashboard",
    responses(
        (status = OK, content((String = "text/plain"), (Overview = "application/json"), (String = "text/html"))),
        (status = NOT_MODIFIED, description = "The page is the one that the browser has"), Found),
)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_with_the_highest_weight_is_the_one() {
        for (accept, kind) in [
            ("text/html", Some("text/html")),
            (
                "text/html;q=0.1, application/json",
                Some("application/json"),
            ),
            (
                "application/json;q=0.5,text/html; q = 0.6",
                Some("text/html"),
            ),
            ("application/json, text/html", Some("text/html")),
            ("text/html;q=0, */*", None),
            (
                "text/html;level=1;Q=0.2, text/plain;q=0.3",
                Some("text/plain"),
            ),
            ("*/*", None),
            ("", None),
        ] {
            let value = http::HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            for known in KINDS {
                assert_eq!(asks_for(&headers, known), kind == Some(known), "{accept}");
            }
        }
    }
}
