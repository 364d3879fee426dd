//! Controls the mock, and reports what it has seen.

use std::sync::Arc;

use super::state::{Readiness, Shared};
use super::{MockError, Stage};

/// Drives a [`Mock`](super::Mock) with all its clones, and reports what they have seen.
///
/// Made by [`mock`](super::mock()). Clones drive the same mock.
#[derive(Debug, Clone)]
pub struct MockHandle {
    shared: Arc<Shared>,
}

impl MockHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

/// What the mock does.
impl MockHandle {
    /// Lets `poll_ready` succeed as far as the [capacity](Self::set_capacity) allows (the default),
    /// and wakes waiters.
    pub fn set_ready(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Ready);
    }

    /// Makes every further `poll_ready` pend, also on an instance that was ready. Such an instance
    /// keeps its reservation; if it is polled again, it must not be called.
    pub fn set_pending(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Pending);
    }

    /// Makes every further `poll_ready` fail with [`MockError::NotReady`], and wakes waiters.
    pub fn set_failed(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Failed);
    }

    /// Sets how many reservations can be held at once by all instances and response futures;
    /// `None` (the default) for any number. What is reserved already stays so.
    pub fn set_capacity(&self, capacity: impl Into<Option<usize>>) {
        let capacity = capacity.into();
        self.shared.change(|state| state.capacity = capacity);
    }

    /// Leaves each further call open until [`respond`](Self::respond) completes it.
    pub fn hold_responses(&self) {
        self.shared.lock().hold_responses = true;
    }

    /// Responds to each further call when it is made (the default). Calls that are open stay open.
    pub fn respond_immediately(&self) {
        self.shared.lock().hold_responses = false;
    }

    /// Sets the results of the next calls that complete immediately: `Ok(())` echoes the request.
    /// Calls beyond the script are echoed.
    pub fn script(&self, results: impl IntoIterator<Item = Result<(), MockError>>) {
        let results: Vec<_> = results.into_iter().collect();
        self.shared.lock().script.extend(results);
    }

    /// Completes the open call number `call` (from 0, in order of arrival), with `Ok(())` for an
    /// echo. A completed or dropped call stays as it is.
    ///
    /// # Panics
    ///
    /// If there was no such call.
    pub fn respond(&self, call: usize, result: Result<(), MockError>) {
        let waker = {
            let mut state = self.shared.lock();
            let arrived = state.calls.len();
            assert!(
                call < arrived,
                "mock: cannot complete call {call}, only {arrived} arrived"
            );
            let call = &mut state.calls[call];
            let request = call.request;
            call.reply.get_or_insert(result.map(|()| request));
            call.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Completes all open calls with an echo.
    pub fn respond_to_all(&self) {
        for call in 0..self.calls() {
            self.respond(call, Ok(()));
        }
    }

    /// Panics once, in the next run of `stage`.
    pub fn panic_at(&self, stage: Stage) {
        self.shared.lock().panic_at = Some(stage);
    }
}

/// What the mock has seen.
impl MockHandle {
    /// How many calls arrived.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.lock().calls.len()
    }

    /// The requests that arrived, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<u32> {
        let state = self.shared.lock();
        state.calls.iter().map(|call| call.request).collect()
    }

    /// How often `poll_ready` was called, over all instances.
    #[must_use]
    pub fn readiness_polls(&self) -> usize {
        self.shared.lock().readiness_polls
    }

    /// How many wakers the mock woke because readiness or capacity came back.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.shared.lock().wakes
    }

    /// How many instances wait for readiness.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// How many calls are open: neither completed nor dropped.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight
    }

    /// The most calls that were open at the same time.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.shared.lock().peak_in_flight
    }

    /// How many reservations are held by instances and response futures.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.shared.lock().reserved
    }

    /// How many instances of the mock are alive.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.shared.lock().instances
    }

    /// How many response futures are alive, including completed ones.
    #[must_use]
    pub fn futures(&self) -> usize {
        self.shared.lock().futures
    }

    /// Violations of the contract by callers, in order; empty if there were none. Each was a panic
    /// too.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }
}
