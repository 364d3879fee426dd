//! What a caller adds to the layer's own decisions: a predicate, a preparation, a mark.

use std::future::{Future, Ready};
use std::time::Duration;

use seawall_core::{Outcome, RequestMeta};

use crate::Stopped;

/// What a predicate wants after an answer.
///
/// It can always narrow what the layer would do by itself, and widen it within limits:
///
/// | the layer by itself | [`Default`](Self::Default) | [`Stop`](Self::Stop) | [`Retry`](Self::Retry) |
/// |---|---|---|---|
/// | again | again | the answer | again |
/// | the answer is a success, ignored, or throttled where that is not retried | the answer | the answer | **again**, if the request may be sent twice |
/// | must not be sent twice, and may have been sent | the answer | (not asked) | (not asked) |
/// | banned, quota exhausted | the answer | (not asked) | (not asked) |
/// | rejected by a layer below, in a way that cannot pass in time | the answer | (not asked) | (not asked) |
/// | no attempt left, no copy | the answer | (not asked) | (not asked) |
///
/// An "again" still needs what every further attempt needs: the time that the upstream named,
/// the deadline, and a token of the budget.
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
    /// The [longest wait](crate::RetryConfigBuilder::max_retry_after) holds for it, too.
    RetryAfter(Duration),
}

/// An answer as a predicate sees it.
#[non_exhaustive]
#[derive(Debug)]
pub struct AttemptOutcome<'a, Req, Res, Err> {
    /// The request of the next attempt: the copy, without what was [prepared](PrepareAttempt) for the
    /// attempt that was answered.
    pub request: &'a Req,
    /// What is known of the request.
    pub meta: RequestMeta,
    /// The answer.
    pub result: Result<&'a Res, &'a Err>,
    /// What the classifier made of it.
    pub outcome: Outcome,
    /// Which attempt it answers, counted from 1.
    pub attempt: u32,
}

// By hand: derived, they would ask the same of the answer.
impl<Req, Res, Err> Clone for AttemptOutcome<'_, Req, Res, Err> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Res, Err> Copy for AttemptOutcome<'_, Req, Res, Err> {}

/// An answer as an [`RetryPredicate`] sees it.
#[non_exhaustive]
#[derive(Debug)]
pub struct AttemptResult<'a, Req, Res, Err> {
    /// The request of the next attempt.
    pub request: &'a mut Req,
    /// The answer.
    pub result: &'a mut Result<Res, Err>,
    /// What the classifier made of it.
    pub outcome: Outcome,
    /// Which attempt it answers, counted from 1.
    pub attempt: u32,
}

/// Gives [`RetryDecision`] after an answer, and may bring waits of its own.
///
/// Closures and `fn` pointers `Fn(AttemptOutcome<'_, Req, Res, Err>) -> RetryDecision` are advisers. Implement
/// it for what remembers something during a call.
pub trait RetryPredicate<Req, Res, Err> {
    /// What it remembers during one call.
    type Memory;
    /// A wait of its own in place of the backoff.
    type Wait: Future<Output = ()>;
    /// Whether it is asked at all; the default adviser is not, and costs nothing.
    const ASKED: bool = true;

    /// The memory of a call that begins.
    fn start(&self, meta: &RequestMeta) -> Self::Memory;

    /// What it wants after this answer. Successes are shown to it as well, where there is a copy
    /// of the request.
    fn advise(
        &self,
        memory: &mut Self::Memory,
        answer: AttemptResult<'_, Req, Res, Err>,
    ) -> RetryDecision;

    /// The wait before the attempt that was just decided on; the configured backoff unless there
    /// is one. What the upstream asked for is waited in any case.
    fn wait(&self, memory: &mut Self::Memory) -> Option<Self::Wait> {
        let _ = memory;
        None
    }
}

impl<F, Req, Res, Err> RetryPredicate<Req, Res, Err> for F
where
    F: Fn(AttemptOutcome<'_, Req, Res, Err>) -> RetryDecision,
{
    type Memory = RequestMeta;
    type Wait = Ready<()>;

    fn start(&self, meta: &RequestMeta) -> RequestMeta {
        *meta
    }

    fn advise(
        &self,
        meta: &mut RequestMeta,
        answer: AttemptResult<'_, Req, Res, Err>,
    ) -> RetryDecision {
        self(AttemptOutcome {
            request: answer.request,
            meta: *meta,
            result: answer.result.as_ref(),
            outcome: answer.outcome,
            attempt: answer.attempt,
        })
    }
}

/// The default adviser: leaves everything to the layer's own table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultDecision;

impl<Req, Res, Err> RetryPredicate<Req, Res, Err> for DefaultDecision {
    type Memory = ();
    type Wait = Ready<()>;
    const ASKED: bool = false;

    #[inline]
    fn start(&self, _: &RequestMeta) {}

    fn advise(&self, (): &mut (), _: AttemptResult<'_, Req, Res, Err>) -> RetryDecision {
        RetryDecision::Default
    }
}

/// An attempt that is about to be made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, counted from 1.
    pub number: u32,
    /// What the answer before it meant; `None` for the first attempt.
    pub previous: Option<Outcome>,
}

impl Attempt {
    pub(crate) const FIRST: Self = Self {
        number: 1,
        previous: None,
    };
}

