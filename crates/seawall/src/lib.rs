//! Resilience for Tower clients of brokers, market-data vendors and AI APIs.
//!
//! Upstreams throttle, stall, lie with a 200, ban, and fail while an order is in flight. This
//! crate puts the layers of Seawall around a client in the order in which they belong, with
//! numbers that fit the kind of service, and leaves every number to be overridden.
//!
//! ```
//! # use tower::{ServiceBuilder, service_fn};
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let http_client = service_fn(|_: http::Request<Body>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
//! # });
//! # use tower::ServiceExt;
//! let stack = seawall::broker("alpaca").build()?;
//! let client = ServiceBuilder::new().layer(stack).service(http_client);
//! let answer = client.oneshot(http::Request::get("/v2/positions").body(Body::default())?).await?;
//! # assert!(answer.status().is_success());
//! # Ok(()) }
//! ```
//!
//! # The stack
//!
//! ```text
//!   your code
//!      │
//!   deadline          one bound for waits, attempts and readiness together
//!      │
//!   retry             only what is safe to send twice; one budget; obeys Retry-After
//!      │
//!   gate              an open circuit costs neither a place nor a token
//!      │
//!   bulkhead          places and a bounded queue; held until the body has ended
//!      │
//!   rate limit        the last wait: what the provider sees is what was granted
//!      │
//!   breaker           judges what departs, rejects what queued too long
//!      │
//!   attempt timeout   measures the upstream and none of our own waits
//!      │
//!   your client
//! ```
//!
//! Deadline and attempt timeout end with the *head* of an answer. Nothing bounds a body that
//! streams: it keeps its place in the bulkhead until it has ended or is dropped, so bound the
//! reading of it yourself.
//!
//! # Errors
//!
//! A stack never hides who failed: its error is [`Error`], either the client's own error or a
//! [`Rejection`] that says which layer rejected, why, when to come back, and whether the request
//! may have been sent.
//!
//! # Which type to use
//!
//! * [`HttpStack`] (from [`StackBuilder::build`]) for `http::Request` clients such as
//!   hyper-util's.
//! * [`ClientStack`] (from [`StackBuilder::build_generic`]) for any other Tower service: a `reqwest::Client`, a
//!   tonic channel, a service with an error of its own.
//! * single layers, by [`SeawallExt`] or by their own crates, for everything else.
//!
//! # Features
//!
//! * `http` (default): [`HttpStack`] and the module [`http`].
//! * `hyper` (default), `reqwest`: tell the errors of these clients apart by whether the request
//!   left.
//! * `usage`: the tokens that AI answers have used are read from them.
//! * `connections`: a limit for the connections of hyper-util's client.
//! * `timezone`: calendar quotas at midnight of a named time zone.
//! * `isolated`: bulkheads with threads of their own.
//! * `grpc`: the module `grpc`, rejections as gRPC statuses.
//! * `tracing`, `metrics`: transitions as `tracing` events; counters through the `metrics` facade.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod ai_api;
mod broker;
mod ext;
#[cfg(feature = "http")]
mod http_stack;
mod market_data;
mod settings;
mod stack;

/// Stacks of AI APIs by provider, and their routes.
pub mod ai {
    #[cfg(feature = "http")]
    pub use crate::ai_api::inference_routes;
    pub use crate::ai_api::{ai_api, anthropic};
}

/// Stacks of market-data and news vendors by provider.
pub mod data {
    pub use crate::market_data::{
        alpha_vantage, market_data, news_api, polygon, reddit, sec_edgar, yahoo_finance,
    };
}

#[cfg(feature = "grpc")]
#[doc(inline)]
pub use seawall_grpc as grpc;
/// What is particular to HTTP, from `seawall-http`.
///
/// It has the name of the crate `http`. Name what you import: after `use seawall::*` a path that
/// begins with `http::` is ambiguous, and the crate is `::http`.
#[cfg(feature = "http")]
#[doc(inline)]
pub use seawall_http as http;

pub use ai_api::ai_api;
pub use broker::{broker, order_execution};
pub use ext::SeawallExt;
#[cfg(feature = "http")]
pub use http_stack::{HttpService, HttpStack, Inspector, PropagateHttpDeadline, WrappedClient};
pub use market_data::market_data;
pub use settings::{GenericStack, Settings, StackBuilder};
pub use stack::{ClientStack, StackHandles, StackService};

/// The crates of the patterns whole, for what is not named here.
#[doc(no_inline)]
pub use {
    seawall_breaker as breaker, seawall_bulkhead as bulkhead, seawall_health as health,
    seawall_hedge as hedge, seawall_ratelimit as ratelimit, seawall_retry as retry,
    seawall_throttle as throttle, seawall_timeout as timeout,
};

pub use seawall_breaker::{
    AbandonedPolicy, Breaker, BreakerConfig, BreakerHandle, BreakerLayer, BreakerRegistry, Cause,
    CircuitSnapshot, Gate, GateLayer, HalfOpenPolicy, KeyedBreaker, KeyedBreakerLayer, Rule, State,
};
pub use seawall_bulkhead::{
    Adaptive, Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, Scaling,
};
pub use seawall_core::*;
pub use seawall_health::{Health, HealthLayer, HealthMonitor};
pub use seawall_hedge::{Hedge, HedgeConfig, HedgeHandle, HedgeLayer};
pub use seawall_ratelimit::{
    DailyReset, FeedbackLayer, KeyedRateLimitLayer, Limit, QuotaFile, RateLimit, RateLimitConfig,
    RateLimitHandle, RateLimitLayer,
};
pub use seawall_retry::{Retry, RetryConfig, RetryHandle, RetryLayer};
pub use seawall_throttle::{AdaptiveThrottleConfig, AdaptiveThrottleHandle, AdaptiveThrottleLayer};
pub use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutHandle, AttemptTimeoutLayer, Deadline, DeadlineHandle,
    DeadlineLayer, LearnedConfig, NoPropagation, PropagateDeadline, Stamped,
};
