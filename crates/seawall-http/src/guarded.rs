//! A response body that keeps what its call holds until the body has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::{Complete, FailureKind, Outcome, TrackCompletion};

/// Ends the hold of a call (a bulkhead's place, a breaker's ticket) with the response's *body*.
///
/// A server is still at work while it streams an answer, and a stream that breaks in the middle
/// is no success. With this as a layer's hold, the place stays taken and the verdict open until
/// the body
///
/// * has ended: the call counts as what its head was judged to be;
/// * has failed: a call whose head was good counts as
///   [`FailureKind::Body`](seawall_core::FailureKind::Body), any other as its head;
/// * is dropped before: the call counts as what its head was judged to be. Many callers read the
///   status alone, and a failed attempt that is tried again is dropped unread; were these calls
///   abandoned, failures would not count and a half-open circuit would never close.
///
/// An empty body is settled at once. The response becomes `Response<GuardedBody<B, G>>`. Read
/// every body to its end, or drop it: a response that is kept unread keeps its place.
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
/// let answer = Response::new(Full::<bytes::Bytes>::from("{}"));
/// let answer = CompleteOnBodyEnd.track_completion(Print, Outcome::Success, answer);
/// answer.into_body().collect().await.unwrap(); // prints "Success"
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompleteOnBodyEnd;

impl<G: Complete, B: Body> TrackCompletion<G, Response<B>> for CompleteOnBodyEnd {
    type Response = Response<GuardedBody<B, G>>;

    fn track_completion(
        &self,
        guard: G,
        outcome: Outcome,
        response: Response<B>,
    ) -> Self::Response {
        response.map(|body| GuardedBody::new(body, guard, outcome))
    }
}

pin_project! {
    /// A body that settles a guard when it ends; see [`CompleteOnBodyEnd`].
    pub struct GuardedBody<B, G: Complete> {
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

impl<B: Body, G: Complete> GuardedBody<B, G> {
    /// Keeps `guard` until `inner` has ended and then settles it as `outcome`.
    pub fn new(inner: B, guard: G, outcome: Outcome) -> Self {
        let mut guard = Guard {
            guard: Some(guard),
            outcome,
        };
        if inner.is_end_stream() {
            guard.complete(outcome);
        }
        Self { inner, guard }
    }
}

impl<B, G: Complete> GuardedBody<B, G> {
    /// Whether the guard is still held.
    pub const fn is_held(&self) -> bool {
        self.guard.guard.is_some()
    }

    /// The body below.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }
}

impl<B: Body, G: Complete> Body for GuardedBody<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let head = this.guard.outcome;
        match &frame {
            // Readers that know the length do not ask for the end after the last frame.
            Some(Ok(_)) if !this.inner.is_end_stream() => {}
            Some(Ok(_)) | None => this.guard.complete(head),
            Some(Err(_)) => this.guard.complete(broken(head)),
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

/// What a call has come to whose body broke off.
const fn broken(head: Outcome) -> Outcome {
    match head {
        Outcome::Success | Outcome::Ignored => Outcome::Failure(FailureKind::Body),
        // A ban or a throttle says more than the broken text that explains it.
        head => head,
    }
}

/// A body without a guard, so that a rejection can be answered where guarded bodies are expected.
impl<B: From<Bytes>, G: Complete> From<Bytes> for GuardedBody<B, G> {
    fn from(data: Bytes) -> Self {
        Self {
            inner: B::from(data),
            guard: Guard {
                guard: None,
                outcome: Outcome::Ignored,
            },
        }
    }
}

impl<B: Default, G: Complete> Default for GuardedBody<B, G> {
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

impl<B: fmt::Debug, G: Complete> fmt::Debug for GuardedBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("inner", &self.inner)
            .field("held", &self.is_held())
            .field("outcome", &self.guard.outcome)
            .finish()
    }
}
