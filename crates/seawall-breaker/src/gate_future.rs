//! The response future of the gate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Rejectable, Rejection};

use crate::permit::Reservation;

pin_project! {
    /// The response future of a [`Gate`](crate::Gate).
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, as futures may.
    pub struct GateFuture<F> {
        #[pin]
        state: GateState<F>,
    }
}

pin_project! {
    #[project = GateProj]
    enum GateState<F> {
        Calling {
            #[pin]
            inner: F,
            // Held, never read.
            slot: Option<Reservation>,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F> GateFuture<F> {
    /// A call through a closed circuit.
    #[inline]
    pub(crate) fn passing(inner: impl FnOnce() -> F) -> Self {
        Self {
            state: GateState::Calling {
                inner: inner(),
                slot: None,
            },
        }
    }

    /// A call of the probe queue, whose slot was taken before it.
    pub(crate) fn queued(slot: Option<Reservation>, inner: impl FnOnce() -> F) -> Self {
        Self {
            state: GateState::Calling {
                inner: inner(),
                slot,
            },
        }
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self {
            state: GateState::Rejected { rejection },
        }
    }
}

impl<F, T, E> Future for GateFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        match state.as_mut().project() {
            GateProj::Calling { inner, .. } => {
                // Passed on as it is: taken apart it would be moved.
                let out = inner.poll(cx);
                if out.is_ready() {
                    state.set(GateState::Done);
                }
                out
            }
            GateProj::Rejected { rejection } => {
                let error = E::from(*rejection);
                state.set(GateState::Done);
                Poll::Ready(Err(error))
            }
            GateProj::Done => panic!("polled after it has completed"),
        }
    }
}

impl<F> fmt::Debug for GateFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            GateState::Calling { slot: Some(_), .. } => "calling, as a probe",
            GateState::Calling { .. } => "calling",
            GateState::Rejected { .. } => "rejected",
            GateState::Done => "done",
        };
        f.debug_struct("GateFuture").field("state", &state).finish()
    }
}