/// Prepares the request for each attempt, the first one included: a fresh signature, a nonce, a
/// timestamp, a header with the attempt's number.
///
/// Closures and `fn` pointers `Fn(&mut Req, Attempt) -> Result<(), Err>` are preparers. What is
/// prepared is the request that leaves: the copy for the attempt after it was made before, so that
/// nothing that one attempt adds is found by the next.
///
/// ```
/// use seawall_retry::{Attempt, PrepareAttempt};
///
/// fn number(request: &mut String, attempt: Attempt) -> Result<(), std::fmt::Error> {
///     use std::fmt::Write;
///     write!(request, " attempt={}", attempt.number)
/// }
/// # fn is_preparer(_: impl PrepareAttempt<String, std::fmt::Error>) {}
/// # is_preparer(number);
/// ```
pub trait PrepareAttempt<Req, Err> {
    /// Prepares `request` for `attempt`.
    ///
    /// Called when the service is ready, right before the request is handed to it.
    ///
    /// # Errors
    ///
    /// The answer of the call: nothing is sent, and no further attempt is made.
    fn prepare(&self, request: &mut Req, attempt: Attempt) -> Result<(), Err>;
}

impl<F, Req, Err> PrepareAttempt<Req, Err> for F
where
    F: Fn(&mut Req, Attempt) -> Result<(), Err>,
{
    fn prepare(&self, request: &mut Req, attempt: Attempt) -> Result<(), Err> {
        self(request, attempt)
    }
}

/// The default preparer: sends requests as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPrepare;

impl<Req, Err> PrepareAttempt<Req, Err> for NoPrepare {
    #[inline]
    fn prepare(&self, _: &mut Req, _: Attempt) -> Result<(), Err> {
        Ok(())
    }
}

/// Marks an answer that was given up on, so that the caller can tell why there was no further
/// attempt: in an extension of a response, or in a field of the caller's own error.
///
/// Closures and `fn` pointers `Fn(&mut Result<Res, Err>, Stopped)` are markers. Called once for each
/// call that is given up ([`StopReason::Answered`](crate::StopReason::Answered) is none), with the answer that the
/// caller gets; never called for a success.
pub trait AnnotateGiveUp<Res, Err> {
    /// Marks `result`.
    fn annotate_give_up(&self, result: &mut Result<Res, Err>, ended: Stopped);
}

impl<F, Res, Err> AnnotateGiveUp<Res, Err> for F
where
    F: Fn(&mut Result<Res, Err>, Stopped),
{
    fn annotate_give_up(&self, result: &mut Result<Res, Err>, ended: Stopped) {
        self(result, ended);
    }
}

/// The default marker: leaves answers as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoAnnotation;

impl<Res, Err> AnnotateGiveUp<Res, Err> for NoAnnotation {
    #[inline]
    fn annotate_give_up(&self, _: &mut Result<Res, Err>, _: Stopped) {}
}

/// The hooks of a layer: the adviser `A`, the preparer `B` and the marker `M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks<A = DefaultDecision, B = NoPrepare, M = NoAnnotation> {
    pub(crate) advise: A,
    pub(crate) prepare: B,
    pub(crate) annotate_give_up: M,
}

impl Hooks {
    /// The hooks that do nothing.
    pub const NONE: Self = Self {
        advise: DefaultDecision,
        prepare: NoPrepare,
        annotate_give_up: NoAnnotation,
    };
}

/// What [`Hooks`] are for requests and answers of given types; implemented for them alone.
pub trait Hook<Req, Res, Err>: sealed::Sealed {
    /// The adviser.
    type RetryPredicate: RetryPredicate<Req, Res, Err>;
    /// The preparer.
    type PrepareAttempt: PrepareAttempt<Req, Err>;
    /// The marker.
    type AnnotateGiveUp: AnnotateGiveUp<Res, Err>;

    /// The adviser.
    fn adviser(&self) -> &Self::RetryPredicate;
    /// The preparer.
    fn preparer(&self) -> &Self::PrepareAttempt;
    /// The marker.
    fn marker(&self) -> &Self::AnnotateGiveUp;
}

impl<A, B, M, Req, Res, Err> Hook<Req, Res, Err> for Hooks<A, B, M>
where
    A: RetryPredicate<Req, Res, Err>,
    B: PrepareAttempt<Req, Err>,
    M: AnnotateGiveUp<Res, Err>,
{
    type RetryPredicate = A;
    type PrepareAttempt = B;
    type AnnotateGiveUp = M;

    fn adviser(&self) -> &A {
        &self.advise
    }

    #[inline]
    fn preparer(&self) -> &B {
        &self.prepare
    }

    fn marker(&self) -> &M {
        &self.annotate_give_up
    }
}

/// What the adviser of hooks remembers.
pub(crate) type MemoryOf<H, Req, Res, Err> =
    <<H as Hook<Req, Res, Err>>::RetryPredicate as RetryPredicate<Req, Res, Err>>::Memory;
/// What the adviser of hooks waits with.
pub(crate) type WaitOf<H, Req, Res, Err> =
    <<H as Hook<Req, Res, Err>>::RetryPredicate as RetryPredicate<Req, Res, Err>>::Wait;

mod sealed {
    #[allow(unnameable_types, reason = "nobody else implements `Hook`")]
    pub trait Sealed {}
    impl<A, B, M> Sealed for super::Hooks<A, B, M> {}
}
