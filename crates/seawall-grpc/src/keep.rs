//! What is kept of a gRPC response whose call is tried again.

use std::future::{Ready, ready};

use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use seawall_core::{KeepResponse, Rejection};

/// Keeps the status of a gRPC response whose call is tried again, for a caller who gets it because
/// no further attempt leaves ([`KeepResponse`]).
///
/// Between a generated client and its channel a failed call is a response, not an error: its status
/// is in the head, and its body is empty. So the head is kept, as is that of a proxy's response,
/// whose HTTP status a generated client makes a status of; the body is dropped, and with it its
/// permit. A response without a status in its head may have a message in its body, and is not kept.
/// Errors are kept without any keeper, and around a generated client failed calls are errors.
///
/// The response that the caller gets has the [`Rejection`] that stood in the way of another attempt
/// in its extensions. A generated client shows the upstream's status alone.
///
/// ```
/// use seawall_core::{KeepResponse, Policy, Reason, Rejection};
/// use seawall_grpc::{GrpcClassifier, KeepStatus};
/// use tonic::{Code, Status, body::Body};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let policy = Policy::new().classify(GrpcClassifier).keep(KeepStatus);
/// # let _ = policy;
///
/// let draining = Status::unavailable("draining").into_http::<Body>();
/// let mut kept = KeepStatus.keep(draining).await.expect("a status");
/// KeepStatus.mark(&mut kept, Rejection::new(Reason::CircuitOpen, "quotes"));
///
/// let status = Status::from_header_map(kept.headers()).expect("a status");
/// assert_eq!((status.code(), status.message()), (Code::Unavailable, "draining"));
/// assert!(kept.extensions().get::<Rejection>().is_some());
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepStatus;

impl<B: Default> KeepResponse<Response<B>> for KeepStatus {
    type Keeping = Ready<Option<Response<B>>>;

    fn keep(&self, response: Response<B>) -> Self::Keeping {
        let (mut head, body) = response.into_parts();
        // It may hold a permit, for which the next attempt would wait.
        drop(body);
        let is_status = head.headers.contains_key("grpc-status") || head.status != StatusCode::OK;
        ready(is_status.then(|| {
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, B::default())
        }))
    }

    fn mark(&self, response: &mut Response<B>, rejection: Rejection) {
        response.extensions_mut().insert(rejection);
    }
}
