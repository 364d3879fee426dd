//! What the results of attempts say about their cost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use seawall_core::{FailureKind, Outcome};
use seawall_http::TransportError;
use tower_layer::Layer;
use tower_service::Service;

use super::call::Paid;

/// Notes which attempts are not billed, right around the client: those that are answered with the status
/// of an error, and those that were certainly not sent.
///
/// Without it, every attempt that a retry makes beside the one that is answered is taken for billed.
///
/// ```
/// use seawall_ai::spend::NoteUnbilledLayer;
/// use tower::{ServiceBuilder, service_fn};
///
/// let client = ServiceBuilder::new()
///     // The stack comes here.
///     .layer(NoteUnbilledLayer)
///     .service(service_fn(|_: http::Request<String>| async {
///         Ok::<_, std::io::Error>(http::Response::new(String::new()))
///     }));
/// # let _ = client;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoteUnbilledLayer;

impl<S> Layer<S> for NoteUnbilledLayer {
    type Service = NoteUnbilled<S>;

    fn layer(&self, inner: S) -> NoteUnbilled<S> {
        NoteUnbilled { inner }
    }
}

/// A client whose attempts are noted; made by [`NoteUnbilledLayer`]. It is ready when the client is.
#[derive(Clone, Copy, Debug)]
pub struct NoteUnbilled<S> {
    inner: S,
}

seawall_core::inner_accessors!(NoteUnbilled<S>);

impl<S, B, R> Service<Request<B>> for NoteUnbilled<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: TransportError,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = NoteUnbilledFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let paid = request.extensions().get().cloned();
        NoteUnbilledFuture {
            inner: self.inner.call(request),
            paid,
        }
    }
}

pin_project! {
    /// The future of a [`NoteUnbilled`]. Dropped, its attempt may have been billed.
    ///
    /// # Panics
    ///
    /// When the client's future panics because it is polled after it has completed.
    pub struct NoteUnbilledFuture<F> {
        #[pin]
        inner: F,
        paid: Option<Paid>,
    }
}

impl<F, R, E> Future for NoteUnbilledFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: TransportError,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(paid) = this.paid.take() {
            let unbilled = match &result {
                Ok(response) => {
                    let status = response.status();
                    status.is_client_error() || status.is_server_error()
                }
                Err(error) => error.outcome() == Outcome::Failure(FailureKind::NotSent),
            };
            note(&paid, unbilled);
        }
        Poll::Ready(result)
    }
}

fn note(paid: &Paid, unbilled: bool) {
    let mut next = Some(paid);
    while let Some(paid) = next {
        if unbilled {
            paid.call.unbilled();
        } else {
            paid.call.note_results();
        }
        next = paid.outer.as_deref();
    }
}

seawall_core::impl_debug!(NoteUnbilledFuture<F>: |this| done = this.paid.is_none());
