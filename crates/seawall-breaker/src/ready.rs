//! Readiness of one instance of the gate or the breaker.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use seawall_core::{CircuitCause, Rejection};
use tower_service::Service;

use crate::circuit::Asks;
use crate::circuits::Circuits;
use crate::parking::Parked;
use crate::patience::{Patience, Waited};
use crate::shared::Anchored;
use crate::ticket::Pass;
use crate::word::{State, Word};

/// What the last `poll_ready` of this instance came to.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Nothing yet, or `call` has used it up.
    Nothing,
    /// The inner service is ready.
    InnerReady,
    /// The circuit rejects; the inner service was not polled.
    Rejects { word: Word, rejection: Rejection },
}

/// Readiness of one instance. A clone starts anew.
#[derive(Debug)]
pub(crate) struct Readiness {
    seen: Seen,
    /// Whether there is something to leave when it is ready.
    waits: bool,
    parked: Parked,
    /// Only where calls wait while probes run.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    patience: Patience,
    /// The place that the next call has.
    reserved: Option<Pass>,
}

impl Readiness {
    pub(crate) const fn new() -> Self {
        Self {
            seen: Seen::Nothing,
            waits: false,
            parked: Parked::new(),
            waiting: None,
        }
    }

    /// Asks the circuit first: an open one answers without polling the inner service, which may
    /// be the thing that is stuck.
    // Always: what nearly every call comes to is a few instructions.
    #[inline(always)]
    pub(crate) fn poll<S: Service<Req>, Req>(
        &mut self,
        anchor: &Anchored,
        asks: Asks,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        self.seen = Seen::Nothing;
        let word = anchor.common().word();
        if !word.is_passing() {
            if !self.waits
                && let Some(rejection) = anchor.common().rejects_at_once(word, asks)
            {
                self.seen = Seen::Rejects { word, rejection };
                return Poll::Ready(Ok(()));
            }
            return self.poll_on(anchor, asks, word, None, inner, cx);
        }
        let polled = inner.poll_ready(cx);
        if self.waits || !matches!(polled, Poll::Ready(Ok(()))) {
            return self.poll_on(anchor, asks, word, Some(polled), inner, cx);
        }
        self.seen = Seen::InnerReady;
        polled
    }

    /// Goes on from what the circuit's word, and perhaps the inner service, have just said.
    #[inline(never)]
    fn poll_on<S: Service<Req>, Req>(
        &mut self,
        anchor: &Anchored,
        asks: Asks,
        mut word: Word,
        mut polled: Option<Poll<Result<(), S::Error>>>,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        let common = anchor.common();
        loop {
            if !word.is_passing() {
                let rejection = match common.rejects_at_once(word, asks) {
                    Some(rejection) => Some(rejection),
                    None => match self.poll_circuit(anchor, word, asks, cx) {
                        Poll::Ready(rejection) => rejection,
                        Poll::Pending => return Poll::Pending,
                    },
                };
                if let Some(rejection) = rejection {
                    self.leave();
                    self.seen = Seen::Rejects { word, rejection };
                    return Poll::Ready(Ok(()));
                }
            }
            match polled.take().unwrap_or_else(|| inner.poll_ready(cx)) {
                Poll::Ready(Ok(())) => {
                    if word.is_passing() || self.reserve(anchor, asks) {
                        self.leave();
                        self.seen = Seen::InnerReady;
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.leave();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.waits = true;
                    self.parked.park(common.parking(), cx.waker());
                    // A transition between the look at the state and the parking woke nobody.
                    if common.word() == word {
                        return Poll::Pending;
                    }
                }
            }
            word = common.word();
        }
    }

    /// Asks a circuit that does not simply pass: ready with its rejection, if it rejects. Pending
    /// where calls wait while probes run.
    #[cold]
    fn poll_circuit(
        &mut self,
        anchor: &Anchored,
        word: Word,
        asks: Asks,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Rejection>> {
        if let Some(waiting) = &mut self.waiting
            && let Some(reserved) = &waiting.reserved
        {
            if reserved.word() == word {
                return Poll::Ready(None);
            }
            // Of a generation that is over.
            waiting.reserved = None;
        }
        let common = anchor.common();
        loop {
            let word = common.word();
            let Some(rejection) = common.would_reject(word, asks) else {
                return Poll::Ready(None);
            };
            let probing = rejection.cause() == Some(CircuitCause::Probing);
            if probing && common.waits.load(Ordering::Relaxed) {
                self.waits = true;
                let patience = &mut self.waiting.get_or_insert_default().patience;
                match patience.poll(anchor, asks, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Waited::AskAgain) => continue,
                    Poll::Ready(Waited::Expired) => {}
                }
            }
            return Poll::Ready(Some(rejection));
        }
    }

    /// Reserves a probe's place for the next call, where calls wait for one: who was told to be
    /// ready must not be rejected since another was quicker. `false` if there is none any more.
    #[cold]
    fn reserve(&mut self, anchor: &Anchored, asks: Asks) -> bool {
        let common = anchor.common();
        let waits = common.waits.load(Ordering::Relaxed);
        let reserved = |w: &Waiting| {
            w.reserved
                .as_ref()
                .is_some_and(|r| r.word() == common.word())
        };
        if !waits || self.waiting.as_deref().is_some_and(reserved) {
            return true;
        }
        if common.word().state() != State::HalfOpen {
            // Open and due, or passing again: `call` asks.
            return true;
        }
        match anchor.admit(asks) {
            Ok(word) if word.is_passing() || word.is_outside() => true,
            Ok(word) => {
                let pass = Pass::new(anchor.local(), asks, word);
                self.waiting.get_or_insert_default().reserved = Some(pass);
                true
            }
            Err(_) => false,
        }
    }

    fn leave(&mut self) {
        if !self.waits {
            return;
        }
        self.waits = false;
        self.parked.leave();
        if let Some(waiting) = &mut self.waiting {
            waiting.patience.end();
        }
    }

    /// The place that was reserved for this call, if it is of this generation.
    pub(crate) fn reserved(&mut self, word: Word) -> Option<Pass> {
        let pass = self.waiting.as_mut()?.reserved.take()?;
        (pass.word() == word).then_some(pass)
    }

    /// Uses readiness up for one call, unless the circuit rejected when it was asked for.
    #[inline]
    pub(crate) fn take_inner_ready(&mut self) -> bool {
        if matches!(self.seen, Seen::Rejects { .. }) {
            return false;
        }
        self.seen = Seen::Nothing;
        true
    }

    /// Uses readiness up for one call: the rejection, if that is what was seen.
    #[inline]
    pub(crate) fn take(&mut self, anchor: &Anchored, asks: Asks) -> Option<Rejection> {
        match std::mem::replace(&mut self.seen, Seen::Nothing) {
            Seen::Nothing | Seen::InnerReady => None,
            Seen::Rejects { word, rejection } => {
                let common = anchor.common();
                if common.word() == word {
                    return Some(rejection);
                }
                // The circuit has changed since. The inner service was not made ready, so the
                // call is rejected all the same, but with another reason and without a wait.
                Some(common.not_ready(asks))
            }
        }
    }
}
