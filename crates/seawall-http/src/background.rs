//! An executor that says of what it runs that no request waits for it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

thread_local! {
    static BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// Whether a future that a [`BackgroundExecutor`] runs is polled at the moment.
pub(crate) fn is_background() -> bool {
    BACKGROUND.get()
}

/// An executor for hyper-util's pooling client around a [`LimitConnections`](crate::LimitConnections):
/// a connect whose request was served by another connection leaves the queue of the limit.
///
/// The client spawns such a connect on its executor, to put its connection into the pool. One that is
/// under way goes on; one that only waits for a permit is of no use, and would take the place of one
/// that a request waits for. Everything else runs as on the executor within.
///
/// ```
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use seawall_http::BackgroundExecutor;
///
/// let builder = Client::builder(BackgroundExecutor::new(TokioExecutor::new()));
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BackgroundExecutor<E> {
    inner: E,
}

impl<E> BackgroundExecutor<E> {
    /// Runs everything on `inner`.
    pub const fn new(inner: E) -> Self {
        Self { inner }
    }
}

impl<E, F> Executor<F> for BackgroundExecutor<E>
where
    E: Executor<Background<F>>,
{
    fn execute(&self, future: F) {
        self.inner.execute(Background { future });
    }
}

pin_project! {
    /// What a [`BackgroundExecutor`] makes of a future.
    #[derive(Debug)]
    pub struct Background<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Background<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _marked = Marked(BACKGROUND.replace(true));
        self.project().future.poll(cx)
    }
}

/// Takes the mark back, also after a panic.
struct Marked(bool);

impl Drop for Marked {
    fn drop(&mut self) {
        BACKGROUND.set(self.0);
    }
}
