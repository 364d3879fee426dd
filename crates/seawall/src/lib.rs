//! Resilience for Tower clients of brokers, market-data vendors and AI APIs.
//!
//! Upstreams throttle, stall, report errors with a 200, ban, and fail while an order is in flight.
//! This crate puts the layers of Seawall around a client in the order in which they belong, with
//! the numbers, headers and error codes of the provider, and leaves every number to be overridden.
//!
//! ```
//! # use tower::{ServiceBuilder, service_fn};
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let http_client = service_fn(|_: http::Request<Body>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
//! # });
//! # use tower::ServiceExt;
//! let stack = seawall::provider("alpaca")?.build()?;
//! let handles = stack.handles(); // reads and controls every layer
//! let client = ServiceBuilder::new().layer(stack).service(http_client);
//! let response = client.oneshot(http::Request::get("/v2/positions").body(Body::default())?).await?;
//! # assert!(response.status().is_success()); let _ = handles;
//! # Ok(()) }
//! ```
//!
#![cfg_attr(
    all(feature = "ai", feature = "catalog", feature = "client", feature = "orders-durable"),
    doc = include_str!("../docs/start.md")
)]
//! # Which function, which type
//!
//! | you have | use |
//! |---|---|
//! | a provider of the [catalogue](catalog) | [`provider`](provider()) |
//! | a file that says which services there are | [`Config::load`](config::Config::load) |
//! | no HTTP client yet | `Client`, or `Clients` for several: feature `client` |
//! | orders at a broker, of which none may be sent twice or lost | the module `trading`: feature `orders` |
//! | an API of models: tokens, streams, several keys | the module `model`: feature `ai` |
//! | another provider | [`broker`](broker()), [`market_data`](market_data()), [`ai_api`](ai_api()), with its own [rate limit](StackBuilder::rate_limit) |
//! | hyper-util's client, or any service of `http::Request` | [`StackBuilder::build`]: an [`HttpStack`] |
//! | a `reqwest::Client` | the same, around [`ReqwestClient`](http_client): see `guide::reqwest` |
//! | any other service: tonic, a database, an error of your own | [`StackBuilder::build_generic`] with a [`Policy`]: a [`ClientStack`] |
//! | no Tower service, but async functions | [`Services`], or [`LayerExt::run`] on either |
//! | one pattern alone | its crate, re-exported as [`breaker`], [`retry`], ... |
//!
//! # The layers
//!
//! deadline, retry, gate, bulkhead, rate limit, breaker, attempt timeout, outermost first; with
//! HTTP, body timeouts and a reader of limits next to the client. Fallbacks, caches, shared calls,
//! hedging, adaptive throttling, health, limits and circuits per key, adaptive concurrency, learned
//! timeouts and retry hooks are options that cost nothing when absent. Why in this order, and what
//! each is for: [`guide::order`], [`guide::options`].
//!
//! # Errors
//!
//! A stack never hides what failed: its error is [`Error`], either the client's own error or a
//! [`Rejection`] that names the layer that rejected, why, when to come back, and whether the
//! request may have been sent.
//!
//! # Bodies
//!
//! Deadline and attempt timeout end with the *head* of a response. In an [`HttpStack`] the body is
//! bounded, too: it may not stall for longer than the provider's own clients wait, a minute if
//! nothing is known ([`StackBuilder::body_timeout`]).
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `client` | the module `client`: HTTP clients over hyper and rustls, with JSON and server-sent events |
//! | `catalog` (default) | [`provider`](provider()) and the module [`catalog`] |
//! | `config` (default) | the module [`config`]: services from a file and the environment |
//! | `http` (default) | [`HttpStack`] and the module [`http_client`] |
//! | `services` (default) | [`Services`]: any async function behind a stack, by name |
//! | `hyper` (default) | errors of hyper and hyper-util that know whether the request was sent |
//! | `ai` | the modules `model` and `ai`: streams, tokens, errors and routes of models |
//! | `orders` | the modules `trading` and `orders`: orders that are sent once, and looked up |
//! | `orders-durable` | the same with a journal that survives a crash |
//! | `cache` | rules of RFC 9111 for [`HttpStack`]s that keep answers: `http_client::cache` |
//! | `chaos` | the module `chaos`, and faults on purpose in every stack |
//! | `boxed` | HTTP stacks in a box, to store many of different types |
//! | `reqwest`, `reqwest-0-12` | the adapter for `reqwest::Client` of 0.13 or of 0.12, and the same for its errors |
//! | `fast-clock` (default) | the processor's counter as clock, where it runs at one rate; tokio's clock without it |
//! | `test-util` | tokio's clock in optimized builds, too, for tests that pause time later than a layer is made |
//! | `usage` | the tokens that AI responses have used are read from them |
//! | `connections` | a limit for the connections of hyper-util's client |
//! | `timezone` | calendar quotas at midnight of a named time zone |
//! | `isolated` | bulkheads with threads of their own |
//! | `grpc` | the module `grpc`: rejections as gRPC statuses |
//! | `serde` | snapshots can be serialized |
//! | `tracing`, `metrics` | transitions as `tracing` events; counters through the `metrics` facade |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "boxed")]
mod boxed;
mod builder;
#[cfg(feature = "catalog")]
pub mod catalog;
#[cfg(any(feature = "connectivity", feature = "reload", feature = "orders"))]
pub mod checks;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "http")]
mod http_handles;
#[cfg(feature = "http")]
mod http_stack;
#[cfg(feature = "catalog")]
mod mistake;
#[cfg(all(feature = "ai", feature = "catalog"))]
pub mod model;
mod preset;
#[cfg(feature = "reload")]
pub mod reload;
#[cfg(feature = "services")]
pub mod services;
mod settings;
pub mod stack;
#[cfg(feature = "orders")]
pub mod trading;

