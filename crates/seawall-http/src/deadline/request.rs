//! The deadline and the attempt timeout of a request, in its extensions.

use std::time::Duration;

use http::Request;
use seawall_core::RequestMeta;
use tokio::time::Instant;

/// The moment after which the response of a request is of no use; a value in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestDeadline(pub Instant);

/// The deadline of a request, by its extensions: the earlier of the [`RequestDeadline`] and the one
/// in a complete [`RequestMeta`].
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

/// Writes a deadline into the request's extensions, unless an earlier one is there; returns the
/// earlier of the two, whether that is a [`RequestDeadline`] or in a complete [`RequestMeta`].
///
/// [`Routes`](crate::Routes) reads it. It fits where a layer takes a
/// `fn(&mut Req, Instant) -> Instant`.
pub fn propagate_deadline<B>(request: &mut Request<B>, at: Instant) -> Instant {
    let extensions = request.extensions_mut();
    let described = extensions
        .get()
        .and_then(|meta: &RequestMeta| meta.deadline);
    let at = described.map_or(at, |described| described.min(at));
    match extensions.get() {
        Some(RequestDeadline(own)) if *own <= at => *own,
        _ => {
            extensions.insert(RequestDeadline(at));
            at
        }
    }
}

/// How long one attempt of a request may take, in place of the layer's setting; a value in its
/// extensions, read by [`request_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTimeout(pub Duration);

/// The [`RequestTimeout`] of a request; fits where the attempt timeout takes the timeout of a
/// request.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_http::deadline::{RequestTimeout, request_timeout};
///
/// let mut batch = Request::post("/v1/batches").body(()).unwrap();
/// assert_eq!(request_timeout(&batch), None);
/// batch.extensions_mut().insert(RequestTimeout(Duration::from_secs(600)));
/// assert_eq!(request_timeout(&batch), Some(Duration::from_secs(600)));
/// ```
pub fn request_timeout<B>(request: &Request<B>) -> Option<Duration> {
    request.extensions().get().map(|RequestTimeout(own)| *own)
}
