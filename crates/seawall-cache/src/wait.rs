//! How a caller waits for the call of another one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::calls::{Turn, Waiting};

pin_project! {
    /// A caller that waits, and for how long.
    pub(crate) struct Wait<K, A> {
        waiting: Waiting<K, A>,
        since: Instant,
        // Whether it waits for the last time.
        is_last: bool,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<K, A> Wait<K, A> {
    /// Waits since then.
    pub(crate) const fn new(waiting: Waiting<K, A>, since: Instant) -> Self {
        Self {
            waiting,
            since,
            is_last: false,
            timer: None,
        }
    }

    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// Ready when there is an answer, or the waiter makes the call: also since it has waited for `max_wait`, or for
    /// twice that where the leader has changed meanwhile.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        max_wait: impl Fn() -> Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Turn<K, A>> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(turn) = this.waiting.poll(cx) {
                return Poll::Ready(turn);
            }
            if this.timer.is_none() {
                let wait = max_wait();
                let waited = Instant::now().saturating_duration_since(*this.since);
                let left = wait.saturating_mul(2).saturating_sub(waited);
                *this.is_last = left <= wait;
                this.timer.set(Some(sleep(wait.min(left))));
            }
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
            if let Some(lead) = this.waiting.take_over(*this.is_last) {
                return Poll::Ready(Turn::Lapsed(lead));
            }
            this.timer.set(None);
        }
    }
}
