//! A client whose responses follow a script, and streams as the providers send them.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of several test crates")]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use seawall_ai::stream::{
    CallError, StreamBody, StreamConfig, StreamConfigBuilder, StreamError, StreamLayer,
};
use tokio::time::Sleep;
use tower::{Layer, ServiceExt, service_fn};

pub const SECOND: Duration = Duration::from_secs(1);

/// What a body does next.
#[derive(Clone, Debug)]
pub enum Step {
    Data(Bytes),
    Wait(Duration),
    /// The connection breaks off.
    Break,
    /// Nothing comes any more.
    Hang,
    Trailers,
}

pub fn data(text: impl Into<Bytes>) -> Step {
    Step::Data(text.into())
}

/// A body that follows a script. How many there are is counted.
pub struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    open: Arc<AtomicUsize>,
}

impl Script {
    pub fn new(steps: &[Step], open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            steps: steps.iter().cloned().collect(),
            sleep: None,
            open: Arc::clone(open),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            return match self.steps.pop_front() {
                Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Wait(wait)) => {
                    self.sleep = Some(Box::pin(tokio::time::sleep(wait)));
                    continue;
                }
                Some(Step::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    Poll::Pending
                }
                Some(Step::Trailers) => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-end", http::HeaderValue::from_static("yes"));
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
                None => Poll::Ready(None),
            };
        }
    }
}

/// How a call went.
#[derive(Debug)]
pub enum Went {
    /// The status, and all of the body.
    Well(u16, String),
    /// There was no response.
    NoResponse(StreamError),
    /// What came of the body, and its error.
    BrokeOff(String, StreamError),
}

impl Went {
    pub fn well(self) -> String {
        match self {
            Self::Well(200, text) => text,
            other => panic!("{other:?}"),
        }
    }

    pub fn status(self) -> (u16, String) {
        match self {
            Self::Well(status, text) => (status, text),
            other => panic!("{other:?}"),
        }
    }

    pub fn no_response(self) -> StreamError {
        match self {
            Self::NoResponse(error) => error,
            other => panic!("{other:?}"),
        }
    }

    pub fn broke_off(self) -> (String, StreamError) {
        match self {
            Self::BrokeOff(text, error) => (text, error),
            other => panic!("{other:?}"),
        }
    }
}

/// One call of a client with this script, with the content type of a stream.
pub async fn call(layer: &StreamLayer, steps: Vec<Step>) -> Went {
    let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
    call_with(layer, response, steps).await
}

pub async fn call_with(
    layer: &StreamLayer,
    response: http::response::Builder,
    steps: Vec<Step>,
) -> Went {
    let open = Arc::new(AtomicUsize::new(0));
    let body = Script::new(&steps, &open);
    let response = Mutex::new(Some(response.body(body).expect("a response")));
    let client = layer.layer(service_fn(|_: Request<()>| async {
        let response = response.lock().expect("no panic").take();
        Ok::<_, io::Error>(response.expect("one call"))
    }));
    let went = match client.oneshot(Request::new(())).await {
        Ok(response) => read(response).await,
        Err(CallError::Stream(error)) => Went::NoResponse(error),
        Err(CallError::Client(error)) => panic!("{error}"),
    };
    assert_eq!(open.load(Ordering::Relaxed), 0, "the connection is closed");
    went
}

pub async fn read<B>(response: Response<StreamBody<B>>) -> Went
where
    StreamBody<B>: Body<Data = Bytes, Error = StreamError> + Unpin,
{
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    loop {
        match body.frame().await {
            None => return Went::Well(status, String::from_utf8_lossy(&text).into_owned()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    text.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => {
                assert!(body.frame().await.is_none(), "nothing follows an error");
                return Went::BrokeOff(String::from_utf8_lossy(&text).into_owned(), error);
            }
        }
    }
}

pub fn with(build: impl FnOnce(StreamConfigBuilder) -> StreamConfigBuilder) -> StreamLayer {
    let config = build(StreamConfig::builder()).build().expect("valid");
    StreamLayer::new("model", config)
}

pub fn layer() -> StreamLayer {
    StreamLayer::new("model", StreamConfig::default())
}

// Streams as the providers document them.

pub const CHAT_ROLE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
pub const CHAT_HI: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
pub const CHAT_STOP: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub const CHAT_USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";
pub const CHAT_ERROR: &str = "data: {\"error\":{\"message\":\"The server had an error while processing your request\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

pub const RESPONSE_CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"error\":null,\"output\":[]}}\n\n";
pub const RESPONSE_IN_PROGRESS: &str = "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"error\":null}}\n\n";
pub const RESPONSE_ITEM: &str = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n";
pub const RESPONSE_HI: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\"}\n\n";
pub const RESPONSE_COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"error\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
pub const RESPONSE_INCOMPLETE: &str = "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"resp_1\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}}}\n\n";
pub const RESPONSE_FAILED: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached\"}}}\n\n";
pub const RESPONSE_ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_is_overloaded\",\"message\":\"The server is overloaded\",\"param\":null,\"sequence_number\":1}\n\n";

pub const MESSAGE_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
pub const BLOCK_START: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
pub const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
pub const MESSAGE_HI: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
pub const BLOCK_STOP: &str =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
pub const MESSAGE_DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}}\n\n";
pub const MESSAGE_STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
pub const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

pub const CHAT: &[&str] = &[CHAT_ROLE, CHAT_HI, CHAT_STOP, CHAT_USAGE, DONE];
pub const RESPONSES: &[&str] = &[
    RESPONSE_CREATED,
    RESPONSE_IN_PROGRESS,
    RESPONSE_ITEM,
    RESPONSE_HI,
    RESPONSE_COMPLETED,
];
pub const MESSAGES: &[&str] = &[
    MESSAGE_START,
    BLOCK_START,
    PING,
    MESSAGE_HI,
    BLOCK_STOP,
    MESSAGE_DELTA,
    MESSAGE_STOP,
];

/// What each dialect sends before and with its first content, and what it ends with.
pub struct Sample {
    pub before: &'static [&'static str],
    pub content: &'static str,
    pub end: &'static [&'static str],
}

pub const SAMPLES: &[Sample] = &[
    Sample {
        before: &[CHAT_ROLE],
        content: CHAT_HI,
        end: &[CHAT_STOP, CHAT_USAGE, DONE],
    },
    Sample {
        before: &[RESPONSE_CREATED, RESPONSE_IN_PROGRESS, RESPONSE_ITEM],
        content: RESPONSE_HI,
        end: &[RESPONSE_COMPLETED],
    },
    Sample {
        before: &[MESSAGE_START, BLOCK_START, PING],
        content: MESSAGE_HI,
        end: &[BLOCK_STOP, MESSAGE_DELTA, MESSAGE_STOP],
    },
];

pub fn steps(events: &[&'static str]) -> Vec<Step> {
    events.iter().map(|event| data(*event)).collect()
}
