//! Limits on how long the body of a response may take.
//!
//! A model that streams its response has sent its "200" long before anything else. Then it may
//! stall forever, with the connection open: the attempt timeout ended with the head, and the
//! bulkhead permit that is kept [until the body ends](crate::CompleteOnBodyEnd) is never given
//! back. [`BodyTimeoutLayer`] ends such a response with an error.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use seawall_core::{WrapErrorLayer, Reason, find_rejection};
//! use seawall_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # use std::pin::Pin; use std::task::{Context, Poll};
//! /// Sends one word and stalls.
//! struct Stalls(Option<Bytes>);
//! # impl http_body::Body for Stalls {
//! #     type Data = Bytes;
//! #     type Error = std::io::Error;
//! #     fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>)
//! #         -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
//! #         match self.0.take() {
//! #             Some(word) => Poll::Ready(Some(Ok(http_body::Frame::data(word)))),
//! #             None => Poll::Pending,
//! #         }
//! #     }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = BodyTimeoutConfig::builder()
//!     .first_byte(Duration::from_secs(60))
//!     .idle(Duration::from_secs(20))
//!     .total(Duration::from_secs(600))
//!     .build()?;
//! let mut model = ServiceBuilder::new()
//!     // bulkhead and breaker with `.track_completion(CompleteOnBodyEnd)` go here
//!     .layer(BodyTimeoutLayer::new("anthropic", limits))
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, std::io::Error>(Response::new(Stalls(Some(Bytes::from("The")))))
//!     }));
//!
//! let mut body = model.ready().await?.call(Request::new(())).await?.into_body();
//! assert_eq!(body.frame().await.unwrap()?.into_data().unwrap(), "The");
//! let error = body.frame().await.unwrap().unwrap_err();
//! assert_eq!(find_rejection(&error).unwrap().reason(), Reason::BodyTimeout);
//! assert!(body.frame().await.is_none(), "and the connection is closed");
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! | limit | counts from | to | while the reader does not read |
//! |---|---|---|---|
//! | [`first_byte`](BodyTimeoutConfigBuilder::first_byte) | the call's first poll, including the wait for the head | the first byte of the body | runs |
//! | [`idle`](BodyTimeoutConfigBuilder::idle) | the first time a reader finds nothing to read | the next data or trailers | does not run: the reader is slow, not the upstream |
//! | [`total`](BodyTimeoutConfigBuilder::total) | the head of the response | the end of the body | runs |
//! | [`within_deadline`](BodyTimeoutConfigBuilder::within_deadline) | | the deadline of the request | runs |
//!
//! A body reads the clock when it has nothing to read, and with a limit on its total time also per
//! frame, so that an upstream which sends forever is cut off as well. A timer is armed when there
//! is nothing to read, and left alone while data comes: when it fires too early, it is reset. So a
//! stream of ten thousand frames sets its timer once per idle time and not once per frame. The
//! timer is boxed, once per body that has to wait at all, so that bodies can be moved.
//!
//! The comment lines by which servers keep event streams alive (`: ping`) are data as well.
//!
//! [`BodyTimeoutHandle::configure`] changes the limits of responses that begin afterwards.
//!
//! # Errors
//!
//! The error of the body becomes a [`seawall_core::Error`]: its own, or a
//! [`Rejection`](seawall_core::Rejection), which is found through `source()`. Its reason is
//! [`BodyTimeout`](seawall_core::Reason::BodyTimeout),
//! or [`DeadlineExceeded`](seawall_core::Reason::DeadlineExceeded) where the request's deadline
//! was the limit. A call that has no head within the time to the first byte fails itself, with
//! [`AttemptTimeout`](seawall_core::Reason::AttemptTimeout). After the error a body has ended, and
//! the inner body, with its connection, was dropped before the reader sees it.
//!
//! # Readiness
//!
//! Readiness is the inner service's.
//!
//! # Cancellation
//!
//! Future and body can be dropped at any time; the timer goes with them, and nothing is counted.
//! A body that nobody reads does not time out: it has no task of its own. Read every body, or drop
//! it.
//!
//! # Ordering
//!
//! Next to the client, where the attempt timeout is: inside of every layer that keeps something
//! [until the body ends](crate::CompleteOnBodyEnd). These see the error, count it as a failure
//! ([`FailureKind::Body`](seawall_core::FailureKind::Body)), and give the permit back. Outside of
//! them it gives the permit back as well, but the call counts as its head.

mod body;
mod config;
mod future;
mod handle;
mod head;
mod layer;
mod limit;
mod state;
mod watch;

pub use body::TimedBody;
pub use config::{BodyTimeoutConfig, BodyTimeoutConfigBuilder};
pub use future::BodyTimeoutFuture;
pub use handle::{BodyTimeoutHandle, BodyTimeoutSnapshot};
pub(crate) use head::HeadTimer;
pub use layer::{BodyTimeout, BodyTimeoutLayer};
pub use state::BodyTimeoutCounts;
