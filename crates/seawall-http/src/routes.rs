//! What a request is, by its method and route.

use std::sync::Arc;

use http::{Extensions, Method, Request};
use seawall_core::{Describe, InvalidConfig, PartitionKey, Priority, Replay, RequestMeta};

use crate::deadline::RequestDeadline;
use crate::quota::TokenEstimate;

/// Whether a method is idempotent by RFC 9110, section 9.2.2: sending it twice has the effect of
/// sending it once.
///
/// That is what the method promises, not what every API keeps: [`Routes::reads_only`] trusts only
/// reads.
pub fn is_idempotent(method: &Method) -> bool {
    is_read(method) || matches!(*method, Method::PUT | Method::DELETE)
}

fn is_read(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// A table of routes that describes requests: whether one may be sent twice, its cost, priority
/// and partition.
///
/// The first route that matches counts. A pattern is a path whose segments are text, `*` or
/// `{name}` (any one segment), and `**` as the last one (any rest, also none); the query is
/// ignored, and percent-escapes are compared as they are written. A request that matches no route
/// is described by its method: safe to send twice when the method [is idempotent](is_idempotent),
/// never otherwise.
///
/// What the caller put into the request's extensions wins: a complete [`RequestMeta`], or one of
/// [`Replay`], [`Priority`], [`PartitionKey`], [`TokenEstimate`], and [`RequestDeadline`] (of two
/// deadlines the earlier).
///
/// A look-up allocates nothing and takes time by the number of routes, so put the most called
/// routes first. Clones share the table.
///
/// ```
/// use http::{Method, Request};
/// use seawall_core::{Describe, RequestMeta, Priority, Replay};
/// use seawall_http::Routes;
///
/// let alpaca = Routes::new()
///     .route(Method::DELETE, "/v2/orders/{id}", RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH))?
///     .route(Method::PATCH, "/v2/orders/*", RequestMeta::new(Replay::Never))?
///     .any("/v2/stocks/**", RequestMeta::new(Replay::Safe).with_cost(2))?;
///
/// let cancel = Request::delete("https://api.alpaca.markets/v2/orders/7").body(()).unwrap();
/// assert_eq!(alpaca.describe(&cancel).priority, Priority::HIGH);
/// let order = Request::post("https://api.alpaca.markets/v2/orders").body(()).unwrap();
/// assert_eq!(alpaca.describe(&order).replay, Replay::Never);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Routes {
    table: Arc<Vec<Route>>,
    safe: fn(&Method) -> bool,
}

#[derive(Clone, Debug)]
struct Route {
    method: Option<Method>,
    segments: Box<[Segment]>,
    /// Whether any rest of the path matches.
    open: bool,
    meta: RequestMeta,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(Box<str>),
    Any,
}

impl Routes {
    /// An empty table: requests are described by their method alone, by RFC 9110.
    pub fn new() -> Self {
        Self {
            table: Arc::default(),
            safe: is_idempotent,
        }
    }

    /// An empty table by which only GET, HEAD, OPTIONS and TRACE are safe to send twice.
    ///
    /// For APIs where a second PUT or DELETE does harm: changing or cancelling an order that
    /// has changed meanwhile.
    pub fn reads_only() -> Self {
        Self {
            safe: is_read,
            ..Self::new()
        }
    }

    /// Adds a route for one method.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `pattern` does not begin with `/`, has `**` before its last
    /// segment, or has a segment that mixes text with `*`, `{` or `}`.
    pub fn route(
        self,
        method: Method,
        pattern: &str,
        meta: RequestMeta,
    ) -> Result<Self, InvalidConfig> {
        self.add(Some(method), pattern, meta)
    }

    /// Adds a route for every method.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] as for [`Routes::route`].
    pub fn any(self, pattern: &str, meta: RequestMeta) -> Result<Self, InvalidConfig> {
        self.add(None, pattern, meta)
    }

    fn add(
        mut self,
        method: Option<Method>,
        pattern: &str,
        meta: RequestMeta,
    ) -> Result<Self, InvalidConfig> {
        let (segments, open) = parse(pattern).ok_or_else(|| {
            InvalidConfig::new(
                "pattern",
                format!("{pattern:?}"),
                "a path from `/` whose segments are text, `*`, `{name}`, and `**` at the end only",
            )
        })?;
        Arc::make_mut(&mut self.table).push(Route {
            method,
            segments,
            open,
            meta,
        });
        Ok(self)
    }

