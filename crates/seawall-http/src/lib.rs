//! What is particular to HTTP: what an answer means, what may be sent again, and when a call is
//! over.
//!
//! Seawall's layers know no protocol. They ask what a result says about the upstream, what a
//! request is, how to copy it, and how long a call holds its place; with HTTP the right answers
//! are less simple than they look. A 429 is no failure of the upstream, but a 200 may be a
//! throttle in disguise; a connection that could not be made proves that an order was not sent
//! (unless it was the second one, after a redirect), one that was reset proves nothing; a streamed answer is not over when its head is there. This
//! crate has these answers as values that plug into the layers.
//!
//! | question of a layer | answer |
//! |---|---|
//! | what does this result say? | [`HttpClassifier`], [`TransportError`], and [`inspect`] for what hides in bodies |
//! | how long does it ask to wait? | [`retry_after()`]; what could not be read is counted in [`unreadable_retry_after`] |
//! | what does it say of limits, and of tokens? | [`RateLimitHeaders`], [`HttpFeedback`], and [`quota`] for token usage in bodies |
//! | may this request be sent twice, what does it cost, when is it too late? | [`Routes`], [`RequestDeadline`] |
//! | how is it copied? | [`copy_request`] with a [`ReplayBody`], [`copy_bytes_request`] |
//! | when is the call over? | [`CompleteOnBodyEnd`], [`GuardedBody`] |
//! | what if the body stalls? | [`BodyTimeoutLayer`] |
//! | how long may it take, and how does the other side learn it? | [`RequestTimeout`], [`RequestDeadline`], [`WriteDeadlineLayer`], [`ReadDeadlineLayer`] |
//! | how is a rejection answered in a server? | [`RejectionResponseLayer`], [`rejection_response`], [`status_of`] |
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Method, Request, Response, StatusCode};
//! use seawall_core::{Classify, Describe, RequestMeta, Outcome, Priority, Replay};
//! use seawall_http::{HttpClassifier, ReplayBody, Routes, copy_request};
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
//! assert_eq!(outcome, Outcome::Ignored, "a bad request says nothing about the upstream");
//! # Ok::<(), seawall_core::InvalidConfig>(())
//! ```
//!
//! # Features
//!
//! * `hyper`: tells errors of `hyper` and `hyper-util`'s legacy client apart by whether the
//!   request left.
//! * `connections`: a limit for the connections of hyper-util's client, [`LimitConnections`].
//! * `reqwest`: the same for `reqwest`, whose redirects must be off to prove anything; see
//!   [`TransportError`].
//! * `usage`: reads from the bodies of AI answers how many tokens they have used; see [`quota`].

pub mod body_timeout;
pub mod deadline;
pub mod inspect;
pub mod quota;

mod answer;
mod answered;
mod classify;
#[cfg(feature = "connections")]
mod connections;
mod copy;
mod guarded;
mod replay;
mod retry_after;
mod routes;
mod transport;

pub use answer::{rejection_response, status_of};
pub use answered::{RejectionResponse, RejectionResponseFuture, RejectionResponseLayer};
pub use body_timeout::{
    BodyLimit, BodyTimeout, BodyTimeoutConfig, BodyTimeoutHandle, BodyTimeoutLayer, TimedBody,
};
pub use classify::{ClassifyError, HttpClassifier, TransportErrors};
#[cfg(feature = "connections")]
pub use connections::{LimitConnections, LimitedConnecting, LimitedConnection, LimitedConnector};
pub use copy::{copy_bytes_request, copy_request};
pub use deadline::{
    DeadlineFormat, DeadlineHeader, DeadlineRead, ReadDeadline, ReadDeadlineHandle,
    ReadDeadlineLayer, RequestTimeout, WriteDeadline, WriteDeadlineLayer, deadline_of,
    read_deadline, request_timeout, write_deadline,
};
pub use guarded::{CompleteOnBodyEnd, GuardedBody};
pub use inspect::{InspectLayer, InspectedBody};
pub use quota::{HttpFeedback, RateLimitHeaders, TokenEstimate, Usage};
pub use replay::{DEFAULT_REPLAY_CAP, ReplayBody, ReplayError};
pub use retry_after::{retry_after, unreadable_retry_after};
pub use routes::{RequestDeadline, Routes, is_idempotent, propagate_deadline};
#[cfg(feature = "reqwest")]
pub use transport::reqwest_without_redirects;
pub use transport::{TransportError, outcome_of};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
