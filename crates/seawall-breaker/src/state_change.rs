//! Waiting for the next transition of a circuit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::access::{CircuitRef, Single};
use crate::control::Control;
use crate::state_word::StateWord;
use crate::transition::Transition;
use crate::wakers::Parked;

/// Waits for a change of a circuit's state; see
/// [`CircuitHandle::state_change`](crate::CircuitHandle::state_change). It can be dropped at any
/// time.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct StateChange<D: CircuitRef = Single> {
    circuit: D,
    word: StateWord,
    parked: Parked,
}

impl<D: CircuitRef> StateChange<D> {
    pub(crate) fn new(circuit: D) -> Self {
        Self {
            word: circuit.common().word(),
            circuit,
            parked: Parked::new(),
        }
    }
}

impl<D: CircuitRef + Unpin> Future for StateChange<D> {
    type Output = Transition;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transition> {
        let this = &mut *self;
        let common = this.circuit.common();
        // Parked first: a change after the load would not wake this task otherwise.
        this.parked.park(common.wakers(), cx.waker());
        let word = common.word();
        // Settings make a new generation too, in the same state.
        let changed = word.state() != this.word.state()
            || (word != this.word && this.circuit.since() > this.word.generation());
        if !changed {
            return Poll::Pending;
        }
        match this.circuit.last_transition() {
            Some(transition) => {
                this.word = word;
                this.parked.leave();
                Poll::Ready(transition)
            }
            None => Poll::Pending,
        }
    }
}
