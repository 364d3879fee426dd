//! Which bodies can be read, by the headers of their response.

use http::header::{CONTENT_TYPE, HeaderMap};

use super::encoding::Encoding;

/// Whether the headers announce a JSON body that can be read: `application/json` or a
/// type with the suffix `+json` (RFC 6839), without a content encoding or, with the feature `gzip`,
/// compressed by `gzip` or `deflate`.
pub fn is_plain_json(headers: &HeaderMap) -> bool {
    is_readable(headers) && essence(headers).is_some_and(is_json)
}

/// Whether the headers announce JSON, plain text or HTML that can be read, without a content
/// encoding or with one that [`is_plain_json`] names: for upstreams that block with a page in place of
/// JSON.
pub fn is_plain_text(headers: &HeaderMap) -> bool {
    is_readable(headers)
        && essence(headers).is_some_and(|essence| {
            is_json(essence)
                || essence.eq_ignore_ascii_case("text/plain")
                || essence.eq_ignore_ascii_case("text/html")
        })
}

/// Whether the headers say nothing about what the body is.
pub(super) fn is_untyped(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_TYPE)
}

/// Whether the headers announce a stream of server-sent events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"))
}

/// Whether the headers announce a page of HTML.
pub fn is_html(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| essence.eq_ignore_ascii_case("text/html"))
}

fn is_readable(headers: &HeaderMap) -> bool {
    Encoding::of(headers) != Encoding::Unknown
}

/// The content type without its parameters.
fn essence(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or(text).trim())
}

fn is_json(essence: &str) -> bool {
    let suffix = essence
        .len()
        .checked_sub(5)
        .and_then(|at| essence.get(at..));
    essence.eq_ignore_ascii_case("application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}
