//! Deadlines that travel: from a request's extensions into a header, and back on the other side.
//!
//! A server that works for a caller which has given up wastes its work, and so does everything
//! below it. The caller knows how much time is left and sends it in a header: how long, not until
//! when, since the clocks of two machines differ.
//!
//! * [`WriteDeadlineLayer`], next to the client, inside of retry: writes into each attempt what is
//!   left of its request's deadline.
//! * [`ReadDeadlineLayer`], outermost in a server: reads the header into a [`RequestDeadline`],
//!   which inner layers and handlers see, and which [`propagate_deadline`] keeps.
//!
//! A handler that calls another service passes the deadline on: [`deadline_of`] of the request
//! that it serves, [`propagate_deadline`] into those that it sends. So what is left shrinks from
//! hop to hop.
//!
//! # Which header
//!
//! HTTP has no standard for it. The default, [`DeadlineHeader::default`], is
//! `x-envoy-expected-rq-timeout-ms`, in whole milliseconds: Envoy and the meshes made of it write
//! it into the requests that they pass on, so servers are most likely to get that one already.
//! Other names, and seconds, are made by [`DeadlineHeader::millis`] and
//! [`DeadlineHeader::seconds`], other forms by a [`DeadlineFormat`]; gRPC's `grpc-timeout` is in
//! `seawall-grpc`.
//!
//! # What is ignored
//!
//! A header that is no number, that comes several times, that is zero (with Envoy: no timeout) or
//! longer than [`ReadDeadlineConfig::max_timeout`] changes nothing and is counted. A caller can
//! only shorten the time that a server would take: with [`propagate_deadline`] the earlier
//! deadline is kept.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use seawall_http::deadline::{
//!     ReadDeadlineConfig, ReadDeadlineLayer, RequestDeadline, WriteDeadlineLayer, deadline_of,
//! };
//! use tokio::time::Instant;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ServiceBuilder::new()
//!     .layer(ReadDeadlineLayer::new("api", ReadDeadlineConfig::default()))
//!     .service(service_fn(|request: Request<()>| async move {
//!         Ok::<_, std::io::Error>(deadline_of(&request))
//!     }));
//! // In place of a network.
//! let client = ServiceBuilder::new().layer(WriteDeadlineLayer::new()).service(server);
//!
//! let mut request = Request::new(());
//! let deadline = Instant::now() + Duration::from_secs(2);
//! request.extensions_mut().insert(RequestDeadline(deadline));
//! assert_eq!(client.oneshot(request).await?, Some(deadline));
//! # Ok(()) }
//! ```
//!
//! # Readiness, cancellation, ordering
//!
//! Both layers change a request and nothing else: they never wait, and their futures are those of
//! the inner service. Writing allocates the header's value.

mod format;
mod handle;
mod read;
mod request;
mod state;
mod write;

pub use format::{DeadlineFormat, DeadlineHeader};
pub use handle::{ReadDeadlineHandle, ReadDeadlineSnapshot};
pub use read::{DeadlineRead, ReadDeadline, ReadDeadlineLayer, read_deadline};
pub use request::{
    RequestDeadline, RequestTimeout, deadline_of, propagate_deadline, request_timeout,
};
pub use state::{ReadDeadlineConfig, ReadDeadlineCounts};
pub use write::{WriteDeadline, WriteDeadlineLayer, write_deadline};
