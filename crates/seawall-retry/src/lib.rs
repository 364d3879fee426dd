//! Retries as a Tower layer.
//!
//! A failed call is worth another attempt when the failure was an accident, and three things make
//! attempts dangerous. A request that was executed although its answer got lost is executed
//! *twice*: an order is placed two times. Attempts that all clients make at once are what keeps an
//! upstream down. And an attempt made before the time that the upstream asked for is in vain and
//! may get the client banned.
//!
//! So this layer sends a request again only when it may be sent twice, or certainly was not sent;
//! it pays for extra attempts from a budget that successes fill; it spreads them by jitter; and it
//! never comes back earlier than told.
//!
//! # Example
//!
//! ```
//! use seawall_core::{Error, FailureKind, LiftLayer, Meta, Outcome, Replay};
//! use seawall_retry::{RetryConfig, RetryLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! fn describe(request: &&str) -> Meta {
//!     Meta::new(if request.starts_with("GET") { Replay::Safe } else { Replay::Never })
//! }
//!
//! fn classify(result: Result<&u16, &Error<std::io::Error>>) -> Outcome {
//!     match result {
//!         Ok(500..) | Err(_) => Outcome::Failure(FailureKind::Server),
//!         Ok(_) => Outcome::Success,
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let retry = RetryLayer::new("alpaca", RetryConfig::default())
//!     .describe(describe as fn(&&str) -> Meta)
//!     .classify(classify);
//! let handle = retry.handle();
//! let mut client = ServiceBuilder::new()
//!     .layer(retry)
//!     .layer(LiftLayer)
//!     .service(service_fn(|_: &'static str| async { Ok::<u16, std::io::Error>(503) }));
//!
//! // The upstream's own answer comes back: after one attempt, and after three.
//! assert_eq!(client.ready().await?.call("POST /v2/orders").await?, 503);
//! assert_eq!(handle.attempts(), 1);
//! assert_eq!(client.ready().await?.call("GET /v2/orders").await?, 503);
//! assert_eq!(handle.attempts(), 4);
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! A classifier ([`Classify`](seawall_core::Classify)) says what an answer means, a describer
//! ([`Describe`](seawall_core::Describe)) whether the request may be sent twice:
//!
//! | the answer | may be sent twice | must not be sent twice |
//! |---|---|---|
//! | `Success`, `Ignored` | the answer | the answer |
//! | `Banned`, `QuotaExhausted` | the answer | the answer |
//! | `Failure(NotSent)` | again | again |
//! | any other `Failure`, `Unknown`, `Throttled` | again | the answer |
//! | refused by a layer below, with a time to come back | only if allowed | only if allowed |
//! | refused by a circuit that cannot say when | only if allowed | only if allowed |
//! | refused by a layer below, otherwise | the answer | the answer |
//!
//! "Again" holds while there are attempts left and a copy of the request, the upstream asks for no
//! longer wait than is allowed, the wait ends before the request's deadline, and the
//! [`Budget`](seawall_core::Budget) has a token. The wait is the backoff with its jitter, and never
//! less than what the upstream asked for: what the jitter leaves to chance comes on top, or all who
//! were told the same time would come back at one instant. An attempt that a layer below refused
//! unsent costs no token.
//!
//! In every other case the caller gets the answer of the last attempt at once, and unchanged unless
//! it is wrong about the call. When the last attempt was certainly not sent, but an earlier one may
//! have been, "not sent" would be a lie that makes a caller place an order twice. A refusal then
//! says [`Sent::Maybe`](seawall_core::Sent::Maybe) in place of `Sent::No`; an error of the client
//! that means [`NotSent`](seawall_core::FailureKind::NotSent) is replaced by a refusal of this layer,
//! [`OutcomeUnknown`](seawall_core::Reason::OutcomeUnknown).
//!
//! A call that needs no retry costs one reference count on a line of the running thread, one
//! counter, and, when the budget is full, one load. The service that later attempts are made
//! through is cloned, from a spare kept by the layer, only when there is such an attempt.
//!
//! Requests are copied ([`CopyRequest`]) before every attempt but the last, and once more before
//! an answer is given up for another attempt: a streamed body may have grown too long meanwhile, or
//! still be read, and the answer at hand is better than a request without a body. Requests that must
//! not be sent twice are copied too, since they are worth another attempt when they were not sent; see
//! [`RetryConfigBuilder::retry_unsent`].
//!
//! # Readiness
//!
//! The first attempt is sent through the instance that was polled ready. Later attempts poll a
//! fresh clone ready, inside the future. Between attempts nothing of the inner service is held:
//! the failed attempt and its answer are dropped before the wait. An error of such a clone's
//! readiness is the answer of the call. A request that has a deadline waits for a clone no longer
//! than until then, and is answered `DeadlineExceeded`.
//!
//! Attempts without a pause hand the thread over now and then, so that a deadline above is heard
//! although the inner service fails at once each time.
//!
//! # Cancellation
//!
//! The future can be dropped at any time. Dropped in a wait, it gives the token for the attempt
//! back that it has not made. An attempt that is under way is dropped with it; the request may be
//! executed all the same.
//!
//! # Ordering
//!
//! Outside of the breaker, so that each attempt is one vote and an open circuit ends the attempts;
//! outside of the limits, so that no place is held across a wait; inside the overall deadline. Put
//! one retry into a stack: two multiply their attempts.
//!
//! # Differences from `tower::retry`
//!
//! Tower's layer leaves the decision, the wait and the budget to a policy that you write; it
//! clones the inner service for every call. Here replay safety, hints and the budget are built in,
//! and the error type stays as it is.

mod config;
mod copy;
mod decide;
mod future;
mod handle;
mod layer;
mod observe;
mod service;

pub use config::{RetryConfig, RetryConfigBuilder};
pub use copy::{CloneRequest, CopyRequest};
pub use future::ResponseFuture;
pub use handle::RetryHandle;
pub use layer::RetryLayer;
pub use service::Retry;
