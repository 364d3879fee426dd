//! Faults on purpose for HTTP: statuses with headers, broken and slow bodies, stale responses, clock
//! skew. The layer is [`seawall_chaos::ChaosLayer`]; [`HttpFaults`] are its hooks.
//!
//! It stands right around the client, below everything that is to be tested. Its responses have a
//! [`ChaosBody`], whose error is a [`ChaosError`](seawall_chaos::ChaosError).
//!
//! Only reads are hit, unless the upstream is [simulated](seawall_chaos::ChaosConfigBuilder::simulated_upstream):
//! with [`Routes`](crate::Routes) a `GET`, and a route that is described as [`Replay::Safe`](seawall_core::Replay::Safe), but
//! no `PUT` and no `DELETE`.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use seawall_chaos::{ChaosConfig, ChaosLayer, Fault, StatusResponse};
//! use seawall_http::Routes;
//! use seawall_http::chaos::HttpFaults;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let layer = ChaosLayer::new("vendor", ChaosConfig::default())
//!     .describe(Routes::new())
//!     .faults(HttpFaults::new());
//! let handle = layer.handle();
//! let client = ServiceBuilder::new().layer(layer).service(service_fn(
//!     |_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("4711"))) },
//! ));
//!
//! let throttled = StatusResponse::new(429)?.header("retry-after", "2")?;
//! # if !seawall_chaos::CAN_INJECT { return Ok(()) }
//! let injection = handle.start(Fault::status(throttled))?;
//! let quote = || Request::get("/v1/quotes").body(Full::default());
//! let response = client.clone().oneshot(quote()?).await?;
//! assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"2".parse()?));
//! injection.stop();
//! let response = client.oneshot(quote()?).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "4711");
//! # Ok(()) }
//! ```
//!
//! # What is changed, and how
//!
//! | fault | what the caller sees |
//! |---|---|
//! | `status` | the status, headers and body that were configured; no body where the request is a `HEAD` |
//! | `truncated_body` | some of the body, then an error: as of a connection that was reset |
//! | `corrupted_body` | one byte of the first piece is another one |
//! | `slow_body` | each piece that has data comes later |
//! | `stale_response` | the first response to the same `GET` or `HEAD` since the fault began |
//! | `clock_skew` | `Date`, `Expires`, `Last-Modified` and a `Retry-After` with a date are off |
//!
//! Two requests are the same when their method, target and all headers are, credentials among them,
//! but for headers that only trace a request or describe its connection. So no caller gets the response to another
//! one's request, and nothing but a `GET` or a `HEAD` without a body gets an earlier response at all.
//! Kept are responses with a success status, without `Set-Cookie` and trailers, of up to 64 KiB, which
//! were read to their end.

mod alter;
mod body;
mod faults;
mod identity;
mod record;
mod skew;

pub use body::ChaosBody;
pub use faults::HttpFaults;
pub use record::KeptResponse;