    /// Describes a request of that method and path, without its extensions.
    pub fn look_up(&self, method: &Method, path: &str) -> RequestMeta {
        self.table
            .iter()
            .find(|route| route.matches(method, path))
            .map_or_else(|| self.by_method(method), |route| route.meta)
    }

    fn by_method(&self, method: &Method) -> RequestMeta {
        RequestMeta::new(if (self.safe)(method) {
            Replay::Safe
        } else {
            Replay::Never
        })
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

fn parse(pattern: &str) -> Option<(Box<[Segment]>, bool)> {
    let path = pattern.strip_prefix('/')?;
    let (path, open) = match path {
        "**" => return Some((Box::default(), true)),
        path => match path.strip_suffix("/**") {
            Some(head) => (head, true),
            None => (path, false),
        },
    };
    let segments: Option<Box<[Segment]>> = path.split('/').map(segment).collect();
    Some((segments?, open))
}

fn segment(text: &str) -> Option<Segment> {
    let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    if text == "*" || name.is_some_and(|n| !n.is_empty() && !n.contains(['{', '}', '*'])) {
        Some(Segment::Any)
    } else {
        let plain = !text.contains(['*', '{', '}', '?', '#']);
        plain.then(|| Segment::Text(text.into()))
    }
}

impl Route {
    fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|m| m != method) {
            return false;
        }
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut rest = Some(path);
        for segment in &self.segments {
            let Some(path) = rest else {
                return false;
            };
            let (here, after) = match path.split_once('/') {
                Some((here, after)) => (here, Some(after)),
                None => (path, None),
            };
            let is_match = match segment {
                Segment::Text(text) => **text == *here,
                Segment::Any => !here.is_empty(),
            };
            if !is_match {
                return false;
            }
            rest = after;
        }
        self.open || rest.is_none()
    }
}

impl<B> Describe<Request<B>> for Routes {
    fn describe(&self, request: &Request<B>) -> RequestMeta {
        let extensions = request.extensions();
        if extensions.is_empty() {
            return self.look_up(request.method(), request.uri().path());
        }
        let meta = match extensions.get::<RequestMeta>() {
            Some(meta) => *meta,
            None => self.look_up(request.method(), request.uri().path()),
        };
        overridden(meta, extensions)
    }
}

