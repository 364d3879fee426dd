//! The service: an estimate before the call, and what it has used after.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_http::quota::{TokenEstimate, estimate_tokens};
use tower_service::Service;

use super::parts::Parts;
use super::settling::Settling;
use crate::measured_body::{AwaitEnd, MeasuredBody};
use crate::peek::{announced, peek};
use crate::prompt::Prompt;
use seawall_http::Departures;

/// A service that estimates the tokens of every call; made by
/// [`EstimateLayer`](super::EstimateLayer).
///
/// It is ready when the inner service is, and rejects no call.
#[derive(Clone)]
pub struct EstimateService<S> {
    inner: S,
    parts: Arc<Parts>,
}

impl<S> EstimateService<S> {
    pub(super) const fn new(inner: S, parts: Arc<Parts>) -> Self {
        Self { inner, parts }
    }

    fn prepare<B: Body<Data = Bytes> + Clone + Unpin>(&self, request: &mut Request<B>) -> Settling {
        let body = peek(request.body().clone());
        let prompt = body.as_deref().and_then(Prompt::read);
        let counted = match &prompt {
            Some(prompt) => self.parts.tokenizer.count(prompt),
            None => {
                let all = body.as_ref().map(|all| all.len() as u64);
                let bytes = all.unwrap_or_else(|| announced(request.body()));
                estimate_tokens(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
        };
        let named = prompt.as_ref().and_then(|prompt| prompt.model.as_deref());
        let model = named.unwrap_or_default();
        let most = prompt.as_ref().and_then(|prompt| prompt.max_output);
        let choices = prompt.as_ref().map_or(1, |prompt| prompt.choices);
        let estimator = &self.parts.estimator;
        let expected = estimator.estimate_choices(model, counted, most, choices);
        let extensions = request.extensions_mut();
        extensions.insert(TokenEstimate(expected.tokens()));
        extensions.insert(expected.bound());
        if let Some(group) = &self.parts.group {
            extensions.insert(group(model));
        }
        Departures::watch(extensions, expected.watcher());
        Settling::new(expected, self.parts.estimator.clone())
    }
}

impl<S, B, R> Service<Request<B>> for EstimateService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body<Data = Bytes> + Clone + Unpin,
    R: Body<Data = Bytes>,
{
    type Response = Response<MeasuredBody<R>>;
    type Error = S::Error;
    type Future = EstimateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let settling = self.prepare(&mut request);
        EstimateFuture {
            inner: self.inner.call(request),
            settling: Some(settling),
        }
    }
}

pin_project! {
    /// The future of an [`EstimateService`].
    ///
    /// Dropped before its response, nothing is learned from the call; what a rate limit has taken for it
    /// stays taken if it has departed, and is given back by the limit otherwise.
    ///
    /// # Panics
    ///
    /// When the inner future panics because it is polled after it has completed.
    pub struct EstimateFuture<F> {
        #[pin]
        inner: F,
        settling: Option<Settling>,
    }
}

impl<F, R, E> Future for EstimateFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<MeasuredBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let settling = this.settling.take();
        Poll::Ready(match result {
            Ok(response) => {
                let settling = settling.and_then(|settling| settling.head(&response));
                let settling = settling.map(|settling| Box::new(settling) as Box<dyn AwaitEnd>);
                Ok(response.map(|body| MeasuredBody::new(body, settling)))
            }
            Err(error) => {
                if let Some(settling) = settling {
                    settling.failed();
                }
                Err(error)
            }
        })
    }
}

seawall_core::inner_accessors!(EstimateService<S>);
seawall_core::impl_debug!(EstimateService<S> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.parts.estimator.handle().name());
seawall_core::impl_debug!(EstimateFuture<F>: |this| done = this.settling.is_none());
