//! What is particular to HTTP: what a response means, what may be sent again, and when a call is
//! over.
//!
//! Seawall's layers know no protocol. They need to know what a result means for the upstream, what
//! a request is, how it is copied, and when a call is over. With HTTP this is less simple than it
//! looks: a 429 is no failure of the upstream, but a 200 may be a throttle in disguise; a
//! connection that could not be made proves that an order was not sent (unless it was the second
//! one, after a redirect), one that was reset proves nothing; a streamed response is not over when
//! its head is there. This crate has the parts that a [`Policy`] for HTTP is
//! made of, and the layers that only HTTP needs.
//!
//! | question | part |
//! |---|---|
//! | what does this result mean? | [`HttpClassifier`], [`TransportError`], and [`inspect`] for what hides in bodies |
//! | may this request be sent twice, what does it cost? | [`Routes`] |
//! | how is it copied? | [`copy_request`] with a [`ReplayBody`]; bodies of plain data by `Clone` |
//! | when is the call over? | [`CompleteOnBodyEnd`] |
//! | what is kept of a response whose call is tried again? | [`KeepBody`] |
//! | what does a response report about limits and tokens? | [`quota`] |
//! | what may be kept of a response, and for whom? | `cache` (feature `cache`) |
//! | what if a body stalls? | [`body_timeout`] |
//! | what is in a stream of server-sent events? | [`sse`] |
//! | how long may a call take, and how does the other side learn it? | [`deadline`] |
//! | when does each attempt leave, for a layer outside of the stack? | [`NoteDeparture`], [`Departures`] |
//! | how does a server respond to a rejection? | [`RejectionResponseLayer`] |
//! | what sends the request? | hyper-util's client (feature `hyper`), `ReqwestClient` (feature `reqwest`) |
//!
//! `seawall::HttpStack` puts them together. Do without this crate when your protocol is not HTTP;
//! for gRPC see `seawall-grpc`.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Method, Request, Response, StatusCode};
//! use seawall_core::{Classify, Describe, Outcome, Policy, Priority, Replay, RequestMeta};
//! use seawall_http::{CompleteOnBodyEnd, HttpClassifier, KeepBody, ReplayBody, Routes, copy_request};
//!
//! let classifier = HttpClassifier::new().ban_on(StatusCode::FORBIDDEN, Duration::from_secs(300));
//! let routes = Routes::new().route(
//!     Method::DELETE,
//!     "/v2/orders/{id}",
//!     RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH),
//! )?;
//!
//! let cancel: Request<ReplayBody> = Request::delete("/v2/orders/7").body(().into()).unwrap();
//! assert!(routes.describe(&cancel).replay.is_safe());
//! assert!(copy_request(&cancel).is_some());
//!
//! let gone = Response::builder().status(410).body(()).unwrap();
//! let outcome = classifier.classify(Ok::<_, &std::io::Error>(&gone));
//! assert_eq!(outcome, Outcome::Ignored, "a bad request means nothing for the upstream");
//!
//! // For every layer of a stack.
//! let policy = Policy::new()
//!     .classify(classifier)
//!     .describe(routes)
//!     .track_completion(CompleteOnBodyEnd)
//!     .keep(KeepBody::new());
//! # let _ = policy;
//! # Ok::<(), seawall_core::InvalidConfig>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body_timeout;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "chaos")]
#[cfg_attr(docsrs, doc(cfg(feature = "chaos")))]
pub mod chaos;
pub mod deadline;
pub mod inspect;
pub mod quota;
#[cfg(feature = "reqwest-0-12")]
pub mod reqwest_0_12;
pub mod sse;

#[cfg(feature = "connections")]
mod background;
mod classify;
mod completion;
#[cfg(feature = "connections")]
mod connections;
mod copy;
mod decimal;
mod degraded;
mod departure;
#[cfg(feature = "http2")]
mod http2;
#[cfg(any(feature = "cache", feature = "chaos"))]
mod identity;
mod keep;
mod message;
mod receive;
mod replay;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod respond;
mod response;
mod retry_after;
mod routes;
mod server_clock;
mod size_hint;
mod state;
mod transport;
mod transport_error;
mod wait_bounds;

#[cfg(feature = "connections")]
pub use background::{Background, BackgroundExecutor};
pub use classify::{ClassifyError, HttpClassifier, TransportErrors};
pub use completion::{BodyEnd, CompleteOnBodyEnd, GuardedBody, JudgeBodyEnd, broken_off};
#[cfg(feature = "connections")]
pub use connections::{LimitConnections, LimitedConnecting, LimitedConnection, LimitedConnector};
pub use copy::{copy_bytes_request, copy_request};
pub use degraded::{DEGRADED, FreshOnly, HttpFresh, HttpMark, HttpReads};
pub use departure::{Departures, NoteDeparture, WatchDeparture};
#[cfg(feature = "http2")]
pub use http2::was_not_processed;
pub use keep::{BodyNotKept, KeepBody, KeepingBody};
pub use message::HttpResponse;
pub use receive::{Receive, ReceiveFuture, ReceiveLayer, ReceivedBody};
pub use replay::{DEFAULT_REPLAY_CAP, ReplayBody, ReplayError};
#[cfg(feature = "reqwest")]
pub use reqwest_client::{
    IntoReqwestBody, ReqwestClient, ReqwestError, ReqwestFuture, reqwest_without_redirects,
};
pub use respond::{
    PlainResponder, RejectionResponder, RejectionResponse, RejectionResponseFuture,
    RejectionResponseLayer,
};
pub use response::{
    MAX_RETRY_AFTER, ORDER_REFERENCE, rejection_response, retry_after_seconds, should_retry,
    status_of,
};
pub use retry_after::{LONGEST_BAN, LONGEST_WAIT, retry_after};
pub use routes::{Routes, is_idempotent};
#[doc(hidden)]
pub use state::Bypass;
pub use state::{LayerSnapshot, LayerState};
pub use transport::outcome_of;
pub use transport_error::TransportError;

#[doc(no_inline)]
pub use seawall_core::{
    ConstMeta, Error, FailureKind, InvalidConfig, LayerExt, Outcome, Policy, Priority, Reason,
    Registry, Rejection, Replay, RequestMeta, WrapErrorLayer, assert_service, find_rejection,
    rejectable,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
