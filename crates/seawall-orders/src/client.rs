//! What sends a request, whatever service it is.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::{Unread, read};

/// The longest body of a response.
const MAX_BODY: u32 = 64 << 20;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// A service as a value without type parameters, for what sends a request now and then: lists and the dead
/// man's switch. It waits until a clone of the service is ready, and reads bodies to their end, up to 64 MiB.
///
/// The service has to add the host and the credentials: what is sent here has a path and a query alone.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use seawall_orders::client::RequestSender;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = RequestSender::new(service_fn(|request: Request<Bytes>| async move {
///     Ok::<_, std::io::Error>(Response::new(Full::new(request.into_body())))
/// }));
/// let response = client.send(Request::new(Bytes::from("[]"))).await.unwrap();
/// assert_eq!(response.into_body(), "[]");
/// # }
/// ```
#[derive(Clone)]
pub struct RequestSender {
    send: Arc<dyn Fn(Request<Bytes>) -> Sending + Send + Sync>,
}

impl RequestSender {
    /// Sends through clones of `service`.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::through(service, MAX_BODY, Into::into, Into::into)
    }

    /// Sends through clones of `service`, whose errors become others.
    pub(crate) fn through<S, B, R>(
        service: S,
        max_body: u32,
        failed: fn(S::Error) -> BoxError,
        broken: fn(R::Error) -> BoxError,
    ) -> Self
    where
        S: Service<Request<B>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
        B: From<Bytes> + Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
    {
        let service = Mutex::new(service);
        Self::from_fn(move |request| {
            let mut service = service
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
                let response = service.call(request.map(B::from)).await;
                let (head, body) = response.map_err(failed)?.into_parts();
                let body = read(body, max_body).await.map_err(|unread| match unread {
                    Unread::TooLong => "the body of the response is longer than is read".into(),
                    Unread::Broken(error) => broken(error),
                })?;
                Ok(Response::from_parts(head, body))
            })
        })
    }

    /// Sends by `send`.
    pub(crate) fn from_fn(
        send: impl Fn(Request<Bytes>) -> Sending + Send + Sync + 'static,
    ) -> Self {
        Self {
            send: Arc::new(send),
        }
    }

    /// Sends a request, and reads its response to the end.
    ///
    /// # Errors
    ///
    /// That of the service, or of the body.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        (self.send)(request).await
    }
}

impl fmt::Debug for RequestSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSender").finish_non_exhaustive()
    }
}
