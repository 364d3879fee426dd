//! A call that waits for a permit of a pool.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{PartitionKey, Reason, deadline};
use tokio::time::{Instant, Sleep, sleep_until};

use super::call::PoolPermit;
use super::queue::WaiterId;
use super::state::PoolState;
use crate::semaphore::Turn;

/// What has to be ready before a permit is acquired.
pub(crate) trait Readiness {
    type Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Lets go of what it has reserved.
    fn give_up(&mut self);
}

/// Why a waiter got no permit.
#[derive(Debug)]
pub(crate) enum NoPermit<E> {
    /// The queue was full or the wait has ended; not counted yet.
    Rejected(Reason),
    /// The inner service failed in `poll_ready`.
    Failed(E),
}

pin_project! {
    /// It joins the queue at its first poll and leaves it when it is dropped.
    #[derive(Debug)]
    pub(crate) struct PoolWaiter {
        state: Arc<PoolState>,
        key: PartitionKey,
        id: Option<WaiterId>,
        #[pin]
        timeout: Option<Sleep>,
    }

    impl PinnedDrop for PoolWaiter {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(id) = this.id.take() {
                this.state.permits.leave(id);
            }
        }
    }
}

impl PoolWaiter {
    pub(crate) const fn new(state: Arc<PoolState>, key: PartitionKey) -> Self {
        Self {
            state,
            key,
            id: None,
            timeout: None,
        }
    }

    /// Waits for the turn: readiness first, the permit last, so that no permit is held by a call
    /// that cannot go.
    pub(crate) fn poll<R: Readiness>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inner: &mut R,
    ) -> Poll<Result<PoolPermit, NoPermit<R::Error>>> {
        let mut this = self.project();
        let permits = &this.state.permits;
        let mut joined = None;
        let id = match *this.id {
            Some(id) => id,
            None => match permits.join(*this.key, cx.waker()) {
                Ok((id, max_wait)) => {
                    *this.id = Some(id);
                    this.state.counters.waited.add();
                    joined = Some(max_wait);
                    id
                }
                Err(reason) => return Poll::Ready(Err(NoPermit::Rejected(reason))),
            },
        };
        let mut last_chance = false;
        loop {
            let mut skipped = false;
            if permits.turn(id, last_chance, cx.waker()) == Turn::Go {
                match inner.poll_ready(cx) {
                    Poll::Pending => {
                        permits.skip(id);
                        skipped = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(NoPermit::Failed(error))),
                    Poll::Ready(Ok(())) => {
                        if permits.acquire(id, last_chance, cx.waker()) {
                            *this.id = None;
                            let permit = PoolPermit::new(Arc::clone(this.state), *this.key);
                            return Poll::Ready(Ok(permit));
                        }
                        // It was skipped, and the permit is gone by now.
                        inner.give_up();
                    }
                }
            }
            // Only for a call that has to wait: a timer needs a runtime.
            if let Some(max_wait) = joined.take() {
                let until = deadline(Instant::now(), max_wait);
                this.timeout.set(Some(sleep_until(until)));
            }
            if !last_chance
                && let Some(timeout) = this.timeout.as_mut().as_pin_mut()
                && timeout.poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            if last_chance || skipped {
                return Poll::Ready(Err(NoPermit::Rejected(Reason::QueueTimeout)));
            }
            // The last chance: it takes a permit that is available, ahead of waiters that were
            // woken for it and are not polled.
            last_chance = true;
        }
    }
}
