//! What marks the client, so that its time is not taken for that of the layers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::measure::inside;

/// Marks what is the client's, innermost of a stack, for the overhead that
/// [`TelemetryLayer`](crate::TelemetryLayer) measures: what the outermost service takes and the client does not.
/// Without it no overhead is reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientProbeLayer {
    _more: (),
}

impl ClientProbeLayer {
    /// It has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _more: () }
    }
}

impl<S> Layer<S> for ClientProbeLayer {
    type Service = ClientProbe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientProbe { inner }
    }
}

/// A client whose time is measured where a call around it is; made by [`ClientProbeLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ClientProbe<S> {
    inner: S,
}

seawall_core::inner_accessors!(ClientProbe<S>);

impl<S: Service<Req>, Req> Service<Req> for ClientProbe<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ClientProbeFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        ClientProbeFuture {
            inner: inside(|| self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The response of a [`ClientProbe`].
    #[derive(Debug)]
    pub struct ClientProbeFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for ClientProbeFuture<F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let inner = self.project().inner;
        inside(|| inner.poll(cx))
    }
}
