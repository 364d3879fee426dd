//! A place in line with a timer: what waits, be it a call or a reservation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::Rejection;
use tokio::time::{Sleep, sleep_until};

use crate::limiter::Turn;
use crate::wait::Waiting;

/// What a waiter needs besides tokens.
pub(crate) trait Below {
    type Error: From<Rejection>;

    /// Asks whether what the tokens are for could go now.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// It cannot go after all: it waits for tokens without what it has reserved.
    fn give_up_reservation(&mut self);
}

/// Nothing: tokens are all that is wanted.
pub(crate) struct Nothing;

impl Below for Nothing {
    type Error = Rejection;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        Poll::Ready(Ok(()))
    }

    fn give_up_reservation(&mut self) {}
}

pin_project! {
    pub(crate) struct Seat {
        waiting: Waiting,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Seat {
    pub(crate) const fn new(waiting: Waiting) -> Self {
        Self {
            waiting,
            timer: None,
        }
    }

    /// Waits for the turn and takes the tokens: readiness first, the tokens last.
    pub(crate) fn poll<B: Below>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        below: &mut B,
    ) -> Poll<Result<(), B::Error>> {
        let mut this = self.project();
        loop {
            let now = this.waiting.now();
            let deadline = this.waiting.deadline_ns();
            // The last chance: it takes what is there, ahead of those who were called and are
            // not polled.
            let late = now >= deadline;
            let mut turn = this.waiting.turn::<B::Error>(now, late, cx.waker())?;
            if turn == Turn::Go {
                match below.poll_ready(cx) {
                    Poll::Pending => this.waiting.stand_aside(),
                    Poll::Ready(Err(error)) => {
                        this.waiting.inner_failed();
                        return Poll::Ready(Err(error));
                    }
                    // The clock is read again: what departs now is granted now.
                    Poll::Ready(Ok(())) => match this.waiting.take(late, cx.waker()) {
                        Ok(()) => return Poll::Ready(Ok(())),
                        // It had stood aside, or somebody of a higher rank came back.
                        Err(later) => {
                            turn = later;
                            below.give_up_reservation();
                        }
                    },
                }
            }
            if late {
                return Poll::Ready(Err(this.waiting.reject(now).into()));
            }
            // The first in line has a timer for its tokens. All others have one for their patience:
            // one who stands aside may never be woken by its service, and one farther back never
            // be called by those before it, which may not be polled any more.
            let deadline = this.waiting.deadline_ns();
            let at = match turn {
                Turn::In(wait) => deadline.min(now.saturating_add(wait)),
                Turn::Go | Turn::Wait => deadline,
            };
            let at = this.waiting.instant(at);
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
