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
//! use seawall_core::{Error, FailureKind, WrapErrorLayer, RequestMeta, Outcome, Replay};
//! use seawall_retry::{RetryConfig, RetryLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! fn describe(request: &&str) -> RequestMeta {
//!     RequestMeta::new(if request.starts_with("GET") { Replay::Safe } else { Replay::Never })
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
//!     .describe(describe as fn(&&str) -> RequestMeta)
//!     .classify(classify);
//! let handle = retry.handle();
//! let mut client = ServiceBuilder::new()
//!     .layer(retry)
//!     .layer(WrapErrorLayer)
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
//! | rejected by a layer below, with a time to come back | only if allowed | only if allowed |
//! | rejected by a circuit that cannot say when | only if allowed | only if allowed |
//! | rejected by a layer below, otherwise | the answer | the answer |
//!
//! "Again" holds while there are attempts left and a copy of the request, the upstream asks for no
//! longer wait than is allowed, the wait ends before the deadline, and the
//! [`Budget`](seawall_core::Budget) can pay the price of that class of failure. The wait is the
//! backoff with its jitter, and never less than what the upstream asked for: what the jitter leaves
//! to chance comes on top, or all who were told the same time would come back at one instant. An
//! attempt that a layer below rejected unsent costs nothing.
//!
//! A predicate ([`RetryLayer::retry_if`]) narrows this table by the request and its metadata, the
//! answer and the number of the attempt, and widens it to answers that are no failures; [`RetryDecision`] has the
//! table of what it can change. No predicate sends a request again that may have been executed and
//! must not be executed twice.
//!
//! # Waits
//!
//! [`Backoff`](seawall_core::Backoff) has the strategies and the delays that each of them gives.
//! After a throttle another one can hold
//! ([`throttled_backoff`](RetryConfigBuilder::throttled_backoff)), and a sending rate that is
//! learned from throttles can space all attempts ([`AdaptiveRate`]).
//!
//! | setting | limits | when it does not fit |
//! |---|---|---|
//! | [`max_retry_after`](RetryConfigBuilder::max_retry_after) | what an upstream may ask for | the answer, at once |
//! | [`max_rejection_wait`](RetryConfigBuilder::max_rejection_wait) | what a layer below may ask for | the rejection, at once |
//! | [`RequestMeta::deadline`](seawall_core::RequestMeta) | each wait, and when attempts after it begin | the last real answer, before the wait |
//! | [`overall_timeout`](RetryConfigBuilder::overall_timeout) | each wait and the attempt under way | the same; an attempt is dropped, `DeadlineExceeded` |
//! | [`attempt_timeout`](RetryConfigBuilder::attempt_timeout) | one attempt | it is dropped, `AttemptTimeout`, tried again if that is safe |
//!
//! Timers are as coarse as a millisecond, so a wait is begun only when it ends more than that before
//! the deadline. A timeout that comes with the request is the deadline; one for each attempt is
//! `seawall-timeout`'s, set below this layer.
//!
//! # Signatures, nonces, attempt numbers
//!
//! An exact copy of a signed request is rejected by many upstreams.
//! [`RetryLayer::prepare`] is called for each attempt, the first one included, right before the
//! request is handed to the service that is ready, and gets a copy without what the attempt before
//! has added. An error from it is the answer of the call.
//!
//! # Why there was no further attempt
//!
//! The caller gets the real answer, and a call that was given up for want of budget looks like one
//! that had all its attempts. Three things tell them apart: the counter
//! [`RetryHandle::ended`] (`seawall_retry_give_ups_total{cause}`), the event
//! [`BudgetExhausted`](seawall_core::EventKind::BudgetExhausted), and for the one who made the call
//! [`RetryLayer::annotate_give_up`], which writes the cause ([`Stopped`]) into the response or into the caller's own
//! error.
//!
//! # The answer
//!
//! Without a further attempt the caller gets the answer of the last one at once, and unchanged unless
//! it is wrong about the call. When the last attempt was certainly not sent, but an earlier one may
//! have been, "not sent" would be a lie that makes a caller place an order twice. A rejection then
//! says [`Sent::Maybe`](seawall_core::Sent::Maybe) in place of `Sent::No`; an error of the client
//! that means [`NotSent`](seawall_core::FailureKind::NotSent) is replaced by a rejection of this layer,
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
//! [`RetryConfigBuilder::retry_if_not_sent`].
//!
//! # Readiness
//!
//! The first attempt is sent through the instance that was polled ready. Later attempts poll a
//! fresh clone ready, inside the future. A first attempt that has to wait for the [`AdaptiveRate`] rate,
//! or that could not be prepared, leaves the ready instance to the next caller. Between attempts
//! nothing of the inner service is held: the failed attempt and its answer are dropped before the
//! wait. An error of such a clone's readiness is the answer of the call. A call that has a deadline waits for a clone no longer
//! than until then, and is answered `DeadlineExceeded`; so is one whose task was not polled in time
//! after a wait.
//!
//! Attempts without a pause hand the thread over now and then, so that a deadline above is heard
//! although the inner service fails at once each time.
//!
//! # Cancellation
//!
//! The future can be dropped at any time. Dropped in a wait, it gives back what it has taken for an
//! attempt that it has not made: the payment, and the place in the sending rate. An attempt that is
//! under way is dropped with it; the request may be executed all the same.
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
//!
//! With the feature `tower` the two fit together. Policies, budgets and backoffs of tower's work
//! here (`RetryLayer::tower_policy`, `tower_budget`, `tower_backoff`), within the rules of this
//! layer; and `RetryLayer::policy` is a policy for `tower::retry::Retry`.

mod adaptive;
mod config;
mod copy;
mod decide;
mod end;
mod future;
mod handle;
mod hooks;
mod layer;
mod observe;
mod purse;
mod service;
#[cfg(feature = "tower")]
mod tower_compat;
mod track;

pub use adaptive::AdaptiveRate;
pub use config::{RetryConfig, RetryConfigBuilder};
pub use copy::{CloneRequest, CopyRequest};
pub use end::{StopReason, Stopped};
pub use future::ResponseFuture;
pub use handle::RetryHandle;
pub use hooks::{
    AnnotateGiveUp, Attempt, AttemptOutcome, AttemptResult, DefaultDecision, Hook, Hooks,
    NoAnnotation, NoPrepare, PrepareAttempt, RetryDecision, RetryPredicate,
};
pub use layer::RetryLayer;
pub use service::Retry;
#[cfg(feature = "tower")]
pub use tower_compat::{PolicyMemory, PolicyPause, RetryPolicy, TowerBackoff, TowerPolicy};
