//! Streams that have something in them, in time and to their end.
//!
//! A model that streams its response has sent its "200" long before it is known whether there will be
//! any. Then it reports in an event that it is overloaded, sends pings and nothing else, or the
//! connection ends in the middle of a word, which looks like the end. [`StreamLayer`] stands right
//! around the HTTP client and reads the stream as it passes. Whatever fails before the first content is
//! a failed attempt, which the retry of the stack above repeats, and the caller sees none of it.
//! Whatever fails later is an error of the body, and never a clean end.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use seawall_ai::stream::{StreamConfig, StreamErrorKind, StreamLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = StreamLayer::new("openai", StreamConfig::default());
//! # let respond = |text: &'static str| {
//! #     let response = Response::builder().header("content-type", "text/event-stream");
//! #     response.body(Full::<Bytes>::from(text)).expect("a response")
//! # };
//! // Above it, `seawall::provider("openai")?.build()?` as one more layer.
//! let client = layer.layer(service_fn(move |request: Request<()>| async move {
//!     Ok::<_, std::convert::Infallible>(match request.uri().path() {
//!         "/overloaded" => respond("data: {\"error\":{\"code\":\"server_is_overloaded\"}}\n\n"),
//!         _ => respond("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n"),
//!     })
//! }));
//!
//! // An error before any content is the response that it would have been.
//! let request = Request::get("/overloaded").body(())?;
//! let response = client.clone().oneshot(request).await?;
//! assert_eq!(response.status(), 503);
//!
//! // A stream that ends without `[DONE]` has not ended well.
//! let response = client.oneshot(Request::get("/cut").body(())?).await?;
//! let mut body = response.into_body();
//! assert!(body.frame().await.expect("the content").is_ok());
//! let error = body.frame().await.expect("and then").unwrap_err();
//! assert_eq!(error.kind(), StreamErrorKind::CutOff);
//! assert_eq!(error.delivered().contents, 1);
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! A response that means success and whose content type is `text/event-stream` is read as a stream, in
//! one of the [dialects](Dialect); the others pass, but for the limits of bytes and of time in total.
//!
//! Until there is content, the head of a stream is held back, with what came of its body. Pings,
//! comments, `response.created`, `message_start`, deltas that have a role and no text: all that is no
//! content. What comes next decides:
//!
//! | before the first content | the call |
//! |---|---|
//! | content, or the final event of a response without content | has a response, with all that was held back |
//! | an event that reports an error | has the response that the API would have sent, had it known: the status of the [class](crate::ErrorClass), the error as its body of JSON, and the other headers as they were |
//! | the stream ends or breaks off, an event is no JSON, the time is over | has an error |
//! | more than [`held_bytes`](StreamConfigBuilder::held_bytes) or [`held_events`](StreamConfigBuilder::held_events) | has a response: what is wrong later is an error of its body |
//!
//! Two responses that are no streams are errors as well: a page of HTML with a status of success, and a
//! 200 with nothing in it. The head of a 200 whose body does not announce its length is held back until
//! there is something in it.
//!
//! After the first content every frame is passed on as it came, and nothing is sent again or elsewhere:
//! an error is one of the body, behind all that came before it. An end is clean only after the final
//! event.
//!
//! | limit | counts from | to | while the reader does not read |
//! |---|---|---|---|
//! | [`first_content`](StreamConfigBuilder::first_content) | the call's first poll, including the wait for the head | the first content; of what is no stream, the head, and the first byte of a 200 that does not announce its length | runs |
//! | [`between_contents`](StreamConfigBuilder::between_contents) | the first time a reader finds nothing to read after content | the next content, or a step that was done (see [`Dialect`]) | does not run: the reader is slow, not the provider |
//! | [`total`](StreamConfigBuilder::total) | the call's first poll | the end of the body | runs |
//!
//! Events are parsed in the memory of one parser per stream, so that an event costs no allocation and
//! what is no stream costs none at all. At most `held_bytes` and one event are kept. A timer is armed
//! when there is nothing to read, and left alone while data comes.
//!
//! A stream that is compressed is not read, but passes with the limits of any body: decompress it below.
//!
//! [`StreamHandle::configure`] changes the settings of calls that begin afterwards.
//!
//! # Errors
//!
//! The error of a call is a [`CallError`]: the client's own, or a [`StreamError`]. That is also the error
//! of the body. It has the kind, the class, which event was expected and how much came before, and, where
//! the API has reported an error, that as it came. A limit of time is a
//! [`Rejection`](seawall_core::Rejection) in the chain of its sources, so that
//! [`find_rejection`](seawall_core::find_rejection) finds it. Both are
//! [`TransportError`](seawall_http::TransportError)s, so that an `HttpStack` classifies them: a stream
//! that broke off is a failure, and one that is late is of unknown outcome, since it may be billed.
//! After an error a body has ended, and the connection was closed before the reader sees it.
//!
//! # Readiness
//!
//! Readiness is the client's.
//!
//! # Cancellation
//!
//! Future and body can be dropped at any time: connection, timer and what is held go with them, and
//! nothing is counted. A body that nobody reads does not time out: it has no task of its own. Read
//! every body, or drop it.
//!
//! # Ordering
//!
//! Right around the client, below every layer that retries, classifies, or keeps something
//! [until the body ends](seawall_http::CompleteOnBodyEnd): these see a failed attempt before the
//! first content, and the failure of a body after it, and give the permit back then. The attempt timeout
//! of the stack above covers the wait for the first content: it must allow as much.

mod body;
mod config;
mod dialect;
mod error;
mod future;
mod gap;
mod handle;
mod layer;
mod reader;
mod skim;
mod state;
mod streaming;
mod timer;

pub use body::StreamBody;
pub use config::{StreamConfig, StreamConfigBuilder};
pub use dialect::Dialect;
pub use error::{CallError, Delivered, StreamError, StreamErrorKind};
pub use future::StreamFuture;
pub use handle::{StreamHandle, StreamSnapshot};
pub use layer::{StreamLayer, StreamService};
pub use state::StreamCounts;
