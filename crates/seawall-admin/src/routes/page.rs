//! The dashboard: a page of the program itself, which reads nothing of other hosts.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::problem::Problem;
use crate::state::Shared;
use crate::tokens::digest_of;

/// What the page may do: run its own scripts, and talk to this server. Texts never become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page: its path, its type and its bytes.
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: HeaderValue,
}

/// The page, and the files that it names; each with the digest of what it is.
static PAGE: LazyLock<Asset> = LazyLock::new(|| {
    let bytes = include_bytes!("../../assets/dashboard.html");
    Asset::new("/dashboard", "text/html; charset=utf-8", bytes)
});

macro_rules! files {
    ($($name:literal: $kind:literal;)+) => {
        static FILES: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            vec![$(Asset::new(
                concat!("/dashboard/", $name),
                $kind,
                include_bytes!(concat!("../../assets/", $name)),
            )),+]
        });
    };
}

files! {
    "app.js": "text/javascript; charset=utf-8";
    "uplot.js": "text/javascript; charset=utf-8";
    "style.css": "text/css; charset=utf-8";
    "icon.svg": "image/svg+xml";
}

impl Asset {
    fn new(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = digest_of(bytes);
        let digits = digest.iter().take(12).map(|byte| format!("{byte:02x}"));
        let tag = format!("\"{}\"", digits.collect::<String>());
        Self {
            path,
            kind,
            bytes,
            tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// The file, or that the one that the browser has is the same.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(header::IF_NONE_MATCH).iter();
        let mut known = known.filter_map(|value| value.to_str().ok());
        let tag = self.tag.to_str().unwrap_or_default();
        let is_known = known.any(|tags| {
            tags.split(',')
                .any(|it| it.trim().trim_start_matches("W/") == tag)
        });
        let always = [
            (header::ETAG, self.tag.clone()),
            // Kept, and asked about each time: a program that is updated has another page at once.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(POLICY),
            ),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, always).into_response();
        }
        let kind = HeaderValue::from_static(self.kind);
        (always, [(header::CONTENT_TYPE, kind)], self.bytes).into_response()
    }
}

/// The page. It shows nothing by itself, so it needs no token: what it reads does.
pub(super) fn page(headers: &HeaderMap) -> Response {
    let mut response = PAGE.answer(headers);
    // At the same path others are given text.
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// The files of the page. Their rate is not limited: their bytes are there already, and a page that lacks one of
/// them is none.
pub(super) fn files() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for file in &*FILES {
        let answer = move |headers: HeaderMap| async move { file.answer(&headers) };
        router = router.route(file.path, get(answer));
    }
    // The page names its files relative to itself.
    router
        .route(
            "/dashboard/",
            get(|| async { Redirect::permanent("../dashboard") }),
        )
        .method_not_allowed_fallback(|| async {
            let detail = "a file is only shown: `GET`";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
}
