//! Everything that an HTTP response reports about limits.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use seawall_core::{
    Classify, EventKind, InstanceName, LateUsage, Outcome, QuotaSignal, ReadQuotaSignals, Scope,
    ServerLimit,
};

use super::handle::HttpFeedbackHandle;
use super::headers::RateLimitHeaders;
use super::state::{self, StateAnchor};
use super::tokens::{LARGEST_USAGE, Usage};
use crate::classify::HttpClassifier;
use crate::inspect::content::is_event_stream;
use crate::message::HttpResponse;
use crate::retry_after::{LONGEST_WAIT, hint, unreadable_hints};

/// Reads everything that an HTTP response reports about limits: their state in its headers,
/// throttles, bans, exhausted quotas, and the tokens it has used.
///
/// | of a response | reported |
/// |---|---|
/// | its headers, by [`RateLimitHeaders`] | [`QuotaSignal::Limit`], for each limit |
/// | a [`Usage`] in its extensions | [`QuotaSignal::Used`] for tokens, input and output tokens |
/// | a throttle | [`QuotaSignal::Pause`] for the wait asked for, or until the limit resets that it is about by its headers; of the throttle's scope |
/// | a ban | [`QuotaSignal::Ban`] of the upstream |
/// | an exhausted quota | [`QuotaSignal::Ban`] of the account |
///
/// An event stream has its usage at its end. Its response gets a [`LateUsage`] in its extensions, which
/// corrects the estimate then: see `MeteredBody`.
///
/// The classifier finds what a response or error is: use the one of the circuit breaker and of the
/// retry, so that all of them agree. Overloaded upstreams (503, 529) are failures and no throttles;
/// they are a matter for the breaker.
///
/// Headers that cannot be read are ignored and counted, waits that are longer than the classifier
/// applies and token usage above [`LARGEST_USAGE`] are bounded, counted and emitted as an
/// [event](seawall_core::EventKind::Bounded): see [`HttpFeedback::handle`]. Clones share headers and
/// counters.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use http::{HeaderMap, Response};
/// use seawall_core::{ReadQuotaSignals, QuotaSignal, Scope, ServerLimit, Unit};
/// use seawall_http::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
///
/// let headers = RateLimitHeaders::x_ratelimit(ResetFormat::SecondsLeft);
/// let posts = HttpFeedback::new("posts", headers);
/// let throttle = Response::builder()
///     .status(429)
///     .header("x-ratelimit-remaining", "0.0")
///     .header("x-ratelimit-reset", "43")
///     .header("retry-after", "in a while")
///     .body(()).unwrap();
///
/// let mut signals = Vec::new();
/// posts.read_signals(Ok::<_, &io::Error>(&throttle), &mut |signal| signals.push(signal));
/// let left = Duration::from_secs(43);
/// let limit = ServerLimit::new(Unit::Requests)
///     .with_remaining(0)
///     .with_resets_in(left);
/// let pause = QuotaSignal::Pause { lasts: Some(left), scope: Scope::Upstream };
/// assert_eq!(signals, [QuotaSignal::Limit(limit), pause]);
/// assert_eq!(posts.handle().counts().unreadable_retry_after, 1);
/// ```
#[derive(Clone)]
pub struct HttpFeedback<C = HttpClassifier> {
    state: StateAnchor,
    classifier: C,
}

impl HttpFeedback {
    /// Reads those headers, and classifies responses by an [`HttpClassifier`]. `name` is that of
    /// its counters.
    pub fn new(name: impl Into<InstanceName>, headers: RateLimitHeaders) -> Self {
        Self {
            state: state::new(name.into(), headers, asked_in_http).anchor(),
            classifier: HttpClassifier::new(),
        }
    }
}

impl<C> HttpFeedback<C> {
    /// Reads those headers instead, with counters of its own; clones and handles made before
    /// keep theirs. [`HttpFeedbackHandle::configure`] changes them all.
    #[must_use]
    pub fn headers(self, headers: RateLimitHeaders) -> Self {
        let common = self.state.common();
        Self {
            state: state::new(common.name, headers, common.asked).anchor(),
            classifier: self.classifier,
        }
    }

    /// Finds by `asked` for how long a response asks to stay away, in place of `Retry-After`, for
    /// a protocol that has a header of its own. What the classifier applies less of is counted and
    /// emitted. The counters are new ones; clones and handles made before keep theirs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::HeaderMap;
    /// use seawall_http::quota::{HttpFeedback, RateLimitHeaders};
    ///
    /// fn minutes(headers: &HeaderMap) -> Option<Duration> {
    ///     let minutes: u32 = headers.get("x-come-back")?.to_str().ok()?.parse().ok()?;
    ///     Some(Duration::from_secs(60) * minutes)
    /// }
    /// let feedback = HttpFeedback::new("vendor", RateLimitHeaders::new()).asked_wait(minutes);
    /// # let _ = feedback;
    /// ```
    #[must_use]
    pub fn asked_wait(self, asked: fn(&HeaderMap) -> Option<Duration>) -> Self {
        let headers = self.handle().config();
        Self {
            state: state::new(self.state.common().name, headers, asked).anchor(),
            classifier: self.classifier,
        }
    }

