//! What is particular to clients of AI APIs.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use seawall_ai::ErrorTable;
use seawall_ai::stream::{StreamBody, StreamConfig, StreamLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::http::{Client, GET, http};
use super::{Subject, until_ready};

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        http("seawall/ai/no-stream", GET, || streams().layer(Client)),
        // Of a stream that has begun: one event of each dialect, a frame each.
        Subject::function("seawall/ai/event-chat", || event(CHAT)),
        Subject::function("seawall/ai/event-message", || event(MESSAGE)),
        Subject::function("raw/ai/event-chat", || {
            let mut body = Endless(CHAT);
            move |_| next(&mut body)
        }),
        Subject::function("seawall/ai/classify", || {
            let table = ErrorTable::compatible();
            let headers = HeaderMap::new();
            move |_| {
                let status = StatusCode::TOO_MANY_REQUESTS;
                black_box(table.classify(status, &headers, black_box(LIMITED))).may_retry()
            }
        }),
    ]
}

const CHAT: &str = "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\"model\":\"gpt-5\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" supports\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const MESSAGE: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" supports\"}}\n\n";
const LIMITED: &[u8] = br#"{"error":{"message":"Rate limit reached for gpt-5 in organization org-6 on tokens per min (TPM): Limit 30000, Used 18928, Requested 11159. Please try again in 174ms.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;

fn streams() -> StreamLayer {
    let config = StreamConfig::builder().max_bytes(u64::MAX).build();
    StreamLayer::new("bench", config.expect("valid"))
}

/// Reads a stream of nothing but this event, one per call.
fn event(text: &'static str) -> impl FnMut(u64) -> bool + Clone + Send + 'static {
    let mut stream = Begun::new(text);
    move |_| stream.next()
}

/// A stream that has begun; a clone is another one.
struct Begun {
    text: &'static str,
    body: StreamBody<Endless>,
}

impl Begun {
    fn new(text: &'static str) -> Self {
        let mut cx = Context::from_waker(Waker::noop());
        let mut service = streams().layer(Streams(text));
        let mut call = pin!(service.call(Request::new(())));
        let response = until_ready(|| call.as_mut().poll(&mut cx));
        let body = response.expect("a stream").into_body();
        Self { text, body }
    }

    fn next(&mut self) -> bool {
        next(&mut self.body)
    }
}

impl Clone for Begun {
    fn clone(&self) -> Self {
        Self::new(self.text)
    }
}

#[inline(always)]
fn next<B: Body + Unpin>(body: &mut B) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let frame = until_ready(|| Pin::new(&mut *body).poll_frame(&mut cx));
    black_box(frame).is_some_and(|frame| frame.is_ok())
}

/// Responds with a stream without an end.
struct Streams(&'static str);

impl Service<Request<()>> for Streams {
    type Response = Response<Endless>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Endless>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let response = Response::builder().header("content-type", "text/event-stream");
        ready(Ok(response.body(Endless(self.0)).expect("valid")))
    }
}

#[derive(Clone)]
struct Endless(&'static str);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = black_box(self.0);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(event.as_bytes())))))
    }
}
