//! A response body that keeps what its call holds until the trailers have come.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::{Complete, FailureKind, Outcome, TrackCompletion};
use tonic::Code;

use crate::Pushback;
use crate::classify::by_code;

/// Ends the hold of a call (a bulkhead's place, a breaker's ticket) with the *trailers* of the
/// answer, which say how a gRPC call ended.
///
/// * Trailers with a status: the call counts as that status says.
/// * The stream breaks, or ends without a status: a call whose head was good counts as
///   [`FailureKind::Body`], any other as its head.
/// * The body is dropped before: the call counts as what its head was judged to be. Failed
///   attempts that are tried again are dropped unread, and so is what nobody reads to the end.
///
/// An answer that is all head, as errors of unary calls are, is settled at once. The response
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
/// // Prints the outcome that the classifier gave: there are no trailers to wait for.
/// let held = CompleteOnTrailers.track_completion(Print, Outcome::Ignored, error);
/// assert!(!held.body().is_held());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnTrailers;

impl<G: Complete, B: Body> TrackCompletion<G, Response<B>> for CompleteOnTrailers {
    type Response = Response<StatusBody<B, G>>;

    fn track_completion(
        &self,
        guard: G,
        outcome: Outcome,
        response: Response<B>,
    ) -> Self::Response {
        // A status in the head is final; a proxy's empty answer has nothing more to say either.
        let over = response.headers().contains_key("grpc-status");
        response.map(|body| {
            let guard = if over || body.is_end_stream() {
                guard.complete(outcome);
                None
            } else {
                Some(guard)
            };
            StatusBody {
                inner: body,
                guard: Guard { guard, outcome },
            }
        })
    }
}

pin_project! {
    /// A body that settles a guard by the status in its trailers; see [`CompleteOnTrailers`].
    pub struct StatusBody<B, G: Complete> {
        #[pin]
        inner: B,
        guard: Guard<G>,
    }
}

/// A guard and the verdict on the head; dropped, it is settled by that verdict.
struct Guard<G: Complete> {
    guard: Option<G>,
    outcome: Outcome,
}

impl<G: Complete> Guard<G> {
    fn complete(&mut self, outcome: Outcome) {
        if let Some(guard) = self.guard.take() {
            guard.complete(outcome);
        }
    }
}

impl<G: Complete> Drop for Guard<G> {
    fn drop(&mut self) {
        self.complete(self.outcome);
    }
}

impl<B, G: Complete> StatusBody<B, G> {
    /// Whether the guard is still held.
    pub const fn is_held(&self) -> bool {
        self.guard.guard.is_some()
    }
}

impl<B: Body, G: Complete> Body for StatusBody<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let head = this.guard.outcome;
        let settled = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => Some(ended(head, trailers)),
                // Readers that see the end announced do not ask for it.
                None => this.inner.is_end_stream().then(|| broken(head)),
            },
            Some(Err(_)) | None => Some(broken(head)),
        };
        if let Some(outcome) = settled {
            this.guard.complete(outcome);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn ended(head: Outcome, trailers: &HeaderMap) -> Outcome {
    match trailers.get("grpc-status") {
        Some(code) => by_code(Code::from_bytes(code.as_bytes()), || Pushback::of(trailers)),
        None => broken(head),
    }
}

/// What a call has come to whose stream did not say how it ended.
const fn broken(head: Outcome) -> Outcome {
    match head {
        Outcome::Success | Outcome::Ignored => Outcome::Failure(FailureKind::Body),
        head => head,
    }
}

impl<B: Default, G: Complete> Default for StatusBody<B, G> {
    /// A body without a guard, so that a rejection can be answered where this type is expected.
    fn default() -> Self {
        Self {
            inner: B::default(),
            guard: Guard {
                guard: None,
                outcome: Outcome::Ignored,
            },
        }
    }
}

impl<B: fmt::Debug, G: Complete> fmt::Debug for StatusBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusBody")
            .field("inner", &self.inner)
            .field("held", &self.is_held())
            .field("outcome", &self.guard.outcome)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderValue;
    use http_body_util::BodyExt;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    type Seen = Rc<RefCell<Vec<Outcome>>>;

    struct Note(Seen);

    impl Complete for Note {
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

    /// What a call has come to after `frames`, and whether it was held before.
    async fn fate(head: Outcome, frames: &[&'static str], read: usize) -> Vec<Outcome> {
        let seen = Seen::default();
        let guard = Note(Rc::clone(&seen));
        let stream = Stream(frames.iter().copied().collect());
        let mut body = CompleteOnTrailers
            .track_completion(guard, head, Response::new(stream))
            .into_body();
        assert!(body.is_held());
        for _ in 0..read {
            let _ = body.frame().await;
        }
        drop(body);
        seen.take()
    }

    const BROKEN: Outcome = Outcome::Failure(FailureKind::Body);

    #[tokio::test]
    async fn the_trailers_say_how_the_call_ended() {
        let ok = Outcome::Success;
        assert_eq!(fate(ok, &["a", "#0"], 9).await, [ok]);
        let server = Outcome::Failure(FailureKind::Server);
        assert_eq!(fate(ok, &["a", "b", "#13"], 3).await, [server]);
        assert_eq!(fate(ok, &["#5"], 1).await, [Outcome::Ignored]);
    }

    #[tokio::test]
    async fn a_stream_without_a_word_about_its_end_is_broken() {
        let ok = Outcome::Success;
        for frames in [&["a", "!"][..], &["a"], &["a", "#"]] {
            assert_eq!(fate(ok, frames, 2).await, [BROKEN], "{frames:?}");
        }
        let banned = Outcome::Banned { lasts: None };
        assert_eq!(fate(banned, &["!"], 1).await, [banned]);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_counts_as_its_head() {
        for head in [Outcome::Success, Outcome::Unknown] {
            assert_eq!(fate(head, &["a", "#13"], 1).await, [head]);
            assert_eq!(fate(head, &["a", "#13"], 0).await, [head]);
        }
    }

    #[test]
    fn an_answer_that_is_all_head_is_settled_at_once() {
        let seen = Seen::default();
        let guard = Note(Rc::clone(&seen));
        let answer = tonic::Status::internal("bug").into_http::<tonic::body::Body>();
        let held = CompleteOnTrailers.track_completion(guard, Outcome::Unknown, answer);
        assert!(!held.body().is_held());
        assert_eq!(seen.take(), [Outcome::Unknown]);
    }
}
