//! The routes of a table, and what each of them adds to those before.

use std::collections::BTreeSet;
use std::fmt;

use http::Method;
use seawall_core::{InvalidConfig, RequestMeta};

use super::trie::Trie;

/// More than any API has; it bounds how deep a search calls itself.
const MAX_SEGMENTS: usize = 64;

#[derive(Clone)]
pub(super) struct Table {
    routes: Vec<Route>,
    trie: Trie,
}

#[derive(Clone)]
struct Route {
    method: Option<Method>,
    /// As it was given.
    pattern: Box<str>,
    /// Whether any rest of the path matches.
    open: bool,
    meta: RequestMeta,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            trie: Trie::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        method: Option<Method>,
        pattern: &str,
        meta: RequestMeta,
    ) -> Result<(), InvalidConfig> {
        let (plain, open) = plain(pattern).ok_or_else(|| {
            InvalidConfig::new(
                "pattern",
                format!("{pattern:?}"),
                "a path from `/` of at most 64 segments that are text, `*`, `{name}`, and `**` at \
                 the end only",
            )
        })?;
        let route = Route {
            method,
            pattern: pattern.into(),
            open,
            meta,
        };
        let mut by = BTreeSet::new();
        if self.covers(route.method.as_ref(), &plain, open, &mut by) {
            return Err(self.shadowed(&route, &by));
        }
        let index = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        self.trie.insert(&plain, open, route.method.clone(), index);
        self.routes.push(route);
        Ok(())
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Option<&RequestMeta> {
        let index = self.trie.find(Some(method), path)?;
        Some(&self.routes[index].meta)
    }

    /// Whether the table has a route for every path that a pattern matches, and for each of its
    /// methods; `by` are the routes that then do.
    ///
    /// Texts and methods have no end, so texts together never cover a wildcard, and methods together
    /// never cover all. The segment `*`, which no text is, therefore stands for every segment that a
    /// wildcard matches. An open end is covered if the path without more segments is, and every path
    /// that goes on, by an empty segment or by one that a wildcard matches.
    fn covers(
        &self,
        method: Option<&Method>,
        path: &str,
        open: bool,
        by: &mut BTreeSet<usize>,
    ) -> bool {
        // An open end needs the slash before it.
        if !path.is_empty() {
            let Some(index) = self.trie.find(method, path) else {
                return false;
            };
            by.insert(index);
            if !open || self.routes[index].open {
                return true;
            }
        }
        ["/", "/*"]
            .iter()
            .all(|next| self.covers(method, &format!("{path}{next}"), true, by))
    }

    fn shadowed(&self, route: &Route, by: &BTreeSet<usize>) -> InvalidConfig {
        let earlier: Vec<String> = by.iter().map(|i| self.routes[*i].to_string()).collect();
        InvalidConfig::new(
            "pattern",
            route,
            format!(
                "a route that matches what none before it does: {} comes first",
                earlier.join(" with ")
            ),
        )
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_ref().map_or("any", Method::as_str);
        write!(f, "`{method} {}`", self.pattern)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes.iter().map(|r| (r.to_string(), r.meta));
        f.debug_map().entries(routes).finish()
    }
}

/// A pattern with `*` for each `{name}`, without an open end, and whether it has one.
fn plain(pattern: &str) -> Option<(String, bool)> {
    let path = pattern.strip_prefix('/')?;
    let (path, open) = match path {
        "**" => return Some((String::new(), true)),
        path => match path.strip_suffix("/**") {
            Some(head) => (head, true),
            None => (path, false),
        },
    };
    let mut plain = String::with_capacity(pattern.len());
    for (i, text) in path.split('/').enumerate() {
        if i == MAX_SEGMENTS {
            return None;
        }
        plain.push('/');
        plain.push_str(segment(text)?);
    }
    Some((plain, open))
}

fn segment(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    if text == "*" || name.is_some_and(|n| !n.is_empty() && !n.contains(['{', '}', '*'])) {
        Some("*")
    } else {
        let is_plain = !text.contains(['*', '{', '}', '?', '#']);
        is_plain.then_some(text)
    }
}
