//! Which headers make two requests different.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether a header only traces a request, or describes its connection or the time that it has left: it may be
/// another one at each request, and changes nothing about the response.
///
/// Short on purpose. Any other header may be whose request it is, also one that nobody here has heard of.
pub(crate) fn only_traces(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "traceparent"
            | "tracestate"
            | "b3"
            | "x-b3-traceid"
            | "x-b3-spanid"
            | "x-b3-parentspanid"
            | "x-b3-sampled"
            | "x-b3-flags"
            | "uber-trace-id"
            | "x-amzn-trace-id"
            | "x-cloud-trace-context"
            | "x-datadog-trace-id"
            | "x-datadog-parent-id"
            | "x-datadog-sampling-priority"
            | "sentry-trace"
            | "x-request-id"
            | "x-correlation-id"
            | "x-envoy-expected-rq-timeout-ms"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
    )
}

/// Appends every header that `matters`, sorted by name.
pub(crate) fn append_headers(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    matters: impl Fn(&HeaderName) -> bool,
) {
    let mut sorted: Vec<(&HeaderName, &HeaderValue)> = Vec::with_capacity(headers.len());
    sorted.extend(headers.iter().filter(|(name, _)| matters(name)));
    // Stable: values of one name stay in their order.
    sorted.sort_by_key(|(name, _)| name.as_str());
    let length = |(name, value): &(&HeaderName, &HeaderValue)| {
        2 * size_of::<u64>() + name.as_str().len() + value.len()
    };
    out.reserve_exact(sorted.iter().map(length).sum());
    for (name, value) in sorted {
        append(out, name.as_str().as_bytes());
        append(out, value.as_bytes());
    }
}

/// With its length before it, so that no two lists of parts look alike.
pub(crate) fn append(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_le_bytes());
    out.extend_from_slice(part);
}
