//! tonic's own timeouts, which it reports as `CANCELLED`.

use std::error::Error as StdError;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::{Code, Status, TimeoutExpired};

/// The message of tonic's timeouts: the text of [`TimeoutExpired`].
const MESSAGE: &str = "Timeout expired";

/// A status of one of tonic's own timeouts (`Endpoint::timeout`, `Server::timeout`, and the
/// `grpc-timeout` that its server applies) as `DEADLINE_EXCEEDED`; any other status as it is.
///
/// tonic reports them as `CANCELLED` with the message "Timeout expired". By gRPC's specification a
/// call that took too long is `DEADLINE_EXCEEDED`, and callers rely on it: `CANCELLED` means that
/// they gave up themselves. Metadata and details are kept. When the status was made on this side,
/// it is the source of the corrected one, so that [`find_rejection`](seawall_core::find_rejection)
/// finds a rejection in it, and no classifier takes it for the server's.
///
/// [`WrapStatusLayer`](crate::WrapStatusLayer) does this for the errors of a channel, and
/// [`GrpcClassifier`](crate::GrpcClassifier) classifies such responses as timeouts. For a generated
/// client of a server with a timeout of its own put [`correct_response`] around the channel, or call
/// this function for the status that it returns.
///
/// ```
/// use seawall_grpc::correct_timeout;
/// use tonic::{Code, Status};
///
/// let expired = correct_timeout(Status::cancelled("Timeout expired"));
/// assert_eq!(expired.code(), Code::DeadlineExceeded);
/// assert_eq!(correct_timeout(Status::cancelled("by the user")).code(), Code::Cancelled);
/// ```
pub fn correct_timeout(status: Status) -> Status {
    if code_of_status(&status) == status.code() {
        return status;
    }
    let mut corrected = Status::with_details_and_metadata(
        Code::DeadlineExceeded,
        status.message(),
        status.details().to_vec().into(),
        status.metadata().clone(),
    );
    if status.source().is_some() {
        corrected.set_source(Arc::new(status));
    }
    corrected
}

/// A response of a channel whose server has ended the call by a timeout of tonic's, as
/// `DEADLINE_EXCEEDED`; any other response as it is. So a generated client returns the status that
/// callers rely on, see [`correct_timeout`].
///
/// ```
/// use seawall_grpc::correct_response;
/// use tonic::{Code, Status, body::Body};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let channel = ServiceBuilder::new()
///     .map_response(correct_response::<Body>)
///     .service(service_fn(|_: ()| async {
///         Ok::<_, std::convert::Infallible>(Status::cancelled("Timeout expired").into_http())
///     }));
/// let response = channel.oneshot(()).await.unwrap();
/// let status = Status::from_header_map(response.headers()).unwrap();
/// assert_eq!(status.code(), Code::DeadlineExceeded);
/// # }
/// ```
pub fn correct_response<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let cancelled = headers.get(GRPC_STATUS).is_some_and(|code| code == "1");
    if cancelled && code_in(headers) == Some(Code::DeadlineExceeded) {
        headers.insert(GRPC_STATUS, HeaderValue::from_static("4"));
    }
    response
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The code of a status, `DEADLINE_EXCEEDED` for tonic's own timeouts.
pub(crate) fn code_of_status(status: &Status) -> Code {
    if status.code() == Code::Cancelled && (status.message() == MESSAGE || is_expired(status)) {
        Code::DeadlineExceeded
    } else {
        status.code()
    }
}

fn is_expired(status: &Status) -> bool {
    let mut next = status.source();
    while let Some(error) = next {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The code in the head or the trailers of a response, `DEADLINE_EXCEEDED` for tonic's own
/// timeouts.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    // Not `Status::from_header_map`: it decodes the details as well, and panics when they are no
    // base64.
    let code = Code::from_bytes(headers.get(GRPC_STATUS)?.as_bytes());
    if code == Code::Cancelled {
        // Percent-encoded by tonic, and perhaps not by others.
        let message = headers.get("grpc-message").map(http::HeaderValue::as_bytes);
        if matches!(message, Some(b"Timeout%20expired" | b"Timeout expired")) {
            return Some(Code::DeadlineExceeded);
        }
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrpcError, GrpcFailure};
    use seawall_core::{FailureKind, Outcome, Reason, Rejection, find_rejection};

    #[test]
    fn a_servers_timeout_is_the_servers_and_keeps_its_metadata() {
        let mut status = Status::cancelled("Timeout expired");
        let value = tonic::metadata::MetadataValue::from_static("1");
        status.metadata_mut().insert("x-attempt", value);
        let corrected = correct_timeout(status);
        assert_eq!(corrected.code(), Code::DeadlineExceeded);
        assert_eq!(corrected.message(), "Timeout expired");
        assert_eq!(corrected.metadata().get("x-attempt").unwrap(), "1");
        assert!(corrected.source().is_none());
        let timeout = Outcome::Failure(FailureKind::Timeout);
        assert_eq!(corrected.outcome(), timeout);
        let raw = Status::cancelled("Timeout expired");
        assert_eq!(raw.outcome(), timeout, "also when it was not corrected");
    }

    #[test]
    fn a_channels_timeout_is_of_unknown_outcome() {
        // As a channel reports it: boxed, and turned into a status by tonic.
        let status = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(status.code(), Code::Cancelled, "or tonic has fixed it");
        assert_eq!(status.outcome(), Outcome::Unknown);
        let corrected = correct_timeout(status);
        assert_eq!(corrected.code(), Code::DeadlineExceeded);
        assert_eq!(corrected.outcome(), Outcome::Unknown);
        let seen = Status::from_error(GrpcError::from(corrected).into());
        assert_eq!(seen.code(), Code::DeadlineExceeded);
    }

    #[test]
    fn the_rejection_in_a_timeout_is_found() {
        let rejection = Rejection::new(Reason::AttemptTimeout, "quotes");
        let mut status = Status::cancelled("Timeout expired");
        status.set_source(Arc::new(rejection));
        let corrected = correct_timeout(status);
        assert_eq!(corrected.code(), Code::DeadlineExceeded);
        assert_eq!(find_rejection(&corrected), Some(&rejection));
    }

    #[test]
    fn any_other_response_is_as_it_was() {
        for status in [
            Status::cancelled("by the user"),
            Status::unavailable("Timeout expired"),
            Status::ok("Timeout expired"),
        ] {
            let before = status.into_http::<()>();
            let headers = before.headers().clone();
            assert_eq!(correct_response(before).headers(), &headers);
        }
        let head = correct_response(Response::new(()));
        assert!(head.headers().is_empty());
    }

    #[test]
    fn any_other_status_is_as_it_was() {
        for (code, message) in [
            (Code::Cancelled, "by the user"),
            (Code::Cancelled, "timeout expired"),
            (Code::Unavailable, "Timeout expired"),
        ] {
            let status = correct_timeout(Status::new(code, message));
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }

    #[test]
    fn heads_and_trailers_are_read_likewise() {
        let code = |status: Status| code_in(status.into_http::<()>().headers());
        let expired = code(Status::cancelled("Timeout expired"));
        assert_eq!(expired, Some(Code::DeadlineExceeded));
        assert_eq!(code(Status::cancelled("stop")), Some(Code::Cancelled));
        assert_eq!(code_in(&HeaderMap::new()), None);
        let mut plain = HeaderMap::new();
        plain.insert("grpc-status", http::HeaderValue::from_static("1"));
        let message = http::HeaderValue::from_static("Timeout expired");
        plain.insert("grpc-message", message);
        assert_eq!(code_in(&plain), Some(Code::DeadlineExceeded));
    }
}