/// How to use it, at length.
pub mod guide {
    #[doc = include_str!("../docs/order.md")]
    pub mod order {}

    #[doc = include_str!("../docs/options.md")]
    pub mod options {}

    #[doc = include_str!("../docs/running.md")]
    pub mod running {}

    #[cfg(feature = "config")]
    #[doc = include_str!("../docs/configuration.md")]
    pub mod configuration {}

    #[cfg(feature = "reload")]
    #[doc = include_str!("../docs/reload.md")]
    pub mod reload {}

    #[cfg(feature = "reqwest")]
    #[doc = include_str!("../docs/reqwest.md")]
    pub mod reqwest {}
}

/// What is particular to AI APIs, from `seawall-ai`.
#[cfg(feature = "ai")]
#[doc(inline)]
pub use seawall_ai as ai;
#[cfg(feature = "grpc")]
#[doc(inline)]
pub use seawall_grpc as grpc;
/// What is particular to HTTP, from `seawall-http`.
#[cfg(feature = "http")]
#[doc(inline)]
pub use seawall_http as http_client;
#[cfg(feature = "orders")]
#[cfg_attr(docsrs, doc(cfg(feature = "orders")))]
#[doc(no_inline)]
pub use seawall_orders as orders;

#[cfg(feature = "boxed")]
pub use boxed::{BoxHttpBody, BoxHttpService, BoxHttpStack};
pub use builder::StackBuilder;
#[cfg(feature = "catalog")]
pub use catalog::{
    alpaca, alpaca_data, alpha_vantage, anthropic, binance, coinbase, finnhub, ibkr, kite, kraken,
    newsapi, oanda, openai, polygon, provider, reddit, sec_edgar, tradier, yahoo_finance,
};
#[cfg(feature = "client")]
pub use client::{Client, Clients};
#[cfg(feature = "http")]
pub use http_handles::HttpHandles;
#[cfg(feature = "http")]
pub use http_stack::{HttpPolicy, HttpService, HttpStack, PropagateHttpDeadline};
#[cfg(feature = "http")]
pub use preset::inference_routes;
pub use preset::{
    ai_agents, ai_api, api_client, broker, database, market_data, news, order_execution,
};
#[cfg(feature = "chaos")]
#[doc(no_inline)]
pub use seawall_chaos as chaos;
#[cfg(feature = "services")]
pub use services::Services;
pub use settings::Settings;
pub use stack::{
    Answers, ClientStack, NoLayer, Slots, StackCounts, StackHandles, StackService, StackSnapshot,
};
#[cfg(feature = "http")]
pub use stack::{HttpCounts, HttpSnapshot};

/// The crates of the patterns, for what is not named here.
#[doc(no_inline)]
pub use {
    seawall_adaptive as adaptive, seawall_breaker as breaker, seawall_bulkhead as bulkhead,
    seawall_cache as cache, seawall_fallback as fallback, seawall_health as health,
    seawall_hedge as hedge, seawall_ratelimit as ratelimit, seawall_retry as retry,
    seawall_telemetry as telemetry, seawall_throttle as throttle, seawall_timeout as timeout,
};

pub use seawall_adaptive::{AdaptiveBulkheadHandle, AdaptiveBulkheadLayer, AdaptiveConfig};
pub use seawall_breaker::{
    Breaker, BreakerConfig, BreakerHandle, BreakerLayer, BreakerRegistry, CircuitSnapshot,
    CircuitState, Gate, GateLayer, KeyedBreaker, KeyedBreakerLayer,
};
pub use seawall_bulkhead::{Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer};
pub use seawall_core::{
    AlreadyRegistered, Backoff, Budget, BudgetConfig, Classify, CloneRequest, Command, Complete,
    CompleteOnResponse, ConstMeta, CopyRequest, DefaultMeta, Degradation, Degraded, Departure,
    DepartureLayer, Describe, DropResponse, Error, ErrorIsFailure, Event, EventKind, Events,
    FailureKind, HISTOGRAM_BOUNDS, InstanceHandle, InstanceName, InvalidConfig, Jitter,
    KeepResponse, KeepWhole, LateUsage, LayerExt, MarkDegraded, Misconfiguration, Operation,
    Outcome, PartitionKey, Policies, Policy, PrepareDeparture, Priority, QuotaSignal, Ratio,
    ReadQuotaSignals, Reason, Registry, Rejectable, Rejection, Replay, RequestMeta, Scope, Sent,
    ServerLimit, TokenCount, TrackCompletion, Unit, WantsFresh, WrapError, WrapErrorLayer,
    assert_service, find_rejection, rejectable,
};
pub use seawall_health::{
    CheckConfig, Health, HealthConfig, HealthHandle, HealthLayer, HealthMonitor, Status,
};
pub use seawall_hedge::{Hedge, HedgeConfig, HedgeHandle, HedgeLayer};
pub use seawall_ratelimit::{
    DailyReset, FeedbackLayer, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer,
    Limit, QuotaFile, RateLimit, RateLimitConfig, RateLimitHandle, RateLimitLayer,
};
pub use seawall_retry::{AdaptiveRate, Retry, RetryConfig, RetryHandle, RetryLayer};
pub use seawall_telemetry::{Telemetry, TelemetryConfig, TelemetryHandle, TelemetryLayer};
pub use seawall_throttle::{
    AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleHandle, AdaptiveThrottleLayer,
};
pub use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutHandle, AttemptTimeoutLayer, Deadline,
    DeadlineConfig, DeadlineHandle, DeadlineLayer, LearnedConfig, NoPropagation, PropagateDeadline,
};
