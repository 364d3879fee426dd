//! Requests of a tonic client that can be sent again.

use http::Request;
use seawall_http::ReplayBody;
use tonic::body::Body;

/// A request of a generated client with a body that can be copied, for layers that send it again
/// with [`copy_request`](seawall_http::copy_request). It goes in front of them, by
/// `ServiceBuilder::map_request`.
///
/// What is sent is kept, up to [`DEFAULT_REPLAY_CAP`](seawall_http::DEFAULT_REPLAY_CAP) (64 KiB); a
/// longer request, and a stream of the client that is still being sent, is not sent again. See
/// [`ReplayBody`].
pub fn replayable(request: Request<Body>) -> Request<ReplayBody<Body>> {
    request.map(ReplayBody::stream)
}

/// A [`replayable`] request as a channel sends it; right around the channel.
pub fn sendable(request: Request<ReplayBody<Body>>) -> Request<Body> {
    request.map(Body::new)
}
