//! Attempt timeouts and overall deadlines as Tower layers.
//!
//! A call to an upstream that hangs must end, and it must end when its caller expects it. The
//! usual timeout arms a timer for each request, although most responses come long before it
//! matters. And it starts when the service is *called*, so that a request that waits for the
//! service to become ready, in the queue of a concurrency limit or for a connection, waits without
//! any limit.
//!
//! [`AttemptTimeoutLayer`] limits one attempt and costs next to nothing while the response is ready
//! at once: no timer, no clock. Its timeout is a fixed time, a request's own
//! ([`per_request`](AttemptTimeoutLayer::per_request)), or learned from what recent responses took
//! ([`AttemptTimeoutConfig::learned`]). [`DeadlineLayer`] limits the whole call, and the wait for
//! readiness is part of it.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, DeadlineConfig, DeadlineLayer};
//! use seawall_timeout::{Replay, RequestMeta, WrapErrorLayer};
//! use tokio::time::Instant;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! struct Quote { symbol: &'static str, meta: RequestMeta }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let overall = DeadlineConfig::new(Duration::from_secs(10))?;
//! let each = AttemptTimeoutConfig::fixed(Duration::from_secs(3))?;
//! let mut client = ServiceBuilder::new()
//!     // Ten seconds for everything; the attempts below see what is left of them.
//!     .layer(DeadlineLayer::new("polygon", overall)
//!         .propagate(|quote: &mut Quote, at: Instant| quote.meta.deadline = Some(at)))
//!     // retry, breaker and limits stand here
//!     .layer(AttemptTimeoutLayer::new("polygon", each).describe(|quote: &Quote| quote.meta))
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|quote: Quote| async move {
//!         Ok::<_, std::io::Error>(quote.symbol.len())
//!     }));
//!
//! let quote = Quote { symbol: "SPY", meta: RequestMeta::new(Replay::Safe) };
//! assert_eq!(client.ready().await?.call(quote).await?, 3);
//! # Ok(()) }
//! ```
//!
//! # What the caller gets
//!
//! A timeout is an error that is made from a [`Rejection`]; the error type of the service stays as
//! it is. It says whether the request may have been sent:
//!
//! | what happened | reason | sent |
//! |---|---|---|
//! | the attempt took too long | `AttemptTimeout` | maybe |
//! | the request's or the call's deadline passed meanwhile | `DeadlineExceeded` | maybe |
//! | the request's own deadline had passed before the attempt or the call | `DeadlineExceeded` | no |
//! | the inner service was not ready in time | `DeadlineExceeded` | no |
//!
//! # Read on
//!
//! * [`docs::how_it_works`]: when the time starts, what is counted, the differences from
//!   `tower::timeout`
//! * [`docs::readiness`]: how the wait for readiness is covered
//! * [`docs::cancellation`]: what a dropped call leaves behind, and what a timeout does not stop
//! * [`docs::ordering`]: where in a stack the two layers stand

/// Longer matters, one page each.
pub mod docs {
    #[doc = include_str!("../docs/how-it-works.md")]
    pub mod how_it_works {}

    #[doc = include_str!("../docs/readiness.md")]
    pub mod readiness {}

    #[doc = include_str!("../docs/cancellation.md")]
    pub mod cancellation {}

    #[doc = include_str!("../docs/ordering.md")]
    pub mod ordering {}
}

mod attempt;
mod deadline;
mod instance;
mod limit;
mod race;
mod state;
mod timer;

pub use attempt::{
    AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutCounts, AttemptTimeoutFuture,
    AttemptTimeoutHandle, AttemptTimeoutLayer, AttemptTimeoutSnapshot, AttemptTimeoutState, Fixed,
    Learned, LearnedConfig, LearnedConfigBuilder, NoOverride, PerRequestTimeout,
};
pub use deadline::{
    Deadline, DeadlineConfig, DeadlineCounts, DeadlineFuture, DeadlineHandle, DeadlineLayer,
    DeadlineSnapshot, DeadlineState, NoPropagation, PropagateDeadline,
};
pub use seawall_core::{
    Classify, Command, ConstMeta, Describe, Error, ErrorIsFailure, Events, FailureKind,
    InstanceHandle, InstanceName, InvalidConfig, LayerExt, Outcome, Policies, Policy, Reason,
    Registry, Rejectable, Rejection, Replay, RequestMeta, Sent, WrapError, WrapErrorLayer,
    assert_service, rejectable,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
