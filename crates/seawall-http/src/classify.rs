//! What an HTTP answer says about the upstream.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Response, StatusCode};
use seawall_core::{Classify, FailureKind, Outcome, Scope};

use crate::TransportError;
use crate::retry_after::hint;

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Judges errors by [`TransportError`]; what an [`HttpClassifier`] does by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportErrors;

impl<E: TransportError> ClassifyError<E> for TransportErrors {
    fn judge(&self, error: &E) -> Outcome {
        error.outcome()
    }
}

/// Says what an error of the client means. `fn(&E) -> Outcome` and closures do.
pub trait ClassifyError<E> {
    /// What `error` says about the upstream and the request.
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

/// What an HTTP answer says about the upstream, by status, headers, and a verdict about its body.
///
/// | answer | outcome |
/// |---|---|
/// | an [`Outcome`] in the extensions, from [`Inspect`](crate::inspect::Inspect) | that one |
/// | a status of your own rules | what the rule says |
/// | 1xx, 2xx, 3xx | success |
/// | 429 | throttled, with the wait asked for; with `x-should-retry: false` a used-up quota |
/// | 418 with `Retry-After` (Binance) | banned for that long |
/// | 408, 504 | failure: timeout |
/// | 503, 529 | failure: overloaded |
/// | any other 5xx | failure: server |
/// | any other 4xx | ignored; with `x-should-retry: true` throttled at this endpoint |
/// | an error of the client | see [`TransportError`] |
///
/// An overloaded upstream stays a *failure* when it sends `Retry-After`, so that breakers count
/// it. The wait that it asks for is in [`Classify::retry_after`]; a failure with
/// `x-should-retry: false` asks to wait for ever, which no retry does.
///
/// Clones share the rules.
///
/// ```
/// use std::time::Duration;
/// use http::{Response, StatusCode};
/// use seawall_core::{Classify, Outcome};
/// use seawall_http::HttpClassifier;
///
/// let sec = HttpClassifier::new().ban_on(StatusCode::FORBIDDEN, Duration::from_secs(600));
/// let mut block_page = Response::new(());
/// *block_page.status_mut() = StatusCode::FORBIDDEN;
/// let outcome = sec.classify(Ok::<_, &std::io::Error>(&block_page));
/// assert_eq!(outcome, Outcome::Banned { lasts: Some(Duration::from_secs(600)) });
/// ```
#[derive(Clone, Debug)]
pub struct HttpClassifier<T = TransportErrors> {
    /// None without rules: such a classifier is cloned without touching a shared count.
    rules: Option<Arc<[(StatusCode, Rule)]>>,
    errors: T,
    now: fn() -> SystemTime,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Is(Outcome),
    Ban(Duration),
}

impl HttpClassifier {
    /// The classifier of the table above.
    pub fn new() -> Self {
        Self {
            rules: None,
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
    /// Judges answers of `status` as `outcome`, whatever their headers say. The last rule about a
    /// status counts.
    #[must_use]
    pub fn status(self, status: StatusCode, outcome: Outcome) -> Self {
        self.rule(status, Rule::Is(outcome))
    }

    /// Takes answers of `status` for a ban: for as long as the answer says, or `lasts` where it
    /// says nothing. The last rule about a status counts.
    #[must_use]
    pub fn ban_on(self, status: StatusCode, lasts: Duration) -> Self {
        self.rule(status, Rule::Ban(lasts))
    }

    /// Judges errors by `judge`, for a client whose error is no [`TransportError`].
    ///
    /// [`Outcome::Unknown`] is the safe answer; say that a request was not sent only where that
    /// is certain.
    #[must_use]
    pub fn with_errors<F>(self, judge: F) -> HttpClassifier<F> {
        HttpClassifier {
            rules: self.rules,
            errors: judge,
            now: self.now,
        }
    }

    /// Reads the calendar from `now`, for `Retry-After` in the form of a date. The default is
    /// the system's.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    fn rule(mut self, status: StatusCode, rule: Rule) -> Self {
        let kept = self.rules().iter().filter(|(s, _)| *s != status).copied();
        self.rules = Some(kept.chain([(status, rule)]).collect());
        self
    }

    fn rules(&self) -> &[(StatusCode, Rule)] {
        self.rules.as_deref().unwrap_or_default()
    }

    fn wait<B>(&self, response: &Response<B>) -> Option<Duration> {
        hint(response.headers(), self.now)
    }

    /// What an answer says about the upstream.
    pub fn judge_response<B>(&self, response: &Response<B>) -> Outcome {
        if let Some(verdict) = response.extensions().get::<Outcome>() {
            return *verdict;
        }
        let status = response.status();
        if let Some((_, rule)) = self.rules().iter().find(|(s, _)| *s == status) {
            return match *rule {
                Rule::Is(outcome) => outcome,
                Rule::Ban(lasts) => Outcome::Banned {
                    lasts: Some(self.wait(response).unwrap_or(lasts)),
                },
            };
        }
        if status.as_u16() < 400 {
            return Outcome::Success;
        }
        self.judge_rejection(response)
    }

    fn judge_rejection<B>(&self, response: &Response<B>) -> Outcome {
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
mod tests {
    use super::*;
    use std::io;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(*name, value);
        }
        response
    }

    fn judged(status: u16, headers: &[(&'static str, &'static str)]) -> Outcome {
        let answer = answer(status, headers);
        HttpClassifier::new().classify(Ok::<_, &io::Error>(&answer))
    }

    fn asked(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let answer = answer(status, headers);
        HttpClassifier::new().retry_after(Ok::<_, &io::Error>(&answer))
    }

    const TEN: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn statuses_mean_what_the_table_says() {
        for status in [200, 204, 301, 304, 101] {
            assert_eq!(judged(status, &[]), Outcome::Success, "{status}");
        }
        for status in [400, 401, 403, 404, 409, 418, 422] {
            assert_eq!(judged(status, &[]), Outcome::Ignored, "{status}");
        }
        for (status, kind) in [
            (408, FailureKind::Timeout),
            (504, FailureKind::Timeout),
            (503, FailureKind::Overloaded),
            (529, FailureKind::Overloaded),
            (500, FailureKind::Server),
            (502, FailureKind::Server),
            (599, FailureKind::Server),
        ] {
            assert_eq!(judged(status, &[]), Outcome::Failure(kind), "{status}");
        }
    }

    #[test]
    fn throttles_and_bans_carry_the_wait_asked_for() {
        let wait = [("retry-after", "10")];
        let throttled = |retry_after| Outcome::Throttled {
            retry_after,
            scope: Scope::Upstream,
        };
        assert_eq!(judged(429, &wait), throttled(TEN));
        assert_eq!(judged(429, &[]), throttled(None));
        assert_eq!(judged(418, &wait), Outcome::Banned { lasts: TEN });
    }

    #[test]
    fn an_overloaded_upstream_counts_as_failed_also_when_it_says_when_to_come_back() {
        let wait = [("retry-after", "10")];
        for status in [503, 529] {
            let overloaded = Outcome::Failure(FailureKind::Overloaded);
            assert_eq!(judged(status, &wait), overloaded, "{status}");
            assert_eq!(asked(status, &wait), TEN);
        }
    }

    #[test]
    fn the_header_that_says_whether_to_retry_is_obeyed() {
        let no = [("x-should-retry", "false")];
        assert_eq!(
            judged(429, &no),
            Outcome::QuotaExhausted { renews_in: None }
        );
        assert_eq!(judged(500, &no), Outcome::Failure(FailureKind::Server));
        assert_eq!(asked(500, &no), Some(Duration::MAX), "never");
        let yes = [("x-should-retry", "true")];
        assert_eq!(judged(500, &yes), Outcome::Failure(FailureKind::Server));
        let lock_timeout = Outcome::Throttled {
            retry_after: None,
            scope: Scope::Endpoint,
        };
        assert_eq!(judged(409, &yes), lock_timeout);
    }

    #[test]
    fn own_rules_come_before_the_table_and_the_last_one_counts() {
        let five_minutes = Duration::from_secs(300);
        let classifier = HttpClassifier::new()
            .status(StatusCode::FORBIDDEN, Outcome::Success)
            .ban_on(StatusCode::FORBIDDEN, five_minutes)
            .status(StatusCode::NOT_FOUND, Outcome::Success);
        let judge = |answer: &Response<()>| classifier.classify(Ok::<_, &io::Error>(answer));
        let lasts = Some(five_minutes);
        assert_eq!(judge(&answer(403, &[])), Outcome::Banned { lasts });
        let said = answer(403, &[("retry-after", "10")]);
        assert_eq!(judge(&said), Outcome::Banned { lasts: TEN });
        assert_eq!(judge(&answer(404, &[])), Outcome::Success);
        assert_eq!(judge(&answer(405, &[])), Outcome::Ignored);
    }

    #[test]
    fn a_verdict_about_the_body_wins() {
        let mut answer = answer(200, &[]);
        let verdict = Outcome::QuotaExhausted { renews_in: None };
        answer.extensions_mut().insert(verdict);
        let classifier = HttpClassifier::new().status(StatusCode::OK, Outcome::Success);
        assert_eq!(classifier.judge_response(&answer), verdict);
    }

    #[test]
    fn errors_are_judged_by_the_chain_or_by_a_function() {
        let classify = |e: io::ErrorKind| {
            let error = seawall_core::Error::Inner(io::Error::from(e));
            HttpClassifier::new().classify(Err::<&Response<()>, _>(&error))
        };
        assert_eq!(classify(io::ErrorKind::ConnectionReset), Outcome::Unknown);

        fn own(error: &u8) -> Outcome {
            assert_eq!(*error, 7);
            Outcome::Ignored
        }
        let by_function = HttpClassifier::new().with_errors(own as fn(&u8) -> Outcome);
        let judged = by_function.classify(Err::<&Response<()>, _>(&7));
        assert_eq!(judged, Outcome::Ignored);
    }

    #[test]
    fn dates_are_measured_against_the_calendar_that_was_given() {
        fn calendar() -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767)
        }
        let answer = answer(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let classifier = HttpClassifier::new().with_clock(calendar);
        assert_eq!(classifier.judge_response(&answer).retry_after(), TEN);
    }
}
