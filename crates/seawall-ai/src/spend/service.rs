//! The service: a reservation before the call, and what it has cost after.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::{Rejectable, Rejection, Sent};
use seawall_http::quota::Usage;
use tower_service::Service;

use super::call::{Call, End, Paid};
use super::parts::Parts;
use crate::bound::reported;
use crate::measured_body::{AwaitEnd, BodyEnd, MeasuredBody};
use crate::peek::{announced, peek};
use crate::prompt::Prompt;
use seawall_http::{Departures, WatchDeparture};

/// A service whose calls are paid for; made by [`SpendLayer`](super::SpendLayer).
///
/// It is ready when the inner service is. An instance holds nothing.
#[derive(Clone)]
pub struct SpendService<S> {
    inner: S,
    parts: Arc<Parts>,
}

impl<S> SpendService<S> {
    pub(super) const fn new(inner: S, parts: Arc<Parts>) -> Self {
        Self { inner, parts }
    }

    fn reserve<B: Body<Data = Bytes> + Clone + Unpin>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Open, Rejection> {
        let body = peek(request.body().clone());
        let prompt = body.as_deref().and_then(Prompt::read);
        let read = body.as_ref().map(|body| body.len() as u64);
        let bytes = read.unwrap_or_else(|| announced(request.body()));
        let extensions = request.extensions();
        let call = self.parts.reserve(extensions, prompt.as_ref(), bytes)?;
        let watcher: Arc<dyn WatchDeparture> = Arc::<Call>::clone(&call);
        let extensions = request.extensions_mut();
        Departures::watch(extensions, watcher);
        let outer = extensions.remove::<Paid>().map(Arc::new);
        extensions.insert(Paid {
            call: Arc::clone(&call),
            outer,
        });
        Ok(Open(call))
    }
}

/// A call that is not over; dropped, it may have been billed for what has departed.
struct Open(Arc<Call>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end(&End::Dropped);
    }
}

impl Open {
    /// The response has come; `None` when it says all that it will.
    fn head<R>(self, response: &Response<R>) -> Option<Self> {
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            self.0.end(&End::ErrorStatus);
            return None;
        }
        if let Some(usage) = reported(response.extensions()) {
            self.0.end(&End::Response(Some(usage)));
            return None;
        }
        Some(self)
    }
}

impl AwaitEnd for Open {
    /// A usage at the end is the cost. What a stream had reported before it broke off is less than it may
    /// cost, so that what is reserved stays booked.
    fn body_ended(self: Box<Self>, end: BodyEnd, usage: Option<Usage>, _: u32) {
        let usage = usage.filter(|_| end == BodyEnd::Complete);
        self.0.end(&End::Response(usage));
    }
}

impl<S, B, R> Service<Request<B>> for SpendService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Rejectable,
    B: Body<Data = Bytes> + Clone + Unpin,
    R: Body<Data = Bytes>,
{
    type Response = Response<MeasuredBody<R>>;
    type Error = S::Error;
    type Future = SpendFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let step = match self.reserve(&mut request) {
            Ok(open) => Step::Calling {
                inner: self.inner.call(request),
                open: Some(open),
            },
            Err(rejection) => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                Step::Rejected { rejection }
            }
        };
        SpendFuture { step }
    }
}

pin_project! {
    /// The future of a [`SpendService`].
    ///
    /// Dropped before its response, its reservation is given back if nothing has departed, and stays
    /// booked for every attempt that has, since it may be billed.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed.
    pub struct SpendFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F> {
        Calling {
            #[pin]
            inner: F,
            open: Option<Open>,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F, R, E> Future for SpendFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Rejectable,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<MeasuredBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        let result = match step.as_mut().project() {
            StepProj::Calling { inner, open } => {
                let result = ready!(inner.poll(cx));
                completed(open.take(), result)
            }
            StepProj::Rejected { rejection } => Err(E::from(*rejection)),
            StepProj::Done => panic!("`SpendFuture` polled after it has completed"),
        };
        step.set(Step::Done);
        Poll::Ready(result)
    }
}

fn completed<R, E>(
    open: Option<Open>,
    result: Result<Response<R>, E>,
) -> Result<Response<MeasuredBody<R>>, E>
where
    E: Rejectable,
    R: Body<Data = Bytes>,
{
    match result {
        Ok(response) => {
            let open = open.and_then(|open| open.head(&response));
            let open = open.map(|open| Box::new(open) as Box<dyn AwaitEnd>);
            Ok(response.map(|body| MeasuredBody::new(body, open)))
        }
        Err(error) => {
            if let Some(open) = open {
                let rejection = error.rejection();
                let certainly_unsent = rejection.is_some_and(|by| by.sent() == Sent::No);
                open.0.end(&End::Failed { certainly_unsent });
            }
            Err(error)
        }
    }
}

seawall_core::inner_accessors!(SpendService<S>);
seawall_core::impl_debug!(SpendService<S> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    budgets = this.parts.budgets);
seawall_core::impl_debug!(SpendFuture<F>: |this| done = matches!(this.step, Step::Done));
