//! The URL that the paths of requests are joined to.

use std::borrow::Cow;
use std::fmt;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use seawall_core::InvalidConfig;

/// What stands for itself in a query: the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const BASE: &str = "`http://` or `https://`, a host, and a path or none, as in `https://host/v2`";
const PATH: &str = "a path as in `/orders/7?nested=true`, or a URL of the base's scheme and host";

/// Where a client sends its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end: empty, or `/v2`.
    path: String,
}

impl BaseUrl {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidConfig> {
        let invalid =
            || InvalidConfig::new("base_url", format!("`{}`", without_secrets(text)), BASE);
        // A `Uri` forgets the fragment, and takes a host without a scheme.
        if text.contains(['#', '?']) {
            return Err(invalid());
        }
        let parts = match text.parse::<Uri>() {
            Ok(uri) => uri.into_parts(),
            Err(_) => return Err(invalid()),
        };
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(invalid());
        };
        let is_http = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        // A `Uri` takes ports that are none.
        let after_user = authority.as_str().rsplit('@').next();
        let has_bad_port = authority.port_u16().is_none() && after_user != Some(authority.host());
        if !is_http || authority.host().is_empty() || has_bad_port {
            return Err(invalid());
        }
        if authority.as_str().contains('@') {
            let accepted = "without a user and a password: send them in a header, as by `auth`";
            return Err(InvalidConfig::new("base_url", "with a user", accepted));
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
        if has_dot_segment(path) {
            return Err(invalid());
        }
        Ok(Self {
            scheme,
            authority,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Whether its connections are encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Gives a URL of a path alone, as a layer of the stack makes it, the host of the base.
    pub(super) fn complete(&self, url: &mut Uri) {
        // `*` is no path: it stands for what cannot be joined.
        if url.authority().is_some() || url.path() == "*" {
            return;
        }
        let mut parts = std::mem::take(url).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // Of a path without a slash at its beginning there is none: the transport refuses it.
        *url = Uri::from_parts(parts).unwrap_or_default();
    }

    /// The URL of the path and the query of `url`.
    #[cfg(all(feature = "ai", feature = "catalog"))]
    pub(crate) fn rebase(&self, url: &Uri) -> Option<Uri> {
        self.join(url.path_and_query()?.as_str()).ok()
    }

    /// Whether a URL has its scheme, host and port (RFC 6454, section 5), and no user.
    fn is_origin_of(&self, url: &Uri) -> bool {
        let default = if self.is_https() { 443 } else { 80 };
        url.scheme() == Some(&self.scheme)
            && url.authority().is_some_and(|other| {
                let ours = &self.authority;
                !other.as_str().contains('@')
                    && other.host().eq_ignore_ascii_case(ours.host())
                    && other.port_u16().unwrap_or(default) == ours.port_u16().unwrap_or(default)
            })
    }

    /// The URL of `path`, which may have a query. A complete URL is taken as it is where its scheme
    /// and host are those of the base: nobody else gets the headers of this client.
    pub(super) fn join(&self, path: &str) -> Result<Uri, InvalidConfig> {
        let only_path = without_query(path);
        let invalid = || InvalidConfig::new("path", format!("`{}`", without_secrets(path)), PATH);
        if path.contains('#') || has_dot_segment(only_path) {
            return Err(invalid());
        }
        if has_scheme(only_path) {
            let uri: Uri = path.parse().or(Err(invalid()))?;
            return match self.is_origin_of(&uri) {
                true => Ok(uri),
                false => Err(invalid()),
            };
        }
        let slash = if only_path.is_empty() || only_path.starts_with('/') {
            ""
        } else {
            "/"
        };
        let base = &self.path;
        let joined = match format!("{base}{slash}{path}") {
            // Otherwise the query would be that of no path.
            joined if joined.starts_with('/') => joined,
            joined => format!("/{joined}"),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(joined)
            .build()
            .or(Err(invalid()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            authority,
            path,
        } = self;
        write!(f, "{scheme}://{authority}{path}")
    }
}

/// A path as it may be shown: some providers take their key in the query.
pub(super) fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// A URL or path as it may be shown: without its query, and what may be a user and a password.
pub(super) fn without_secrets(url: &str) -> Cow<'_, str> {
    let shown = without_query(url);
    let query = if shown.len() < url.len() { "?..." } else { "" };
    match shown.rsplit_once('@') {
        Some((_, rest)) => Cow::Owned(format!("...@{rest}{query}")),
        None if query.is_empty() => Cow::Borrowed(shown),
        None => Cow::Owned(format!("{shown}{query}")),
    }
}

/// Whether it begins as a URL does, by RFC 3986, section 3.1; a URL within a path is a part of that.
fn has_scheme(path: &str) -> bool {
    let Some((scheme, _)) = path.split_once("://") else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether a segment is `.` or `..`, also percent-encoded: servers resolve those, and what a route
/// table made of the path would be about another one.
fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

/// Adds `name=value` to a path, each percent-encoded.
pub(super) fn add_query(path: &mut String, name: &str, value: &str) {
    path.push(if path.contains('?') { '&' } else { '?' });
    path.extend(utf8_percent_encode(name, RESERVED));
    path.push('=');
    path.extend(utf8_percent_encode(value, RESERVED));
}

/// `text` as one segment of a path: whatever is not a letter, a digit or one of `-._~` is
/// percent-encoded, so that it stays within its segment.
///
/// ```
/// let symbol = seawall::client::path_segment("BRK/B");
/// assert_eq!(format!("/v2/positions/{symbol}"), "/v2/positions/BRK%2FB");
/// ```
pub fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(base: &str, path: &str) -> String {
        BaseUrl::parse(base)
            .unwrap()
            .join(path)
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_url_is_of_the_base_also_where_only_one_names_the_default_port() {
        for (base, url) in [
            ("https://h/v2", "https://h:443/v2/next?page=2"),
            ("https://h:443", "https://h/next"),
            ("http://h", "http://h:80/next"),
        ] {
            assert_eq!(joined(base, url), url);
        }
        for (base, url) in [
            ("https://h", "https://h:80/"),
            ("https://h", "http://h/"),
            ("https://h", "https://other/"),
            ("https://h", "https://user@h/"),
            ("http://h:81", "http://h/"),
        ] {
            assert!(BaseUrl::parse(base).unwrap().join(url).is_err(), "{url}");
        }
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        for base in ["https://h", "https://h/"] {
            assert_eq!(joined(base, "/v2/orders"), "https://h/v2/orders");
            assert_eq!(joined(base, "v2/orders?a=b"), "https://h/v2/orders?a=b");
            assert_eq!(joined(base, ""), "https://h/");
            assert_eq!(joined(base, "?a=b/c"), "https://h/?a=b/c");
        }
        for base in ["http://h:81/v2", "http://h:81/v2/"] {
            assert_eq!(joined(base, "/orders"), "http://h:81/v2/orders");
            assert_eq!(joined(base, "orders/"), "http://h:81/v2/orders/");
            assert_eq!(
                joined(base, "?next=http://x"),
                "http://h:81/v2?next=http://x"
            );
            assert_eq!(joined(base, "http://h:81/v3/x"), "http://h:81/v3/x");
            assert_eq!(joined(base, "http://H:81/v3/x"), "http://H:81/v3/x");
        }
    }

    #[test]
    fn a_base_is_a_scheme_and_a_host() {
        for base in [
            "",
            "api.alpaca.markets",
            "api.alpaca.markets/v2",
            "//h/v2",
            "/v2",
            "ftp://h",
            "https://",
            "https:///v2",
            "https://h:",
            "https://h:99999/v2",
            "https://h/v2?a=b",
            "https://h/#x",
            "https://h/../v2",
            "https://a b",
        ] {
            let rejected = BaseUrl::parse(base).unwrap_err();
            assert_eq!(rejected.field(), "base_url");
            assert_eq!(
                rejected.value(),
                format!("`{}`", base.replace("a=b", "..."))
            );
            assert!(rejected.accepted().contains("https://"), "{rejected}");
        }
        for base in [
            "https://key:secret@h",
            "HTTPS//key:secret@h",
            "key:secret@h",
            "https://key:secret@h/a b",
            "https://h/?key=secret",
        ] {
            let rejected = BaseUrl::parse(base).unwrap_err();
            assert!(!rejected.to_string().contains("secret"), "{rejected}");
        }
    }

    #[test]
    fn no_path_leads_to_another_host_or_out_of_its_place() {
        let base = BaseUrl::parse("https://h/v2").unwrap();
        for path in [
            "https://evil/v2",
            "http://h/v2",
            "https://h:444/v2",
            "https://h@evil/",
            "/a/../b",
            "..",
            "./x",
            "/a/%2e%2E/b",
            "/a#b",
            "/a b",
            "/a\\..\\b",
        ] {
            assert_eq!(base.join(path).unwrap_err().field(), "path", "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_joined_url_is_base_and_path_in_their_order(
            segments in proptest::collection::vec("[a-z0-9~_-]{1,8}", 0..4),
            more in proptest::collection::vec("[a-zA-Z0-9:~_-]{1,8}", 0..4),
            slashes in (any::<bool>(), any::<bool>(), any::<bool>()),
            query in proptest::option::of("[a-z=&/:?]{0,12}"),
        ) {
            let (base_end, start, end) = slashes;
            let base = format!(
                "https://host:8080{}{}",
                segments.iter().map(|s| format!("/{s}")).collect::<String>(),
                if base_end { "/" } else { "" },
            );
            let mut path = format!("{}{}", if start { "/" } else { "" }, more.join("/"));
            if end && !more.is_empty() {
                path.push('/');
            }
            let uri = {
                let mut whole = path.clone();
                if let Some(query) = &query {
                    whole.push('?');
                    whole.push_str(query);
                }
                BaseUrl::parse(&base).unwrap().join(&whole).unwrap()
            };
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            prop_assert_eq!(uri.authority().unwrap().as_str(), "host:8080");
            prop_assert_eq!(uri.query(), query.as_deref());
            let expected: Vec<_> = segments.iter().chain(&more).map(String::as_str).collect();
            let got: Vec<_> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(!uri.path().contains("//"));
        }

        #[test]
        fn nothing_makes_it_panic(base in ".{0,40}", path in ".{0,40}") {
            if let Ok(base) = BaseUrl::parse(&base) {
                let _ = base.join(&path);
            }
            if let Ok(uri) = BaseUrl::parse("https://host/v2").unwrap().join(&path) {
                prop_assert_eq!(uri.authority().unwrap().as_str(), "host");
            }
        }

        #[test]
        fn a_query_says_what_was_put_in(pairs in proptest::collection::vec((".{0,8}", ".{0,8}"), 0..4)) {
            let mut path = String::from("/x");
            for (name, value) in &pairs {
                add_query(&mut path, name, value);
            }
            let uri = BaseUrl::parse("https://host").unwrap().join(&path).unwrap();
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
            };
            let got: Vec<_> = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((decode(name), decode(value)))
            }).collect();
            prop_assert_eq!(got, pairs);
        }
    }
}
