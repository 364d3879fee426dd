//! What is kept of a response whose call is tried again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use seawall_core::{Complete, KeepResponse, Outcome, Reason, Rejection, TrackCompletion};
use seawall_http::body_timeout::TimedBody;
use seawall_http::inspect::InspectedBody;
use seawall_http::{BodyNotKept, CompleteOnBodyEnd, GuardedBody, KeepBody, KeepingBody};
use static_assertions::assert_impl_all;
use tokio::time::{Instant, Sleep, sleep};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Trailers,
    Fail,
    Wait(Duration),
    Never,
}

/// A body with one step after another, which knows whether it was dropped.
struct Script {
    steps: VecDeque<Step>,
    announced: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    _alive: Arc<()>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> (Self, Arc<()>) {
        let alive = Arc::new(());
        let script = Self {
            steps: steps.into_iter().collect(),
            announced: None,
            timer: None,
            _alive: Arc::clone(&alive),
        };
        (script, alive)
    }
}

impl From<Bytes> for Script {
    fn from(data: Bytes) -> Self {
        let steps = (!data.is_empty()).then(|| Step::Data(data.to_vec()));
        Self::new(steps).0
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        loop {
            match self.steps.front().cloned() {
                None => return Poll::Ready(None),
                Some(Step::Never) => return Poll::Pending,
                Some(Step::Wait(time)) => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(time)));
                    std::task::ready!(timer.as_mut().poll(cx));
                    self.timer = None;
                }
                Some(step) => {
                    self.steps.pop_front();
                    return Poll::Ready(Some(match step {
                        Step::Data(data) => Ok(Frame::data(Bytes::from(data))),
                        Step::Fail => Err("broken"),
                        _ => Ok(Frame::trailers(HeaderMap::new())),
                    }));
                }
            }
            self.steps.pop_front();
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced.unwrap_or_default());
        hint
    }
}

fn data(text: &str) -> Step {
    Step::Data(text.as_bytes().to_vec())
}

fn throttled<B>(body: B) -> Response<B> {
    let response = Response::builder()
        .status(429)
        .header("retry-after", "7")
        .header("content-length", "11");
    response.body(body).unwrap()
}

async fn text<B: Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_short_body_is_kept_with_its_head() {
    for steps in [
        vec![data("slow down")],
        vec![data("slow"), data(""), Step::Wait(30 * MS), data(" down")],
        vec![data("slow "), data("do"), data("wn"), Step::Trailers],
    ] {
        let (body, alive) = Script::new(steps);
        let kept = KeepBody::new().keep(throttled(body)).await.unwrap();
        assert_eq!(
            Arc::strong_count(&alive),
            1,
            "the body that was read is gone"
        );
        assert_eq!(
            (kept.status().as_u16(), &kept.headers()["retry-after"]),
            (429, &HeaderValue::from(7))
        );
        assert!(kept.headers().contains_key("content-length"));
        assert!(kept.extensions().get::<BodyNotKept>().is_none());
        assert_eq!(text(kept).await, "slow down");
    }
}

/// What cannot be read in bounds is dropped, and the head says nothing wrong of it.
#[tokio::test(start_paused = true)]
async fn of_a_body_that_is_long_slow_broken_or_a_stream_the_head_is_kept() {
    let cap = |bytes: usize| Step::Data(vec![b'x'; bytes]);
    for (steps, longest) in [
        (vec![cap(64 * 1024 + 1)], 0),
        (vec![cap(64 * 1024), cap(1)], 0),
        (vec![data("a"), Step::Never], 50),
        (vec![Step::Wait(51 * MS), data("a")], 50),
        (
            vec![
                data("a"),
                Step::Wait(30 * MS),
                data("b"),
                Step::Wait(30 * MS),
            ],
            50,
        ),
        (vec![data("a"), Step::Fail], 0),
    ] {
        let (body, alive) = Script::new(steps.clone());
        let start = Instant::now();
        let kept = KeepBody::new().keep(throttled(body)).await.unwrap();
        assert_eq!(Instant::now() - start, longest * MS, "{steps:?}");
        assert_eq!(Arc::strong_count(&alive), 1, "dropped");
        assert_eq!(kept.headers().len(), 1, "{:?}", kept.headers());
        assert_eq!(kept.extensions().get(), Some(&BodyNotKept));
        assert_eq!(text(kept).await, "");
    }
    let (body, alive) = Script::new([data("data: 1\n\n")]);
    let mut events = throttled(body);
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    events.headers_mut().insert("content-type", kind);
    let keeping = KeepBody::new().keep(events);
    assert_eq!(Arc::strong_count(&alive), 1, "dropped at once");
    assert!(
        keeping
            .await
            .unwrap()
            .extensions()
            .get::<BodyNotKept>()
            .is_some()
    );
    let (mut body, alive) = Script::new([Step::Never]);
    body.announced = Some(64 * 1024 + 1);
    let keeping = KeepBody::new().keep(throttled(body));
    assert_eq!(Arc::strong_count(&alive), 1, "as it announces");
    drop(keeping);
}

