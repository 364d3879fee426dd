//! Calls that are complete with the trailers of their response.

use http::{HeaderMap, Response};
use http_body::Body;
use seawall_core::{Complete, Outcome, TrackCompletion};
use seawall_http::{BodyEnd, GuardedBody, JudgeBodyEnd, LONGEST_WAIT, broken_off};

use crate::classify::{bound, by_code};
use crate::expired::code_in;
use crate::pushback::Pushback;

/// Completes a call (its bulkhead permit, its circuit breaker's admission) with the *trailers* of
/// the response, which carry the status of a gRPC call.
///
/// * Trailers with a status: the call counts as that status.
/// * The stream breaks, or ends without a status: a call whose head was good counts as
///   [`FailureKind::Body`](seawall_core::FailureKind::Body), any other as its head.
/// * The body is dropped before its end: the call counts as its head was classified. Failed
///   attempts that are retried are dropped unread, and so is a stream that nobody reads to its end.
///
/// A response that is all head, as errors of unary calls are, is complete at once. The response
/// becomes `Response<StatusBody<B, G>>`.
///
/// ```
/// use http::Response;
/// use seawall_core::{TrackCompletion, Outcome, Complete};
/// use seawall_grpc::CompleteOnTrailers;
///
/// struct Print;
/// impl Complete for Print {
///     fn complete(self, outcome: Outcome) { println!("{outcome:?}") }
/// }
/// let error = tonic::Status::internal("bug").into_http::<tonic::body::Body>();
/// // Prints the outcome that the classifier found: there are no trailers to wait for.
/// let response = CompleteOnTrailers.track_completion(Print, Outcome::Ignored, error);
/// assert!(!response.body().is_held());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnTrailers;

/// A body that completes a guard by the status in its trailers; see [`CompleteOnTrailers`].
pub type StatusBody<B, G> = GuardedBody<B, G, CompleteOnTrailers>;

impl<G: Complete, B: Body> TrackCompletion<G, Response<B>> for CompleteOnTrailers {
    type Response = Response<StatusBody<B, G>>;

    fn track_completion(
        &self,
        guard: G,
        outcome: Outcome,
        response: Response<B>,
    ) -> Self::Response {
        GuardedBody::track(*self, guard, outcome, response)
    }
}

impl JudgeBodyEnd for CompleteOnTrailers {
    /// A status in the head is final.
    fn is_final(&self, head: &HeaderMap) -> bool {
        head.contains_key("grpc-status")
    }

    fn judge(&self, head: Outcome, end: BodyEnd<'_>) -> Outcome {
        match end {
            BodyEnd::Trailers(trailers) => match code_in(trailers) {
                Some(code) => bound(by_code(code, || Pushback::of(trailers)), LONGEST_WAIT),
                None => broken_off(head),
            },
            // Without trailers, or broken off.
            _ => broken_off(head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::BodyExt;
    use seawall_core::FailureKind;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll};

    type Outcomes = Rc<RefCell<Vec<Outcome>>>;

    struct Record(Outcomes);

    impl Complete for Record {
        fn complete(self, outcome: Outcome) {
            self.0.borrow_mut().push(outcome);
        }
    }

    /// Data, a status in trailers (`#14`), or an error (`!`).
    struct Stream(VecDeque<&'static str>);

    impl Body for Stream {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            Poll::Ready(self.0.pop_front().map(|next| {
                if next == "!" {
                    return Err(());
                }
                let Some(status) = next.strip_prefix('#') else {
                    return Ok(Frame::data(Bytes::from(next)));
                };
                let mut trailers = HeaderMap::new();
                if !status.is_empty() {
                    trailers.insert("grpc-status", HeaderValue::from_static(status));
                }
                Ok(Frame::trailers(trailers))
            }))
        }
    }

    /// The outcome of a call after so many of `frames` were read; it was held before.
    async fn outcome_of(head: Outcome, frames: &[&'static str], read: usize) -> Vec<Outcome> {
        let outcomes = Outcomes::default();
        let guard = Record(Rc::clone(&outcomes));
        let stream = Stream(frames.iter().copied().collect());
        let mut body = CompleteOnTrailers
            .track_completion(guard, head, Response::new(stream))
            .into_body();
        assert!(body.is_held());
        for _ in 0..read {
            let _ = body.frame().await;
        }
        drop(body);
        outcomes.take()
    }

    const BROKEN: Outcome = Outcome::Failure(FailureKind::Body);

    #[tokio::test]
    async fn the_call_counts_as_the_status_in_its_trailers() {
        let ok = Outcome::Success;
        assert_eq!(outcome_of(ok, &["a", "#0"], 9).await, [ok]);
        let server = Outcome::Failure(FailureKind::Server);
        assert_eq!(outcome_of(ok, &["a", "b", "#13"], 3).await, [server]);
        assert_eq!(outcome_of(ok, &["#5"], 1).await, [Outcome::Ignored]);
    }

    #[tokio::test]
    async fn a_stream_without_a_status_is_broken_off() {
        let ok = Outcome::Success;
        for frames in [&["a", "!"][..], &["a"], &["a", "#"]] {
            assert_eq!(outcome_of(ok, frames, 2).await, [BROKEN], "{frames:?}");
        }
        let banned = Outcome::Banned { lasts: None };
        assert_eq!(outcome_of(banned, &["!"], 1).await, [banned]);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_counts_as_its_head() {
        for head in [Outcome::Success, Outcome::Unknown] {
            assert_eq!(outcome_of(head, &["a", "#13"], 1).await, [head]);
            assert_eq!(outcome_of(head, &["a", "#13"], 0).await, [head]);
        }
    }

    #[test]
    fn a_response_that_is_all_head_is_complete_at_once() {
        let outcomes = Outcomes::default();
        let guard = Record(Rc::clone(&outcomes));
        let response = tonic::Status::internal("bug").into_http::<tonic::body::Body>();
        let response = CompleteOnTrailers.track_completion(guard, Outcome::Unknown, response);
        assert!(!response.body().is_held());
        assert_eq!(outcomes.take(), [Outcome::Unknown]);
    }
}
