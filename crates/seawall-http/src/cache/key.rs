//! Under which key an HTTP answer is kept.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use seawall_cache::PrefixKey;

/// What an HTTP answer is kept under: the method, the full target, and those headers of the request that answers
/// depend on, credentials first of all. So requests with different credentials never share an answer.
///
/// Its [`PrefixKey`] is that of the target without its query: `https://api.alpaca.markets/v2/`, or `/v2/` where
/// requests have no authority. `Debug` shows neither query nor headers, which may have secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpCacheKey {
    pub(super) is_head: bool,
    pub(super) target: Uri,
    pub(super) host: Option<HeaderValue>,
    /// In the order of the rules' names.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) has_credentials: bool,
}

impl HttpCacheKey {
    pub(super) fn new<B>(
        request: &Request<B>,
        credentials: &[HeaderName],
        others: &[HeaderName],
    ) -> Self {
        let mut headers = Vec::new();
        let mut add = |names: &[HeaderName]| {
            for name in names {
                let values = request.headers().get_all(name);
                headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
            }
            !headers.is_empty()
        };
        let has_credentials = add(credentials);
        add(others);
        let target = request.uri();
        let host = match target.authority() {
            Some(_) => None,
            None => request.headers().get(HOST).cloned(),
        };
        Self {
            is_head: request.method() == Method::HEAD,
            target: target.clone(),
            host,
            headers,
            has_credentials,
        }
    }

    /// The target.
    pub const fn target(&self) -> &Uri {
        &self.target
    }

    /// Whether the request has credentials.
    pub const fn has_credentials(&self) -> bool {
        self.has_credentials
    }
}

impl HttpCacheKey {
    /// Everything of its path.
    pub(super) fn group(&self) -> u64 {
        group_of(&self.target, self.host.as_ref())
    }
}

/// Everything of one path, whatever its query. The same in every process.
pub(super) fn group_of(target: &Uri, host: Option<&HeaderValue>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match target.authority() {
        Some(authority) => {
            target.scheme().hash(&mut hasher);
            authority.hash(&mut hasher);
        }
        None => host.hash(&mut hasher),
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
        format!("{scheme}://{authority}{path}").starts_with(prefix)
    }
}

impl fmt::Debug for HttpCacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCacheKey")
            .field("is_head", &self.is_head)
            .field("authority", &self.target.authority())
            .field("path", &self.target.path())
            .field("headers", &self.headers.len())
            .field("has_credentials", &self.has_credentials)
            .finish_non_exhaustive()
    }
}
