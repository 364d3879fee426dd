//! A blocking closure as a service, on a bounded set of threads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{Error, ErrorIsFailure, InstanceName};
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use super::config::BlockingConfig;
use super::span::Span;
use super::task::{Ended, PoolTask, Work};
use super::threads::ThreadPool;
use crate::pool::{PoolHandle, PoolPermit};

/// Turns blocking closures into services that run on a bounded set of threads; see the
/// [module](super).
///
/// What it wraps is no service, but a closure `Fn(Req) -> Result<Res, E>`; the error of the service
/// is [`Error<E>`](seawall_core::Error), so that it needs no `WrapErrorLayer`. Clones of the layer
/// and every service that they make share one set of threads.
///
/// ```
/// use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer};
/// use tower::{Layer, Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BlockingLayer::new("files", BlockingConfig::default())?;
/// let mut read = layer.layer(|path: String| std::fs::read(path));
/// let missing = read.ready().await?.call("/no/such/file".into()).await;
/// assert!(missing.unwrap_err().inner().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BlockingLayer {
    pool: Arc<ThreadPool>,
}

impl BlockingLayer {
    /// A set of threads of its own, none of which is started before a call needs it. `name` is
    /// what rejections, metrics and threads are called.
    ///
    /// # Errors
    ///
    /// When the operating system rejects what a runtime needs.
    pub fn new(name: impl Into<InstanceName>, config: BlockingConfig) -> io::Result<Self> {
        let pool = ThreadPool::blocking(name.into(), config)?;
        Ok(Self { pool })
    }

    /// A handle to read and to control the pool from outside. It does not keep the threads.
    pub fn handle(&self) -> PoolHandle<BlockingConfig> {
        self.pool.handle()
    }
}

impl<F> Layer<F> for BlockingLayer {
    type Service = Blocking<F>;

    fn layer(&self, work: F) -> Blocking<F> {
        Blocking {
            work: Arc::new(work),
            pool: Arc::clone(&self.pool),
        }
    }
}

seawall_core::impl_debug!(BlockingLayer: |this| name = this.pool.state().source.name());

/// A blocking closure as a service; made by [`BlockingLayer`]. Clones share the closure.
pub struct Blocking<F> {
    work: Arc<F>,
    pool: Arc<ThreadPool>,
}

impl<F> Blocking<F> {
    /// The closure.
    pub fn get_ref(&self) -> &F {
        &self.work
    }
}

impl<F> Clone for Blocking<F> {
    fn clone(&self) -> Self {
        Self {
            work: Arc::clone(&self.work),
            pool: Arc::clone(&self.pool),
        }
    }
}

impl<F, Req, Res, E> Service<Req> for Blocking<F>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    type Response = Res;
    type Error = Error<E>;
    type Future = BlockingFuture<F, Req, Res, E>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let work = Closure {
            work: Arc::clone(&self.work),
            req,
            span: Span::current(),
        };
        let task = PoolTask::new(&self.pool, work, ErrorIsFailure);
        BlockingFuture { task }
    }
}

seawall_core::impl_debug!(Blocking<F>: |this| name = this.pool.state().source.name());

/// A closure and what it is to be called with.
struct Closure<F, Req> {
    work: Arc<F>,
    req: Req,
    span: Span,
}

impl<F, Req, Res, E> Work for Closure<F, Req>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    type Response = Res;
    type Error = Error<E>;
    type Task = AbortOnDrop<Ended<Res, Error<E>>>;

    fn start(self, pool: &ThreadPool, permit: PoolPermit) -> Self::Task {
        AbortOnDrop(pool.runtime().spawn_blocking(move || {
            // Declared first, so dropped last, also when the closure panics.
            let _permit = permit;
            let Self { work, req, span } = self;
            Ended::Completed(span.run(|| work(req)).map_err(Error::Inner))
        }))
    }
}

/// A closure that does not begin once this is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The response of a [`Blocking`] service.
///
/// Dropped before the closure has begun, the closure never begins; see
/// [Cancellation](super#cancellation).
///
/// # Panics
///
/// When it is polled after it has completed; if it has to wait for a thread, outside of a Tokio
/// runtime with time enabled; and when the operating system rejects a thread and the pool has
/// none.
pub struct BlockingFuture<F, Req, Res, E>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    task: PoolTask<Closure<F, Req>, ErrorIsFailure>,
}

// Closure and request are moved, never pinned here.
impl<F, Req, Res, E> Unpin for BlockingFuture<F, Req, Res, E>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
}

impl<F, Req, Res, E> Future for BlockingFuture<F, Req, Res, E>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Res, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll(cx)
    }
}

seawall_core::impl_debug!(BlockingFuture<F, Req, Res, E> where [
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
]: |this| step = this.task.step());
