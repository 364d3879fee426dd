//! What an HTTP response means for the upstream.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Response, StatusCode};
use seawall_core::{Classify, FailureKind, Outcome, Scope};

use crate::retry_after::hint;
use crate::transport::TransportError;

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Classifies errors by [`TransportError`]; the default of an [`HttpClassifier`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportErrors;

impl<E: TransportError> ClassifyError<E> for TransportErrors {
    fn judge(&self, error: &E) -> Outcome {
        error.outcome()
    }
}

/// Classifies an error of the client. `fn(&E) -> Outcome` and closures do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify the error `{E}` of an HTTP client",
    note = "implement `seawall_http::TransportError` for the error",
    note = "or classify it with `HttpClassifier::with_errors(|error: &{E}| ..)`"
)]
pub trait ClassifyError<E> {
    /// What `error` means for the upstream and the request.
    fn judge(&self, error: &E) -> Outcome;
}

impl<F, E> ClassifyError<E> for F
where
    F: Fn(&E) -> Outcome,
{
    fn judge(&self, error: &E) -> Outcome {
        self(error)
    }
}

/// Finds what an HTTP response means for the upstream, by the outcome found in its body, its status
/// and its headers.
///
/// | response | outcome |
/// |---|---|
/// | an [`Outcome`] in the extensions, from [`Inspect`](crate::inspect::Inspect) | that one |
/// | a status with a rule ([`ban_on`](Self::ban_on), [`quota_on`](Self::quota_on), [`status`](Self::status)) | the rule's |
/// | 1xx, 2xx, 3xx | success |
/// | 429 | throttled, with the wait asked for; with `x-should-retry: false` an exhausted quota |
/// | 418 with `Retry-After` (Binance) | banned for that long |
/// | 408, 504 | failure: timeout |
/// | 503, 529 | failure: overloaded |
/// | any other 5xx | failure: server |
/// | any other 4xx | ignored; with `x-should-retry: true` throttled at this endpoint |
/// | an error of the client | see [`TransportError`] |
///
/// An overloaded upstream is a *failure* also when it sends `Retry-After`, so that circuit breakers
/// count it. The wait that it asks for is in [`Classify::retry_after`]; a failure with
/// `x-should-retry: false` asks for the longest wait, which no retry does.
///
/// The constructors with the name of a provider have the rules for its bans; see
/// [`inspect`](crate::inspect) for what hides in bodies. Clones share the rules.
///
/// ```
/// use std::time::Duration;
/// use http::{Response, StatusCode};
/// use seawall_core::{Classify, Outcome};
/// use seawall_http::HttpClassifier;
///
/// let vendor = HttpClassifier::new().ban_on(StatusCode::FORBIDDEN, Duration::from_secs(300));
/// let mut blocked = Response::new(());
/// *blocked.status_mut() = StatusCode::FORBIDDEN;
/// let outcome = vendor.classify(Ok::<_, &std::io::Error>(&blocked));
/// assert_eq!(outcome, Outcome::Banned { lasts: Some(Duration::from_secs(300)) });
/// ```
#[derive(Clone, Debug)]
pub struct HttpClassifier<T = TransportErrors> {
    rules: Option<Rules>,
    errors: T,
    now: fn() -> SystemTime,
}

/// The rules by status. Those of a provider are cloned without touching a shared count.
#[derive(Clone, Debug)]
enum Rules {
    Static(&'static [(u16, Rule)]),
    Shared(Arc<[(u16, Rule)]>),
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Is(Outcome),
    Ban(Duration),
    Quota,
}

/// A rule for a ban of so many seconds.
const fn ban(status: u16, seconds: u64) -> (u16, Rule) {
    (status, Rule::Ban(Duration::from_secs(seconds)))
}

impl HttpClassifier {
    /// The classifier of the table above, without rules.
    pub const fn new() -> Self {
        Self::with_rules(None)
    }

    const fn of(rules: &'static [(u16, Rule)]) -> Self {
        Self::with_rules(Some(Rules::Static(rules)))
    }

    const fn with_rules(rules: Option<Rules>) -> Self {
        Self {
            rules,
            errors: TransportErrors,
            now: SystemTime::now,
        }
    }

    /// Binance: 418 is a ban of the address, for the time of `Retry-After` (two minutes to
    /// three days) or two minutes, and 403 comes from its web application firewall, as a ban of
    /// five minutes.
    ///
    /// Source: "LIMITS" and "HTTP Return Codes" in
    /// <https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md>; how long the
    /// firewall blocks is not documented.
    pub const fn binance() -> Self {
        Self::of(const { &[ban(418, 120), ban(403, 300)] })
    }

    /// Interactive Brokers, Web API: 429 puts the address into a penalty box for 10 minutes, or 15
    /// by an older page; 15 are taken.
    ///
    /// Source: "Pacing Limitations" in the documentation of the Web API at IBKR Campus.
    pub const fn interactive_brokers() -> Self {
        Self::of(const { &[ban(429, 900)] })
    }

    /// NewsAPI, the developer plan: 429 is an exhausted quota, whatever its body. See
    /// [`news_api`](crate::inspect::news_api) for plans whose quota shows in the body alone.
    ///
    /// Source: <https://newsapi.org/docs/errors>: its only limit is a number of requests in twelve
    /// hours.
    pub const fn news_api() -> Self {
        Self::of(const { &[(429, Rule::Quota)] })
    }

