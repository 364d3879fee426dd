//! Seawall's rejections as gRPC statuses, for tonic clients and servers.
//!
//! A layer that rejects needs an error that can carry the rejection. [`tonic::Status`] cannot be
//! made from one here, and through a boxed error a rejection reaches the user of a generated client
//! as `UNKNOWN`, which nobody may retry. [`GrpcError`] is a status that carries rejections: an
//! open circuit arrives as `UNAVAILABLE`, a used-up rate as `RESOURCE_EXHAUSTED`, and the time to
//! come back travels in the metadata of gRPC's own retry pushback.
//!
//! # Example
//!
//! A client: [`WrapStatusLayer`] goes right around the channel, the layers go around it, and a generated
//! client goes on top.
//!
//! ```
//! use seawall_core::{Reason, Rejectable, Rejection};
//! use seawall_grpc::GrpcError;
//! use std::time::Duration;
//!
//! // EventKind the generated client of a rejected call makes of it:
//! let rejected = Rejection::new(Reason::CircuitOpen, "quotes")
//!     .with_retry_after(Duration::from_secs(2));
//! let status = tonic::Status::from_error(GrpcError::from(rejected).into());
//!
//! assert_eq!(status.code(), tonic::Code::Unavailable);
//! assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "2000");
//! let rejection = seawall_core::find_rejection(&status).unwrap();
//! assert_eq!(rejection.name().as_str(), "quotes");
//! ```
//!
//! A server: [`GrpcRejectionLayer`] around the layers, as a layer of `tonic::transport::Server`.
//!
//! # What a result means
//!
//! [`GrpcClassifier`] judges by the status in the *head* of an answer and by errors. A stream says
//! in its trailers how it ended; with [`CompleteOnTrailers`] as a layer's hold, the call is not over
//! and its place not free before that.
//!
//! # Deadlines
//!
//! [`write_grpc_timeout`] tells the server what is left of a request's deadline, and
//! [`read_grpc_timeout`] reads it there, so that what is left shrinks from hop to hop; see
//! [`GrpcTimeout`].
//!
//! # Readiness, cancellation, ordering
//!
//! Nothing here reserves, waits or spawns; readiness is the inner service's.

mod answered;
mod classify;
mod error;
mod pushback;
mod timeout;
mod trailers;
mod wrap_status;

pub use answered::{GrpcRejection, GrpcRejectionFuture, GrpcRejectionLayer};
pub use classify::{GrpcClassifier, GrpcFailure, outcome_of};
pub use error::{GrpcError, code_of, status_of};
pub use pushback::{Pushback, RETRY_PUSHBACK_MS};
pub use timeout::{
    GRPC_TIMEOUT, GrpcTimeout, format_timeout, parse_timeout, read_grpc_timeout, write_grpc_timeout,
};
pub use trailers::{CompleteOnTrailers, StatusBody};
pub use wrap_status::{WrapStatus, WrapStatusFuture, WrapStatusLayer};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
