//! What is done to each request before its attempt, and to a result that was given up on.

use seawall_core::Outcome;

use crate::Stopped;

/// An attempt that is about to be made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, counted from 1.
    pub number: u32,
    /// The outcome of the attempt before it; `None` for the first attempt.
    pub previous: Option<Outcome>,
}

impl Attempt {
    pub(crate) const FIRST: Self = Self {
        number: 1,
        previous: None,
    };
}

/// Prepares the request for each attempt, the first one included: a header with the attempt's
/// number, another endpoint after a failure, a fresh idempotency key.
///
/// Closures and `fn` pointers `Fn(&mut Req, Attempt) -> Result<(), Err>` implement it. The copy for
/// the next attempt was made before, so nothing that one attempt adds is found by the next.
///
/// **It runs above the layers that wait**: what it writes may be as old as their waits are long when
/// the request leaves, and of two requests the later one may leave first. A timestamp, a nonce or a
/// signature over them belongs into the hook at departure,
/// [`DepartureLayer`](seawall_core::DepartureLayer), which stands below them.
///
/// ```
/// use seawall_retry::{Attempt, PrepareAttempt};
///
/// fn number(request: &mut String, attempt: Attempt) -> Result<(), std::fmt::Error> {
///     use std::fmt::Write;
///     write!(request, " attempt={}", attempt.number)
/// }
/// # fn prepares(_: impl PrepareAttempt<String, std::fmt::Error>) {}
/// # prepares(number);
/// ```
pub trait PrepareAttempt<Req, Err> {
    /// Prepares `request` for `attempt`.
    ///
    /// Called when the service below is ready, right before the request is handed to it.
    ///
    /// # Errors
    ///
    /// The result of the call: nothing is sent, and no further attempt is made.
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

/// The default: sends requests as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPrepare;

impl<Req, Err> PrepareAttempt<Req, Err> for NoPrepare {
    #[inline]
    fn prepare(&self, _: &mut Req, _: Attempt) -> Result<(), Err> {
        Ok(())
    }
}

/// Annotates a result that was given up on, so that the caller can see why there was no further
/// attempt: in an extension of a response, or in a field of the caller's own error.
///
/// Closures and `fn` pointers `Fn(&mut Result<Res, Err>, Stopped)` implement it. Called once for
/// each call that is given up ([`StopReason::Completed`](crate::StopReason::Completed) is no such
/// call), with the result that the caller gets; never called for a success.
pub trait AnnotateGiveUp<Res, Err> {
    /// Annotates `result`.
    fn annotate_give_up(&self, result: &mut Result<Res, Err>, stopped: Stopped);
}

impl<F, Res, Err> AnnotateGiveUp<Res, Err> for F
where
    F: Fn(&mut Result<Res, Err>, Stopped),
{
    fn annotate_give_up(&self, result: &mut Result<Res, Err>, stopped: Stopped) {
        self(result, stopped);
    }
}

/// The default: leaves results as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoAnnotation;

impl<Res, Err> AnnotateGiveUp<Res, Err> for NoAnnotation {
    #[inline]
    fn annotate_give_up(&self, _: &mut Result<Res, Err>, _: Stopped) {}
}
