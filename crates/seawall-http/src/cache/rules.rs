//! The rules of RFC 9111.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, DATE, EXPIRES, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, SET_COOKIE, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_cache_semantics::{CacheOptions, CachePolicy};
use seawall_cache::{Ask, CacheRules, Demand, Keyed, Lifetime, Outcome};

use super::age::{Ambiguous, age_when_sent, apparent_age, freshness};
use super::directives::{Asks, directives, seconds, shorten};
use super::key::{HttpCacheKey, group_of};
use super::names::{Names, usual_credentials};
use super::stored::HttpStored;
use crate::inspect::is_event_stream;

/// The longest that an answer is fresh unless set: a day.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// With any of these a request is about what its caller has, or about a part.
const CONDITIONS: [HeaderName; 7] = [
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    UPGRADE,
];

/// The rules of [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111.html) for the cache of a client; see the
/// [module](crate::cache).
#[derive(Clone, Debug)]
pub struct HttpCache {
    names: Arc<Names>,
    shared: bool,
    max_age: Duration,
    /// Whether `Date` counts.
    dates: bool,
}

impl HttpCache {
    /// For a program that acts for one user, or whose users have credentials of their own: what is `private` is
    /// kept, too, under the headers of its request, which have the credentials.
    pub fn new() -> Self {
        Self {
            names: Arc::default(),
            shared: false,
            max_age: MAX_AGE,
            dates: true,
        }
    }

    /// For a program that acts for several users who may share answers, as a gateway: as [`new`](Self::new), and
    /// what is `private` is not kept, nor the answer to a request that may have
    /// [credentials](Self::no_credentials) unless it says `public`, `s-maxage` or `must-revalidate`. Credentials
    /// are part of the key all the same.
    pub fn shared() -> Self {
        Self {
            shared: true,
            ..Self::new()
        }
    }

    /// Leaves a header of requests out of keys: one that is another at each request and changes nothing about the
    /// answer, such as a nonce, a timestamp, a signature, a `Date` or a request's id in a header of your own. With it in
    /// the key nothing is ever found again. An answer that says that it depends on it
    /// ([`Vary`](http::header::VARY)) is not kept.
    ///
    /// Never one that is whose request it is: with it left out, users get each other's answers. For the
    /// credentials of a program that has but one user see [`one_identity`](Self::one_identity).
    ///
    /// ```
    /// use http::HeaderName;
    /// use seawall_http::cache::HttpCache;
    ///
    /// // `cb-access-key` stays in the key.
    /// let rules = HttpCache::new()
    ///     .leave_out(HeaderName::from_static("cb-access-timestamp"))
    ///     .leave_out(HeaderName::from_static("cb-access-sign"));
    /// # let _ = rules;
    /// ```
    #[must_use]
    pub fn leave_out(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.names).left_out.push(name);
        self
    }

    /// Says that a header of requests has no credentials. It stays in the key.
    ///
    /// A request that may have credentials is one with any header but `Accept`, `Accept-Charset`,
    /// `Accept-Encoding`, `Accept-Language`, `Cache-Control`, `Content-Length`, `Content-Type`, `Host`, `Origin`,
    /// `Pragma`, `User-Agent`, those that only trace, and those that this names. It counts where answers are
    /// [shared](Self::shared), and where they are written to a [file](super::HttpCodec).
    #[must_use]
    pub fn no_credentials(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.names).no_credentials.push(name);
        self
    }

    /// Leaves credentials out of keys: every request of this program has the same. What is kept can be written to
    /// a [file](super::HttpCodec) then.
    ///
    /// Credentials are `Authorization`, `Proxy-Authorization`, `Cookie`, `x-api-key`, `api-key`,
    /// `x-goog-api-key`, `x-auth-token`, `apca-api-key-id`, `apca-api-secret-key`, `x-mbx-apikey`, and `more`.
    ///
    /// ```
    /// use http::HeaderName;
    /// use seawall_http::cache::HttpCache;
    ///
    /// let rules = HttpCache::new().one_identity([HeaderName::from_static("x-finnhub-token")]);
    /// # let _ = rules;
    /// ```
    #[must_use]
    pub fn one_identity(mut self, more: impl IntoIterator<Item = HeaderName>) -> Self {
        let names = Arc::make_mut(&mut self.names);
        names.same.extend(usual_credentials().chain(more));
        self
    }

    /// Sets the longest that counts of what a response says: of the time that it stays fresh once it is here, of
    /// `stale-while-revalidate` and of `stale-if-error`, each for itself; a day unless set. Zero takes none of it: a
    /// response that says how long it is fresh is stale at once.
    ///
    /// It does not bound the [settings](seawall_cache::CacheConfig) of the layer: the `ttl` holds for a response that
    /// says nothing, and `stale_on_failure` is the bound of age of all that is stale.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Does not take the age of an answer from its `Date`: for an upstream, or a machine, whose clock is wrong.
    /// `Age` counts all the same.
    ///
    /// Otherwise an answer is as old as its `Date` says by the clock of this machine, from two seconds on, and of an
    /// upstream whose clock is an hour behind everything is an hour old: nothing is found fresh.
    #[must_use]
    pub const fn ignore_date(mut self) -> Self {
        self.dates = false;
        self
    }

    /// Whether the answer depends on nothing but what is in the key.
    fn knows_vary(&self, headers: &HeaderMap) -> bool {
        let is_known = |part: &str| {
            // An asterisk would be a name, too.
            part != "*"
                && part
                    .parse()
                    .is_ok_and(|name: HeaderName| self.names.distinguishes(&name))
        };
        headers.get_all(VARY).iter().all(|line| {
            let text = line.to_str().unwrap_or("*");
            let mut parts = text.split(',').map(str::trim);
            parts.all(|part| part.is_empty() || is_known(part))
        })
    }
}

