//! A blocking closure as a service, on a bounded set of threads.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{Error, InstanceName};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use super::errand::{Ended, Errand, Work};
use super::pool::Pool;
use super::span::Span;
use super::{BlockingConfig, IsolatedHandle};
use crate::connections::room::Place;

/// Turns blocking closures into services that run on a bounded set of threads; see the
/// [module](super).
///
/// What it is laid over is no service, but a closure `Fn(Req) -> Result<Res, E>`; the error of the
/// service is [`Error<E>`](seawall_core::Error), so that no other layer has to lift it. Clones of
/// the layer and every service that they make share one set of threads.
///
/// ```
/// use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer};
/// use tower::{Layer, Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BlockingLayer::new("ledger", BlockingConfig::default())?;
/// let mut read = layer.layer(|path: String| std::fs::read(path));
/// let missing = read.ready().await?.call("/no/such/ledger".into()).await;
/// assert!(missing.unwrap_err().inner().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BlockingLayer {
    pool: Arc<Pool>,
}

impl BlockingLayer {
    /// A set of threads of its own, none of which is started before a call needs it. `name` is
    /// what rejections, metrics and threads are called by.
    ///
    /// # Errors
    ///
    /// When the operating system rejects what a runtime needs.
    pub fn new(name: impl Into<InstanceName>, config: BlockingConfig) -> io::Result<Self> {
        let pool = Pool::blocking(name.into(), config)?;
        Ok(Self { pool })
    }

    /// A handle to read the pool from outside. It does not keep the threads.
    pub fn handle(&self) -> IsolatedHandle {
        IsolatedHandle::new(self.pool.seen.clone())
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

impl fmt::Debug for BlockingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingLayer")
            .field("name", &self.pool.room().observer.name())
            .finish_non_exhaustive()
    }
}

/// A blocking closure as a service; made by [`BlockingLayer`]. Clones share the closure.
pub struct Blocking<F> {
    work: Arc<F>,
    pool: Arc<Pool>,
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
        let errand = Errand::new(&self.pool, work);
        BlockingFuture { errand }
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("name", &self.pool.room().observer.name())
            .finish_non_exhaustive()
    }
}

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

    fn start(self, runtime: &Runtime, place: Place) -> JoinHandle<Ended<Res, Error<E>>> {
        runtime.spawn_blocking(move || {
            // Declared first, so dropped last, also when the closure panics.
            let _place = place;
            let Self { work, req, span } = self;
            Ended::Answered(span.run(|| work(req)).map_err(Error::Inner))
        })
    }
}

/// The answer of a [`Blocking`] service.
///
/// Dropped before the closure has begun, the closure never begins; see
/// [Cancellation](super#cancellation).
///
/// # Panics
///
/// When it is polled after it has answered; if it has to wait for a thread, outside of a Tokio
/// runtime with time enabled; and when the operating system rejects a thread and the pool has
/// none.
pub struct BlockingFuture<F, Req, Res, E>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    errand: Errand<Closure<F, Req>>,
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
        self.errand.poll(cx)
    }
}

impl<F, Req, Res, E> fmt::Debug for BlockingFuture<F, Req, Res, E>
where
    F: Fn(Req) -> Result<Res, E> + Send + Sync + 'static,
    Req: Send + 'static,
    Res: Send + 'static,
    E: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingFuture")
            .field("step", &self.errand.step())
            .finish()
    }
}
