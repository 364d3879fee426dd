//! What a request is, by its method and route.

use std::sync::Arc;

use http::{Extensions, Method, Request};
use seawall_core::{Describe, InvalidConfig, PartitionKey, Priority, Replay, RequestMeta};

use crate::deadline::RequestDeadline;
use crate::quota::TokenEstimate;

mod table;
#[cfg(test)]
mod tests;
mod trie;

use table::Table;

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
/// `{name}` (any one segment that is not empty), and `**` as the last one (any rest, also none); the query is
/// ignored, and percent-escapes are compared as they are written. A request that matches no route
/// is described by its method: safe to send twice when the method [is idempotent](is_idempotent),
/// never otherwise.
///
/// What the caller put into the request's extensions wins: a complete [`RequestMeta`], or one of
/// [`Replay`], [`Priority`], [`PartitionKey`], [`TokenEstimate`], and [`RequestDeadline`] (of two
/// deadlines the earlier).
///
/// A look-up allocates nothing and takes time by the length of the path, however many routes
/// there are, save that where a text and a wildcard match the same segment, both are followed: a table
/// that mixes them in every segment can take twice as long for each. Clones share
/// the table. A route that could never match, since those before it match all that it does, is an
/// error.
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
    /// None while it is empty, so that clones of such a table share nothing.
    table: Option<Arc<Table>>,
    reads_only: bool,
    reserved: bool,
}

impl Routes {
    /// An empty table: requests are described by their method alone, by RFC 9110.
    pub const fn new() -> Self {
        Self {
            table: None,
            reads_only: false,
            reserved: false,
        }
    }

    /// An empty table by which only GET, HEAD, OPTIONS and TRACE are safe to send twice.
    ///
    /// For APIs where a second PUT or DELETE does harm: changing or cancelling an order that
    /// has changed meanwhile.
    pub const fn reads_only() -> Self {
        Self {
            table: None,
            reads_only: true,
            reserved: false,
        }
    }

    /// Adds a route for one method. A DELETE, PUT or PATCH that is [`Replay::Safe`] is
    /// [`Replay::SafeWithEffect`]: it may be sent twice, and nothing but the upstream answers it. Give a
    /// POST that has an effect that replay yourself.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `pattern` does not begin with `/`, has more than 64 segments, has `**`
    /// before its last one, has one that mixes text with `*`, `{` or `}`, or matches nothing that no
    /// earlier route matches: the error names these.
    pub fn route(
        self,
        method: Method,
        pattern: &str,
        mut meta: RequestMeta,
    ) -> Result<Self, InvalidConfig> {
        let changes = [Method::DELETE, Method::PUT, Method::PATCH].contains(&method);
        if changes && meta.replay == Replay::Safe {
            meta.replay = Replay::SafeWithEffect;
        }
        self.add(Some(method), pattern, meta)
    }

    /// Adds a route for every method. One that is [`Replay::Safe`] says that none of them has an effect.
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
        let table = self.table.get_or_insert_with(|| Arc::new(Table::new()));
        Arc::make_mut(table).add(method, pattern, meta)?;
        Ok(self)
    }

    /// The same, where each priority is the one [among those that may use reserved
    /// tokens](Priority::reserved): what its requests ask for, by route or by extension, in the same order.
    ///
    /// For a stack of calls that must get through when others have used up the rest of a limit that both
    /// share, such as cancels beside orders.
    ///
    /// ```
    /// use http::{Method, Request};
    /// use seawall_core::{Describe, Priority, Replay, RequestMeta};
    /// use seawall_http::Routes;
    ///
    /// let cancel = RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH);
    /// let routes = Routes::new().route(Method::DELETE, "/orders/{id}", cancel)?.reserved();
    /// let request = Request::delete("http://broker/orders/7").body(()).unwrap();
    /// assert!(routes.describe(&request).priority > Priority::RESERVED);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn reserved(self) -> Self {
        Self {
            reserved: true,
            ..self
        }
    }

    /// Describes a request of that method and path, without its extensions.
    #[inline]
    pub fn look_up(&self, method: &Method, path: &str) -> RequestMeta {
        self.look_up_with(method, || path)
    }

    /// As [`look_up`](Self::look_up); an empty table does not ask for the path.
    #[inline]
    fn look_up_with<'a>(&self, method: &Method, path: impl FnOnce() -> &'a str) -> RequestMeta {
        let found = self.table.as_ref().and_then(|t| t.find(method, path()));
        let meta = found.copied().unwrap_or_else(|| self.by_method(method));
        self.prioritized(meta)
    }

    #[inline]
    fn prioritized(&self, mut meta: RequestMeta) -> RequestMeta {
        if self.reserved {
            meta.priority = meta.priority.reserved();
        }
        meta
    }

    fn by_method(&self, method: &Method) -> RequestMeta {
        RequestMeta::new(match is_read(method) {
            true => Replay::Safe,
            false if !self.reads_only && is_idempotent(method) => Replay::SafeWithEffect,
            false => Replay::Never,
        })
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Describe<Request<B>> for Routes {
    fn describe(&self, request: &Request<B>) -> RequestMeta {
        let extensions = request.extensions();
        if extensions.is_empty() {
            return self.look_up_with(request.method(), || request.uri().path());
        }
        let meta = match extensions.get::<RequestMeta>() {
            Some(meta) => *meta,
            None => self.look_up_with(request.method(), || request.uri().path()),
        };
        self.prioritized(overridden(meta, extensions))
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
