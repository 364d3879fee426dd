//! Readiness of one instance of the gate or the breaker.

use std::task::{Context, Poll};

use seawall_core::Rejection;
use tower_service::Service;

use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::permit::Reservation;
use crate::probe_wait::{ProbeWait, Waited, may_wait};
use crate::state::AnchoredState;
use crate::state_word::{CircuitState, StateWord};
use crate::wakers::Parked;

/// The result of the last `poll_ready` of this instance.
#[derive(Clone, Copy, Debug)]
enum LastPoll {
    /// None, or `call` has used it up.
    Unused,
    /// The inner service is ready.
    InnerReady,
    /// The circuit rejects; the inner service was not polled.
    Rejects {
        word: StateWord,
        rejection: Rejection,
    },
}

/// Readiness of one instance. A clone has its own.
#[derive(Debug)]
pub(crate) struct Readiness {
    last: LastPoll,
    /// Whether there is something to leave when it is ready.
    waits: bool,
    /// Whether the inner service was polled since it was last replaced, so that it may hold a
    /// reservation, or a place in a queue.
    polled: bool,
    parked: Parked,
    /// Only where calls wait while probes are in flight.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    wait: ProbeWait,
    /// The probe slot of the next call.
    reserved: Option<Reservation>,
}

impl Readiness {
    pub(crate) const fn new() -> Self {
        Self {
            last: LastPoll::Unused,
            waits: false,
            polled: false,
            parked: Parked::new(),
            waiting: None,
        }
    }

    /// Reads the circuit first: an open one rejects without polling the inner service, which may
    /// be the thing that is stuck.
    // Always: for nearly every call it is a few instructions.
    #[inline(always)]
    pub(crate) fn poll<S: Service<Req> + Clone, Req>(
        &mut self,
        anchor: &AnchoredState,
        at: EntryPoint,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        self.last = LastPoll::Unused;
        let word = anchor.common().word();
        if !word.is_passing() {
            return self.poll_rejecting(anchor, at, word, inner, cx);
        }
        self.polled = true;
        let polled = inner.poll_ready(cx);
        if self.waits || !matches!(polled, Poll::Ready(Ok(()))) {
            return self.poll_on(anchor, at, word, Some(polled), inner, cx);
        }
        self.last = LastPoll::InnerReady;
        polled
    }

    /// Rejects at once where the circuit is open, and goes on otherwise.
    // Never inlined: with it, a call that passes would have to save registers.
    #[inline(never)]
    fn poll_rejecting<S: Service<Req> + Clone, Req>(
        &mut self,
        anchor: &AnchoredState,
        at: EntryPoint,
        word: StateWord,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        if !self.waits
            && let Some(rejection) = anchor.common().rejects_at_once(word, at)
        {
            self.give_up(inner);
            self.last = LastPoll::Rejects { word, rejection };
            return Poll::Ready(Ok(()));
        }
        self.poll_on(anchor, at, word, None, inner, cx)
    }