    /// SEC EDGAR: 403 and 429 are bans, until the address has been below the limit for ten
    /// minutes. See [`sec_edgar`](crate::inspect::sec_edgar) for a block page with a 200.
    ///
    /// Source: <https://www.sec.gov/os/accessing-edgar-data>.
    pub const fn sec_edgar() -> Self {
        Self::of(const { &[ban(403, 600), ban(429, 600)] })
    }

    /// Yahoo Finance: 429 and 999 are bans of a quarter of an hour. See
    /// [`yahoo_finance`](crate::inspect::yahoo_finance) for a block with a 200.
    ///
    /// Source: `data.py` of <https://github.com/ranaroussi/yfinance>; the length is reported by
    /// its users.
    pub const fn yahoo_finance() -> Self {
        Self::of(const { &[ban(429, 900), ban(999, 900)] })
    }
}

impl Default for HttpClassifier {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> HttpClassifier<T> {
    /// Takes responses of `status` for `outcome`, whatever their headers. The last rule for a
    /// status counts.
    #[must_use]
    pub fn status(self, status: StatusCode, outcome: Outcome) -> Self {
        self.rule(status, Rule::Is(outcome))
    }

    /// Takes responses of `status` for a ban, for the time of `Retry-After`, or for `lasts`
    /// without that header. The last rule for a status counts.
    ///
    /// A ban opens the circuit at once and keeps it open for that time, pauses the rate limit, and
    /// is not retried: every further request would prolong it.
    #[must_use]
    pub fn ban_on(self, status: StatusCode, lasts: Duration) -> Self {
        self.rule(status, Rule::Ban(lasts))
    }

    /// Takes responses of `status` for an exhausted quota that renews after the time of
    /// `Retry-After`, if that is sent. The last rule for a status counts.
    ///
    /// An exhausted quota pauses the rate limit, says nothing about the upstream's health, and is
    /// not retried.
    #[must_use]
    pub fn quota_on(self, status: StatusCode) -> Self {
        self.rule(status, Rule::Quota)
    }

    /// Classifies errors with `judge`, for a client whose error is no [`TransportError`].
    ///
    /// [`Outcome::Unknown`] is the safe result; return "not sent" only where that is certain.
    #[must_use]
    pub fn with_errors<F>(self, judge: F) -> HttpClassifier<F> {
        HttpClassifier {
            rules: self.rules,
            errors: judge,
            now: self.now,
        }
    }

    /// Reads the time from `now`, for `Retry-After` in the form of a date. The default is the
    /// system's.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    fn rule(mut self, status: StatusCode, rule: Rule) -> Self {
        let status = status.as_u16();
        let kept = self.rules().iter().filter(|(s, _)| *s != status).copied();
        self.rules = Some(Rules::Shared(kept.chain([(status, rule)]).collect()));
        self
    }

    fn rules(&self) -> &[(u16, Rule)] {
        match &self.rules {
            None => &[],
            Some(Rules::Static(rules)) => rules,
            Some(Rules::Shared(rules)) => rules,
        }
    }

    fn wait<B>(&self, response: &Response<B>) -> Option<Duration> {
        hint(response.headers(), self.now)
    }

    /// What a response means for the upstream.
    pub fn judge_response<B>(&self, response: &Response<B>) -> Outcome {
        if let Some(outcome) = response.extensions().get::<Outcome>() {
            return *outcome;
        }
        let status = response.status().as_u16();
        if self.rules.is_some()
            && let Some((_, rule)) = self.rules().iter().find(|(s, _)| *s == status)
        {
            return match *rule {
                Rule::Is(outcome) => outcome,
                Rule::Quota => Outcome::QuotaExhausted {
                    renews_in: self.wait(response),
                },
                Rule::Ban(lasts) => Outcome::Banned {
                    lasts: Some(self.wait(response).unwrap_or(lasts)),
                },
            };
        }
        if status < 400 {
            return Outcome::Success;
        }
        self.judge_error_status(response)
    }

    fn judge_error_status<B>(&self, response: &Response<B>) -> Outcome {
        match (response.status().as_u16(), should_retry(response)) {
            (429, Some(b"false")) => Outcome::QuotaExhausted {
                renews_in: self.wait(response),
            },
            (429, _) => Outcome::Throttled {
                retry_after: self.wait(response),
                scope: Scope::Upstream,
            },
            (418, _) => match self.wait(response) {
                Some(lasts) => Outcome::Banned { lasts: Some(lasts) },
                None => Outcome::Ignored,
            },
            (408 | 504, _) => Outcome::Failure(FailureKind::Timeout),
            (503 | 529, _) => Outcome::Failure(FailureKind::Overloaded),
            (500.., _) => Outcome::Failure(FailureKind::Server),
            (_, Some(b"true")) => Outcome::Throttled {
                retry_after: self.wait(response),
                scope: Scope::Endpoint,
            },
            _ => Outcome::Ignored,
        }
    }
}

impl<T, B, E> Classify<Response<B>, E> for HttpClassifier<T>
where
    T: ClassifyError<E>,
{
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) => self.judge_response(response),
            Err(error) => self.errors.judge(error),
        }
    }

    fn retry_after(&self, result: Result<&Response<B>, &E>) -> Option<Duration> {
        let response = result.ok()?;
        match should_retry(response) {
            Some(b"false") => Some(Duration::MAX),
            _ => self.wait(response),
        }
    }
}

fn should_retry<B>(response: &Response<B>) -> Option<&[u8]> {
    let value = response.headers().get(X_SHOULD_RETRY);
    value.map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests;
