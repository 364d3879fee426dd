//! What sends a request, whatever service it is.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

/// The longest body of a response.
const MAX_BODY: usize = 64 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Sending = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// A service as a value without type parameters, for what sends a request now and then: lists and the dead
/// man's switch. It waits until a clone of the service is ready, and reads bodies to their end, up to 64 MiB.
///
/// The service has to add the host and the credentials: what is sent here has a path and a query alone.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use seawall_orders::client::OrderClient;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = OrderClient::new(service_fn(|request: Request<Bytes>| async move {
///     Ok::<_, std::io::Error>(Response::new(Full::new(request.into_body())))
/// }));
/// let response = client.send(Request::new(Bytes::from("[]"))).await.unwrap();
/// assert_eq!(response.into_body(), "[]");
/// # }
/// ```
#[derive(Clone)]
pub struct OrderClient {
    send: Arc<dyn Fn(Request<Bytes>) -> Sending + Send + Sync>,
}

impl OrderClient {
    /// Sends through clones of `service`.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let service = Mutex::new(service);
        let send = move |request| -> Sending {
            let mut service = service
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                let (head, body) = service
                    .call(request)
                    .await
                    .map_err(Into::into)?
                    .into_parts();
                let body = Limited::new(body, MAX_BODY).collect().await?;
                Ok(Response::from_parts(head, body.to_bytes()))
            })
        };
        Self::from_fn(send)
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

impl fmt::Debug for OrderClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderClient").finish_non_exhaustive()
    }
}
