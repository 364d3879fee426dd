//! Looking into bodies without anybody noticing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use seawall_core::{Classify, Outcome, Scope};
use seawall_http::HttpClassifier;
use seawall_http::inspect::{BodyRule, BodyRules, InspectLayer, InspectedBody, Inspector};
use static_assertions::assert_impl_all;
use tower::{Layer, Service, ServiceExt, service_fn};

type Boxed = UnsyncBoxBody<Bytes, &'static str>;
const VERDICT: Outcome = Outcome::QuotaExhausted { renews_in: None };

/// A body of frames: data, `!` for an error, `#` for trailers.
fn frames(frames: &'static [&'static str]) -> Boxed {
    let frame = |text: &&'static str| match *text {
        "!" => Err("broken"),
        "#" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("7"));
            Ok(Frame::trailers(trailers))
        }
        text => Ok(Frame::data(Bytes::from(text))),
    };
    let all: Vec<_> = frames.iter().map(frame).collect();
    StreamBody::new(Frames(all.into_iter())).boxed_unsync()
}

struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;
    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

fn response<B>(content_type: Option<&'static str>, body: B) -> Response<B> {
    let mut response = Response::new(body);
    if let Some(value) = content_type {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert("content-type", value);
    }
    response
}

async fn through<B, I>(layer: InspectLayer<I>, response: Response<B>) -> Response<InspectedBody<B>>
where
    B: Body<Data = Bytes> + Unpin,
    I: Inspector + Clone,
{
    let mut response = Some(response);
    let service =
        service_fn(move |()| std::future::ready(Ok::<_, Infallible>(response.take().unwrap())));
    layer.layer(service).oneshot(()).await.unwrap()
}

fn sees_all(_: &Parts, _: &[u8]) -> Option<Outcome> {
    Some(VERDICT)
}

fn verdict<B>(response: &Response<B>) -> Option<Outcome> {
    response.extensions().get().copied()
}

#[tokio::test]
async fn small_json_is_judged_and_handed_on_unchanged() {
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/problem+json",
    ] {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let inspector = |_: &Parts, body: &[u8]| {
            SEEN.fetch_add(1, Ordering::Relaxed);
            (body == br#"{"a":1}"#).then_some(VERDICT)
        };
        let body = frames(&["{\"a\"", "", ":1", "}", "#"]);
        let response = through(
            InspectLayer::new(7, inspector),
            response(Some(content_type), body),
        )
        .await;
        assert_eq!(verdict(&response), Some(VERDICT), "{content_type}");
        assert_eq!(response.body().size_hint().exact(), Some(7));
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
        assert_eq!(collected.to_bytes(), r#"{"a":1}"#);
    }
}

#[tokio::test]
async fn what_turns_out_to_be_longer_than_the_cap_is_put_back_together() {
    let body = frames(&["1234", "5678", "90", "#"]);
    let response = through(
        InspectLayer::new(6, sees_all),
        response(Some("application/json"), body),
    )
    .await;
    assert_eq!(verdict(&response), None);
    let collected = response.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), "1234567890");
}

#[tokio::test]
async fn what_is_not_small_plain_json_passes_unread() {
    let long = Full::new(Bytes::from("12345678"));
    let cases: [(Option<&'static str>, usize); 6] = [
        (Some("application/json"), 7),
        (Some("text/event-stream"), 99),
        (Some("text/csv"), 99),
        (Some("application/x-ndjson"), 99),
        (Some("json"), 99),
        (None, 99),
    ];
    for (content_type, cap) in cases {
        let response = through(
            InspectLayer::new(cap, sees_all),
            response(content_type, long.clone()),
        )
        .await;
        assert_eq!(verdict(&response), None, "{content_type:?}");
        assert_eq!(response.body().size_hint().exact(), Some(8));
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "12345678"
        );
    }
    let mut packed = response(Some("application/json"), long.clone());
    let gzip = HeaderValue::from_static("gzip");
    packed.headers_mut().insert("content-encoding", gzip);
    assert_eq!(
        verdict(&through(InspectLayer::new(99, sees_all), packed).await),
        None
    );
    let empty = response(Some("application/json"), Empty::<Bytes>::new());
    assert_eq!(
        verdict(&through(InspectLayer::new(99, sees_all), empty).await),
        None
    );
}

