//! Timers that are armed where there is nothing to read.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is boxed once it is needed, so that what has it can be moved.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready at `at`. A timer of an earlier wait fires early and is reset then, so that a stream of
    /// many events sets it once per wait.
    pub(super) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while poll_sleep(sleep.as_mut(), cx).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

/// Polls a timer, also when the body has used up the task's budget of progress.
pub(super) fn poll_sleep(mut sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    if coop::has_budget_remaining() {
        sleep.as_mut().poll(cx)
    } else {
        Pin::new(&mut coop::unconstrained(sleep)).poll(cx)
    }
}
