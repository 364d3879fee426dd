//! A queued call or reservation, with its timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::Rejection;
use tokio::time::{Sleep, sleep_until};

use crate::limiter::{Poller, Turn};
use crate::queued::Queued;

/// What a waiter needs besides tokens.
pub(crate) trait Target {
    type Error: From<Rejection>;

    /// Whether it is ready for what the tokens are for.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// The waiter goes on waiting: releases what readiness has reserved.
    fn release(&mut self);
}

/// Nothing besides tokens.
pub(crate) struct NoTarget;

impl Target for NoTarget {
    type Error = Rejection;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        Poll::Ready(Ok(()))
    }

    fn release(&mut self) {}
}

pin_project! {
    /// A queued call or reservation, with its timer.
    pub(crate) struct Waiter {
        queued: Queued,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Waiter {
    pub(crate) const fn new(queued: Queued) -> Self {
        Self {
            queued,
            timer: None,
        }
    }

    /// Waits for the turn, polls the target ready, then takes the tokens.
    pub(crate) fn poll<T: Target>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut T,
    ) -> Poll<Result<(), T::Error>> {
        let mut this = self.project();
        loop {
            let now = this.queued.now();
            // At its deadline it takes what is there, ahead of waiters that were woken and are not
            // polled.
            let late = now >= this.queued.deadline_ns();
            let waker = cx.waker();
            let poller = Poller {
                now_ns: now,
                late,
                waker,
            };
            let mut turn = this.queued.turn(poller)?;
            if turn == Turn::Ready {
                match target.poll_ready(cx) {
                    Poll::Pending => this.queued.skip(),
                    Poll::Ready(Err(error)) => {
                        this.queued.inner_failed();
                        return Poll::Ready(Err(error));
                    }
                    // The clock is read again: what departs now is granted now.
                    Poll::Ready(Ok(())) => match this.queued.take(late, cx.waker()) {
                        Ok(()) => return Poll::Ready(Ok(())),
                        // It had been skipped, or a waiter of a higher rank came back.
                        Err(instead) => {
                            turn = instead;
                            target.release();
                        }
                    },
                }
            }
            if late {
                return Poll::Ready(Err(this.queued.reject(now).into()));
            }
            // The first of the queue has a timer for its tokens. All others have one for their
            // deadline: a skipped one may never be woken by its service, and others never by those
            // before them, which may not be polled any more.
            let deadline = this.queued.deadline_ns();
            let at = match turn {
                Turn::WaitFor(wait) => deadline.min(now.saturating_add(wait)),
                Turn::Ready | Turn::Wait => deadline,
            };
            let at = this.queued.instant(at);
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) if timer.deadline() == at => {}
                Some(timer) => timer.reset(at),
                None => this.timer.set(Some(sleep_until(at))),
            }
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
    }
}
