//! Degraded answers over HTTP: how they are marked, and how a request says that it wants none.

use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue, Request, Response};
use seawall_core::{Degradation, MarkDegraded, Outcome, ParsedDegradation, WantsFresh};

/// The header of a degraded answer: `x-seawall-degraded: circuit_open;age=12;source=last_good`. Its value is
/// written by [`Degradation`] and read by [`ParsedDegradation`].
pub const DEGRADED: HeaderName = HeaderName::from_static("x-seawall-degraded");

/// Marks a degraded answer by the header [`DEGRADED`], and by its [`Degradation`] in the extensions, which an
/// [`HttpClassifier`](crate::HttpClassifier) takes for [`Outcome::Degraded`].
///
/// A response that comes with the header is degraded, too: its upstream has answered in place of another.
///
/// ```
/// use http::Response;
/// use seawall_core::{Classify, Degradation, MarkDegraded, Outcome};
/// use seawall_http::{DEGRADED, HttpClassifier, HttpMark};
///
/// let mut answer = Response::new("{}");
/// assert_eq!(HttpMark.degradation(&answer), None);
///
/// let degradation = Degradation::new("overloaded", "vendor2");
/// HttpMark.mark(&mut answer, degradation);
/// assert_eq!(answer.headers()[DEGRADED], "overloaded;source=vendor2");
/// assert_eq!(HttpMark.degradation(&answer), Some(degradation));
/// let outcome = HttpClassifier::new().classify(Ok::<_, &std::io::Error>(&answer));
/// assert_eq!(outcome, Outcome::Degraded);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpMark;

impl<B> MarkDegraded<Response<B>> for HttpMark {
    fn mark(&self, response: &mut Response<B>, degradation: Degradation) {
        let older = self.degradation(response);
        response
            .extensions_mut()
            .insert(older.unwrap_or(degradation));
        response.extensions_mut().insert(Outcome::Degraded);
        // Of an upstream that has marked it the header stays: it may say more than this program knows.
        if older.is_none()
            && let Ok(value) = HeaderValue::from_str(&degradation.to_string())
        {
            response.headers_mut().insert(DEGRADED, value);
        }
    }

    /// One whose header cannot be read is degraded for a reason that is not known.
    fn degradation(&self, response: &Response<B>) -> Option<Degradation> {
        if let Some(marked) = response.extensions().get() {
            return Some(*marked);
        }
        let value = response.headers().get(DEGRADED)?;
        let text = value.to_str().ok();
        let parsed = text.and_then(ParsedDegradation::parse);
        let unreadable = || Degradation::new("other", "upstream");
        Some(parsed.map_or_else(unreadable, |parsed| parsed.known()))
    }
}

/// In the extensions of a request: it wants no degraded answer; see [`HttpFresh`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreshOnly;

/// Which HTTP requests want no degraded answer: those with [`FreshOnly`] in their extensions, and those with
/// `Cache-Control: no-cache`.
///
/// ```
/// use http::{Request, header::CACHE_CONTROL};
/// use seawall_core::WantsFresh;
/// use seawall_http::{FreshOnly, HttpFresh};
///
/// assert!(!HttpFresh.wants_fresh(&Request::new(())));
/// let to_trade_on = Request::builder().extension(FreshOnly).body(()).unwrap();
/// assert!(HttpFresh.wants_fresh(&to_trade_on));
/// let header = Request::builder().header(CACHE_CONTROL, "max-age=5, no-cache");
/// assert!(HttpFresh.wants_fresh(&header.body(()).unwrap()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpFresh;

impl<B> WantsFresh<Request<B>> for HttpFresh {
    fn wants_fresh(&self, request: &Request<B>) -> bool {
        if request.extensions().get::<FreshOnly>().is_some() {
            return true;
        }
        let lines = request.headers().get_all(CACHE_CONTROL).iter();
        let mut directives = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        directives.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
    }
}

/// As [`HttpFresh`], and of other methods than GET, HEAD, OPTIONS and TRACE every request: what it is to do, no
/// answer from elsewhere does. Those are the methods that are safe by
/// [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110.html#name-safe-methods); a cancel by DELETE may be repeated, and
/// may not be answered by a value.
///
/// Use `HttpFresh` where the POST of an operation may be answered, as the call of a model.
///
/// ```
/// use http::{Method, Request};
/// use seawall_core::WantsFresh;
/// use seawall_http::{HttpFresh, HttpReads};
///
/// let cancel = Request::builder().method(Method::DELETE).body(()).unwrap();
/// assert!(HttpReads.wants_fresh(&cancel));
/// assert!(!HttpFresh.wants_fresh(&cancel));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpReads;

impl<B> WantsFresh<Request<B>> for HttpReads {
    fn wants_fresh(&self, request: &Request<B>) -> bool {
        !request.method().is_safe() || HttpFresh.wants_fresh(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_mark_stays() {
        let mut answer = Response::new(());
        let older = Degradation::new("timeout", "inner");
        HttpMark.mark(&mut answer, older);
        HttpMark.mark(&mut answer, Degradation::new("overloaded", "outer"));
        assert_eq!(HttpMark.degradation(&answer), Some(older));
        assert_eq!(answer.headers().get_all(DEGRADED).iter().count(), 1);
        assert_eq!(answer.headers()[DEGRADED], "timeout;source=inner");
    }

    #[test]
    fn an_upstream_that_was_answered_for_is_degraded() {
        let of = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let mut answer = Response::new(());
            answer.headers_mut().insert(DEGRADED, value.clone());
            let found = HttpMark
                .degradation(&answer)
                .map(|d| (d.reason, d.source.as_str()));
            HttpMark.mark(&mut answer, Degradation::new("unknown", "us"));
            assert_eq!(answer.headers()[DEGRADED], value, "it stays as it came");
            assert_eq!(
                HttpMark
                    .degradation(&answer)
                    .map(|d| (d.reason, d.source.as_str())),
                found
            );
            found
        };
        assert_eq!(
            of(b"overloaded;source=theirs-alone"),
            Some(("overloaded", "upstream"))
        );
        assert_eq!(of(b"\xff"), Some(("other", "upstream")));
        assert_eq!(of(b""), Some(("other", "upstream")));
    }

    #[test]
    fn other_directives_ask_for_nothing() {
        let wants = |value: &str| {
            let request = Request::builder()
                .header(CACHE_CONTROL, value)
                .body(())
                .unwrap();
            HttpFresh.wants_fresh(&request)
        };
        for (value, expected) in [
            ("No-Cache", true),
            ("a=b,no-cache ", true),
            ("no-cached", false),
            ("max-age=0", false),
        ] {
            assert_eq!(wants(value), expected, "{value}");
        }
    }
}
