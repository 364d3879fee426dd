//! Rate limits as a Tower layer: several limits at once, exact over any stretch of time, with a
//! queue for calls that may wait.
//!
//! An API that allows 200 requests per minute rejects the 201st, and bans the client that goes on
//! regardless. A count per minute on the client's side lets twice the number through where two
//! minutes meet, and a limit per clone of a client is none at all. And one number is seldom
//! enough: brokers limit per second, minute and day at once, exchanges by weight, AI providers by
//! requests and tokens, and most report in their responses how much is left.
//!
//! This layer grants what all of its limits grant, to all services of one layer together. A call
//! that comes too early is rejected with the time to come back, or waits, first come, first served.
//!
//! Use it for limits that a provider sets on your client. Do not use it for limits that several
//! processes share (each would grant the full rate), or to bound the calls in flight (use
//! `seawall-bulkhead`).
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_ratelimit::{RateLimitConfig, RateLimitLayer, Rejectable, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RateLimitConfig::builder()
//!     .rate(10, Duration::from_secs(1))
//!     .burst(1)
//!     .max_wait(Duration::from_millis(100))
//!     .build()?;
//! let mut quotes = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new("quotes", config))
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|symbol: &'static str| async move {
//!         Ok::<_, std::io::Error>(symbol)
//!     }));
//!
//! assert_eq!(quotes.ready().await?.call("MSFT").await?, "MSFT");
//! // The next token is there in 100 ms: this call waits for it ...
//! let waits = tokio::spawn(quotes.ready().await?.call("AAPL"));
//! tokio::task::yield_now().await;
//! // ... and this one would have to wait for 200 ms, longer than it may.
//! let rejected = quotes.ready().await?.call("IBM").await.unwrap_err();
//! let rejection = rejected.rejection().expect("a rejection of the limit");
//! assert_eq!(rejection.retry_after(), Some(Duration::from_millis(200)));
//! assert_eq!(waits.await??, "AAPL");
//! # Ok(())
//! # }
//! ```
//!
//! # More
//!
//! * [`guide::which_limit`]: which kind of limit for which provider, units and costs.
//! * [`guide::waiting`]: the queue, priorities, how exact its forecast is.
//! * [`guide::in_a_stack`]: readiness, cancellation, ordering, signals of the provider.
//! * [`KeyedRateLimitLayer`]: a limit for each endpoint, account or symbol.
//! * [`FeedbackLayer`]: corrects the limits by what responses report.
//! * [`Reservation`]: tokens for work that is not a call.
//! * [`RateLimitHandle`]: reads and changes everything at run time.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `fast-clock` (default) | the processor's counter as clock, where it runs at one rate; tokio's clock without it |
//! | `test-util` | tokio's clock in optimized builds, too, for tests that pause time later than a layer is made |
//! | `timezone` | [`DailyReset`] in named time zones, summer time included |
//! | `serde` | `Serialize` for snapshots and counts |
//! | `tracing` | decisions as `tracing` events |
//! | `metrics` | counters through the `metrics` facade |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod bounds;
mod bucket;
mod cap;
mod config;
mod costs;
mod counts;
mod denial;
mod feedback;
mod future;
mod handle;
mod keyed;
mod layer;
mod layer_methods;
mod limit;
mod limiter;
mod limiter_ref;
mod meter;
mod pause;
mod queued;
mod rates;
mod reported;
mod reserve;
mod reserved;
mod service;
mod snapshot;
mod state;
mod sync;
mod watch;
mod watched;

pub mod guide {
    //! Which limit to use, how calls wait, and how to use the layer in a stack.

    #[doc = include_str!("../docs/which_limit.md")]
    pub mod which_limit {}

    #[doc = include_str!("../docs/waiting.md")]
    pub mod waiting {}

    #[doc = include_str!("../docs/in_a_stack.md")]
    pub mod in_a_stack {}
}

pub use config::{RateLimitConfig, RateLimitConfigBuilder};
pub use costs::{CostFn, MetaCost};
pub use counts::RateLimitCounts;
pub use feedback::{Feedback, FeedbackFuture, FeedbackLayer};
pub use future::ResponseFuture;
pub use handle::RateLimitHandle;
pub use keyed::{
    KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitConfigBuilder, KeyedRateLimitHandle,
    KeyedRateLimitLayer, KeyedRateLimitSnapshot,
};
pub use layer::RateLimitLayer;
pub use limit::{
    BucketLimit, DailyLimit, DailyReset, Limit, Quota, QuotaFile, QuotaFileError, StrictLimit,
    WindowLimit,
};
pub use reported::ReportedLimit;
pub use reserve::Reservation;
pub use service::RateLimit;
pub use snapshot::{LimitSnapshot, RateLimitSnapshot, RateLimitState};

/// What users of this crate need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{
    ConstMeta, Describe, Error, FailureKind, InstanceName, InvalidConfig, LateUsage, LayerExt,
    Outcome, PartitionKey, Policies, Policy, Priority, QuotaSignal, Ratio, ReadQuotaSignals,
    Reason, Registry, Rejectable, Rejection, Replay, RequestMeta, Scope, ServerLimit, TokenCount,
    Unit, WrapErrorLayer, assert_service, rejectable,
};