/// A reader that goes on beyond the deadline loses what it has.
#[tokio::test(start_paused = true)]
async fn reading_ends_before_the_deadline() {
    for (left, took) in [(30, 29), (51, 50), (500, 50), (1, 0), (0, 0)] {
        let (body, alive) = Script::new([data("ab"), Step::Never]);
        let start = Instant::now();
        let keeping = KeepBody::new().keep_until(throttled(body), Some(start + left * MS));
        let kept = keeping.await.unwrap();
        assert_eq!(Instant::now() - start, took * MS);
        assert_eq!(
            (kept.status(), Arc::strong_count(&alive)),
            (StatusCode::TOO_MANY_REQUESTS, 1)
        );
        assert_eq!(kept.extensions().get(), Some(&BodyNotKept));
    }
    // What is there already is kept, however late it is.
    let (body, _) = Script::new([data("ab")]);
    let keeping = KeepBody::new().keep_until(throttled(body), Some(Instant::now()));
    assert_eq!(text(keeping.await.unwrap()).await, "ab");
}

#[tokio::test(start_paused = true)]
async fn bounds_are_settings() {
    let keeper = KeepBody::new().with_cap(3).with_timeout(5 * MS).unwrap();
    assert_eq!((keeper.cap(), keeper.timeout()), (3, 5 * MS));
    let kept = |steps: Vec<Step>| keeper.keep(throttled(Script::new(steps).0));
    let whole = kept(vec![data("abc")]).await.unwrap();
    assert_eq!(text(whole).await, "abc");
    let long = kept(vec![data("abcd")]).await.unwrap();
    assert!(long.extensions().get::<BodyNotKept>().is_some());
    let slow = kept(vec![Step::Wait(6 * MS)]).await.unwrap();
    assert!(slow.extensions().get::<BodyNotKept>().is_some());
    let heads = KeepBody::new().with_cap(0);
    let empty = heads.keep(throttled(Script::new([]).0)).await.unwrap();
    assert!(empty.extensions().get::<BodyNotKept>().is_none());
    let error = KeepBody::new().with_timeout(10_001 * MS).unwrap_err();
    assert_eq!(
        (error.field(), error.accepted()),
        ("timeout", "at most 10s")
    );
}

#[tokio::test]
async fn the_mark_is_an_extension() {
    let mut response = throttled(Full::<Bytes>::default());
    let rejection = Rejection::new(Reason::Paused, "vendor");
    KeepBody::new().mark(&mut response, rejection);
    assert_eq!(response.extensions().get(), Some(&rejection));
}

/// A permit, given back when its call is over.
struct Permit(Arc<()>);

impl Complete for Permit {
    fn complete(self, _: Outcome) {
        drop(self.0);
    }
}

/// A kept response must not make the next attempt wait for the permit that it holds.
#[tokio::test(start_paused = true)]
async fn what_a_body_holds_is_free_when_its_response_is_kept() {
    for (steps, whole) in [
        (vec![data("a")], true),
        (vec![data("a"), Step::Never], false),
    ] {
        let held = Arc::new(());
        let permit = Permit(Arc::clone(&held));
        let outcome = Outcome::Ignored;
        let response = throttled(Script::new(steps).0);
        let guarded = CompleteOnBodyEnd.track_completion(permit, outcome, response);
        assert!(guarded.body().is_held());
        let kept = KeepBody::new().keep(guarded).await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(!kept.body().is_held());
        assert_eq!(text(kept).await, if whole { "a" } else { "" });
    }
}

proptest! {
    /// Whole exactly when it is short enough, in time and unbroken; nothing is lost or added.
    #[test]
    fn a_body_is_kept_whole_or_not_at_all(
        frames in proptest::collection::vec((0_usize..40, 0_u32..30), 0..6),
        broken in any::<bool>(),
        cap in 0_usize..80,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (mut steps, mut whole, mut time) = (Vec::new(), Vec::new(), 0);
        for (nth, (length, wait)) in frames.into_iter().enumerate() {
            if wait > 0 {
                steps.push(Step::Wait(wait * MS));
                time += wait;
            }
            let piece = vec![b'a' + nth as u8; length];
            whole.extend_from_slice(&piece);
            steps.push(Step::Data(piece));
        }
        if broken {
            steps.push(Step::Fail);
        }
        // A body that ends just when the time is over may be kept or not.
        prop_assume!(time != 50);
        let is_kept = !broken && whole.len() <= cap && time < 50;
        let (kept, text) = runtime.block_on(async {
            let (body, _) = Script::new(steps);
            let keeper = KeepBody::new().with_cap(cap);
            let response = keeper.keep(throttled(body)).await.unwrap();
            let kept = response.extensions().get::<BodyNotKept>().is_none();
            (kept, text(response).await)
        });
        prop_assert_eq!(kept, is_kept);
        prop_assert_eq!(&text[..], if is_kept { &whole[..] } else { &[] });
    }
}

/// The bodies of a whole stack around hyper's client, whose own cannot be made of bytes.
type OfStack = GuardedBody<TimedBody<InspectedBody<hyper::body::Incoming>>, Permit>;
assert_impl_all!(OfStack: From<Bytes>);
assert_impl_all!(KeepingBody<OfStack>: Send);
assert_impl_all!(KeepBody: KeepResponse<Response<OfStack>>, Send, Sync, Copy);
