//! What an HTTP response means for the upstream.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use seawall_core::{Classify, FailureKind, InvalidConfig, Outcome, Scope};

use crate::quota::RateLimitHeaders;
use crate::retry_after::hint;
use crate::transport_error::TransportError;
use crate::wait_bounds::WaitBounds;

mod settings;

use settings::{Rule, Settings};

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

#[diagnostic::do_not_recommend]
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
/// | a status with a rule ([`ban_on`](Self::ban_on), [`quota_on`](Self::quota_on), [`throttle_on`](Self::throttle_on), [`status`](Self::status)) | the rule's |
/// | 1xx, 2xx, 3xx | success |
/// | 429 | throttled, with the wait asked for, or until the limit resets that its headers name; with `x-should-retry: false` an exhausted quota |
/// | 418 with `Retry-After` | banned for that long |
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
/// # Waits
///
/// What a response asks for is read by [`retry_after`](crate::retry_after()): dates are measured
/// against the response's own `Date`. A 429 that has none of these headers, but those of a limit,
/// asks to wait until that limit resets: `x-ratelimit-reset..`, `anthropic-ratelimit-..-reset`,
/// `x-ratelimit-expiry`, `cb-ratelimit-reset`, `ratelimit-reset` and `RateLimit` are read, or others
/// ([`with_limit_headers`](Self::with_limit_headers)). Of several limits it is the one with the
/// smallest share left, and of those that are used up the one that resets last.
///
/// No wait is longer than [`longest_wait`](Self::with_longest_wait), no ban and no exhausted quota
/// longer than [`longest_ban`](Self::with_longest_ban), whatever the response asks for, also in its
/// body. What is set here ([`ban_on`](Self::ban_on), [`status`](Self::status)) is applied as it is.
///
/// The catalogue of the crate `seawall` has the rules of known providers; see
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
    settings: Settings,
    errors: T,
    now: fn() -> SystemTime,
}

impl HttpClassifier {
    /// The classifier of the table above, without rules.
    pub const fn new() -> Self {
        Self {
            settings: Settings::Common(WaitBounds::DEFAULT),
            errors: TransportErrors,
            now: SystemTime::now,
        }
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
    /// without that header; of zero, for a time that is not known. The last rule for a status counts.
    ///
    /// A ban opens the circuit at once and keeps it open for that time, but for no less than the
    /// breaker's `open_for`, pauses the rate limit, and is not retried: every further request would
    /// prolong it.
    #[must_use]
    pub fn ban_on(self, status: StatusCode, lasts: Duration) -> Self {
        self.rule(status, Rule::Ban(lasts))
    }

    /// Takes responses of `status` for a throttle of `scope`, as a 429 is one of the upstream: with
    /// the wait that it asks for, or that of `lasts` where it asks for none, and with
    /// `x-should-retry: false` for an exhausted quota. The last rule for a status counts.
    ///
    /// ```
    /// use http::{Response, StatusCode};
    /// use seawall_core::{Outcome, Scope};
    /// use seawall_http::HttpClassifier;
    ///
    /// let vendor = HttpClassifier::new().throttle_on(StatusCode::TOO_MANY_REQUESTS, None, Scope::Endpoint);
    /// let throttle = Response::builder().status(429).body(())?;
    /// let expected = Outcome::Throttled { retry_after: None, scope: Scope::Endpoint };
    /// assert_eq!(vendor.judge_response(&throttle), expected);
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn throttle_on(self, status: StatusCode, lasts: Option<Duration>, scope: Scope) -> Self {
        self.rule(status, Rule::Throttle(lasts, scope))
    }

    /// Takes responses of `status` for an exhausted quota that renews after the time of
    /// `Retry-After`, if that is sent and no shorter than `shortest`, or after `shortest`: a proxy
    /// before the upstream may write one of seconds, which a quota of hours does not mean. Zero is no
    /// time. The last rule for a status counts.
    ///
    /// An exhausted quota pauses the rate limit, says nothing about the upstream's health, and is
    /// not retried.
    #[must_use]
    pub fn quota_on(self, status: StatusCode, shortest: Duration) -> Self {
        self.rule(status, Rule::Quota(shortest))
    }

    /// Classifies errors with `judge`, for a client whose error is no [`TransportError`].
    ///
    /// [`Outcome::Unknown`] is the safe result; return "not sent" only where that is certain.
    #[must_use]
    pub fn with_errors<F>(self, judge: F) -> HttpClassifier<F> {
        HttpClassifier {
            settings: self.settings,
            errors: judge,
            now: self.now,
        }
    }

    /// Applies no wait that is longer than `longest`, of what a throttle or an overloaded upstream
    /// asks for. The default is [`LONGEST_WAIT`](crate::LONGEST_WAIT), a quarter of an hour.
    ///
    /// A response that asks for more is waited out for `longest` and then asked again. What was
    /// bounded is counted by [`HttpFeedback`](crate::quota::HttpFeedback).
    ///
    /// The layers that apply a wait have bounds of their own, which a longer one here does not
    /// raise, and `StackBuilder::longest_wait` of `seawall` does: `max_pause` of the rate limit and `max_retry_after` of the breaker, a quarter of an
    /// hour unless set, and `max_retry_after` of the retry, above which no attempt follows. What
    /// they cut they count.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `longest` is zero or more than 49 days.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::Response;
    /// use seawall_http::HttpClassifier;
    ///
    /// let classifier = HttpClassifier::new().with_longest_wait(Duration::from_secs(3_600))?;
    /// let absurd = Response::builder().status(429).header("retry-after", "31536000").body(())?;
    /// let wait = classifier.judge_response(&absurd).retry_after();
    /// assert_eq!(wait, Some(Duration::from_secs(3_600)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_longest_wait(mut self, longest: Duration) -> Result<Self, InvalidConfig> {
        let bounds = self.settings.bounds().with_wait(longest)?;
        self.settings = self.settings.with_bounds(bounds);
        Ok(self)
    }

