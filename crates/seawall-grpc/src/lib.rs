//! Seawall's rejections as gRPC statuses, for tonic clients and servers.
//!
//! A layer that rejects needs an error that can carry the rejection. [`tonic::Status`] cannot be
//! made from one, and through a boxed error a rejection reaches the user of a generated client as
//! `UNKNOWN`, which nobody may retry. [`GrpcError`] is a status that carries rejections: an open
//! circuit arrives as `UNAVAILABLE`, an exhausted rate as `RESOURCE_EXHAUSTED`, and the time to
//! come back travels in the metadata of gRPC's own retry pushback.
//!
//! | need | part |
//! |---|---|
//! | layers around a channel | [`WrapStatusLayer`], right around it |
//! | what does a result mean? | [`GrpcClassifier`], by the status in the head and by errors |
//! | when is a call over? | [`CompleteOnTrailers`]: a stream has its status in the trailers |
//! | retries | [`replayable`] and [`sendable`], with [`copy_request`] and [`KeepStatus`] |
//! | throttles that pause a rate limit | [`feedback`] |
//! | deadlines from hop to hop | [`write_grpc_timeout`], [`read_grpc_timeout`] |
//! | tonic's own timeouts | [`correct_timeout`], [`correct_response`] |
//! | layers in a server | [`GrpcRejectionLayer`], in `tonic::transport::Server::layer` |
//!
//! Nothing here reserves, waits or spawns; readiness is the inner service's. Do without this crate
//! when you call no tonic service.
//!
//! # Example
//!
//! A client that copies and classifies; a generated client goes on top. Here a function is in place
//! of the channel.
//!
//! ```
//! use seawall_core::{Policy, Reason, Rejectable, Rejection, find_rejection};
//! use seawall_grpc::{CompleteOnTrailers, GrpcClassifier, GrpcError, KeepStatus};
//! use seawall_http::copy_request;
//! use std::time::Duration;
//!
//! // For every layer between the generated client and the channel.
//! let policy = Policy::new()
//!     .classify(GrpcClassifier)
//!     .track_completion(CompleteOnTrailers)
//!     .copy(copy_request::<tonic::body::Body>)
//!     .keep(KeepStatus);
//! # let _ = policy;
//!
//! // What a generated client makes of a rejected call:
//! let rejected = Rejection::new(Reason::CircuitOpen, "quotes")
//!     .with_retry_after(Duration::from_secs(2));
//! let status = tonic::Status::from_error(GrpcError::from(rejected).into());
//!
//! assert_eq!(status.code(), tonic::Code::Unavailable);
//! assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "2000");
//! assert_eq!(find_rejection(&status).unwrap().name().as_str(), "quotes");
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod classify;
mod completion;
mod error;
mod expired;
mod feedback;
mod keep;
mod pushback;
mod replay;
mod respond;
mod timeout;
mod wrap_status;

pub use classify::{BoundedGrpcClassifier, GrpcClassifier, GrpcFailure, outcome_of};
pub use completion::{CompleteOnTrailers, StatusBody};
pub use error::{GrpcError, code_of, status_of};
pub use expired::{correct_response, correct_timeout};
pub use feedback::feedback;
pub use keep::KeepStatus;
pub use pushback::{Pushback, RETRY_PUSHBACK_MS};
pub use replay::{replayable, sendable};
pub use respond::{GrpcRejection, GrpcRejectionFuture, GrpcRejectionLayer, StatusResponder};
pub use timeout::{
    GRPC_TIMEOUT, GrpcTimeout, format_timeout, parse_timeout, read_grpc_timeout, write_grpc_timeout,
};
pub use wrap_status::{WrapStatus, WrapStatusFuture, WrapStatusLayer};

#[doc(no_inline)]
pub use seawall_core::{
    ConstMeta, Error, FailureKind, InvalidConfig, LayerExt, Outcome, Policy, Reason, Registry,
    Rejection, Replay, RequestMeta, WrapErrorLayer, assert_service, find_rejection, rejectable,
};
#[doc(no_inline)]
pub use seawall_http::copy_request;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
