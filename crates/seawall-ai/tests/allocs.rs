//! What the layer allocates: nothing for what is no stream, and per stream, not per event.

mod support;

use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_testkit::alloc::count;
use support::{CHAT_HI, DONE};
use tower::{Layer, Service};

/// A client that responds at once with a body that it was given.
struct Client<B>(Option<Response<B>>);

impl<B> Service<Request<()>> for Client<B> {
    type Response = Response<B>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<B>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(self.0.take().expect("one call")))
    }
}

/// The head, and so many events.
struct Chat(usize);

impl Body for Chat {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        let event = if left == 0 { DONE } else { CHAT_HI };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(event.as_bytes())))))
    }
}

/// Calls and reads all of the body; how often that allocates.
fn allocations<B>(layer: &StreamLayer, response: Response<B>) -> u64
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut client = layer.layer(Client(Some(response)));
    let cx = &mut Context::from_waker(Waker::noop());
    let counts = count(|| {
        let mut call = pin!(client.call(Request::new(())));
        let Poll::Ready(Ok(response)) = call.as_mut().poll(cx) else {
            panic!("it responds at once");
        };
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(cx) {
            assert!(frame.is_ok());
        }
    });
    counts.allocations
}

#[test]
fn what_is_no_stream_costs_no_allocation() {
    let layer = StreamLayer::new("model", StreamConfig::default());
    let json = || {
        let response = Response::builder().header("content-type", "application/json");
        response
            .body(Full::<Bytes>::from("{}"))
            .expect("a response")
    };
    allocations(&layer, json());
    assert_eq!(allocations(&layer, json()), 0);
}

#[test]
fn an_event_of_a_stream_costs_no_allocation() {
    let layer = StreamLayer::new("model", StreamConfig::default());
    let chat = |events| {
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(Chat(events)).expect("a response")
    };
    allocations(&layer, chat(10));
    let few = allocations(&layer, chat(10));
    assert_eq!(allocations(&layer, chat(1_000)), few, "per stream");
    assert!(few <= 12, "{few}");
}