    /// Applies no ban and no exhausted quota that is longer than `longest`, of what a response asks
    /// for. The default is [`LONGEST_BAN`](crate::LONGEST_BAN), a day.
    ///
    /// The layers that apply a ban have bounds of their own, which a longer one here does not
    /// raise: `max_ban` of the rate limit and `open_on_ban` of the breaker, a day unless set, and
    /// three days in the stacks of `seawall`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `longest` is zero or more than 49 days.
    pub fn with_longest_ban(mut self, longest: Duration) -> Result<Self, InvalidConfig> {
        let bounds = self.settings.bounds().with_ban(longest)?;
        self.settings = self.settings.with_bounds(bounds);
        Ok(self)
    }

    /// The longest wait of a throttle that is applied.
    pub fn longest_wait(&self) -> Duration {
        self.settings.bounds().wait()
    }

    /// The longest ban that is applied.
    pub fn longest_ban(&self) -> Duration {
        self.settings.bounds().ban()
    }

    /// Reads from these headers in place of the common ones when the limit of a 429 resets, so that
    /// every reader of this classifier, a retry among them, waits for it.
    #[must_use]
    pub fn with_limit_headers(mut self, headers: RateLimitHeaders) -> Self {
        self.settings = self.settings.change(|own| own.limits = Some(headers));
        self
    }

