//! Where a connectivity check connects to.

use std::fmt;

use seawall_core::InvalidConfig;

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// The connection.
    Tcp,
    /// And the handshake with the certificate.
    Tls,
    /// And a request of HTTP/1.1.
    Http,
    Https,
}

/// Where to connect to, and how far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) probe: Probe,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// With a slash at its start.
    pub(super) path: String,
}

#[cfg(feature = "tls")]
const ACCEPTED: &str = "`tcp://HOST:PORT`, `tls://HOST`, `http://HOST/PATH` or `https://HOST/PATH`";
#[cfg(not(feature = "tls"))]
const ACCEPTED: &str =
    "`tcp://HOST:PORT` or `http://HOST/PATH`, and `tls://` and `https://` with the feature `tls`";

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidConfig> {
        Self::parts(url).ok_or_else(|| {
            let value = format!("{:?}", without_secrets(url));
            InvalidConfig::new("url", value, ACCEPTED)
        })
    }

    fn parts(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (probe, default) = match scheme {
            "tcp" => (Probe::Tcp, None),
            "ws" => (Probe::Tcp, Some(80)),
            "http" => (Probe::Http, Some(80)),
            "tls" | "wss" if cfg!(feature = "tls") => (Probe::Tls, Some(443)),
            "https" if cfg!(feature = "tls") => (Probe::Https, Some(443)),
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        // What is no part of a path as it is sent could be another header.
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
        if !path.chars().all(is_plain) {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    host,
                    port.strip_prefix(':').or(port.is_empty().then_some("")),
                )
            }
            None => {
                let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
                let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                (
                    host,
                    (!host.is_empty() && host.chars().all(is_host)).then_some(port),
                )
            }
        };
        let port = match port? {
            "" => default?,
            digits if digits.chars().all(|c| c.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        };
        Some(Self {
            probe,
            host: host.to_owned(),
            port: (port != 0).then_some(port)?,
            path: path.to_owned(),
        })
    }

    /// The host as a header has it.
    pub(super) fn authority(&self) -> String {
        let bracketed = self.host.contains(':');
        match (bracketed, self.port) {
            (false, 80 | 443) => self.host.clone(),
            (false, port) => format!("{}:{port}", self.host),
            (true, port) => format!("[{}]:{port}", self.host),
        }
    }
}

/// A URL as an error may show it: without a user and a password, and without a query.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + 3),
        None => ("", url),
    };
    // The user first: a password may have a question mark.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}{user}{rest}?***"),
        None => format!("{scheme}{user}{rest}"),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(url: &str) -> Option<(Probe, String, u16, String)> {
        let e = Endpoint::parse(url).ok()?;
        Some((e.probe, e.host, e.port, e.path))
    }

    fn is(probe: Probe, host: &str, port: u16, path: &str) -> Option<(Probe, String, u16, String)> {
        Some((probe, host.to_owned(), port, path.to_owned()))
    }

    #[test]
    fn urls_have_a_probe_a_host_and_a_port() {
        assert_eq!(
            of("tcp://db.internal:5432"),
            is(Probe::Tcp, "db.internal", 5432, "/")
        );
        assert_eq!(
            of("http://localhost"),
            is(Probe::Http, "localhost", 80, "/")
        );
        assert_eq!(
            of("http://[::1]:8080/v2"),
            is(Probe::Http, "::1", 8080, "/v2")
        );
        assert_eq!(
            of("ws://feed.test/stream"),
            is(Probe::Tcp, "feed.test", 80, "/stream")
        );
        let tls = cfg!(feature = "tls");
        let https = is(Probe::Https, "api.test", 443, "/v1/");
        assert_eq!(of("https://api.test/v1/"), https.filter(|_| tls));
        assert_eq!(
            of("wss://feed.test:9"),
            is(Probe::Tls, "feed.test", 9, "/").filter(|_| tls)
        );
    }

    #[test]
    fn what_is_no_endpoint_is_rejected() {
        for url in [
            "",
            "api.test",
            "ftp://api.test",
            "tcp://db",
            "tcp://:5432",
            "http://",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:b",
            "http://user@a",
            "http://a b",
            "http://a/b c",
            "http://a/\r\nX: y",
            "http://a/?q",
            "http://a/#f",
            "http://[::1",
            "http://[::1]x",
            "http://[zz]",
            "http://ä",
            "://a",
            "http:///x",
        ] {
            let rejected = Endpoint::parse(url).unwrap_err();
            assert_eq!(rejected.field(), "url", "{url}");
        }
    }

    #[test]
    fn an_error_shows_no_password_and_no_query() {
        for (url, shown) in [
            ("http://desk:s3cret@a/x", "http://***@a/x"),
            ("desk:s3cret@a", "***@a"),
            ("http://desk:s3/cr@et@a", "http://***@a"),
            ("http://a/x?token=s3cret", "http://a/x?***"),
            ("http://desk:s3?cret@a", "http://***@a"),
            ("ftp://a", "ftp://a"),
        ] {
            let rejected = Endpoint::parse(url).unwrap_err();
            assert_eq!(rejected.value(), format!("{shown:?}"), "{url}");
        }
    }

    proptest! {
        /// Whatever it is, nothing that is sent has a line break or a space that was not ours.
        #[test]
        fn nothing_that_is_accepted_breaks_a_header(url in "(http|tcp)://\\PC{0,30}") {
            if let Ok(endpoint) = Endpoint::parse(&url) {
                let sent = format!("{}{}", endpoint.authority(), endpoint.path);
                prop_assert!(sent.chars().all(|c| c.is_ascii_graphic()));
                prop_assert!(endpoint.port != 0);
            }
        }
    }
}
