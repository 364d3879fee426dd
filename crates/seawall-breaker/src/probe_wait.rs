//! Waiting for a half-open circuit: for a probe slot, or until the circuit closes or opens.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_core::{CircuitCause, Rejection, deadline};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::access::Access;
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::wakers::Parked;

/// What a wait ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Something has changed: try to be admitted again.
    TryAgain,
    /// It may wait no longer.
    Expired,
}

/// Whether a call that was rejected so may wait.
pub(crate) fn may_wait(circuit: &impl Access, rejection: &Rejection) -> bool {
    rejection.cause() == Some(CircuitCause::Probing) && circuit.common().waits()
}

/// A waiter. It waits from its first [`poll`](Self::poll) to its [`end`](Self::end).
#[derive(Debug, Default)]
pub(crate) struct ProbeWait {
    parked: Parked,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ProbeWait {
    /// Waits, since the circuit has just rejected for want of a probe slot.
    pub(crate) fn poll(
        &mut self,
        circuit: &impl Admit,
        at: EntryPoint,
        cx: &mut Context<'_>,
    ) -> Poll<Waited> {
        let common = circuit.common();
        // Parked before the circuit is read once more: a transition since the rejection, or a slot
        // that was freed since, did not wake this task.
        self.parked.park(common.wakers(), cx.waker());
        let rejection = common.would_reject(common.word(), at);
        if rejection.is_none_or(|r| r.cause() != Some(CircuitCause::Probing)) {
            return Poll::Ready(Waited::TryAgain);
        }
        let now = Instant::now();
        let (max_wait, left) = circuit.wait_limits(at, common.setup.clock.at(now));
        let end = deadline(*self.since.get_or_insert(now), max_wait);
        if now >= end {
            return Poll::Ready(Waited::Expired);
        }
        // The slots of lost probes are used again when a call comes: one of the waiters.
        let wake = end.min(deadline(now, left));
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(wake),
            None => self.timer = Some(Box::pin(sleep_until(wake))),
        }
        match self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(Waited::TryAgain),
        }
    }

    /// The wait is over.
    pub(crate) fn end(&mut self) {
        self.parked.leave();
        (self.since, self.timer) = (None, None);
    }
}
