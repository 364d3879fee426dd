//! The service below the layer, as look-ups and cancels use it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::read;

/// A request that was not answered by a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoResponse(pub(super) &'static str);

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoResponse {}

type Sending = Pin<Box<dyn Future<Output = Result<Response<Bytes>, NoResponse>> + Send>>;

/// Sends requests that the layer makes itself.
pub(super) trait SendRequest: Send + Sync + fmt::Debug {
    /// Sends one; the future owns what it needs.
    fn send(&self, request: Request<Bytes>, max_body: u32) -> Sending;
}

/// A service whose clones send, each for itself.
pub(super) struct Below<S, B>(Mutex<S>, PhantomData<fn(B)>);

impl<S, B> Below<S, B> {
    pub(super) const fn new(service: S) -> Self {
        Self(Mutex::new(service), PhantomData)
    }
}

impl<S, B> fmt::Debug for Below<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Below")
    }
}

impl<S, B, R> SendRequest for Below<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    B: From<Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    S::Error: Send,
{
    fn send(&self, request: Request<Bytes>, max_body: u32) -> Sending {
        let service = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut service = service.clone();
        Box::pin(async move {
            let failed = |_| NoResponse("the client or a layer failed");
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            let response = service.call(request.map(B::from)).await;
            let (head, body) = response.map_err(failed)?.into_parts();
            match read(body, max_body).await {
                Ok(body) => Ok(Response::from_parts(head, body)),
                Err(_) => Err(NoResponse("the body of the response was not complete")),
            }
        })
    }
}
