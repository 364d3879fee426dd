//! The future side of a call that waits.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::state::is_far;
use crate::Rejection;

/// What a waiter does next.
// Exhaustive: the protocol of a queue; a layer that ignores a case loses waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Poll the target; if it is ready, take what was waited for.
    Go,
    /// Wait to be woken.
    Wait,
    /// The same, but look again at this time of the queue's clock, in nanoseconds.
    WaitUntil(u64),
}

/// A call in a [`Queue`](super::Queue), as [`Waiter`] polls it. Dropped, it leaves the queue.
pub trait QueuedCall {
    /// What it waits for.
    type Permit;

    /// Reads the clock of the queue, in nanoseconds.
    fn now_ns(&self) -> u64;

    /// A reading of that clock as an instant.
    fn instant(&self, at_ns: u64) -> Instant;

    /// When the wait ends; `u64::MAX` for never.
    fn deadline_ns(&self) -> u64;

    /// Whether its turn has come: after the deadline, whether there is anything to take at all.
    /// Joins the queue the first time.
    ///
    /// # Errors
    ///
    /// The rejection, when the call may not join the queue or is rejected out of it.
    fn turn(&mut self, now_ns: u64, waker: Waker) -> Result<Turn, Rejection>;

    /// Whether it seems to have a claim, so that it can be [taken](Self::take_claim) without asking for
    /// its turn. It need not be sure. A waiter whose call has no time left must ask.
    fn seems_notified(&self) -> bool {
        false
    }

    /// Takes what it has a claim on and leaves the queue; `None` when it has no claim.
    fn take_claim(&mut self) -> Option<Self::Permit> {
        None
    }

    /// Takes what it waited for and leaves the queue.
    ///
    /// # Errors
    ///
    /// What to do instead: it was too late for it. It waits, with a clone of the waker registered.
    fn take(&mut self, waker: &Waker) -> Result<Self::Permit, Turn>;

    /// Lets others pass while the target is not ready.
    fn skip(&mut self);

    /// Leaves the queue, since the wait is over.
    fn reject(&mut self, now_ns: u64) -> Rejection;
}

/// What has to be ready before a waiter takes anything: the service that it is going to call.
pub trait Target {
    /// What it fails with.
    type Error;

    /// Whether it is ready for what is waited for.
    ///
    /// # Errors
    ///
    /// When it has failed: the wait is over.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// The waiter goes on waiting: gives up what readiness has reserved.
    fn release(&mut self);
}

/// The service that a waiter is going to call, as its [`Target`].
#[derive(Debug)]
pub struct InnerService<'a, S, Req> {
    service: &'a mut S,
    req: PhantomData<fn(Req)>,
}

impl<'a, S, Req> InnerService<'a, S, Req> {
    /// This service.
    pub const fn new(service: &'a mut S) -> Self {
        Self {
            service,
            req: PhantomData,
        }
    }
}

impl<S: Service<Req> + Clone, Req> Target for InnerService<'_, S, Req> {
    type Error = S::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    /// A fresh clone has reserved nothing.
    fn release(&mut self) {
        let fresh = self.service.clone();
        *self.service = fresh;
    }
}

/// Why a wait ended without a permit.
// Exhaustive: a wait is ended by the layer or by the service below it.
#[derive(Debug)]
pub enum Stopped<E> {
    /// It was rejected.
    Rejected(Rejection),
    /// The target has failed.
    Failed(E),
}

/// Whether there is a runtime for a watchdog. That of a task need not be asked for, which would change
/// a reference count that all threads share.
fn in_runtime() -> bool {
    tokio::task::try_id().is_some() || Handle::try_current().is_ok()
}

/// Takes what the waiter seems to have a claim on, if its target is ready; `None` when it has none.
fn poll_claim<C: QueuedCall, T: Target>(
    call: &mut C,
    cx: &mut Context<'_>,
    target: &mut T,
) -> Poll<Result<Option<C::Permit>, T::Error>> {
    match target.poll_ready(cx) {
        Poll::Ready(Ok(())) => {
            let permit = call.take_claim();
            if permit.is_none() {
                target.release();
            }
            Poll::Ready(Ok(permit))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => {
            call.skip();
            Poll::Pending
        }
    }
}

pin_project! {
    /// A call that waits in a queue, with its timer.
    #[derive(Debug)]
    pub struct Waiter<C> {
        call: C,
        #[pin]
        timer: Option<Sleep>,
        // A timer ends with its runtime.
        runtime: Option<runtime::Id>,
    }
}

impl<C: QueuedCall> Waiter<C> {
    /// A waiter that joins the queue at its first poll, not before: a future that is never polled
    /// must hold up nobody.
    pub const fn new(call: C) -> Self {
        Self {
            call,
            timer: None,
            runtime: None,
        }
    }

    /// The call in the queue.
    pub const fn call(&self) -> &C {
        &self.call
    }

    /// The same, mutably.
    pub fn call_mut(self: Pin<&mut Self>) -> &mut C {
        self.project().call
    }

    /// Waits for the turn: the target's readiness first, the permit last. So no permit is held by a
    /// call that cannot go, and what departs is what was granted just now.
    ///
    /// # Panics
    ///
    /// When it has to wait for a time, outside of a Tokio runtime with time enabled.
    pub fn poll<T: Target>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut T,
    ) -> Poll<Result<C::Permit, Stopped<T::Error>>> {
        let mut this = self.project();
        loop {
            let mut skipped = false;
            if this.call.seems_notified() {
                match poll_claim(this.call, cx, target) {
                    Poll::Ready(Ok(Some(permit))) => return Poll::Ready(Ok(permit)),
                    Poll::Ready(Ok(None)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Stopped::Failed(error))),
                    Poll::Pending => skipped = true,
                }
            }
            let now_ns = this.call.now_ns();
            let mut turn = Turn::Wait;
            if !skipped {
                // Cloned before any lock is taken: that runs code of the executor.
                turn = match this.call.turn(now_ns, cx.waker().clone()) {
                    Ok(turn) => turn,
                    Err(rejection) => return Poll::Ready(Err(Stopped::Rejected(rejection))),
                };
            }
            // Only after a turn: that has seen to it that there is a watchdog.
            let is_watched = !skipped && turn == Turn::Wait;
            if turn == Turn::Go {
                turn = match target.poll_ready(cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Stopped::Failed(error))),
                    Poll::Pending => {
                        this.call.skip();
                        Turn::Wait
                    }
                    Poll::Ready(Ok(())) => match this.call.take(cx.waker()) {
                        Ok(permit) => return Poll::Ready(Ok(permit)),
                        Err(instead) => {
                            target.release();
                            instead
                        }
                    },
                };
            }
            let deadline_ns = this.call.deadline_ns();
            if now_ns >= deadline_ns {
                let rejection = this.call.reject(now_ns);
                return Poll::Ready(Err(Stopped::Rejected(rejection)));
            }
            let until_ns = match turn {
                Turn::WaitUntil(at_ns) => at_ns.min(deadline_ns),
                Turn::Go | Turn::Wait => deadline_ns,
            };
            if until_ns == u64::MAX {
                return Poll::Pending;
            }
            if is_watched && is_far(now_ns, deadline_ns) && in_runtime() {
                // Most are served before that: setting a timer and removing it costs more than all
                // else that a wait does.
                return Poll::Pending;
            }
            let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
            let at = this.call.instant(until_ns);
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) if *this.runtime == runtime => {
                    if timer.deadline() != at {
                        timer.reset(at);
                    }
                }
                _ => this.timer.set(Some(sleep_until(at))),
            }
            *this.runtime = runtime;
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
    }
}
