//! A service whose calls run on the threads of a pool.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{InstanceName, Rejectable};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use super::errand::{Ended, Errand, Work};
use super::pool::Pool;
use super::span::Span;
use super::{IsolatedConfig, IsolatedHandle};
use crate::connections::room::Place;

/// Runs the calls of a service on threads of their own; see the [module](super).
///
/// Its clones and every service that they make share one pool. The threads end in the background
/// when the last layer, service and unanswered call of the pool are gone.
///
/// ```
/// use seawall_bulkhead::isolated::{IsolatedConfig, IsolatedLayer};
///
/// let config = IsolatedConfig::builder().threads(2).max_concurrent(10).build()?;
/// let layer = IsolatedLayer::new("pricing", config)?;
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct IsolatedLayer {
    pool: Arc<Pool>,
}

impl IsolatedLayer {
    /// Starts the threads. `name` is what rejections, metrics and threads are called by; Linux shows
    /// the first 15 bytes of a thread's name.
    ///
    /// # Errors
    ///
    /// When the operating system rejects what a runtime needs, such as the file handles of its
    /// I/O driver.
    ///
    /// # Panics
    ///
    /// When the operating system rejects a thread.
    pub fn new(name: impl Into<InstanceName>, config: IsolatedConfig) -> io::Result<Self> {
        let pool = Pool::isolated(name.into(), config)?;
        Ok(Self { pool })
    }

    /// A handle to read the pool from outside. It does not keep the threads.
    pub fn handle(&self) -> IsolatedHandle {
        IsolatedHandle::new(self.pool.seen.clone())
    }
}

impl<S> Layer<S> for IsolatedLayer {
    type Service = Isolated<S>;

    fn layer(&self, inner: S) -> Isolated<S> {
        let pool = Arc::clone(&self.pool);
        Isolated { inner, pool }
    }
}

impl fmt::Debug for IsolatedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsolatedLayer")
            .field("name", &self.pool.room().observer.name())
            .finish_non_exhaustive()
    }
}

/// A service whose calls run on the threads of a pool; made by [`IsolatedLayer`].
#[derive(Clone)]
pub struct Isolated<S> {
    inner: S,
    pool: Arc<Pool>,
}

impl<S> Isolated<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req> Service<Req> for Isolated<S>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = IsolatedFuture<S, Req>;

    // The service is asked on the pool: asking may be what blocks.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let service = self.inner.clone(); // clone: waits, polled ready later
        let span = Span::current();
        let work = Request { service, req, span };
        let errand = Errand::new(&self.pool, work);
        IsolatedFuture { errand }
    }
}

impl<S: fmt::Debug> fmt::Debug for Isolated<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolated")
            .field("inner", &self.inner)
            .field("name", &self.pool.room().observer.name())
            .finish()
    }
}

/// A request, and the clone of the service that is to answer it.
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

    fn start(
        self,
        runtime: &Runtime,
        place: Place,
    ) -> JoinHandle<Ended<Self::Response, Self::Error>> {
        let Self { service, req, span } = self;
        runtime.spawn(span.carry(async move {
            // Declared first, so dropped last, also where the task is aborted: whoever gets the
            // place next finds the work gone.
            let _place = place;
            let answer = answer(service, req).await;
            answer.map_or(Ended::PanickedBefore, Ended::Answered)
        }))
    }
}

/// `None` when the service panicked before it was called.
async fn answer<S, Req>(mut service: S, req: Req) -> Option<Result<S::Response, S::Error>>
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

/// The answer of an [`Isolated`] service.
///
/// Dropped at any point, it cancels the work; see [Cancellation](super#cancellation).
///
/// # Panics
///
/// When it is polled after it has answered; and, if it has to wait for a place, outside of a Tokio
/// runtime with time enabled.
pub struct IsolatedFuture<S, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
    errand: Errand<Request<S, Req>>,
}

// Service and request are moved, never pinned here.
impl<S, Req> Unpin for IsolatedFuture<S, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
}

impl<S, Req> Future for IsolatedFuture<S, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.errand.poll(cx)
    }
}

impl<S, Req> fmt::Debug for IsolatedFuture<S, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    Req: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsolatedFuture")
            .field("step", &self.errand.step())
            .finish()
    }
}
