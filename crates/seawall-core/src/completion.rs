//! When a call is over, and what it holds until then (a bulkhead's or a breaker's permit).

use crate::Outcome;

/// Something that a call holds until it is over, and that is completed exactly once.
///
/// Dropped before that, it counts as abandoned and gives back what it held.
pub trait Complete {
    /// The call is over, with this outcome.
    fn complete(self, outcome: Outcome);
}

/// Decides when a call is over.
///
/// With the default, [`CompleteOnResponse`], it is over with its response. With HTTP the body is
/// still to come then: `seawall-http` has an implementation that moves what the call holds into the
/// body, so that a permit is held until the body has ended and a body that breaks is a failure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot track the completion of responses of type `{Res}`",
    label = "not a completion of this service's responses",
    note = "`CompleteOnResponse` takes every response; `CompleteOnBodyEnd` of `seawall-http` takes `http::Response<B>`"
)]
pub trait TrackCompletion<G, Res> {
    /// Whether a guard is completed before the response is returned, as by [`CompleteOnResponse`]; `false` unless
    /// implemented.
    const ON_RESPONSE: bool = false;

    /// The response, with what the call holds in it.
    type Response;

    /// Takes over `guard` of a call that has this response and this outcome so far.
    fn track_completion(&self, guard: G, outcome: Outcome, response: Res) -> Self::Response;
}

/// A call is over with its response, which stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnResponse;

impl<G: Complete, Res> TrackCompletion<G, Res> for CompleteOnResponse {
    const ON_RESPONSE: bool = true;

    type Response = Res;

    // Always: a guard that is passed on through memory costs more than completing it.
    #[inline(always)]
    fn track_completion(&self, guard: G, outcome: Outcome, response: Res) -> Res {
        guard.complete(outcome);
        response
    }
}
