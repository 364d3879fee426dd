//! Waiting for a half-open circuit: for a place, or for its verdict.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_core::CircuitCause;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::circuit::Asks;
use crate::circuits::{Circuits, after};
use crate::parking::Parked;

/// What the wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Something has changed: ask again.
    AskAgain,
    /// It may wait no longer.
    Expired,
}

/// One that waits. It waits from its first [`poll`](Self::poll) to its [`end`](Self::end).
#[derive(Debug, Default)]
pub(crate) struct Patience {
    parked: Parked,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits, since the circuit has just rejected for want of a place.
    pub(crate) fn poll<X: Circuits>(
        &mut self,
        circuit: &X,
        asks: Asks,
        cx: &mut Context<'_>,
    ) -> Poll<Waited> {
        let common = circuit.common();
        // Parked before the circuit is asked once more: a place that was freed, or a verdict that
        // fell, between the rejection and the parking woke nobody here.
        self.parked.park(common.parking(), cx.waker());
        let word = common.word();
        let rejection = common.would_reject(word, asks);
        if rejection.is_none_or(|r| r.cause() != Some(CircuitCause::Probing)) {
            return Poll::Ready(Waited::AskAgain);
        }
        let now = Instant::now();
        let (at_most, left) = circuit.patience(asks, common.setup.clock.at(now));
        let since = *self.since.get_or_insert(now);
        let end = after(since, at_most);
        if now >= end {
            return Poll::Ready(Waited::Expired);
        }
        // The places of probes that are lost are dealt again when somebody asks: who waits must.
        let wake = end.min(after(now, left));
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(wake),
            None => self.timer = Some(Box::pin(sleep_until(wake))),
        }
        match self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(Waited::AskAgain),
        }
    }

    /// The wait is over.
    pub(crate) fn end(&mut self) {
        self.parked.leave();
        (self.since, self.timer) = (None, None);
    }
}