impl Default for HttpCache {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`HttpCache`] remembers of a request: its method, and whether it may have credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAsked {
    has_credentials: bool,
    is_head: bool,
}

impl<B: Body, R> CacheRules<Request<B>, Response<R>, HttpStored> for HttpCache {
    type Key = HttpCacheKey;
    type Asked = HttpAsked;

    fn ask(&self, request: &Request<B>) -> Ask<HttpCacheKey, HttpAsked> {
        let headers = request.headers();
        if !request.method().is_safe() {
            let group = group_of(request.uri(), headers.get(HOST));
            return Ask::Change { group };
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read
            || !request.body().is_end_stream()
            || CONDITIONS.iter().any(|name| headers.contains_key(name))
        {
            return Ask::Pass;
        }
        let mut demand = Demand::DEFAULT;
        if headers.contains_key(CACHE_CONTROL) || headers.contains_key(PRAGMA) {
            let asks = Asks::read(headers);
            if asks.no_store {
                return Ask::Pass;
            }
            demand.look_up = !asks.no_cache;
            demand.stale = !asks.no_cache;
            demand.call = !asks.only_if_cached;
            demand.max_age = asks.max_age;
            demand.min_fresh = asks.min_fresh;
            demand.max_stale = asks.max_stale.unwrap_or_default();
        }
        let key = HttpCacheKey::new(request, &self.names);
        let group = key.group();
        let asked = HttpAsked {
            has_credentials: key.has_credentials,
            is_head: key.is_head,
        };
        let keyed = Keyed::new(key).with_asked(asked);
        Ask::Keyed(keyed.with_group(group).with_demand(demand))
    }

    fn key_weight(&self, key: &HttpCacheKey) -> u64 {
        key.weight()
    }

    fn lifetime(&self, asked: &HttpAsked, response: &Response<R>) -> Lifetime {
        let headers = response.headers();
        if headers.contains_key(SET_COOKIE) || is_event_stream(headers) || !self.knows_vary(headers)
        {
            return Lifetime::NONE;
        }
        let says = Says::of(
            headers,
            response.status(),
            asked.has_credentials,
            self.shared,
        );
        let Some(says) = says else {
            return Lifetime::NONE;
        };
        let bounded = |span: Duration| span.min(self.max_age);
        let mut lifetime = Lifetime::DEFAULT;
        if self.dates {
            lifetime.age = apparent_age(headers);
        }
        lifetime.age_when_sent = age_when_sent(headers);
        // The bound is one of what is left.
        let age = lifetime.age_when_sent.unwrap_or_default().max(lifetime.age);
        let longest = age.saturating_add(self.max_age);
        lifetime.fresh = says.fresh.map(|fresh| fresh.min(longest));
        lifetime.stale_while_revalidate = says.stale_while_revalidate.map(bounded);
        lifetime.stale_on_failure = says.stale_if_error.map(bounded);
        lifetime
    }

    fn is_shareable(&self, asked: &HttpAsked, response: &Response<R>, outcome: Outcome) -> bool {
        let headers = response.headers();
        let is_private = || directives(headers).any(|(name, _)| name == "private");
        let is_anothers = headers.contains_key(SET_COOKIE)
            || is_event_stream(headers)
            || !self.knows_vary(headers)
            || (self.shared && is_private());
        let fails = !matches!(
            outcome,
            Outcome::Success | Outcome::Ignored | Outcome::Degraded
        );
        // Whatever its status: what waiters get of it is not kept. Of a failure it counts only whose it is.
        !is_anothers
            && (fails
                || Says::of(headers, StatusCode::OK, asked.has_credentials, self.shared).is_some())
    }

    fn has_body(&self, asked: &HttpAsked) -> Option<bool> {
        Some(!asked.is_head)
    }

    fn not_cached(&self, _: &HttpAsked) -> Option<HttpStored> {
        Some(HttpStored::gateway_timeout())
    }
}

/// What a response says of its own use.
struct Says {
    /// How long it is fresh from when it was made.
    fresh: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
}

impl Says {
    /// `None` where it may not be kept.
    fn of(
        headers: &HeaderMap,
        status: StatusCode,
        has_credentials: bool,
        shared: bool,
    ) -> Option<Self> {
        let headers = normal(headers);
        let mut no_cache = !headers.contains_key(CACHE_CONTROL)
            && headers.get(PRAGMA).is_some_and(|value| value == "no-cache");
        let mut revalidates = false;
        let (mut refreshing, mut failing) = (None, None);
        for (name, value) in directives(&headers) {
            match &*name {
                "no-cache" => no_cache = true,
                "must-revalidate" => revalidates = true,
                "proxy-revalidate" => revalidates |= shared,
                "stale-while-revalidate" => shorten(&mut refreshing, seconds(value)),
                "stale-if-error" => shorten(&mut failing, seconds(value)),
                _ => {}
            }
        }
        if no_cache {
            return None;
        }
        let fresh = freshness(&headers, shared);
        if !is_storable(status, headers, has_credentials, shared) {
            return None;
        }
        if revalidates || fresh == Some(Err(Ambiguous)) {
            (refreshing, failing) = (Some(Duration::ZERO), Some(Duration::ZERO));
        }
        Some(Self {
            fresh: fresh.map(Result::unwrap_or_default),
            stale_while_revalidate: refreshing,
            stale_if_error: failing,
        })
    }
}

/// The headers that decide: directives in lower case, as the policy knows them.
fn normal(headers: &HeaderMap) -> HeaderMap {
    let mut normal = HeaderMap::new();
    for name in [CACHE_CONTROL, PRAGMA] {
        for value in headers.get_all(&name) {
            let lower = value.as_bytes().to_ascii_lowercase();
            // What cannot be read forbids everything.
            let lower = HeaderValue::from_bytes(&lower)
                .ok()
                .filter(|value| value.to_str().is_ok());
            let value = lower.unwrap_or(HeaderValue::from_static("no-store"));
            normal.append(name.clone(), value);
        }
    }
    for name in [DATE, EXPIRES] {
        if let Some(value) = headers.get(&name) {
            normal.insert(name, value.clone());
        }
    }
    normal
}

/// Whether the response may be kept at all (RFC 9111, 3).
fn is_storable(
    status: StatusCode,
    headers: HeaderMap,
    has_credentials: bool,
    shared: bool,
) -> bool {
    // Of a request it asks no more than this, for what is kept by method and credentials.
    let mut request = Request::new(());
    if has_credentials {
        let value = HeaderValue::from_static("-");
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.headers_mut() = headers;
    let options = CacheOptions {
        shared,
        ..CacheOptions::default()
    };
    // The time does not matter for that.
    CachePolicy::new_options(&request, &head, SystemTime::UNIX_EPOCH, options).is_storable()
}