    /// Goes on with the word of the circuit that was just loaded, and perhaps the result of the inner
    /// service.
    #[inline(never)]
    fn poll_on<S: Service<Req> + Clone, Req>(
        &mut self,
        anchor: &AnchoredState,
        at: EntryPoint,
        mut word: StateWord,
        mut polled: Option<Poll<Result<(), S::Error>>>,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        let common = anchor.common();
        loop {
            if !word.is_passing() {
                let rejection = match common.rejects_at_once(word, at) {
                    Some(rejection) => Some(rejection),
                    None => match self.poll_circuit(anchor, word, at, cx) {
                        Poll::Ready(rejection) => rejection,
                        Poll::Pending => {
                            // Others may need it, the probes among them.
                            self.give_up(inner);
                            return Poll::Pending;
                        }
                    },
                };
                if let Some(rejection) = rejection {
                    self.give_up(inner);
                    self.leave();
                    self.last = LastPoll::Rejects { word, rejection };
                    return Poll::Ready(Ok(()));
                }
            }
            self.polled = true;
            match polled.take().unwrap_or_else(|| inner.poll_ready(cx)) {
                Poll::Ready(Ok(())) => {
                    if word.is_passing() || self.reserve(anchor, at) {
                        self.leave();
                        self.last = LastPoll::InnerReady;
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.leave();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.waits = true;
                    self.parked.park(common.wakers(), cx.waker());
                    // A transition since the word was loaded may have come before this task was parked.
                    if common.word() == word {
                        return Poll::Pending;
                    }
                }
            }
            word = common.word();
        }
    }

    /// Polls a circuit that does not simply pass: ready with its rejection, if it rejects. Pending
    /// where calls wait while probes are in flight.
    #[cold]
    fn poll_circuit(
        &mut self,
        anchor: &AnchoredState,
        word: StateWord,
        at: EntryPoint,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Rejection>> {
        if let Some(waiting) = &mut self.waiting
            && let Some(reserved) = &waiting.reserved
        {
            if reserved.word() == word {
                return Poll::Ready(None);
            }
            // Of an earlier generation.
            waiting.reserved = None;
        }
        let common = anchor.common();
        loop {
            let word = common.word();
            let Some(rejection) = common.would_reject(word, at) else {
                return Poll::Ready(None);
            };
            if may_wait(anchor, &rejection) {
                self.waits = true;
                let wait = &mut self.waiting.get_or_insert_default().wait;
                match wait.poll(anchor, at, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Waited::TryAgain) => continue,
                    Poll::Ready(Waited::Expired) => {}
                }
            }
            return Poll::Ready(Some(rejection));
        }
    }

    /// Reserves a probe slot for the next call, where calls wait for one: an instance that reported
    /// to be ready must not be rejected because another was quicker. `false` if there is none.
    #[cold]
    fn reserve(&mut self, anchor: &AnchoredState, at: EntryPoint) -> bool {
        let common = anchor.common();
        let reserved = |w: &Waiting| {
            w.reserved
                .as_ref()
                .is_some_and(|r| r.word() == common.word())
        };
        if !common.waits() || self.waiting.as_deref().is_some_and(reserved) {
            return true;
        }
        if common.word().state() != CircuitState::HalfOpen {
            // Open and due, or passing again: `call` is admitted.
            return true;
        }
        match anchor.admit_locked(at, common.ramps(at)) {
            Ok(word) if word.is_probe() => {
                let slot = Reservation::new(anchor.local(), at, word);
                self.waiting.get_or_insert_default().reserved = Some(slot);
                true
            }
            admission => admission.is_ok(),
        }
    }

    /// Gives up what the inner service may hold, since its call is rejected or waits for the circuit:
    /// it may be the last one of this instance, and others wait for what it holds.
    #[inline]
    pub(crate) fn give_up<S: Clone>(&mut self, inner: &mut S) {
        if self.polled {
            self.polled = false;
            renew(inner);
        }
    }

    fn leave(&mut self) {
        if !self.waits {
            return;
        }
        self.waits = false;
        self.parked.leave();
        if let Some(waiting) = &mut self.waiting {
            waiting.wait.end();
        }
    }

    /// The probe slot that was reserved for this call, if it is of this generation.
    pub(crate) fn take_reserved(&mut self, word: StateWord) -> Option<Reservation> {
        let slot = self.waiting.as_mut()?.reserved.take()?;
        (slot.word() == word).then_some(slot)
    }

    /// Uses readiness up for one call, unless the circuit rejected at the time of `poll_ready`.
    #[inline]
    pub(crate) fn take_inner_ready(&mut self) -> bool {
        if matches!(self.last, LastPoll::Rejects { .. }) {
            return false;
        }
        self.last = LastPoll::Unused;
        true
    }

    /// Uses readiness up for one call: the rejection, if the circuit rejected.
    #[inline]
    pub(crate) fn take(&mut self, anchor: &AnchoredState, at: EntryPoint) -> Option<Rejection> {
        let LastPoll::Rejects { word, rejection } = self.last else {
            self.last = LastPoll::Unused;
            return None;
        };
        self.last = LastPoll::Unused;
        let common = anchor.common();
        if common.word() == word {
            return Some(rejection);
        }
        // The circuit has changed since. The inner service was not made ready, so the call is
        // rejected all the same, but with another reason and without a wait.
        Some(common.not_ready(at))
    }
}

// Never inlined: a call that passes should not carry it, since its poll is to be inlined.
#[cold]
#[inline(never)]
fn renew<S: Clone>(inner: &mut S) {
    *inner = inner.clone(); // clone: gives the reservation up
}
