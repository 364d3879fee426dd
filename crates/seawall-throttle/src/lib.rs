//! Adaptive throttling on the client side: what an overloaded upstream would reject is not sent.
//!
//! Rejecting a request costs an upstream too. One that serves a hundred requests per second and
//! receives a thousand spends its capacity on nine hundred rejections, and retries make it worse.
//! A breaker either sends everything or nothing, and a rate limit needs a number that is unknown
//! and changes. This layer learns it: it counts requests and accepted requests over two minutes,
//! and rejects at random the share above `accept_multiplier` times what the upstream accepts.
//!
//! Use it for clients of a shared service that sheds load (HTTP 503, 429, 529). Do not use it for
//! an upstream that is down (use `seawall-breaker`) or one with a published rate (use
//! `seawall-ratelimit`).
//!
//! # Example
//!
//! ```
//! use seawall_throttle::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
//! use seawall_throttle::{Error, FailureKind, Outcome, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AdaptiveThrottleConfig::builder().seed(1).build()?;
//! let layer = AdaptiveThrottleLayer::new("orders", config).classify(
//!     |result: Result<&u16, &Error<std::io::Error>>| match result {
//!         Ok(503) => Outcome::Failure(FailureKind::Overloaded),
//!         Ok(_) => Outcome::Success,
//!         Err(_) => Outcome::Failure(FailureKind::NotSent),
//!     },
//! );
//! let handle = layer.handle();
//! let mut orders = ServiceBuilder::new()
//!     .layer(layer)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|_: ()| async { Ok::<_, std::io::Error>(503) }));
//!
//! for _ in 0..1_000 {
//!     let _ = orders.ready().await?.call(()).await;
//! }
//! // Nothing was accepted: nine of ten calls are rejected without being sent.
//! assert_eq!(handle.rejection_probability(), 0.9);
//! assert!((850..920).contains(&handle.counts().rejected));
//! # Ok(())
//! # }
//! ```
//!
//! Give the layer a classifier that distinguishes overload from a bad request: without one, every error
//! counts as not accepted.
//!
//! # More
//!
//! * [`guide::algorithm`]: the formula, what counts as accepted, how fast it reacts.
//! * [`guide::in_a_stack`]: readiness, cancellation, and where the layer belongs.
//! * [`AdaptiveThrottleHandle`]: reads and changes everything at run time.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `fast-clock` (default) | the processor's counter as clock, where it runs at one rate; tokio's clock without it |
//! | `test-util` | tokio's clock in optimized builds, too, for tests that pause time later than a layer is made |
//! | `serde` | `Serialize` for snapshots and counts |
//! | `tracing` | decisions as `tracing` events |
//! | `metrics` | counters through the `metrics` facade |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod acceptance;
mod config;
mod counts;
mod formula;
mod future;
mod handle;
mod in_flight;
mod layer;
mod priority;
mod service;
mod snapshot;
mod state;
mod window;

pub mod guide {
    //! How the throttle works, and how to use it in a stack.

    #[doc = include_str!("../docs/algorithm.md")]
    pub mod algorithm {}

    #[doc = include_str!("../docs/in_a_stack.md")]
    pub mod in_a_stack {}
}

pub use config::{AdaptiveThrottleConfig, AdaptiveThrottleConfigBuilder};
pub use counts::AdaptiveThrottleCounts;
pub use future::ResponseFuture;
pub use handle::AdaptiveThrottleHandle;
pub use layer::AdaptiveThrottleLayer;
pub use priority::PriorityClass;
pub use service::AdaptiveThrottle;
pub use snapshot::{AdaptiveThrottleSnapshot, AdaptiveThrottleState, ClassSnapshot};

/// What users of this crate need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{
    Classify, ConstMeta, Describe, Error, FailureKind, InstanceName, InvalidConfig, LayerExt,
    Outcome, Policies, Policy, Priority, Reason, Registry, Rejectable, Rejection, Replay,
    RequestMeta, Scope, WrapErrorLayer, assert_service, rejectable,
};