#[tokio::test]
async fn without_a_content_type_the_first_byte_decides() {
    let layer = || InspectLayer::new(99, sees_all);
    let object = response(None, frames(&["", " ", "{\"a\"", ":1}"]));
    let object = through(layer(), object).await;
    assert_eq!(verdict(&object), Some(VERDICT));
    let whole = object.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole, " {\"a\":1}");

    let others: [&[&str]; 3] = [&["data: 1", "{}"], &["[{}", "]"], &[" ", "a", "{}"]];
    for parts in others {
        let other = through(layer(), response(None, frames(parts))).await;
        assert_eq!(verdict(&other), None, "{parts:?}");
        assert_eq!(other.body().size_hint().upper(), None, "not read on");
        let whole = other.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole, parts.concat());
    }
    let mut packed = response(None, frames(&["{}"]));
    let gzip = HeaderValue::from_static("gzip");
    packed.headers_mut().insert("content-encoding", gzip);
    assert_eq!(verdict(&through(layer(), packed).await), None);
}

#[tokio::test]
async fn the_choice_of_responses_can_be_changed_but_event_streams_are_never_read() {
    let layer = || InspectLayer::new(99, sees_all).only(|_| true);
    let csv = response(Some("text/csv"), Full::new(Bytes::from("a,b")));
    assert_eq!(verdict(&through(layer(), csv).await), Some(VERDICT));
    let events = response(
        Some("text/event-stream; charset=utf-8"),
        frames(&["data: 1"]),
    );
    assert_eq!(verdict(&through(layer(), events).await), None);
}

#[tokio::test]
async fn a_cap_of_zero_reads_nothing_also_of_unknown_length() {
    let looks = |_: &Parts, _: &[u8]| -> Option<Outcome> { panic!("looked") };
    for body in [frames(&[]), frames(&["{}"])] {
        let response = response(Some("application/json"), body);
        let response = through(InspectLayer::new(0, looks), response).await;
        assert_eq!(response.body().size_hint().upper(), None, "unread");
    }
}

#[tokio::test]
async fn a_body_that_breaks_while_it_is_read_breaks_for_the_caller_at_the_same_point() {
    let body = frames(&["{\"a\"", "!"]);
    let response = through(
        InspectLayer::new(99, sees_all),
        response(Some("application/json"), body),
    )
    .await;
    assert_eq!(verdict(&response), None);
    let mut body = response.into_body();
    assert!(!body.is_end_stream());
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, "{\"a\"");
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_throttle_in_disguise_reaches_the_classifier() {
    let text = r#"{"Information": "Please consider 1 request per second; 25 requests per day."}"#;
    let body = Full::new(Bytes::from(text));
    let throttled = Outcome::Throttled {
        retry_after: Some(Duration::from_secs(1)),
        scope: Scope::Account,
    };
    let rules: BodyRules = [BodyRule::new(throttled).contains("per second")]
        .into_iter()
        .collect();
    let response = through(
        InspectLayer::new(1_024, rules),
        response(Some("application/json"), body),
    )
    .await;
    let judged = HttpClassifier::new().classify(Ok::<_, &std::io::Error>(&response));
    assert_eq!(judged, throttled);
}

#[tokio::test]
async fn a_dropped_call_drops_the_body_that_it_was_reading() {
    struct Stuck(std::sync::Arc<()>);
    impl Body for Stuck {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            assert_eq!(std::sync::Arc::strong_count(&self.0), 2);
            Poll::Pending
        }
    }
    let witness = std::sync::Arc::new(());
    let response = response(
        Some("application/json"),
        Stuck(std::sync::Arc::clone(&witness)),
    );
    {
        let mut call = pin!(through(InspectLayer::new(9, sees_all), response));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(std::sync::Arc::strong_count(&witness), 1);
}

#[tokio::test]
async fn readiness_and_errors_are_the_inner_services() {
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Full<Bytes>>, _>("down") });
    let service = InspectLayer::new(9, sees_all).layer(failing);
    assert_eq!(service.oneshot(Request::new(())).await.unwrap_err(), "down");
}

#[test]
fn responses_that_pass_unread_and_single_frames_allocate_nothing() {
    let silent: fn(&Parts, &[u8]) -> Option<Outcome> = |_, _| None;
    let layer = InspectLayer::new(99, silent);
    let text = Bytes::from_static(b"{}");
    let mut service = layer.layer(service_fn(|response: Response<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    for content_type in ["application/json", "text/plain"] {
        let mut response = Some(response(Some(content_type), Full::new(text.clone())));
        let counted = seawall_testkit::alloc::count(|| {
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut call = pin!(service.call(response.take().unwrap()));
            match call.as_mut().poll(&mut cx) {
                Poll::Ready(read) => response = read.ok().map(|r| r.map(|_| Full::default())),
                Poll::Pending => panic!("pending"),
            }
        });
        assert_eq!(counted.allocations, 0, "{content_type}");
        assert!(response.is_some());
    }
}

assert_impl_all!(InspectedBody<Full<Bytes>>: Send, Sync, Unpin);
assert_impl_all!(InspectLayer<fn(&Parts, &[u8]) -> Option<Outcome>>: Send, Sync, Copy);
