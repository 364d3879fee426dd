//! What is wrong with a request, as `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// What is wrong with a request, or why it was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status is the type.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong, and what is accepted.
    detail: Cow<'static, str>,
    /// Each mistake with its place, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mistakes: Vec<String>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            mistakes: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same with each mistake.
    #[cfg(feature = "config")]
    pub(crate) fn with_mistakes(mut self, mistakes: Vec<String>) -> Self {
        self.mistakes = mistakes;
        self
    }

    /// The same after so many seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

macro_rules! from_rejection {
    ($($Rejection:ty),+) => {
        $(
            impl From<$Rejection> for Problem {
                fn from(rejection: $Rejection) -> Self {
                    Self::new(rejection.status(), rejection.body_text())
                }
            }
        )+
    };
}

from_rejection!(JsonRejection, PathRejection, QueryRejection);

macro_rules! problems {
    ($($(#[$meta:meta])* $Name:ident: [$($status:literal),*];)+) => {
        $(
            $(#[$meta])*
            pub(crate) enum $Name {}

            impl IntoResponses for $Name {
                fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                    described(&[$($status),*])
                }
            }
        )+
    };
}

problems! {
    /// What a route answers that asks nobody who they are, and has no limit.
    Probed: [];
    /// What a route answers that asks nobody who they are.
    Open: [429];
    /// What a route answers that only shows.
    Shown: [401, 429];
    /// What a route answers that shows what the program may not have.
    #[cfg_attr(not(feature = "monitor"), expect(dead_code, reason = "for routes of a monitor"))]
    Found: [401, 404, 429];
    /// What a route answers that shows what is asked for.
    Asked: [400, 401, 404, 409, 422, 429];
    /// What a route answers that shows what not everybody may see.
    Operated: [400, 401, 403, 429];
    /// What a route answers that streams.
    Streamed: [400, 401, 429, 503];
    /// What a route answers that logs in.
    LoggedIn: [400, 401, 403, 408, 413, 415, 422, 429, 503];
    /// What a route answers that logs out.
    LoggedOut: [403, 429];
    /// What a route answers that changes something.
    Commanded: [400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503];
}

/// These statuses, and those of the `host` of a request, which every route looks at.
fn described(statuses: &[u16]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let describe = |status: &u16| {
        let title = StatusCode::from_u16(*status).ok();
        let title = title.and_then(|status| status.canonical_reason());
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description(title.unwrap_or_default())
            .content("application/problem+json", content)
            .build();
        (status.to_string(), RefOr::T(response))
    };
    let of_host = [400, 421];
    statuses.iter().chain(&of_host).map(describe).collect()
}
