//! Attempt timeouts and overall deadlines as Tower layers.
//!
//! A call to an upstream that hangs must end, and it must end when its caller expects it. Two
//! things go wrong in practice. The common timeout arms a timer for each request, although most
//! requests are answered long before it matters. And it starts when the service is *called*, so
//! that a request which waits for the service to become ready, in the queue of a concurrency
//! limit or for a connection, waits without any limit.
//!
//! Here are two layers. [`AttemptTimeoutLayer`] limits one attempt and costs next to nothing while
//! the answer is there at once: no timer, no clock. [`DeadlineLayer`] limits the whole call, and
//! the wait for readiness is part of it.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_core::{WrapErrorLayer, RequestMeta, Replay};
//! use seawall_timeout::{AttemptTimeoutLayer, DeadlineLayer};
//! use tokio::time::Instant;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! struct Quote { symbol: &'static str, meta: RequestMeta }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = ServiceBuilder::new()
//!     // Ten seconds for everything; the attempts below see what is left of them.
//!     .layer(DeadlineLayer::new("polygon", Duration::from_secs(10))?
//!         .propagate(|quote: &mut Quote, at: Instant| quote.meta.deadline = Some(at)))
//!     // retry, breaker and limits stand here
//!     .layer(AttemptTimeoutLayer::new("polygon", Duration::from_secs(3))?
//!         .describe(|quote: &Quote| quote.meta))
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
//! # Which timeout
//!
//! [`AttemptTimeoutLayer::new`] takes it as a figure. [`AttemptTimeoutLayer::learned`] takes it
//! from what recent answers took, so that it is neither too short in a slow hour nor too long in
//! a fast one. [`per_request`](AttemptTimeoutLayer::per_request) lets a request say its own.
//!
//! # How it works
//!
//! The future polls the inner future first. When that is ready, this was all. Only at the first
//! `Pending` it reads the clock and arms a timer that is stored in the future itself, without a
//! box. So the time starts at the future's first poll, a future that was made and not yet polled
//! loses none, and what the inner service does *within* that first poll is not measured. When
//! the answer and the end of the time come together, the answer wins.
//!
//! When the time is over, the inner future is dropped, and then the caller gets a
//! [`Rejection`](seawall_core::Rejection) that says whether the request may have been sent:
//!
//! | what happened | reason | sent |
//! |---|---|---|
//! | the attempt took too long | `AttemptTimeout` | maybe |
//! | the request's or the call's deadline passed meanwhile | `DeadlineExceeded` | maybe |
//! | the request's own deadline had passed before the attempt or the call | `DeadlineExceeded` | no |
//! | the inner service was not ready in time | `DeadlineExceeded` | no |
//!
//! A request may come with a deadline of its own. A [`PropagateDeadline`] that answers it makes it the limit
//! of the whole call where it is the earlier one, also while the call waits in a queue below.
//!
//! Only what was cut off is counted; what is answered in time touches no shared memory. A future
//! holds no reference to the layer, for the same reason: it finds its counters by number, in a
//! table that is looked at only when a call is cut off.
//!
//! # Readiness
//!
//! [`AttemptTimeout`] forwards readiness and adds nothing. [`Deadline`] does too while the inner
//! service is ready; when it is not, a timer is armed, which wakes the waiting task. When that
//! fires, `poll_ready` says ready, and the `call` that follows is rejected: an error of
//! `poll_ready` would end the instance for ever. The time waited is taken off what the call's
//! future has left. Idle time between readiness and call is not charged. A clone has not waited.
//!
//! An instance that gave up may still stand in the queue of a service below which queues in
//! `poll_ready` (tower's `ConcurrencyLimit` does); drop the instance to leave it. A wait that a
//! caller gave up without dropping the instance is charged to the instance's next call, until
//! twice the limit has passed since it began.
//!
//! # Cancellation
//!
//! Both futures can be dropped at any time: inner future and timer go with them, nothing is
//! counted. A timeout cancels what the inner future owns and nothing else. Work that was spawned,
//! buffered or handed to a blocking thread goes on, and a request that was sent may be executed:
//! that is what `Sent::Maybe` says.
//!
//! # Ordering
//!
//! The deadline is the outermost layer of a stack, above retry. The attempt timeout is the
//! innermost, below retry, breaker and limits, so that it measures the attempt and not the queues
//! in front of it.
//!
//! # Differences from `tower::timeout`
//!
//! Tower's layer arms its timer in `call`, for every request, and does not cover readiness. It
//! changes the error to a boxed one; here the error type stays as it is.

pub mod attempt;
pub mod deadline;

mod observe;
mod race;

pub use attempt::{
    AttemptTimeout, AttemptTimeoutHandle, AttemptTimeoutLayer, Fixed, Learned, LearnedConfig,
    LearnedConfigBuilder, NoOverride, RequestTimeout,
};
pub use deadline::{
    Deadline, DeadlineHandle, DeadlineLayer, NoPropagation, PropagateDeadline, Stamped,
};
