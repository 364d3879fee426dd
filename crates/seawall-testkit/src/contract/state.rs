//! What all clones of one mock share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::MockError;

/// Where a [`Mock`](super::Mock) can panic on request, see
/// [`MockHandle::panic_at`](super::MockHandle::panic_at).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// In `Service::poll_ready`.
    PollReady,
    /// In `Service::call`, after the reservation of the instance was used up.
    Call,
    /// In `Future::poll` of the response future.
    Poll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Pending,
    Failed,
}

/// One call that arrived: its request, its result once there is one, and the task that waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: u32,
    pub(super) reply: Option<Result<u32, MockError>>,
    pub(super) waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) readiness: Readiness,
    pub(super) capacity: Option<usize>,
    pub(super) hold_responses: bool,
    pub(super) panic_at: Option<Stage>,
    pub(super) script: VecDeque<Result<(), MockError>>,
    /// At most one waker per instance: that of its last pending poll.
    pub(super) waiting: Vec<(u64, Waker)>,
    pub(super) next_instance: u64,
    pub(super) calls: Vec<Call>,
    pub(super) reserved: usize,
    pub(super) in_flight: usize,
    pub(super) peak_in_flight: usize,
    pub(super) instances: usize,
    pub(super) futures: usize,
    pub(super) readiness_polls: usize,
    pub(super) wakes: usize,
    pub(super) violations: Vec<String>,
}

impl State {
    /// Whether a waiter could go on.
    pub(super) fn has_capacity(&self) -> bool {
        self.capacity.is_none_or(|limit| self.reserved < limit)
    }

    /// The waker of an instance that waits no longer; to be dropped outside the lock.
    pub(super) fn leave(&mut self, instance: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(id, _)| *id == instance)?;
        Some(self.waiting.remove(at).1)
    }

    fn take_waiting(&mut self) -> Vec<Waker> {
        let wakers: Vec<_> = self.waiting.drain(..).map(|(_, waker)| waker).collect();
        self.wakes += wakers.len();
        wakers
    }
}

#[derive(Debug)]
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            readiness: Readiness::Ready,
            capacity: None,
            hold_responses: false,
            panic_at: None,
            script: VecDeque::new(),
            waiting: Vec::new(),
            next_instance: 0,
            calls: Vec::new(),
            reserved: 0,
            in_flight: 0,
            peak_in_flight: 0,
            instances: 0,
            futures: 0,
            readiness_polls: 0,
            wakes: 0,
            violations: Vec::new(),
        })))
    }

    /// A panic of the subject must not hide what was counted: a poisoned lock is recovered.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes all waiters if there is readiness to be had.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            match state.readiness {
                Readiness::Pending => Vec::new(),
                Readiness::Failed => state.take_waiting(),
                Readiness::Ready if state.has_capacity() => state.take_waiting(),
                Readiness::Ready => Vec::new(),
            }
        };
        // Outside the lock: a waker may run the task, which polls this mock again.
        for waker in wakers {
            waker.wake();
        }
    }

    /// Panics if a panic was requested for this stage.
    pub(super) fn panic_if_requested(&self, stage: Stage) {
        let requested = {
            let mut state = self.lock();
            let requested = state.panic_at == Some(stage);
            if requested {
                state.panic_at = None;
            }
            requested
        };
        assert!(!requested, "mock: panics in {stage:?}, as requested");
    }

    /// Records the violation and panics with it: the panic may be caught, the record stays.
    pub(super) fn violation(&self, what: &str) -> ! {
        self.lock().violations.push(what.to_owned());
        panic!("mock: {what}");
    }
}

/// One unit of the shared count, released when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

impl Slot {
    /// The caller has the lock and has checked that there is capacity.
    pub(super) fn reserve(shared: &Arc<Shared>, state: &mut State) -> Self {
        state.reserved += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.change(|state| state.reserved -= 1);
    }
}
