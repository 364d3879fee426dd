//! Adaptive throttling on the client's side: who is rejected anyway is not even sent.
//!
//! To reject a request costs an upstream too. One that can serve a hundred requests per second
//! and gets a thousand spends itself on nine hundred rejections, serves fewer than it could, and
//! whoever retries makes it worse. A breaker answers with all or nothing, and a rate limit needs
//! a number that nobody knows and that changes. This layer learns it from the answers: it counts
//! what was wanted and what the upstream accepted over the last two minutes, and rejects, at
//! random, the share that is more than `accept_multiplier` times what is accepted. The upstream gets `accept_multiplier` times
//! what it can do, and the one request in ten that always passes finds out when it can do more.
//!
//! # Example
//!
//! ```
//! use seawall_core::{FailureKind, WrapErrorLayer, Outcome, Reason, Rejectable};
//! use seawall_ratelimit::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AdaptiveThrottleConfig::builder().accept_multiplier(2.0).seed(1).build()?;
//! let layer = AdaptiveThrottleLayer::new("orders", config).classify(
//!     |answer: Result<&u16, &seawall_core::Error<std::io::Error>>| match answer {
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
//! let mut rejected_here = 0;
//! for _ in 0..1_000 {
//!     match orders.ready().await?.call(()).await {
//!         Ok(status) => assert_eq!(status, 503),
//!         Err(error) => {
//!             let rejection = error.rejection().expect("a rejection of the throttle");
//!             assert_eq!(rejection.reason(), Reason::ClientThrottled);
//!             rejected_here += 1;
//!         }
//!     }
//! }
//! assert!((850..920).contains(&rejected_here));
//! assert_eq!(handle.rejection_probability(), 0.9);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! The formula is that of "Site Reliability Engineering" (Beyer et al., 2016), chapter
//! [Handling Overload](https://sre.google/sre-book/handling-overload/):
//!
//! ```text
//!                   requests - k * accepts
//!   p  =  max ( 0,  ---------------------- )    but at most max_rejection
//!                        requests + 1
//! ```
//!
//! `requests` are all that were wanted, *those rejected here included*: otherwise a throttle that
//! rejects much would see little reason to. `accepts` are those that the upstream took on:
//!
//! | the answer | counts as |
//! |---|---|
//! | [`Success`], [`Ignored`] (the request was bad, the upstream is well) | accepted |
//! | [`Failure`]: `Server`, `Timeout`, `Body` (it did the work, and failed at it) | accepted; not accepted with [`count_failures`] |
//! | [`Failure`]: `Overloaded` | not accepted |
//! | [`Throttled`], [`Banned`], [`QuotaExhausted`] | not accepted |
//! | [`Failure`]: `NotSent`, `Other`; [`Unknown`] (no answer, or nobody knows what it says) | not accepted |
//! | a rejection of a layer below (a limit, a circuit) | nothing: it is no request either |
//! | none, since the caller dropped the future or the call panicked | nothing |
//!
//! Without a classifier every error is `Other`, and so not accepted: give the layer one that
//! tells an overload from a bad request.
//!
//! A request is counted when its fate is known, and one that is rejected here at once. The book
//! counts it when it is made. That is the same for a steady load; but a client that starts with a
//! burst of a hundred calls would have a hundred requests and no accepts before the first answer
//! is there, and would reject most of what comes next from an upstream that has done nothing
//! wrong. The price is that an upstream which does not answer at all is noticed when the attempt
//! timeouts end, so have one below.
//!
//! Each [class of priority](PriorityClass) is counted by itself, as in the book, and has a `accept_multiplier` of
//! its own: with a `accept_multiplier` of 2, requests of high priority are rejected when less than one in three of
//! *them* is accepted, normal ones when less than one in two is. What must always be tried is
//! exempt by [`exempt_from`].
//!
//! Calls add to counters of their thread, one relaxed addition per call, that know no time. Once
//! every tenth of a second at most (sooner when the upstream rejects much), one of them adds them
//! up and writes the odds of all classes into one word, which is all that the others read beside
//! the clock. No call waits for a lock, and none allocates.
//!
//! ## How soon it reacts, and how long it remembers
//!
//! The window is a memory in both directions. After two minutes without trouble, it takes one
//! minute of rejections before half of the window is not accepted. After an overload, the rejections
//! of the last two minutes stand against what passes: at ten times the capacity, nothing is
//! rejected any more 1.1 windows after the upstream has grown, 1.5 windows after the load has
//! fallen below the capacity, and 1.8 windows after a total outage. A shorter window is sooner
//! with all of it, and has fewer requests to judge by.
//!
//! # Readiness
//!
//! `poll_ready` asks the inner service and draws nothing. A rejection is an error of `call`'s
//! future, with [`ClientThrottled`] and [`Sent::No`], and it gives up what the instance had
//! reserved below. It has no `retry_after`, since the next call has a chance of its own; a retry
//! layer does not try it again.
//!
//! # Cancellation
//!
//! A call that is dropped before it has answered, polled or not, is counted as abandoned and
//! stands neither for nor against the upstream: with hedging, one of two is always dropped.
//!
//! # Ordering
//!
//! Inside the retry, since each attempt is a request to the upstream: outside of it, one accepted
//! attempt out of three would look like an upstream that accepts everything. Outside of bulkhead
//! and rate limit, so that a call which is not sent takes neither a place nor a token, and does
//! not wait for them. Outside of the attempt timeout, whose rejections it counts. Beside a breaker
//! it goes outside: the breaker is for an upstream that is down, the throttle for one that
//! has too much to do, and what the breaker rejects says nothing to the throttle.
//!
//! # Differences from failsafe-go's adaptive throttler
//!
//! That one leaves its own rejections out of the count, so that its share of rejections follows from
//! what it let through alone: it comes back sooner, and does not cut a load down to a multiple of
//! what is accepted.
//!
//! # Modules
//!
//! `formula` and `window` are the pure core, `state` has the counters and the odds, `service`
//! draws, `ticket` counts a call once, by what `future` is answered; `config`, `counts`, `layer`
//! and `handle` are what their names say.
//!
//! [`Success`]: seawall_core::Outcome::Success
//! [`Ignored`]: seawall_core::Outcome::Ignored
//! [`Failure`]: seawall_core::Outcome::Failure
//! [`Throttled`]: seawall_core::Outcome::Throttled
//! [`Banned`]: seawall_core::Outcome::Banned
//! [`QuotaExhausted`]: seawall_core::Outcome::QuotaExhausted
//! [`Unknown`]: seawall_core::Outcome::Unknown
//! [`count_failures`]: crate::AdaptiveThrottleConfigBuilder::count_failures
//! [`exempt_from`]: crate::AdaptiveThrottleConfigBuilder::exempt_from
//! [`ClientThrottled`]: seawall_core::Reason::ClientThrottled
//! [`Sent::No`]: seawall_core::Sent::No

mod config;
mod counts;
mod formula;
mod future;
mod handle;
mod layer;
mod service;
mod state;
mod ticket;
mod window;

pub use config::{AdaptiveThrottleConfig, AdaptiveThrottleConfigBuilder};
pub use counts::AdaptiveThrottleCounts;
pub use formula::PriorityClass;
pub use future::AdaptiveThrottleFuture;
pub use handle::{AdaptiveThrottleHandle, AdaptiveThrottleSnapshot, ClassSnapshot};
pub use layer::AdaptiveThrottleLayer;
pub use service::AdaptiveThrottle;
