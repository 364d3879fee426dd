//! Everything that an HTTP answer says about limits.

use std::time::Duration;

use http::Response;
use seawall_core::{Classify, Outcome, QuotaSignal, ReadQuotaSignals, Scope};

use super::{RateLimitHeaders, Usage};
use crate::HttpClassifier;

/// Hears everything that an HTTP answer says about limits: the state that its headers tell,
/// throttles, bans and used-up quotas, and the tokens it has used.
///
/// | of an answer | said |
/// |---|---|
/// | its headers, by [`RateLimitHeaders`] | [`QuotaSignal::Limit`], for each limit |
/// | a [`Usage`] in its extensions | [`QuotaSignal::Spent`] for tokens, input and output tokens |
/// | a throttle | [`QuotaSignal::Pause`] for the wait asked for, or until the limits that its headers tell are used up are whole again, of the throttle's scope |
/// | a ban | [`QuotaSignal::Pause`] of the whole upstream |
/// | a used-up quota | [`QuotaSignal::Pause`] of the account |
///
/// What an answer or error is, the classifier says: the one of the breaker and of the retry is
/// the right one, so that all of them hear the same. Overloaded upstreams (503, 529) are failures
/// and no throttles; they are the breaker's matter.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use http::Response;
/// use seawall_core::{ReadQuotaSignals, QuotaSignal, Scope, ServerLimit, Unit};
/// use seawall_http::quota::{HttpFeedback, RateLimitHeaders};
///
/// let reddit = HttpFeedback::new(RateLimitHeaders::reddit());
/// let throttle = Response::builder()
///     .status(429)
///     .header("x-ratelimit-remaining", "0.0")
///     .header("x-ratelimit-reset", "43")
///     .body(()).unwrap();
///
/// let mut said = Vec::new();
/// reddit.feedback(Ok::<_, &io::Error>(&throttle), &mut |what| said.push(what));
/// let left = Duration::from_secs(43);
/// let limit = ServerLimit::new(Unit::Requests)
///     .with_remaining(0)
///     .with_resets_in(left);
/// let pause = QuotaSignal::Pause { lasts: Some(left), scope: Scope::Upstream };
/// assert_eq!(said, [QuotaSignal::Limit(limit), pause]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct HttpFeedback<C = HttpClassifier> {
    headers: RateLimitHeaders,
    classifier: C,
}

impl HttpFeedback {
    /// Reads those headers, and judges answers by an [`HttpClassifier`].
    pub fn new(headers: RateLimitHeaders) -> Self {
        Self {
            headers,
            classifier: HttpClassifier::new(),
        }
    }
}

impl<C> HttpFeedback<C> {
    /// Reads those headers instead.
    #[must_use]
    pub fn headers(self, headers: RateLimitHeaders) -> Self {
        Self { headers, ..self }
    }

    /// Judges answers by `classifier`, which is any [`Classify`].
    #[must_use]
    pub fn classify<D>(self, classifier: D) -> HttpFeedback<D> {
        HttpFeedback {
            headers: self.headers,
            classifier,
        }
    }
}

impl<C, B, E> ReadQuotaSignals<Response<B>, E> for HttpFeedback<C>
where
    C: Classify<Response<B>, E>,
{
    fn feedback(&self, answer: Result<&Response<B>, &E>, say: &mut dyn FnMut(QuotaSignal)) {
        let mut whole_in: Option<Duration> = None;
        if let Ok(response) = answer {
            self.headers.read(response.headers(), |limit| {
                if limit.remaining == Some(0) {
                    whole_in = whole_in.max(limit.resets_in);
                }
                say(QuotaSignal::Limit(limit));
            });
            if let Some(usage) = response.extensions().get::<Usage>() {
                usage.signals().into_iter().for_each(&mut *say);
            }
        }
        let (lasts, scope) = match self.classifier.classify(answer) {
            Outcome::Throttled { retry_after, scope } => (retry_after.or(whole_in), scope),
            Outcome::Banned { lasts } => (lasts, Scope::Upstream),
            Outcome::QuotaExhausted { renews_in } => (renews_in, Scope::Account),
            _ => return,
        };
        say(QuotaSignal::Pause { lasts, scope });
    }
}
