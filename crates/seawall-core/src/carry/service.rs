//! The outermost service of a stack whose requests and responses travel in boxes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{AllGuards, Classified, Described, GuardedResponse, Guards, Pooled, Storage};
use crate::{Describe, SharedReadings, TrackCompletion};

/// A service whose requests are described once and travel [`Pooled`] to the layers below, and whose
/// responses come back so, with what their calls [hold](GuardedResponse). `T` is the completion of the service,
/// which takes over all guards at once.
#[derive(Clone, Copy, Debug)]
pub struct PooledService<S, D, T> {
    inner: S,
    describer: D,
    completion: T,
}

impl<S, D, T> PooledService<S, D, T> {
    /// Describes for `inner` with `describer`, and ends calls with `completion`.
    pub const fn new(inner: S, describer: D, completion: T) -> Self {
        Self {
            inner,
            describer,
            completion,
        }
    }
}

crate::inner_accessors!(PooledService<S, D, T>);

impl<S, D, T, Req, Res, Err, G> Service<Req> for PooledService<S, D, T>
where
    S: Service<
            Pooled<Described<Req>>,
            Response = GuardedResponse<Pooled<Classified<Res>>, G>,
            Error = Classified<Err>,
        >,
    D: Describe<Req>,
    T: TrackCompletion<AllGuards<G>, Res> + Clone,
    G: Guards,
    Req: 'static,
    Res: 'static,
{
    type Response = T::Response;
    type Error = Err;
    type Future = PooledFuture<S::Future, T>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Err>> {
        self.inner.poll_ready(cx).map_err(Classified::into_value)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let meta = self.describer.describe(&request);
        let described = Storage::put(Described { request, meta });
        let _sharing = SharedReadings::begin();
        self.call_in_place(described)
    }
}

impl<S, D, T> PooledService<S, D, T> {
    // Not inlined, so that the future of the stack is built where it stays: a guard beside it would have
    // it copied.
    #[inline(never)]
    fn call_in_place<R>(&mut self, described: R) -> PooledFuture<S::Future, T>
    where
        S: Service<R>,
        T: Clone,
    {
        PooledFuture {
            inner: self.inner.call(described),
            completion: self.completion.clone(),
        }
    }
}

pin_project! {
    /// The response of a [`PooledService`].
    #[derive(Debug)]
    pub struct PooledFuture<F, T> {
        #[pin]
        inner: F,
        completion: T,
    }
}

impl<F, T, Res, Err, G> Future for PooledFuture<F, T>
where
    F: Future<Output = Result<GuardedResponse<Pooled<Classified<Res>>, G>, Classified<Err>>>,
    T: TrackCompletion<AllGuards<G>, Res>,
    G: Guards,
    Res: 'static,
{
    type Output = Result<T::Response, Err>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.inner.poll(cx)) {
            Ok(held) => {
                let (response, guards) = held.into_parts();
                let outcome = response.get().outcome();
                // Each way returns by itself: a result that is put together first is moved.
                response.take_for(|response| {
                    let response = response.into_value();
                    let response = this.completion.track_completion(guards, outcome, response);
                    Poll::Ready(Ok(response))
                })
            }
            Err(error) => Poll::Ready(Err(error.into_value())),
        }
    }
}
