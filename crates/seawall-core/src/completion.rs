//! How long what a call holds (a permit, a breaker's ticket) outlives the head of the answer.

use crate::Outcome;

/// Something that a call holds and that is settled exactly once.
///
/// Dropped without being settled, it counts as abandoned and gives back what it held.
pub trait Complete {
    /// Ends the hold with what became of the call.
    fn complete(self, outcome: Outcome);
}

/// Decides when the hold of a call ends.
///
/// The default, [`CompleteOnResponse`], ends it with the answer. With HTTP the answer's body is still
/// to come: `seawall-http` has an implementation that moves the hold into the body, so that a
/// place stays taken until the body has ended and a body that breaks is a failure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot track the completion of responses of type `{Res}`",
    label = "not a completion of this service's responses",
    note = "`CompleteOnResponse` takes every response; `CompleteOnBodyEnd` of `seawall-http` takes `http::Response<B>`"
)]
pub trait TrackCompletion<G, Res> {
    /// The response with the hold in it.
    type Response;

    /// Takes over `guard` of a call that was answered with `response` and judged as `outcome`.
    fn track_completion(&self, guard: G, outcome: Outcome, response: Res) -> Self::Response;
}

/// Ends the hold with the answer; the response stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnResponse;

impl<G: Complete, Res> TrackCompletion<G, Res> for CompleteOnResponse {
    type Response = Res;

    // Always: a guard that is passed on by memory costs more than its settling.
    #[inline(always)]
    fn track_completion(&self, guard: G, outcome: Outcome, response: Res) -> Res {
        guard.complete(outcome);
        response
    }
}
