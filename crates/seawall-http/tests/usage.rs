//! Bodies that report how many tokens were used.
#![cfg(feature = "usage")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;
use seawall_http::inspect::{BodyRules, InspectLayer};
use seawall_http::quota::Usage;
use seawall_http::quota::{MeteredBody, UsageReader};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Report = fn(Option<Usage>);
assert_impl_all!(MeteredBody<Full<Bytes>, Report>: Send, Sync, Unpin, From<Bytes>, Default);
assert_not_impl_any!(MeteredBody<Full<Bytes>, Box<dyn FnOnce(Option<Usage>)>>: Send);
assert_impl_all!(UsageReader: Send, Sync, Unpin);

const START: &str = "data: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "data: {\"usage\":{\"output_tokens\":15}}\n\n";

/// What the function was called with, call by call.
type Reported = Rc<RefCell<Vec<Option<Usage>>>>;

/// A body with one step after another, whose end is not announced.
struct Script(VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Script {
    fn of(pieces: &[&'static str]) -> Self {
        let data = |piece: &&'static str| Ok(Frame::data(Bytes::from(*piece)));
        Self(pieces.iter().map(data).collect())
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn metered<B: Body>(body: B) -> (MeteredBody<B, impl FnOnce(Option<Usage>)>, Reported) {
    let reported = Reported::default();
    let report = Rc::clone(&reported);
    (
        MeteredBody::new(body, move |usage| report.borrow_mut().push(usage)),
        reported,
    )
}

fn poll<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn at_the_end_of_a_stream_its_usage_is_reported_once_and_the_stream_is_unchanged() {
    let mut script = Script::of(&[START, DELTA]);
    script.0.push_back(Ok(Frame::trailers(HeaderMap::new())));
    let (body, reported) = metered(script);
    let collected = body.collect().await.unwrap();
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), [START, DELTA].concat());
    assert_eq!(*reported.borrow(), [Some(Usage::new(25, 15))]);
}

#[test]
fn a_body_that_breaks_off_reports_what_was_read_until_then() {
    let mut script = Script::of(&[START]);
    script.0.push_back(Err("broken"));
    let (mut body, reported) = metered(script);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    assert_eq!(body.usage(), Some(Usage::new(25, 1)));
    assert!(reported.borrow().is_empty());
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err("broken")))));
    assert_eq!(*reported.borrow(), [Some(Usage::new(25, 1))]);
    drop(body);
    assert_eq!(reported.borrow().len(), 1, "once");
}

#[test]
fn a_body_that_is_dropped_reports_what_was_read_of_it() {
    let (mut body, reported) = metered(Script::of(&[START, DELTA]));
    assert!(poll(&mut body).is_ready());
    drop(body);
    assert_eq!(*reported.borrow(), [Some(Usage::new(25, 1))]);
    let (body, reported) = metered(Script::of(&[START]));
    drop(body);
    assert_eq!(*reported.borrow(), [None], "never read");
}

#[test]
fn a_reader_that_stops_at_the_announced_end_is_enough() {
    let json = r#"{"usage":{"prompt_tokens":9,"completion_tokens":12}}"#;
    let (mut body, reported) = metered(Full::<Bytes>::from(json));
    assert_eq!(body.size_hint().exact(), Some(json.len() as u64));
    assert!(poll(&mut body).is_ready());
    assert!(body.is_end_stream());
    assert_eq!(*reported.borrow(), [Some(Usage::new(9, 12))]);
    let (_body, reported) = metered(Empty::<Bytes>::new());
    assert_eq!(*reported.borrow(), [None], "there is nothing to wait for");
}

#[tokio::test]
async fn only_complete_json_bodies_within_the_cap_put_their_usage_into_the_extensions() {
    let json = r#"{"usage":{"prompt_tokens":9,"completion_tokens":12}}"#;
    let usage = async |cap, kind: &'static str, metered| {
        let layer = InspectLayer::new(cap, BodyRules::default());
        let layer = if metered { layer.with_usage() } else { layer };
        let client =
            ServiceBuilder::new()
                .layer(layer)
                .service(service_fn(move |_: Request<()>| {
                    let response = Response::builder().header("content-type", kind);
                    let response = response.body(Full::<Bytes>::from(json)).unwrap();
                    std::future::ready(Ok::<_, Infallible>(response))
                }));
        let response = client.oneshot(Request::new(())).await.unwrap();
        let usage = response.extensions().get::<Usage>().copied();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            json
        );
        usage
    };
    let read = Some(Usage::new(9, 12));
    assert_eq!(usage(1_024, "application/json", true).await, read);
    assert_eq!(usage(1_024, "application/json", false).await, None);
    assert_eq!(usage(10, "application/json", true).await, None);
    assert_eq!(usage(1_024, "text/event-stream", true).await, None);
}

#[test]
fn reading_a_long_response_keeps_none_of_it() {
    let mut reader = UsageReader::new();
    let piece = vec![b'x'; 1 << 16];
    let counted = seawall_testkit::alloc::count(|| {
        reader.push(b"{\"choices\":[{\"text\":\"");
        for _ in 0..100 {
            reader.push(&piece);
        }
        reader.push(b"\"}]");
    });
    assert_eq!(counted.allocations, 0);
    reader.push(b",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}");
    assert_eq!(reader.finish(), Some(Usage::new(1, 2)));
}

proptest! {
    #[test]
    fn however_it_ends_it_is_reported_once(pieces in 0..4_usize, polls in 0..6_usize, fail: bool) {
        let mut script = Script::of(&[START, DELTA, DELTA, "\n"][..pieces]);
        if fail {
            script.0.push_back(Err("broken"));
        }
        let (mut body, reported) = metered(script);
        for _ in 0..polls {
            let _ = poll(&mut body);
        }
        drop(body);
        let reported = reported.borrow();
        prop_assert_eq!(reported.len(), 1);
        let read = [None, Some(Usage::new(25, 1)), Some(Usage::new(25, 15))];
        prop_assert_eq!(reported[0], read[pieces.min(polls).min(2)]);
    }
}
