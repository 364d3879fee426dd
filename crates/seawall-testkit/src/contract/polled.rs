//! Polling by hand, with a waker that counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A task that is only counted: how often it was woken.
#[derive(Debug, Default)]
pub(super) struct WakeCount(AtomicUsize);

impl WakeCount {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand, without an executor, and counts how often it was woken.
///
/// ```
/// use seawall_testkit::contract::{self, PolledFuture};
/// use tower::ServiceExt as _;
///
/// let (mock, handle) = contract::mock();
/// handle.set_pending();
/// let mut waiting = PolledFuture::new(mock.oneshot(1));
/// assert!(waiting.poll().is_pending());
/// assert_eq!(waiting.wakes(), 0);
///
/// handle.set_ready();
/// assert_eq!(waiting.wakes(), 1);
/// assert!(waiting.poll().is_ready());
/// ```
#[derive(Debug)]
pub struct PolledFuture<F> {
    future: Pin<Box<F>>,
    wakes: Arc<WakeCount>,
}

impl<F: Future> PolledFuture<F> {
    /// Takes a future that was not polled yet.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Polls once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often its waker was woken since it was made.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.get()
    }

    /// Polls from now on as another task, whose waker was never woken.
    pub(super) fn change_task(&mut self) {
        self.wakes = Arc::default();
    }

    /// The future, for a poll by an executor.
    pub(super) fn as_mut(&mut self) -> Pin<&mut F> {
        self.future.as_mut()
    }
}
