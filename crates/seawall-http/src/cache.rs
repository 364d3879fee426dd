//! What a cache, and a layer that coalesces, must know of HTTP: keys, lifetimes, and what is kept of a response.
//!
//! [`HttpCache`] has the rules of [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111.html), [`StoreBody`] keeps what
//! passes through a body once it has come to its good end, and [`HttpCodec`] writes both to a file.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use seawall_cache::{CacheConfig, CacheLayer};
//! use seawall_core::WrapErrorLayer;
//! use seawall_http::cache::{HttpCache, StoreBody};
//! use seawall_http::{HttpClassifier, HttpFresh, HttpMark, Routes};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = CacheConfig::builder(Duration::from_secs(1))
//!     .stale_on_failure(Duration::from_secs(3600))
//!     .build()?;
//! let cache = CacheLayer::new("quotes", config)
//!     .classify(HttpClassifier::new())
//!     .describe(Routes::new())
//!     .rules(HttpCache::new())
//!     .store(StoreBody::new())
//!     .mark(HttpMark)
//!     .fresh_only(HttpFresh);
//! let handle = cache.handle();
//! let client = ServiceBuilder::new().layer(cache).layer(WrapErrorLayer).service(service_fn(
//!     |_: Request<Full<Bytes>>| async {
//!         let response = Response::builder().header("cache-control", "max-age=60");
//!         Ok::<_, std::io::Error>(response.body(Full::<Bytes>::from("101.25")).unwrap())
//!     },
//! ));
//! for _ in 0..2 {
//!     let response = client.clone().oneshot(Request::get("/quotes/SPY").body(Full::default())?).await?;
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "101.25");
//! }
//! assert_eq!(handle.counts().calls.hit, 1);
//! handle.invalidate_prefix("/quotes/");
//! # Ok(()) }
//! ```
//!
//! # What is kept, and for whom
//!
//! * The answers to GET and HEAD, where the request has no body, no `Range`, no condition (`If-..`) and no
//!   `Cache-Control: no-store`. Under the method, the full target and every header that does not only trace the
//!   request: see [`HttpCacheKey`]. So an answer is given to the same credentials alone, in whatever header they
//!   are.
//! * Not what says `no-store` or `no-cache`, sets a cookie, is a stream of events, has trailers, is longer than
//!   the [bound](StoreBody::with_cap), breaks off, or depends ([`Vary`](http::header::VARY)) on everything, or on
//!   headers of the request that are left out of the key; nor what has a `Content-Length` that is no number, or several
//!   that differ, and no GET whose body is shorter than it says. Of such a call, callers that wait for it make their own: at
//!   once where it was good, and otherwise, as with a 401, one after the other.
//! * What is not kept for its status alone, as a 401, a 400 or a 302, is given to those that wait for this very call.
//!   So is a failure where a layer that coalesces
//!   [shares them](seawall_cache::CoalesceConfigBuilder::share_failures), also one that says `no-store`; not one that
//!   sets a cookie, depends on what is not in the key, or is `private` where answers are shared between users. Each
//!   waiter gets it once the caller that made the call has read its body; where it drops the body, or the body is
//!   longer than the bound, the next one makes the call.
//! * For as long as `max-age` or `Expires` say, a [day](HttpCache::max_age) at most, or for the time of the layer's
//!   settings where the response says nothing; less its age, which counts against every other time, too: the greater
//!   of its `Age` with the time of the call, and of what has passed since its `Date`, from two seconds on (clocks
//!   differ). An upstream, or a machine, whose clock is wrong needs [`ignore_date`](HttpCache::ignore_date).
//!   `stale-while-revalidate` and `stale-if-error` are kept to, and `must-revalidate`: what is stale is not used then.
//!   A refresh that fails is a failure: `stale-if-error` says how long what is stale is given then.
//!   A number that is too large is the largest, and what is no number is 0. Of a directive that is repeated the
//!   shortest time counts.
//! * A request may ask for `no-cache`, `max-age`, `min-fresh`, `max-stale` and `only-if-cached`, whose answer is a
//!   504 where nothing is kept. What it takes stale by `max-stale` is marked, and counts as `stale`. With `min-fresh` it
//!   gets nothing that is stale, nor where the upstream fails.
//! * A request of another method that was executed, or may have been, makes everything of its path invalid,
//!   whatever the query: once its head is here, and again once its body is at its end, or dropped. Where calls are shared without a cache, no request gets the answer of one that began before
//!   its end. Neither knows of a change that another path makes, as an order changes positions: use
//!   [`invalidate_prefix`](seawall_cache::CacheHandle::invalidate_prefix), or `Cache-Control: no-cache` in the read.
//! * What is kept comes with `Age`.
//!
//! # Headers that are another one at each request
//!
//! A timestamp, a nonce, a signature, a `Date` or an `Idempotency-Key` in the request makes every key another one:
//! nothing is ever found again, no call is shared, and `counts().calls.hit` of the handle stays 0. Put the layer
//! outside of what adds such a header, as a signature at the departure of an attempt, or
//! [leave it out](HttpCache::leave_out) of the key. Those that only trace a request are left out anyway:
//! [`HttpCacheKey`] names them.

mod age;
mod body;
mod codec;
mod directives;
mod key;
mod names;
mod rules;
mod store;
mod stored;
mod target;

pub use body::CacheBody;
pub use codec::HttpCodec;
pub use key::HttpCacheKey;
pub use rules::{HttpAsked, HttpCache};
pub use store::{Draining, StoreBody};
pub use stored::HttpStored;
