//! A predicate of the caller's own: whether a result is worth another attempt.

use std::future::{Future, Ready};
use std::time::Duration;

use seawall_core::{Outcome, RequestMeta};

/// What a predicate wants after an attempt.
///
/// It can always narrow what the layer would do by itself, and widen it within limits:
///
/// | the layer by itself | [`Default`](Self::Default) | [`Stop`](Self::Stop) | [`Retry`](Self::Retry) |
/// |---|---|---|---|
/// | retry | retry | return | retry |
/// | success, ignored, or throttled where that is not retried | return | return | **retry**, if the request may be sent twice |
/// | must not be sent twice, and may have been sent | return | (not called) | (not called) |
/// | banned, quota exhausted | return | (not called) | (not called) |
/// | rejected by a layer below, in a way that cannot pass in time | return | (not called) | (not called) |
/// | no attempt left, no copy | return | (not called) | (not called) |
///
/// A retry still needs what every further attempt needs: the time that the upstream named,
/// the deadline, and a token of the budget.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryDecision {
    /// As the layer's own table says.
    #[default]
    Default,
    /// No further attempt.
    Stop,
    /// Another attempt, also where the table says no.
    Retry,
    /// The same, and not before this time has passed: a hint that the classifier does not know.
    /// The [longest wait](crate::RetryConfigBuilder::max_retry_after) limits it, too.
    RetryAfter(Duration),
}

/// An attempt that has ended, as closures and `fn` pointers see it: to look at.
#[non_exhaustive]
#[derive(Debug)]
pub struct CompletedAttempt<'a, Req, Res, Err> {
    /// The request of the next attempt: the copy, without what was
    /// [prepared](crate::PrepareAttempt) for the attempt that has ended.
    pub request: &'a Req,
    /// What is known of the request.
    pub meta: RequestMeta,
    /// The result of the attempt.
    pub result: Result<&'a Res, &'a Err>,
    /// What the classifier made of it.
    pub outcome: Outcome,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
}

// By hand: derived, they would ask the same of the result.
impl<Req, Res, Err> Clone for CompletedAttempt<'_, Req, Res, Err> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Res, Err> Copy for CompletedAttempt<'_, Req, Res, Err> {}

/// An attempt that has ended, as a [`RetryPredicate`] sees it: it may change the request of the
/// next attempt, and the result.
#[non_exhaustive]
#[derive(Debug)]
pub struct CompletedAttemptMut<'a, Req, Res, Err> {
    /// The request of the next attempt.
    pub request: &'a mut Req,
    /// The result of the attempt.
    pub result: &'a mut Result<Res, Err>,
    /// What the classifier made of it.
    pub outcome: Outcome,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
}

/// Decides after each attempt, and may bring waits of its own.
///
/// Closures and `fn` pointers `Fn(CompletedAttempt<'_, Req, Res, Err>) -> RetryDecision` are
/// predicates. Implement it for what remembers something during a call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decide about retries of requests of type `{Req}`",
    label = "not a retry predicate of this service",
    note = "a predicate is a `fn(CompletedAttempt<'_, Req, Res, Err>) -> RetryDecision`, a closure of that shape, or a type that implements `RetryPredicate`"
)]
pub trait RetryPredicate<Req, Res, Err> {
    /// What it remembers during one call.
    type State;
    /// A wait of its own instead of the backoff.
    type Wait: Future<Output = ()>;
    /// Whether it is called at all; the default predicate is not, and costs nothing.
    const ENABLED: bool = true;

    /// The state of a call that begins.
    fn start(&self, meta: &RequestMeta) -> Self::State;

    /// What it wants after this attempt. It sees successes as well, where there is a copy of the
    /// request.
    fn decide(
        &self,
        state: &mut Self::State,
        attempt: CompletedAttemptMut<'_, Req, Res, Err>,
    ) -> RetryDecision;

    /// The wait before the attempt that was just decided on; the configured backoff unless there
    /// is one. What the upstream asked for is waited for in any case.
    fn wait(&self, state: &mut Self::State) -> Option<Self::Wait> {
        let _ = state;
        None
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req, Res, Err> RetryPredicate<Req, Res, Err> for F
where
    F: Fn(CompletedAttempt<'_, Req, Res, Err>) -> RetryDecision,
{
    type State = RequestMeta;
    type Wait = Ready<()>;

    fn start(&self, meta: &RequestMeta) -> RequestMeta {
        *meta
    }

    fn decide(
        &self,
        meta: &mut RequestMeta,
        attempt: CompletedAttemptMut<'_, Req, Res, Err>,
    ) -> RetryDecision {
        self(CompletedAttempt {
            request: attempt.request,
            meta: *meta,
            result: attempt.result.as_ref(),
            outcome: attempt.outcome,
            attempt: attempt.attempt,
        })
    }
}

/// The default predicate: leaves everything to the layer's own table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultDecision;

impl<Req, Res, Err> RetryPredicate<Req, Res, Err> for DefaultDecision {
    type State = ();
    type Wait = Ready<()>;
    const ENABLED: bool = false;

    #[inline]
    fn start(&self, _: &RequestMeta) {}

    fn decide(&self, (): &mut (), _: CompletedAttemptMut<'_, Req, Res, Err>) -> RetryDecision {
        RetryDecision::Default
    }
}
