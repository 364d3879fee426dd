//! Requests with what they are.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Classified, Described};
use crate::Describe;

/// Describes each request once, for all layers below; see the [module](crate::carry).
#[derive(Clone, Copy, Debug, Default)]
pub struct DescribeLayer<D> {
    describer: D,
}

impl<D> DescribeLayer<D> {
    /// Describes with `describer`.
    pub const fn new(describer: D) -> Self {
        Self { describer }
    }
}

impl<S, D: Clone> Layer<S> for DescribeLayer<D> {
    type Service = DescribeService<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        let describer = self.describer.clone();
        DescribeService { inner, describer }
    }
}

/// A service whose requests are described for the layers below; made by [`DescribeLayer`].
#[derive(Clone, Copy, Debug)]
pub struct DescribeService<S, D> {
    inner: S,
    describer: D,
}

crate::inner_accessors!(DescribeService<S, D>);

impl<S, D, Req, Res, Err> Service<Req> for DescribeService<S, D>
where
    S: Service<Described<Req>, Response = Classified<Res>, Error = Classified<Err>>,
    D: Describe<Req>,
{
    type Response = Res;
    type Error = Err;
    type Future = DescribeFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Err>> {
        self.inner.poll_ready(cx).map_err(Classified::into_value)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let meta = self.describer.describe(&request);
        DescribeFuture {
            inner: self.inner.call(Described { request, meta }),
        }
    }
}

pin_project! {
    /// The response of a [`DescribeService`].
    #[derive(Debug)]
    pub struct DescribeFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, Res, Err> Future for DescribeFuture<F>
where
    F: Future<Output = Result<Classified<Res>, Classified<Err>>>,
{
    type Output = Result<Res, Err>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.project().inner.poll(cx)) {
            Ok(response) => Ok(response.into_value()),
            Err(error) => Err(error.into_value()),
        })
    }
}
