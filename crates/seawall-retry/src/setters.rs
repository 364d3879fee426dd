//! The layer's setters for its hooks.

use crate::RetryLayer;
use crate::hooks::Hooks;
#[cfg(doc)]
use crate::{AnnotateGiveUp, PrepareAttempt};

impl<X, R, P, A> RetryLayer<X, Hooks<R, P, A>> {
    /// Calls `predicate` after each attempt to decide whether there should be another one; see
    /// [`RetryDecision`](crate::RetryDecision) for what it can change and what it cannot.
    ///
    /// ```
    /// use seawall_retry::{CompletedAttempt, Error, RetryConfig, RetryDecision, RetryLayer};
    ///
    /// // A report that is still being made is requested again, a large one only once.
    /// fn decide(
    ///     attempt: CompletedAttempt<'_, &str, u16, Error<std::io::Error>>,
    /// ) -> RetryDecision {
    ///     match attempt.result {
    ///         Ok(202) if attempt.request.starts_with("GET /reports/") => RetryDecision::Retry,
    ///         Err(_) if attempt.meta.cost > 10 && attempt.attempt > 1 => RetryDecision::Stop,
    ///         _ => RetryDecision::Default,
    ///     }
    /// }
    /// let layer = RetryLayer::new("reports", RetryConfig::default()).retry_if(decide);
    /// ```
    #[must_use]
    pub fn retry_if<R2>(self, predicate: R2) -> RetryLayer<X, Hooks<R2, P, A>> {
        self.map_hooks(|hooks| Hooks {
            predicate,
            prepare: hooks.prepare,
            annotate: hooks.annotate,
        })
    }

    /// Prepares each request before its attempt, the first one included; see [`PrepareAttempt`],
    /// also for what belongs into the hook at departure instead: timestamps, nonces, signatures.
    ///
    /// ```
    /// use seawall_retry::{Attempt, Error, RetryConfig, RetryLayer};
    ///
    /// #[derive(Clone)]
    /// struct Quote { symbol: String, attempt: u32, host: &'static str }
    ///
    /// fn spread(quote: &mut Quote, attempt: Attempt) -> Result<(), Error<std::io::Error>> {
    ///     quote.attempt = attempt.number;
    ///     quote.host = if attempt.number == 1 { "primary" } else { "secondary" };
    ///     Ok(())
    /// }
    /// let layer = RetryLayer::new("quotes", RetryConfig::default()).prepare(spread);
    /// ```
    #[must_use]
    pub fn prepare<P2>(self, prepare: P2) -> RetryLayer<X, Hooks<R, P2, A>> {
        self.map_hooks(|hooks| Hooks {
            predicate: hooks.predicate,
            prepare,
            annotate: hooks.annotate,
        })
    }

    /// Annotates results that were given up on, so that the caller can see whether a failure
    /// was not retried for lack of budget; see [`AnnotateGiveUp`].
    ///
    /// ```
    /// use seawall_retry::{RetryConfig, RetryLayer, StopReason, Stopped};
    ///
    /// # enum Fault { Rejected(seawall_core::Rejection), Failed { status: u16, why: Option<StopReason> } }
    /// # seawall_core::rejectable!(Fault::Rejected);
    /// fn note_reason(result: &mut Result<u16, Fault>, stopped: Stopped) {
    ///     if let Err(Fault::Failed { why, .. }) = result {
    ///         *why = Some(stopped.reason);
    ///     }
    /// }
    /// let layer = RetryLayer::new("quotes", RetryConfig::default()).annotate_give_up(note_reason);
    /// ```
    #[must_use]
    pub fn annotate_give_up<A2>(self, annotate: A2) -> RetryLayer<X, Hooks<R, P, A2>> {
        self.map_hooks(|hooks| Hooks {
            predicate: hooks.predicate,
            prepare: hooks.prepare,
            annotate,
        })
    }
}
