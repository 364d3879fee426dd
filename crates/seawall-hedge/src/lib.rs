//! Hedged requests as a Tower layer.
//!
//! One answer in a hundred comes late, for reasons that have nothing to do with the request: a
//! full queue, a collection of garbage, a lost packet. A second copy of the request, sent when the
//! first is slow, is mostly answered in time. Three things make it dangerous. What was executed
//! twice is an order placed twice. When an upstream is slow because it is loaded, a second copy of
//! everything is what breaks it. And whoever takes the first *result* takes the failure that a
//! broken instance gives at once, in place of the answer that is on its way.
//!
//! So this layer hedges only what may be sent twice, pays for it from a budget, and takes the first
//! *good* answer. The delay is fixed, or learned from the answers themselves.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::time::Duration;
//! use seawall_core::{WrapErrorLayer, RequestMeta, Replay};
//! use seawall_hedge::{HedgeConfig, HedgeLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! fn describe(request: &&str) -> RequestMeta {
//!     RequestMeta::new(if request.starts_with("GET") { Replay::Safe } else { Replay::Never })
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // After the 95th percentile of the last minute; until that is known, delay 100 ms.
//! let config = HedgeConfig::builder().initial_delay(Duration::from_millis(100)).build()?;
//! let hedge = HedgeLayer::new("alpaca", config).describe(describe as fn(&&str) -> RequestMeta);
//! let handle = hedge.handle();
//!
//! // Every other request hangs for a minute.
//! let calls = Arc::new(AtomicU32::new(0));
//! let mut client = ServiceBuilder::new()
//!     .layer(hedge)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(move |_: &'static str| {
//!         let hangs = calls.fetch_add(1, Relaxed) % 2 == 0;
//!         async move {
//!             tokio::time::sleep(Duration::from_millis(if hangs { 60_000 } else { 20 })).await;
//!             Ok::<u16, std::io::Error>(200)
//!         }
//!     }));
//!
//! let before = tokio::time::Instant::now();
//! assert_eq!(client.ready().await?.call("GET /v2/quotes").await?, 200);
//! assert!(tokio::time::Instant::now() < before + Duration::from_millis(125));
//! assert_eq!((handle.hedges(), handle.won()), (1, 1));
//!
//! // An order is sent once, and waited for.
//! client.ready().await?.call("POST /v2/orders").await?;
//! assert_eq!((handle.hedges(), handle.not_replay_safe()), (1, 1));
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! The first attempt goes through the service that was polled ready. When it is still pending after
//! the delay, another attempt is begun, through a clone of its own, and further ones each a further
//! delay later, up to [`extra_attempts`](HedgeConfigBuilder::extra_attempts). The clone goes
//! wherever the service below sends it: over a balancer, to another instance. When the task is
//! polled so late that several are overdue, one is begun, and the next a delay later.
//!
//! An attempt is begun only if
//!
//! * the describer ([`Describe`](seawall_core::Describe)) says that the request may be sent twice
//!   ([`Replay`](seawall_core::Replay)), and the copier
//!   ([`CopyRequest`](seawall_core::CopyRequest)) has a copy that can be sent;
//! * its answer can come before the request's deadline: later than the deadline less the median of
//!   the learned latencies, or at the deadline where they are not learned, it would be in vain.
//!   Nor is it sent when its service becomes ready only then;
//! * the [`Budget`](seawall_core::Budget) has a token. It is given back if the attempt is not sent;
//! * no attempt of the call has a bad answer yet.
//!
//! | an attempt's answer, by the classifier | what follows |
//! |---|---|
//! | `Success`, `Ignored` | it is the answer of the call; the other attempts are dropped first |
//! | anything else, of the first attempt before the delay | it is the answer of the call |
//! | anything else, while other attempts are under way | they are waited for; no more are sent |
//! | a rejection by a layer below | the same; a rejected extra attempt is as if it had not been |
//! | of all, none is good | the answer of the first attempt |
//!
//! A failure before the delay begins no attempt: a hedge is for slowness, and whether a failure
//! is worth another attempt, and after what pause, is decided by a retry, which knows of backoff
//! and of `Retry-After`. For the same reason a bad answer ends the sending: an upstream that fails
//! or throttles is not helped by more requests.
//!
//! When none is good and the first attempt was certainly not sent, while an extra one may have
//! been, "not sent" would be a lie. A rejection then says [`Sent::Maybe`](seawall_core::Sent::Maybe);
//! a client's own error that means [`NotSent`](seawall_core::FailureKind::NotSent) is replaced by
//! [`OutcomeUnknown`](seawall_core::Reason::OutcomeUnknown), unless the request is
//! [`Safe`](seawall_core::Replay::Safe).
//!
//! ## The learned delay
//!
//! A [`Quantile`](seawall_core::Quantile) of recent latencies, the 95th percentile unless set, as
//! J. Dean and L. A. Barroso have it in "The Tail at Scale" (Communications of the ACM 56(2), 2013).
//! Every good answer trains it, of winners and of calls that are not hedged alike, and what was
//! given up trains it too: a loser, a call that was dropped and a timeout took *at least* as long
//! as they were waited for. Learned from winners alone, the delay would forget the tail that it
//! cuts off, and creep down. Failures teach nothing: an upstream that fails at once would
//! otherwise teach everybody to hedge at once.
//!
//! ## Cost
//!
//! A call that is answered at once costs one reference count and one counter on a line of the
//! running thread, the copy of the request, and, where the delay is learned, two readings of the
//! clock and one addition. No timer is armed and no service is cloned. One that is pending arms a
//! timer. Neither allocates; each extra attempt does, since every future would otherwise be large
//! enough for two. Requests are copied when the call is made, since they are gone afterwards, and
//! not when there can be no hedge.
//!
//! # Readiness
//!
//! The inner service's own, for the first attempt. Nothing is reserved for an attempt that may
//! never be made. Each extra attempt polls its clone ready inside the future, beside the attempts
//! that are under way, and the first good answer does not wait for it.
//!
//! # Cancellation
//!
//! The future can be dropped at any time, and drops all attempts with it; the tokens of those that
//! were not sent are given back. Losers are dropped before the answer is given. A request that was
//! sent may be executed all the same.
//!
//! # Ordering
//!
//! Inside of the retry, so that one attempt of the retry is one hedged call, and inside of the
//! overall deadline. Outside of the breaker, its gate, the limits and the attempt timeout, so that
//! each attempt is admitted, limited, judged and timed for itself. With a retry around it, both are
//! paid from one budget, which the retry fills: [`HedgeLayer::shared_budget`].
//!
//! # Errors
//!
//! The layer makes none of its own, but for the correction above.
//!
//! # Differences from `tower::hedge`
//!
//! Tower's layer takes the first result, also a failure. It has one extra attempt and no budget;
//! for every call that may be hedged it clones the service and makes a timer; it boxes errors, and
//! its histogram, under a lock, learns from winners only.

mod call;
mod config;
mod future;
mod handle;
mod layer;
mod observe;
mod race;
mod service;
mod verdict;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use config::{HedgeConfig, HedgeConfigBuilder};
pub use future::ResponseFuture;
pub use handle::HedgeHandle;
pub use layer::HedgeLayer;
pub use service::Hedge;
