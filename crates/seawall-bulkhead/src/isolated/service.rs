//! A service whose calls run on the threads of a pool.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{Classify, Policies, Policy, Rejectable};
use tokio::sync::oneshot;
use tower_service::Service;

use super::span::Span;
use super::task::{Ended, PoolTask, Work};
use super::threads::ThreadPool;
use crate::pool::PoolPermit;

/// A service whose calls run on the threads of a pool; made by
/// [`IsolatedLayer`](super::IsolatedLayer).
#[derive(Clone)]
pub struct Isolated<S, X = Policy> {
    inner: S,
    pool: Arc<ThreadPool>,
    policy: X,
}

seawall_core::inner_accessors!(Isolated<S, X>);

impl<S, X> Isolated<S, X> {
    pub(crate) const fn new(inner: S, pool: Arc<ThreadPool>, policy: X) -> Self {
        Self {
            inner,
            pool,
            policy,
        }
    }
}

impl<S, X, Req> Service<Req> for Isolated<S, X>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = IsolatedFuture<S, Req, X>;

    // The service is asked on the pool: asking may be what blocks.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let service = self.inner.clone(); // clone: waits, polled ready later
        let span = Span::current();
        let work = Request { service, req, span };
        let classifier = self.policy.classifier().clone();
        let task = PoolTask::new(&self.pool, work, classifier);
        IsolatedFuture { task }
    }
}

seawall_core::impl_debug!(Isolated<S, X> where [S: std::fmt::Debug]:
    |this| inner = this.inner, name = this.pool.state().source.name());

/// A request, and the clone of the service that it goes to.
struct Request<S, Req> {
    service: S,
    req: Req,
    span: Span,
}

impl<S, Req> Work for Request<S, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Task = Running<Ended<S::Response, S::Error>>;

    fn start(self, pool: &ThreadPool, permit: PoolPermit) -> Self::Task {
        let Self { service, req, span } = self;
        let (done, ended) = oneshot::channel();
        let task = pool.executor().spawn(span.carry(async move {
            let result = {
                // Declared first, so dropped last, also where the work is cancelled: the call
                // that gets the permit next finds the work gone.
                let _permit = permit;
                run(service, req).await
            };
            // The caller may be gone.
            let _ = done.send(result.map_or(Ended::PanickedBefore, Ended::Completed));
        }));
        Running { ended, _task: task }
    }
}

/// Work on the pool; dropped with this.
struct Running<T> {
    ended: oneshot::Receiver<T>,
    _task: async_task::Task<()>,
}

impl<T> Future for Running<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.ended).poll(cx).map(Result::ok)
    }
}

/// `None` when the service panicked before it was called.
async fn run<S, Req>(mut service: S, req: Req) -> Option<Result<S::Response, S::Error>>
where
    S: Service<Req>,
{
    // The service is not used again if it panics.
    let mut ready =
        |cx: &mut Context<'_>| catch_unwind(AssertUnwindSafe(|| service.poll_ready(cx)));
    let ready = poll_fn(|cx| match ready(cx) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(ready)) => Poll::Ready(Some(ready)),
        Err(_panic) => Poll::Ready(None),
    });
    match ready.await? {
        Ok(()) => Some(service.call(req).await),
        Err(error) => Some(Err(error)),
    }
}

/// The response of an [`Isolated`] service.
///
/// Dropped at any point, it cancels the work; see [Cancellation](super#cancellation).
///
/// # Panics
///
/// When it is polled after it has completed; and, if it has to wait for a permit, outside of a Tokio
/// runtime with time enabled.
pub struct IsolatedFuture<S, Req, X = Policy>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
    X: Policies,
{
    task: PoolTask<Request<S, Req>, X::Classifier>,
}

// Service, request and classifier are moved, never pinned here.
impl<S, Req, X> Unpin for IsolatedFuture<S, Req, X>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
    X: Policies,
{
}

impl<S, Req, X> Future for IsolatedFuture<S, Req, X>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll(cx)
    }
}

seawall_core::impl_debug!(IsolatedFuture<S, Req, X> where [
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
    X: Policies,
]: |this| step = this.task.step());
