//! Under which key an HTTP answer is kept.

use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Uri};
use seawall_cache::PrefixKey;

use super::names::Names;
use super::target::{authority_of, canonical, without_port};
use crate::identity::append_headers;

/// Seeded, since the callers of a gateway choose what is hashed.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What an HTTP answer is kept under: the method, the full target (`https://H:443/` is `https://h/`), and every
/// header of the request, save for those that
///
/// * only trace it, describe its connection or the time it has left: `traceparent`, `tracestate`, `b3`,
///   `x-b3-traceid`, `x-b3-spanid`, `x-b3-parentspanid`, `x-b3-sampled`, `x-b3-flags`, `uber-trace-id`,
///   `x-amzn-trace-id`, `x-cloud-trace-context`, `x-datadog-trace-id`, `x-datadog-parent-id`,
///   `x-datadog-sampling-priority`, `sentry-trace`, `x-request-id`, `x-correlation-id`,
///   `x-envoy-expected-rq-timeout-ms`, `connection`, `keep-alive`, `proxy-connection`, `te`;
/// * ask something of the cache: `cache-control`, `pragma`;
/// * are [left out](super::HttpCache::leave_out).
///
/// So requests with different credentials never share an answer, in whatever header those are.
///
/// Its [`PrefixKey`] is that of the target without its query: `https://api.alpaca.markets/v2/`, or `/v2/` where
/// requests have no authority. `Debug` shows neither query nor headers, which may have secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCacheKey {
    /// Of everything below: what asks a cache hashes its key more than once.
    hash: u64,
    pub(super) is_head: bool,
    pub(super) has_credentials: bool,
    pub(super) target: Uri,
    /// Where the target has no authority, or another one.
    pub(super) host: Option<HeaderValue>,
    /// Sorted by name, each part with its length before it.
    pub(super) headers: Bytes,
}

impl Hash for HttpCacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl HttpCacheKey {
    pub(super) fn new<B>(request: &Request<B>, names: &Names) -> Self {
        let mut headers = Vec::new();
        append_headers(&mut headers, request.headers(), |name| {
            names.is_in_key(name)
        });
        let target = canonical(request.uri());
        let authority = target.authority().map(http::uri::Authority::as_str);
        let has_user = authority.is_some_and(|authority| authority.contains('@'));
        let mut all = request.headers().keys();
        let has_credentials = has_user || all.any(|name| names.may_have_credentials(name));
        // A client sends a `Host` that it is given, whatever the target.
        let host = request.headers().get(HOST).filter(|host| {
            let host = host.to_str().unwrap_or_default();
            let host = without_port(target.scheme_str(), host);
            !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        });
        let is_head = request.method() == Method::HEAD;
        Self::of(
            is_head,
            target,
            host.cloned(),
            headers.into(),
            has_credentials,
        )
    }

    pub(super) fn of(
        is_head: bool,
        target: Uri,
        host: Option<HeaderValue>,
        headers: Bytes,
        has_credentials: bool,
    ) -> Self {
        let hash = HASHER.hash_one((is_head, has_credentials, &target, &host, &headers));
        Self {
            hash,
            is_head,
            has_credentials,
            target,
            host,
            headers,
        }
    }

    /// The target.
    pub const fn target(&self) -> &Uri {
        &self.target
    }

    /// Whether the request may have credentials: it has a header of which it is not known that it has none.
    pub const fn has_credentials(&self) -> bool {
        self.has_credentials
    }
}

impl HttpCacheKey {
    /// About how many bytes it has in memory.
    pub(super) fn weight(&self) -> u64 {
        let target = [
            self.target.authority().map(http::uri::Authority::as_str),
            self.target
                .path_and_query()
                .map(http::uri::PathAndQuery::as_str),
        ];
        let target: usize = target.into_iter().flatten().map(str::len).sum();
        let host = self.host.as_ref().map_or(0, HeaderValue::len);
        (128 + target + host + self.headers.len()) as u64
    }

    /// Everything of its path.
    pub(super) fn group(&self) -> u64 {
        group_of(&self.target, self.host.as_ref())
    }
}

/// Everything of one path, whatever its query. The same in every process.
pub(super) fn group_of(target: &Uri, host: Option<&HeaderValue>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut host_of = |host: &[u8]| {
        for byte in host {
            hasher.write_u8(byte.to_ascii_lowercase());
        }
        hasher.write_u8(b'/');
    };
    match target.authority() {
        Some(authority) => {
            host_of(target.scheme_str().unwrap_or_default().as_bytes());
            host_of(without_port(target.scheme_str(), authority.as_str()).as_bytes());
        }
        None => host_of(host.map_or(b"", HeaderValue::as_bytes)),
    }
    target.path().hash(&mut hasher);
    hasher.finish()
}

impl PrefixKey for HttpCacheKey {
    fn has_prefix(&self, prefix: &str) -> bool {
        let Some(authority) = self.target.authority() else {
            return self.target.path().starts_with(prefix);
        };
        let scheme = self.target.scheme_str().unwrap_or("http");
        let path = self.target.path();
        let text = format!("{scheme}://{authority}{path}");
        text.starts_with(prefix) || canonical_prefix(prefix).is_some_and(|it| text.starts_with(&it))
    }
}

/// The one spelling of `prefix`; `None` where it is that.
fn canonical_prefix(prefix: &str) -> Option<String> {
    let (scheme, rest) = prefix.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let scheme = scheme.to_ascii_lowercase();
    let spelled = authority_of(Some(&scheme), authority);
    // Where a port has ended, the host has.
    let path = match path.is_empty() && spelled.len() < authority.len() {
        true => "/",
        false => path,
    };
    Some(format!("{scheme}://{spelled}{path}")).filter(|spelled| spelled != prefix)
}

impl fmt::Debug for HttpCacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCacheKey")
            .field("is_head", &self.is_head)
            .field("host", &self.target.host())
            .field("path", &self.target.path())
            .field("has_credentials", &self.has_credentials)
            .finish_non_exhaustive()
    }
}
