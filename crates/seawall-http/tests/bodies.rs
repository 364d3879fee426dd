//! Bodies that are sent twice, and bodies that keep what their call holds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;
use seawall_core::{Complete, FailureKind, Outcome, TrackCompletion};
use seawall_http::{CompleteOnBodyEnd, GuardedBody, ReplayBody, ReplayError};
use static_assertions::{assert_impl_all, assert_not_impl_any};

/// A body with one step after another.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
enum Step {
    Data(&'static str),
    Trailers,
    Fail,
    Wait,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(data))))),
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Fail) => Poll::Ready(Some(Err("broken"))),
            Some(Step::Wait) => Poll::Pending,
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

fn poll<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Polled<B::Error> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Polls one frame of data.
fn data<B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin>(body: &mut B) -> Bytes {
    match poll(body) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
        other => panic!("no data: {other:?}"),
    }
}

fn error<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> B::Error {
    match poll(body) {
        Poll::Ready(Some(Err(error))) => error,
        _ => panic!("no error"),
    }
}

async fn all(body: ReplayBody<Script>) -> (Bytes, Option<HeaderMap>) {
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

#[tokio::test]
async fn a_stream_is_sent_again_as_often_as_wanted_with_its_trailers() {
    let steps = [Step::Data("buy "), Step::Data("1"), Step::Trailers];
    let first = ReplayBody::stream(Script::new(steps));
    let second = first.copy().unwrap();
    let sent = all(first).await;
    assert_eq!(sent.0, "buy 1");
    assert!(sent.1.is_some());
    let third = second.copy().unwrap();
    assert_eq!(all(second).await, sent);
    assert_eq!(all(third).await, sent);
}

#[tokio::test]
async fn bytes_are_sent_again_and_announce_their_length() {
    let first: ReplayBody = "buy 1".into();
    assert_eq!(first.size_hint().exact(), Some(5));
    let copy = first.copy().unwrap();
    assert_eq!(first.collect().await.unwrap().to_bytes(), "buy 1");
    let mut copy = copy.copy().unwrap();
    assert_eq!(data(&mut copy), "buy 1");
    assert!(copy.is_end_stream());
    assert_eq!(copy.size_hint().exact(), Some(0));
    assert!(copy.copy().is_some(), "also when it was sent");
    assert!(ReplayBody::<Full<Bytes>>::empty().is_end_stream());
}

#[test]
fn a_body_that_was_dropped_in_the_middle_is_read_further() {
    let steps = [Step::Data("a"), Step::Data("b"), Step::Data("c")];
    let mut first = ReplayBody::stream(Script::new(steps));
    let mut second = first.copy().unwrap();
    assert_eq!(data(&mut first), "a");
    drop(first);
    assert_eq!(data(&mut second), "a");
    assert_eq!(data(&mut second), "b");
    assert_eq!(data(&mut second), "c");
}

/// A server may respond, with a 503 for example, while the request is still being written. The retry must
/// not take the rest of the body away from the connection that is writing it, nor send a part.
#[test]
fn a_body_is_never_read_by_two_at_once() {
    let steps = [Step::Data("a"), Step::Data("b")];
    let mut first = ReplayBody::stream(Script::new(steps));
    let mut second = first.copy().unwrap();
    assert_eq!(data(&mut first), "a");
    assert!(first.copy().is_none());
    assert_eq!(data(&mut second), "a", "what was kept");
    assert_eq!(error(&mut second), ReplayError::InUse);
    assert_eq!(data(&mut first), "b", "the first one is not disturbed");
    drop(first);
    let mut third = second.copy().unwrap();
    assert_eq!(data(&mut third), "ab", "what was kept, in one piece");
    assert!(matches!(poll(&mut third), Poll::Ready(None)));
}

#[test]
fn beyond_the_cap_there_are_no_copies_and_the_first_is_sent_complete() {
    let steps = [Step::Data("four"), Step::Data("more")];
    let mut first = ReplayBody::stream_with_cap(Script::new(steps), 7);
    let mut copy = first.copy().unwrap();
    assert_eq!(data(&mut first), "four");
    assert_eq!(data(&mut first), "more");
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert!(first.copy().is_none());
    assert_eq!(
        error(&mut copy),
        ReplayError::TooLong,
        "before a byte was sent"
    );
}

#[test]
fn a_broken_or_pending_stream_is_passed_on() {
    let steps = [Step::Wait, Step::Data("a"), Step::Fail];
    let mut body = ReplayBody::stream(Script::new(steps));
    assert!(poll(&mut body).is_pending());
    assert_eq!(data(&mut body), "a");
    assert_eq!(error(&mut body), ReplayError::Body("broken"));
    drop(body);
    // Not "too long", which the copy is not.
    let mut first = ReplayBody::stream(Script::new([Step::Data("a"), Step::Fail]));
    let mut copy = first.copy().unwrap();
    assert_eq!(data(&mut first), "a");
    assert_eq!(error(&mut first), ReplayError::Body("broken"));
    assert!(first.copy().is_none());
    assert_eq!(error(&mut copy), ReplayError::Broken, "before a byte");
    let full = ReplayBody::stream(Full::new(Bytes::from("abc")));
    assert_eq!(full.size_hint().exact(), Some(3));
    assert!(ReplayBody::stream(Empty::<Bytes>::new()).is_end_stream());
}

/// Yields pieces of one byte and of none, each a part of a buffer of its own, and notes which
/// buffers are still held.
struct Pieces {
    left: usize,
    held: Arc<()>,
}

struct Buffer(#[allow(dead_code, reason = "held")] Arc<()>, Vec<u8>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        let large = Buffer(Arc::clone(&self.held), vec![b'x'; 1_024]);
        let piece = Bytes::from_owner(large).split_to(left % 2);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// Twenty thousand pieces of one byte or none kept a gigabyte under a cap of ten kilobytes: each
/// was a part of a large buffer, which stayed with it.
#[test]
fn what_is_kept_of_a_stream_holds_no_buffer_of_the_stream() {
    let held = Arc::new(());
    let pieces = Pieces {
        left: 2_000,
        held: Arc::clone(&held),
    };
    let mut first = ReplayBody::stream_with_cap(pieces, 1_000);
    let mut copy = first.copy().unwrap();
    while let Poll::Ready(Some(frame)) = poll(&mut first) {
        assert!(frame.is_ok());
    }
    drop(first);
    assert_eq!(Arc::strong_count(&held), 1, "no buffer is left");
    assert_eq!(data(&mut copy).len(), 1_000, "in one piece");
    assert!(matches!(poll(&mut copy), Poll::Ready(None)));
}

proptest! {
    #[test]
    fn every_copy_is_the_complete_body_or_none(
        lengths in proptest::collection::vec(0_usize..5, 0..6),
        cap in 0_usize..16,
        given_up_after in 0_usize..7,
    ) {
        const TEXT: &str = "abcd";
        let complete: String = lengths.iter().map(|n| &TEXT[..*n]).collect();
        let steps = lengths.iter().map(|n| Step::Data(&TEXT[..*n]));
        let mut first = ReplayBody::stream_with_cap(Script::new(steps), cap);
        let copy = first.copy().unwrap();
        for _ in 0..given_up_after {
            let _ = poll(&mut first);
        }
        drop(first);
        let read: usize = lengths.iter().take(given_up_after).sum();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        match runtime.block_on(copy.collect()) {
            Ok(sent) => prop_assert_eq!(sent.to_bytes(), complete.as_bytes()),
            Err(error) => {
                prop_assert_eq!(error, ReplayError::TooLong);
                prop_assert!(read > cap);
            }
        }
    }
}

/// Records the outcomes of calls.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<Option<Outcome>>>>);

#[derive(Debug)]
struct Guard(Option<Recorder>);

impl Recorder {
    fn guard(&self) -> Guard {
        Guard(Some(self.clone()))
    }

    fn outcomes(&self) -> Vec<Option<Outcome>> {
        self.0.lock().unwrap().clone()
    }
}

impl Complete for Guard {
    fn complete(mut self, outcome: Outcome) {
        let recorder = self.0.take().unwrap();
        recorder.0.lock().unwrap().push(Some(outcome));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(recorder) = self.0.take() {
            recorder.0.lock().unwrap().push(None);
        }
    }
}

fn guarded<B: Body>(outcome: Outcome, body: B) -> (GuardedBody<B, Guard>, Recorder) {
    let recorder = Recorder::default();
    let response =
        CompleteOnBodyEnd.track_completion(recorder.guard(), outcome, Response::new(body));
    (response.into_body(), recorder)
}

const OK: Outcome = Outcome::Success;
const BROKEN: Outcome = Outcome::Failure(FailureKind::Body);

#[test]
fn a_call_is_over_when_its_body_has_ended() {
    let steps = [Step::Data("a"), Step::Wait, Step::Trailers];
    let (mut body, recorder) = guarded(OK, Script::new(steps));
    assert_eq!(data(&mut body), "a");
    assert!(poll(&mut body).is_pending());
    assert!(body.is_held());
    assert_eq!(recorder.outcomes(), []);
    // Trailers are the last frame of a message (RFC 9110, section 6.5).
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    assert_eq!(recorder.outcomes(), [Some(OK)]);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    drop(body);
    assert_eq!(recorder.outcomes(), [Some(OK)], "once");
}

#[test]
fn a_reader_that_stops_at_the_announced_length_has_read_to_the_end() {
    let (mut body, recorder) = guarded(OK, Full::new(Bytes::from("abc")));
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(data(&mut body), "abc");
    assert_eq!(recorder.outcomes(), [Some(OK)]);
}

#[test]
fn an_empty_body_is_complete_at_once() {
    let (body, recorder) = guarded(Outcome::Ignored, Empty::<Bytes>::new());
    assert!(!body.is_held());
    assert_eq!(recorder.outcomes(), [Some(Outcome::Ignored)]);
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_unless_its_head_was_worse() {
    let banned = Outcome::Banned { lasts: None };
    for (head, expected) in [(OK, BROKEN), (Outcome::Ignored, BROKEN), (banned, banned)] {
        let (mut body, recorder) = guarded(head, Script::new([Step::Data("a"), Step::Fail]));
        assert_eq!(data(&mut body), "a");
        assert_eq!(error(&mut body), "broken");
        assert_eq!(recorder.outcomes(), [Some(expected)]);
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        drop(body);
        assert_eq!(recorder.outcomes().len(), 1);
    }
}

/// Failed attempts that were retried are dropped unread, and so are many good responses.
#[test]
fn a_body_that_is_dropped_counts_as_its_head() {
    for head in [OK, Outcome::Failure(FailureKind::Server)] {
        let (body, recorder) = guarded(head, Script::new([Step::Data("a")]));
        drop(body);
        let (mut body, later) = guarded(head, Script::new([Step::Data("a"), Step::Data("b")]));
        assert_eq!(data(&mut body), "a");
        drop(body);
        assert_eq!(
            (recorder.outcomes(), later.outcomes()),
            (vec![Some(head)], vec![Some(head)])
        );
    }
}

/// A guard without effect, to name the types.
#[allow(dead_code, reason = "only its type matters")]
struct Silent;

impl Complete for Silent {
    fn complete(self, _: Outcome) {}
}

assert_impl_all!(ReplayBody: Send, Sync, Unpin);
assert_impl_all!(GuardedBody<Full<Bytes>, Silent>: Send, Sync, Unpin);
assert_not_impl_any!(GuardedBody<std::rc::Rc<()>, Silent>: Send, Sync);