    /// Reads the local time from `now`, for dates in responses whose own `Date` is missing or
    /// absurd. The default is the system's.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    fn rule(mut self, status: StatusCode, rule: Rule) -> Self {
        let status = status.as_u16();
        self.settings = self.settings.change(|own| {
            own.rules.retain(|(other, _)| *other != status);
            own.rules.push((status, rule));
        });
        self
    }

    /// The wait that headers ask for, at most `longest`.
    fn wait(&self, headers: &HeaderMap, longest: Duration) -> Option<Duration> {
        hint(headers, self.now, longest).bounded(longest)
    }

    /// The time that the headers of a ban or of an exhausted quota ask for, at most
    /// [`longest_ban`](Self::longest_ban).
    pub fn ban_wait(&self, headers: &HeaderMap) -> Option<Duration> {
        self.wait(headers, self.settings.bounds().ban())
    }

    /// The time that the head of a throttle asks for, at most [`longest_wait`](Self::longest_wait):
    /// by the headers for that or, of a 429, by those of the limit that it has reached.
    ///
    /// For an inspector that finds in a body that a response is a throttle.
    pub fn throttle_wait(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let longest = self.settings.bounds().wait();
        self.wait(headers, longest).or_else(|| {
            if status != StatusCode::TOO_MANY_REQUESTS {
                return None;
            }
            let limits = self.settings.limits();
            let resets_in = limits.throttle_wait_by(self.now, headers)?;
            Some(resets_in.min(longest))
        })
    }

    fn ban<B>(&self, response: &Response<B>) -> Option<Duration> {
        self.ban_wait(response.headers())
    }

    fn throttle<B>(&self, response: &Response<B>) -> Option<Duration> {
        self.throttle_wait(response.status(), response.headers())
    }

    /// What a response means for the upstream.
    pub fn judge_response<B>(&self, response: &Response<B>) -> Outcome {
        if let Some(outcome) = response.extensions().get::<Outcome>() {
            return self.found_in_body(*outcome, response);
        }
        if let Some(rule) = self.rule_of(response) {
            return self.by_rule(rule, response);
        }
        if response.status().as_u16() < 400 {
            return Outcome::Success;
        }
        self.judge_error_status(response)
    }

    #[inline]
    fn rule_of<B>(&self, response: &Response<B>) -> Option<Rule> {
        let rules = self.settings.rules();
        if rules.is_empty() {
            return None;
        }
        let status = response.status().as_u16();
        let rule = rules.iter().find(|(other, _)| *other == status);
        rule.map(|(_, rule)| *rule)
    }

    /// An outcome that was found in the body, with the wait of the headers where the body names
    /// none.
    fn found_in_body<B>(&self, outcome: Outcome, response: &Response<B>) -> Outcome {
        match outcome {
            Outcome::Throttled { retry_after, scope } => Outcome::Throttled {
                retry_after: match retry_after {
                    Some(wait) => Some(wait.min(self.settings.bounds().wait())),
                    None => self.throttle(response),
                },
                scope,
            },
            Outcome::Banned { lasts } => Outcome::Banned {
                lasts: match lasts {
                    Some(lasts) => Some(lasts.min(self.settings.bounds().ban())),
                    None => self.ban(response),
                },
            },
            Outcome::QuotaExhausted { renews_in: None } => match self.rule_of(response) {
                // The status says the same: its rule knows when the quota renews.
                Some(rule @ Rule::Quota(_)) => self.by_rule(rule, response),
                _ => outcome,
            },
            Outcome::QuotaExhausted { renews_in } => Outcome::QuotaExhausted {
                renews_in: renews_in.map(|renews_in| renews_in.min(self.settings.bounds().ban())),
            },
            outcome => outcome,
        }
    }

    fn by_rule<B>(&self, rule: Rule, response: &Response<B>) -> Outcome {
        match rule {
            Rule::Is(outcome) => outcome,
            Rule::Throttle(lasts, scope) => self.throttled(response, lasts, scope),
            Rule::Quota(shortest) => {
                let asked = self.ban(response).filter(|wait| *wait >= shortest);
                let known = (!shortest.is_zero()).then_some(shortest);
                Outcome::QuotaExhausted {
                    renews_in: asked.or(known),
                }
            }
            Rule::Ban(lasts) => Outcome::Banned {
                lasts: Some(self.ban(response).unwrap_or(lasts)).filter(|lasts| !lasts.is_zero()),
            },
        }
    }

    /// A throttle, unless the response says that no wait will help.
    fn throttled<B>(
        &self,
        response: &Response<B>,
        lasts: Option<Duration>,
        scope: Scope,
    ) -> Outcome {
        match should_retry(response) {
            Some(b"false") => Outcome::QuotaExhausted {
                renews_in: self.ban(response),
            },
            _ => Outcome::Throttled {
                retry_after: self.throttle(response).or(lasts),
                scope,
            },
        }
    }

    fn judge_error_status<B>(&self, response: &Response<B>) -> Outcome {
        match (response.status().as_u16(), should_retry(response)) {
            (429, _) => self.throttled(response, None, Scope::Upstream),
            (418, _) => match self.ban(response) {
                Some(lasts) => Outcome::Banned { lasts: Some(lasts) },
                None => Outcome::Ignored,
            },
            (408 | 504, _) => Outcome::Failure(FailureKind::Timeout),
            (503 | 529, _) => Outcome::Failure(FailureKind::Overloaded),
            (500.., _) => Outcome::Failure(FailureKind::Server),
            (_, Some(b"true")) => Outcome::Throttled {
                retry_after: self.throttle(response),
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
            _ => match self.judge_response(response) {
                Outcome::Banned { .. } | Outcome::QuotaExhausted { .. } => self.ban(response),
                outcome => {
                    let wait = self.wait(response.headers(), self.settings.bounds().wait());
                    wait.or(outcome.retry_after())
                }
            },
        }
    }
}

fn should_retry<B>(response: &Response<B>) -> Option<&[u8]> {
    let value = response.headers().get(X_SHOULD_RETRY);
    value.map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests;