    /// Classifies responses with `classifier`, which is any [`Classify`].
    #[must_use]
    pub fn classify<D>(self, classifier: D) -> HttpFeedback<D> {
        HttpFeedback {
            state: self.state,
            classifier,
        }
    }

    /// A handle to read the counters and to change what is read.
    pub fn handle(&self) -> HttpFeedbackHandle {
        HttpFeedbackHandle {
            state: self.state.local().shared(),
        }
    }
}

impl<C, T, E> ReadQuotaSignals<T, E> for HttpFeedback<C>
where
    C: Classify<T, E>,
    T: HttpResponse,
{
    fn read_signals(&self, result: Result<&T, &E>, report: &mut dyn FnMut(QuotaSignal)) {
        let common = self.state.common();
        if common.bypass.is_on() {
            return;
        }
        if let Ok(response) = result {
            if common.reads_headers() {
                self.read_limits(response.headers(), |limit| {
                    report(QuotaSignal::Limit(limit));
                });
            }
            if let Some(usage) = response.extensions().get::<Usage>() {
                self.report_usage(*usage, report);
            }
        }
        let outcome = self.classifier.classify(result);
        let (lasts, scope) = match outcome {
            Outcome::Success => return,
            Outcome::Throttled { retry_after, scope } => (
                retry_after.or_else(|| self.throttle_wait(result.ok()?.headers())),
                scope,
            ),
            Outcome::Banned { lasts } => (lasts, Scope::Upstream),
            Outcome::QuotaExhausted { renews_in } => (renews_in, Scope::Account),
            // A failure may ask to wait too, and nobody sees it when it cannot be read.
            _ => return self.count_hints(result, "wait_ms"),
        };
        let is_throttle = matches!(outcome, Outcome::Throttled { .. });
        self.count_hints(result, if is_throttle { "wait_ms" } else { "ban_ms" });
        report(if is_throttle {
            QuotaSignal::Pause { lasts, scope }
        } else {
            QuotaSignal::Ban { lasts, scope }
        });
    }

    fn attach_late_usage(&self, response: &mut T, late: &mut dyn FnMut() -> LateUsage) {
        if self.state.common().bypass.is_on() || !is_event_stream(response.headers()) {
            return;
        }
        // Another limit may have written one, closer to the client.
        let late = match response.extensions_mut().remove::<LateUsage>() {
            Some(inner) => inner.and(late()),
            None => late(),
        };
        response.extensions_mut().insert(late);
    }
}

impl<C> HttpFeedback<C> {
    /// Reads the headers about limits, and counts what cannot be read.
    fn read_limits(&self, headers: &HeaderMap, report: impl FnMut(ServerLimit)) {
        let stripe = self.state.here();
        let unreadable = stripe.with_headers(|of_limits| of_limits.read(headers, report));
        if unreadable > 0 {
            let counter = &stripe.counters().unreadable_rate_limit;
            counter.add_n(u64::from(unreadable));
        }
    }

    /// How long a throttle asks to wait by the headers about limits, where the classifier does not
    /// know them.
    fn throttle_wait(&self, headers: &HeaderMap) -> Option<Duration> {
        let stripe = self.state.here();
        let wait = stripe.with_headers(|of_limits| of_limits.throttle_wait(headers));
        wait.map(|wait| wait.min(LONGEST_WAIT))
    }

    fn report_usage(&self, usage: Usage, report: &mut dyn FnMut(QuotaSignal)) {
        usage.signals().into_iter().for_each(report);
        if usage.total() > LARGEST_USAGE {
            self.state.here().counters().bounded_usage.add_n(1);
            self.emit_bounded("usage", usage.total(), LARGEST_USAGE);
        }
    }

    /// Counts what asks to wait and cannot be read, or asks for longer than the classifier applies.
    /// Successes are not looked at: that would cost two look-ups for each.
    fn count_hints<T, E>(&self, result: Result<&T, &E>, what: &'static str)
    where
        C: Classify<T, E>,
        T: HttpResponse,
    {
        let Ok(response) = result else { return };
        let unreadable = unreadable_hints(response.headers());
        if unreadable > 0 {
            let counter = &self.state.here().counters().unreadable_retry_after;
            counter.add_n(unreadable);
        }
        // Read without a bound, and compared with what every reader of the classifier receives.
        let asked = (self.state.common().asked)(response.headers());
        let applied = asked.and_then(|_| self.classifier.retry_after(result));
        if let Some((asked, applied)) = asked.zip(applied)
            && asked > applied
        {
            self.state.here().counters().bounded_wait.add_n(1);
            self.emit_bounded(what, millis(asked), millis(applied));
        }
    }

    fn emit_bounded(&self, what: &'static str, reported: u64, applied: u64) {
        self.state.common().events.emit_call(|| EventKind::Bounded {
            what,
            reported,
            applied,
        });
    }
}

fn asked_in_http(headers: &HeaderMap) -> Option<Duration> {
    hint(headers, SystemTime::now, Duration::MAX).within
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

seawall_core::impl_debug!(HttpFeedback<C> where [C: std::fmt::Debug]: |this|
    name = this.state.common().name,
    headers = this.state.here().headers(),
    classifier = this.classifier);
