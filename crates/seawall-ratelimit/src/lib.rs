//! Bounds on how much departs per time, with a line for those who may wait.
//!
//! An API that allows 200 requests per minute answers the 201st with a rejection, and the client
//! that goes on regardless with a ban. Counting per minute on the client's side lets twice the
//! number through where two minutes meet, and a limit per clone of a client is none at all. And
//! one number is seldom all: brokers limit by second, minute and day at once, exchanges by weight,
//! AI providers by requests and tokens, and most tell in their answers how much is left.
//!
//! This layer grants what all of its limits grant, exactly, to all services of one layer together;
//! who comes too early is told when to come back, or waits, first come, first served.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_core::{WrapErrorLayer, Rejectable};
//! use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
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
//! # How it works
//!
//! ```text
//!            tokens there, nobody in line
//!   call ----------------------------------------> departs
//!     |                                               ^
//!     |  their time comes within max_wait             | readiness first, the tokens last
//!     +-------------------> in line ------------------+
//!     |                        | max_wait is over
//!     |  it does not           v
//!     +-------------------> rejected, with the time to come back
//! ```
//!
//! A single bucket is one atomic word (the generic cell rate algorithm): a grant is a clock read
//! and a compare-exchange, a rejection writes nothing, and the lock of the line is never touched by
//! calls that do not wait. Limits of other kinds, and several at once, are decided under that lock,
//! so that a call takes from all of them or from none. Neither allocates. Waiters take their tokens at the moment of departure, so a waiter
//! that leaves costs the others nothing and never makes two depart at once. The first in line has
//! a timer for its tokens, those behind it have one for their `max_wait`. When the time of the
//! first has come, it polls its clone of the inner service ready, *then* takes its tokens, and
//! calls in the same poll. One whose clone is not ready stands aside and keeps its rank, and the
//! next one may go. At the end of its `max_wait`, a call takes the tokens that are there, whatever
//! its rank, or is rejected.
//!
//! Whether a call may wait is a forecast: the limits and what those in line cost. It is exact as
//! long as nobody comes back from standing aside or comes with a higher priority, who go before
//! those that came earlier, as every cost is as large as the others, and as late timers lose no
//! tokens that it does not know of, see [`max_wait`](RateLimitConfigBuilder::max_wait).
//!
//! A request costs what its [`RequestMeta`](seawall_core::RequestMeta) says, 1 by default. A cost of 0 always
//! passes; one over what a limit can ever grant is rejected as too expensive, since no rest is long
//! enough for it.
//!
//! Services made from one layer, its clones and theirs share the limits. To give two upstreams
//! rates of their own, make two layers.
//!
//! # Which limit
//!
//! | the provider | take |
//! |---|---|
//! | says a rate, and you stay below it | [`Limit::of`]`(200, minute).at(0.8)`: a bucket whose burst is the rest |
//! | bans for one request too many | [`Limit::strict`]: never more than the count in any stretch |
//! | counts from full minute to full minute, and says so | [`Limit::window`], with a [margin](Limit::margin) for the clocks |
//! | has a quota per day | [`Limit::daily`] at its [`DailyReset`], kept in a [`QuotaFile`] over restarts; or a strict limit over 24 hours, if nobody says when its day begins |
//! | limits several of these at once | a [`limit`](RateLimitConfigBuilder::limit) for each |
//! | limits by weight, tokens, orders | [`Limit::unit`] that unit, and [`RequestMeta`](seawall_core::RequestMeta) or a [`CostFn`] that says what a request costs |
//! | limits each endpoint, account, symbol | [`KeyedRateLimitLayer`], [within](KeyedRateLimitLayer::within) the limit of the whole if there is one |
//!
//! # Who goes first
//!
//! Those in line go by [priority](seawall_core::Priority), and first come, first served within one.
//! Waiting makes up for priority ([`priority_aging`](RateLimitConfigBuilder::priority_aging)), so nobody starves. A
//! call that comes with a [deadline](seawall_core::RequestMeta) waits no longer than that, and is rejected
//! at once when its turn would come later.
//!
//! # What the provider says
//!
//! A [`FeedbackLayer`], next to the client, corrects the limits by every answer: downwards to what
//! is left, with a pause where one is asked for, and from the estimated tokens of a call to those
//! that it has used. `seawall-http` reads all of that from headers and bodies. What is not a call
//! takes its tokens by a [`Reservation`].
//!
//! # While it runs
//!
//! [`RateLimitHandle`] reads and changes everything: rates without losing what is used, pause,
//! drain, [shadow mode](RateLimitConfigBuilder::shadow) for limits that shall only watch.
//!
//! # Readiness
//!
//! `poll_ready` asks the inner service and takes no token, so that idle clones hold none.
//! Rejections are errors of `call`'s future, never of `poll_ready`. A call that is rejected or has to
//! wait gives up what its instance had reserved below; the clone of one that waits is polled ready
//! when its turn comes, and again from the start if the tokens were gone by then.
//!
//! # Cancellation
//!
//! A granted call has spent its tokens when `call` returns, also if its future is never polled.
//! A waiting one that is dropped leaves the line at no cost, and the next in line is called. A
//! call joins the line at the first poll of its future, and its `max_wait` starts then: a future
//! that nobody polls holds nobody up. One that is polled, then kept and polled no more, keeps its
//! rank until it is dropped, and those behind it depart only when their own `max_wait` ends: drive
//! it or drop it.
//!
//! # Ordering
//!
//! Last before the call departs, inside retry and bulkhead, so that what the upstream sees is
//! what was granted; only a breaker and the attempt timeout go further inside. A bulkhead that is
//! shared by several rate limits goes inside of them, or the sleepers of one fill it for all. Such
//! a bulkhead must reject and not queue: in its line, calls that were granted one by one would be
//! saved up, to depart at once and above the rate when its places become free.
//!
//! # Differences from tower's `RateLimit`
//!
//! Tower's counts in fixed windows, so twice the rate can pass where two of them meet; it cannot
//! be cloned, so a service that is cloned per request needs a buffer around it; it has no cost
//! per request, and it makes `poll_ready` wait without bound.
//!
//! # Features
//!
//! * `timezone`: [`DailyReset`] in named time zones, summer time included.
//! * `tracing`, `metrics`: as in `seawall-core`.
//!
//! # Modules
//!
//! `layer` owns the limiter, `service` takes from it, `future`, `seat` and `wait` are for who waits,
//! `feedback` and `reserve` for what turns out later, `keyed` for many limiters. The pure core, with
//! `now` as an argument: `limiter` decides for all limits and keeps the line, `bucket` is the word
//! of a single bucket, `meter` all other kinds. `limit`, `config`, `costs`, `handle`, `snapshot` and
//! `observe` are what their names say.

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
mod limit;
mod limiter;
mod limiter_ref;
mod meter;
mod queued;
mod reserve;
mod service;
mod snapshot;
mod state;
mod sync;
mod waiter;

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
pub use reserve::Reservation;
pub use service::RateLimit;
pub use snapshot::{LimitSnapshot, RateLimitSnapshot, RateLimitState};

/// What users of this crate need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{
    ConstMeta, Describe, Error, InstanceName, InvalidConfig, PartitionKey, Policies, Policy,
    Priority, QuotaSignal, Ratio, ReadQuotaSignals, Reason, Registry, Rejectable, Rejection,
    Replay, RequestMeta, Scope, ServerLimit, TokenCount, Unit, WrapErrorLayer,
};
