//! A response body that keeps what its call holds until the body has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::{Complete, FailureKind, Outcome, TrackCompletion};

/// Completes a call (its bulkhead permit, its circuit breaker's admission) with the *body* of its
/// response.
///
/// A server is still at work while it streams a response, and a stream that breaks off is no
/// success. With this as the completion of a layer's policy, the permit is kept and the vote is
/// open until the body
///
/// * has ended: the call counts as its head was classified;
/// * has failed: a call whose head says nothing against the upstream (a success, or a bad request)
///   counts as [`FailureKind::Body`], any other as its head;
/// * is dropped before its end: the call counts as its head was classified. Many callers read the
///   status alone, and a failed attempt that is retried is dropped unread. If these calls were
///   abandoned, failures would not count and a half-open circuit would never close.
///
/// A response with an empty body is complete at once. The response becomes
/// `Response<GuardedBody<B, G>>`. Read every body to its end, or drop it: a response that is kept
/// unread keeps its permit.
///
/// ```
/// use http::Response;
/// use http_body_util::{BodyExt, Full};
/// use seawall_core::{TrackCompletion, Outcome, Complete};
/// use seawall_http::CompleteOnBodyEnd;
///
/// struct Print;
/// impl Complete for Print {
///     fn complete(self, outcome: Outcome) { println!("{outcome:?}") }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let response = Response::new(Full::<bytes::Bytes>::from("{}"));
/// let response = CompleteOnBodyEnd.track_completion(Print, Outcome::Success, response);
/// response.into_body().collect().await.unwrap(); // prints "Success"
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnBodyEnd;

impl JudgeBodyEnd for CompleteOnBodyEnd {
    fn judge(&self, head: Outcome, end: BodyEnd<'_>) -> Outcome {
        match end {
            BodyEnd::Complete | BodyEnd::Trailers(_) => head,
            BodyEnd::Failed => broken_off(head),
        }
    }
}

impl<G: Complete, B: Body> TrackCompletion<G, Response<B>> for CompleteOnBodyEnd {
    type Response = Response<GuardedBody<B, G>>;

    fn track_completion(
        &self,
        guard: G,
        outcome: Outcome,
        response: Response<B>,
    ) -> Self::Response {
        GuardedBody::track(*self, guard, outcome, response)
    }
}

/// How a body ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum BodyEnd<'a> {
    /// After its last data, without trailers.
    Complete,
    /// With trailers.
    Trailers(&'a HeaderMap),
    /// With an error.
    Failed,
}

/// Classifies a call by the end of its body; a protocol whose trailers carry the result,
/// such as gRPC, has a classification of its own.
pub trait JudgeBodyEnd {
    /// Whether the head of a response is all there is, so that the call is complete without its
    /// body. Default: no.
    fn is_final(&self, head: &HeaderMap) -> bool {
        let _ = head;
        false
    }

    /// The outcome of a call whose head was classified as `head` and whose body ended so.
    fn judge(&self, head: Outcome, end: BodyEnd<'_>) -> Outcome;
}

/// The outcome of a call whose body broke off: a failure when its head was good.
pub const fn broken_off(head: Outcome) -> Outcome {
    match head {
        Outcome::Success | Outcome::Ignored => Outcome::Failure(FailureKind::Body),
        // A ban or a throttle is more exact than the broken text that explains it.
        head => head,
    }
}

pin_project! {
    /// A body that completes a guard when it ends; see [`CompleteOnBodyEnd`].
    pub struct GuardedBody<B, G: Complete, J = CompleteOnBodyEnd> {
        #[pin]
        inner: B,
        guard: Guard<G>,
        judge: J,
    }
}

/// A guard and the outcome of the head, as which the guard completes when it is dropped.
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

impl<B: Body, G: Complete, J: JudgeBodyEnd> GuardedBody<B, G, J> {
    /// Moves `guard` into the body of `response`, whose head was classified as `outcome`. When the
    /// body is empty or the head is final, the guard completes at once.
    pub fn track(judge: J, guard: G, outcome: Outcome, response: Response<B>) -> Response<Self> {
        let is_final = judge.is_final(response.headers());
        response.map(|inner| {
            let mut guard = Guard {
                guard: Some(guard),
                outcome,
            };
            if is_final || inner.is_end_stream() {
                guard.complete(outcome);
            }
            Self {
                inner,
                guard,
                judge,
            }
        })
    }
}

impl<B, G: Complete, J> GuardedBody<B, G, J> {
    /// Whether the guard is still held.
    pub const fn is_held(&self) -> bool {
        self.guard.guard.is_some()
    }

    /// The inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// A body without a guard.
    const fn free(inner: B, judge: J) -> Self {
        Self {
            inner,
            guard: Guard {
                guard: None,
                outcome: Outcome::Ignored,
            },
            judge,
        }
    }
}

impl<B: Body, G: Complete, J: JudgeBodyEnd> Body for GuardedBody<B, G, J> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let end = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => Some(BodyEnd::Trailers(trailers)),
                // Readers that know the length do not poll for the end after the last frame.
                None => this.inner.is_end_stream().then_some(BodyEnd::Complete),
            },
            Some(Err(_)) => Some(BodyEnd::Failed),
            None => Some(BodyEnd::Complete),
        };
        if let Some(end) = end {
            let outcome = this.judge.judge(this.guard.outcome, end);
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

/// A body without a guard, so that a layer can respond to a rejection where guarded bodies are
/// expected.
impl<B: From<Bytes>, G: Complete, J: Default> From<Bytes> for GuardedBody<B, G, J> {
    fn from(data: Bytes) -> Self {
        Self::free(B::from(data), J::default())
    }
}

impl<B: Default, G: Complete, J: Default> Default for GuardedBody<B, G, J> {
    fn default() -> Self {
        Self::free(B::default(), J::default())
    }
}

seawall_core::impl_debug!(GuardedBody<B, G, J> where [B: std::fmt::Debug, G: Complete]: |this|
    inner = this.inner,
    is_held = this.is_held(),
    outcome = this.guard.outcome);
