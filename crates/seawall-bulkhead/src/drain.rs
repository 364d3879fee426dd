//! Waiting until a bulkhead of whichever kind is empty.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use seawall_core::InstanceName;
use tokio::time::{Instant, Sleep, sleep};

/// What a [`DrainFuture`] waits for.
pub(crate) trait Drains: Send + Sync {
    /// The name of the instance.
    fn instance(&self) -> InstanceName;

    /// Whether no permit is held and no call waits; if not, the waker is woken when that is so.
    /// `id` is the caller's, and is to be given to [`forget_idle`](Self::forget_idle).
    fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker) -> bool;

    /// Forgets a waker that is not to be woken any more.
    fn forget_idle(&self, id: Option<u64>);

    /// Whether any waiter counts.
    fn has_waiters(&self) -> bool;
}

/// Waits until a bulkhead of any kind is empty; see
/// [`BulkheadHandle::drained`](crate::BulkheadHandle::drained). It can be dropped at any time.
///
/// # Panics
///
/// When it is polled outside of a Tokio runtime with time enabled while calls wait for a permit.
#[must_use = "futures do nothing unless polled"]
pub struct DrainFuture {
    drains: Box<dyn Drains>,
    id: Option<u64>,
    /// For waiters of other runtimes whose wait ends without anybody to notice.
    timer: Option<Pin<Box<Sleep>>>,
}

/// How often a drain looks at waiters whose wait may be over.
const LOOK: Duration = Duration::from_millis(50);

impl DrainFuture {
    pub(crate) fn new(drains: impl Drains + 'static) -> Self {
        Self {
            drains: Box::new(drains),
            id: None,
            timer: None,
        }
    }
}

impl Future for DrainFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        while !this.drains.poll_idle(&mut this.id, cx.waker()) {
            // Without waiters it needs no timer, and no runtime.
            if !this.drains.has_waiters() {
                return Poll::Pending;
            }
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            if timer.is_elapsed() {
                timer.as_mut().reset(Instant::now() + LOOK);
            }
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}

impl Drop for DrainFuture {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.drains.forget_idle(self.id);
        }
    }
}

seawall_core::impl_debug!(DrainFuture: |this| name = this.drains.instance());
