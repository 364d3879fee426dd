//! What marks the client, so that its time is not taken for that of the layers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::measure::ClientPart;

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
        if ClientPart::is_due() {
            return self.call_measured(request);
        }
        ClientProbeFuture {
            inner: self.inner.call(request),
        }
    }
}

impl<S> ClientProbe<S> {
    #[cold]
    #[inline(never)]
    fn call_measured<Req>(&mut self, request: Req) -> ClientProbeFuture<S::Future>
    where
        S: Service<Req>,
    {
        let _part = ClientPart::enter();
        ClientProbeFuture {
            inner: self.inner.call(request),
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
        let _part = ClientPart::is_due().then(ClientPart::enter);
        self.project().inner.poll(cx)
    }
}