fn overridden(mut meta: RequestMeta, extensions: &Extensions) -> RequestMeta {
    if let Some(replay) = extensions.get::<Replay>() {
        meta.replay = *replay;
    }
    if let Some(priority) = extensions.get::<Priority>() {
        meta.priority = *priority;
    }
    if let Some(key) = extensions.get::<PartitionKey>() {
        meta.key = *key;
    }
    if let Some(TokenEstimate(tokens)) = extensions.get() {
        meta.tokens = *tokens;
    }
    if let Some(RequestDeadline(at)) = extensions.get() {
        meta.deadline = Some(meta.deadline.map_or(*at, |d| d.min(*at)));
    }
    meta
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::propagate_deadline;
    use proptest::prelude::*;
    use seawall_core::TokenCount;
    use std::time::Duration;
    use tokio::time::Instant;

    fn cost(n: u32) -> RequestMeta {
        RequestMeta::new(Replay::Safe).with_cost(n)
    }

    fn table(patterns: &[&str]) -> Routes {
        let costs = 2..;
        patterns.iter().zip(costs).fold(Routes::new(), |t, (p, n)| {
            t.any(p, cost(n)).unwrap_or_else(|e| panic!("{e}"))
        })
    }

    fn found(routes: &Routes, path: &str) -> u32 {
        routes.look_up(&Method::GET, path).cost
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let routes = table(&["/v2/orders/open", "/v2/orders/{id}", "/v2/**", "/*/x"]);
        assert_eq!(found(&routes, "/v2/orders/open"), 2);
        assert_eq!(found(&routes, "/v2/orders/7"), 3);
        assert_eq!(found(&routes, "/v2/orders/7/legs"), 4);
        assert_eq!(found(&routes, "/v2/orders/"), 4, "an empty segment is none");
        assert_eq!(found(&routes, "/v2"), 4, "the rest may be missing");
        assert_eq!(found(&routes, "/v3/x"), 5);
        assert_eq!(found(&routes, "/v3/y"), 1, "by its method");
        assert_eq!(found(&routes, "/v20"), 1);
        assert_eq!(found(&routes, ""), 1);
        assert_eq!(found(&table(&["/**"]), "/anything/at/all"), 2);
        assert_eq!(found(&table(&["/"]), "/"), 2);
    }

    #[test]
    fn a_route_is_for_its_method_alone() {
        let routes = Routes::new()
            .route(Method::POST, "/v1/messages", cost(9))
            .unwrap();
        assert_eq!(routes.look_up(&Method::POST, "/v1/messages").cost, 9);
        assert_eq!(routes.look_up(&Method::GET, "/v1/messages").cost, 1);
    }

    #[test]
    fn unrouted_requests_are_as_safe_as_their_method() {
        for (method, by_rfc, careful) in [
            (Method::GET, true, true),
            (Method::HEAD, true, true),
            (Method::OPTIONS, true, true),
            (Method::TRACE, true, true),
            (Method::PUT, true, false),
            (Method::DELETE, true, false),
            (Method::POST, false, false),
            (Method::PATCH, false, false),
            (Method::CONNECT, false, false),
            (Method::from_bytes(b"PURGE").unwrap(), false, false),
        ] {
            let safe = |routes: Routes| routes.look_up(&method, "/").replay.is_safe();
            assert_eq!(safe(Routes::new()), by_rfc, "{method}");
            assert_eq!(safe(Routes::reads_only()), careful, "{method}");
        }
    }

    #[test]
    fn patterns_that_mean_nothing_are_rejected_by_name() {
        for bad in [
            "", "orders", "/a*", "/{}", "/{a", "/a}", "/{a}{b}", "/**/x", "/a?b=1", "/***", "/{*}",
        ] {
            let rejected = Routes::new().any(bad, RequestMeta::default()).unwrap_err();
            assert_eq!(rejected.field(), "pattern", "{bad}");
            assert_eq!(rejected.value(), format!("{bad:?}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_caller_put_into_the_extensions_wins() {
        let routes = table(&["/orders"]);
        let mut request = Request::get("/orders").body(()).unwrap();
        request.extensions_mut().insert(Replay::Never);
        request.extensions_mut().insert(Priority::LOW);
        request.extensions_mut().insert(PartitionKey(7));
        let tokens = TokenCount::new(400, 256);
        request.extensions_mut().insert(TokenEstimate(tokens));
        let (soon, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        assert_eq!(propagate_deadline(&mut request, soon), soon);
        assert_eq!(propagate_deadline(&mut request, later), soon);
        let meta = routes.describe(&request);
        assert_eq!((meta.replay, meta.priority), (Replay::Never, Priority::LOW));
        assert_eq!((meta.key, meta.cost), (PartitionKey(7), 2));
        assert_eq!(meta.tokens, tokens);
        assert_eq!(meta.deadline, Some(soon), "the earlier deadline is kept");

        let complete = RequestMeta::new(Replay::SafeWithKey).with_deadline(later);
        let mut request = Request::get("/orders").body(()).unwrap();
        request.extensions_mut().insert(complete);
        assert_eq!(routes.describe(&request), complete);
        let much_later = later + Duration::from_secs(1);
        assert_eq!(propagate_deadline(&mut request, much_later), later);
        assert_eq!(propagate_deadline(&mut request, soon), soon);
        assert_eq!(routes.describe(&request).deadline, Some(soon));
    }

    /// The slow, obvious matcher: lists of segments.
    fn matches_by_lists(pattern: &str, path: &str) -> bool {
        let pattern: Vec<&str> = pattern.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        let (head, open) = match pattern.split_last() {
            Some((&"**", head)) => (head, true),
            _ => (&pattern[..], false),
        };
        let long_enough = if open {
            path.len() >= head.len()
        } else {
            path.len() == head.len()
        };
        long_enough
            && head.iter().zip(&path).all(|(p, s)| match *p {
                "*" => !s.is_empty(),
                text => text == *s,
            })
    }

    proptest! {
        #[test]
        fn matching_agrees_with_lists_of_segments(
            pattern in "(/(a|b|\\*)){1,3}(/\\*\\*)?",
            path in "(/(a|b|)){1,4}",
        ) {
            let routes = table(&[&pattern]);
            let expected = matches_by_lists(&pattern, &path);
            prop_assert_eq!(found(&routes, &path) == 2, expected);
        }
    }
}
