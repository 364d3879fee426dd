//! Deadlines that travel: from a request's extensions into a header, and back on the other side.
//!
//! A server that works for a caller who has given up works in vain, and so does everything below
//! it. The caller knows how much time is left; a header tells. It says how long, not until when,
//! since clocks of two machines differ.
//!
//! * [`WriteDeadlineLayer`], next to the client, inside of retry: writes into each attempt what is
//!   left of its request's deadline.
//! * [`ReadDeadlineLayer`], outermost in a server: reads the header into a [`RequestDeadline`],
//!   which layers and handlers below see, and which [`propagate_deadline`](crate::propagate_deadline)
//!   keeps.
//!
//! A handler that calls on gives the deadline to its own requests: [`deadline_of`] of the one it
//! serves, [`propagate_deadline`](crate::propagate_deadline) into those it sends. So what is left shrinks
//! from hop to hop.
//!
//! # Which header
//!
//! HTTP has no standard for it. The default, [`DeadlineHeader::default`], is
//! `x-envoy-expected-rq-timeout-ms`, in whole milliseconds: it is what Envoy and the meshes made
//! of it write into the requests that they pass on, with the time by which they expect the answer,
//! and so the one that servers are most likely to get already. Other names and seconds are to be
//! had by [`DeadlineHeader::millis`] and [`DeadlineHeader::seconds`], and other forms by a
//! [`DeadlineFormat`]; gRPC's `grpc-timeout` is in `seawall-grpc`.
//!
//! # What is ignored
//!
//! A header that is no number, that there are several of, of zero (with Envoy: no timeout) or
//! longer than a year changes nothing and is counted. A caller can only shorten the time that a
//! server would take: with [`propagate_deadline`](crate::propagate_deadline) the earlier deadline stays.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use seawall_http::{ReadDeadlineLayer, RequestDeadline, WriteDeadlineLayer, deadline_of};
//! use tokio::time::Instant;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ServiceBuilder::new()
//!     .layer(ReadDeadlineLayer::new("api"))
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
//! Both layers change a request and nothing else: they wait for nothing, and their futures are
//! those of the service below. Writing allocates the header's value.

mod format;
mod read;
mod write;

pub use format::{DeadlineFormat, DeadlineHeader};
pub use read::{DeadlineRead, ReadDeadline, ReadDeadlineHandle, ReadDeadlineLayer, read_deadline};
pub use write::{WriteDeadline, WriteDeadlineLayer, write_deadline};

use std::time::Duration;

use http::Request;
use seawall_core::RequestMeta;
use tokio::time::Instant;

use crate::RequestDeadline;

/// When the answer of a request is no longer of use, by its extensions: of the [`RequestDeadline`]
/// and the one in a whole [`RequestMeta`] the earlier.
pub fn deadline_of<B>(request: &Request<B>) -> Option<Instant> {
    let extensions = request.extensions();
    let own = extensions.get().map(|RequestDeadline(at)| *at);
    let described = extensions
        .get()
        .and_then(|meta: &RequestMeta| meta.deadline);
    match (own, described) {
        (Some(own), Some(described)) => Some(own.min(described)),
        (own, described) => own.or(described),
    }
}

/// How long one attempt of a request may take, in place of what the layer was set to; a value in
/// its extensions, read by [`request_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTimeout(pub Duration);

/// The [`RequestTimeout`] of a request; fits where the attempt timeout asks for a request's own.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_http::{RequestTimeout, request_timeout};
///
/// let mut batch = Request::post("/v1/batches").body(()).unwrap();
/// assert_eq!(request_timeout(&batch), None);
/// batch.extensions_mut().insert(RequestTimeout(Duration::from_secs(600)));
/// assert_eq!(request_timeout(&batch), Some(Duration::from_secs(600)));
/// ```
pub fn request_timeout<B>(request: &Request<B>) -> Option<Duration> {
    request.extensions().get().map(|RequestTimeout(own)| *own)
}
