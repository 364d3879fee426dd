//! A call or an attempt that is not over.

use seawall_core::{Complete, Operation, Outcome, Rejection};

use crate::counts::{End, error_type};
use crate::measure;
use crate::state::{Id, here};
use crate::stripe::Ended;

/// When a call began that has not waited yet.
const NOT_YET: u64 = u64::MAX;
/// The overhead of a call of which none is measured.
const UNMEASURED: u32 = u32::MAX;

/// A call or an attempt under way, counted exactly once. Dropped without an outcome, it counts as
/// abandoned.
#[derive(Debug)]
pub struct OpenCall {
    id: Id,
    /// By the clock of the process.
    started: u64,
    /// In nanoseconds.
    overhead: u32,
    operation: Operation,
    is_attempt: bool,
    is_over: bool,
    /// Whether what is measured had a client in it.
    has_client: bool,
}

impl OpenCall {
    #[inline]
    pub(crate) fn new(id: Id, operation: Operation, is_attempt: bool) -> Self {
        let is_measured = !is_attempt && measure::is_due(id);
        Self {
            id,
            started: if is_attempt {
                None
            } else {
                id.clock().shared_arrival()
            }
            .unwrap_or(NOT_YET),
            overhead: if is_measured { 0 } else { UNMEASURED },
            operation,
            is_attempt,
            is_over: false,
            has_client: false,
        }
    }

    /// Runs a part of the call.
    #[inline(always)]
    pub(crate) fn run<T>(&mut self, run: impl FnOnce() -> T) -> T {
        if self.overhead == UNMEASURED {
            return run();
        }
        let (value, own, has_client) = measure::outside(self.id.clock(), run);
        let own = u32::try_from(own).unwrap_or(UNMEASURED);
        self.overhead = self.overhead.saturating_add(own).min(UNMEASURED - 1);
        self.has_client |= has_client;
        value
    }

    /// The call waits, or is not over with its response: its time runs from the first time on.
    #[inline]
    pub(crate) fn wait(&mut self) {
        if self.started == NOT_YET {
            self.started = self.id.clock().now();
        }
    }

    #[inline]
    fn end(&mut self, end: End) -> u64 {
        let now = if self.started == NOT_YET {
            0
        } else {
            self.id.clock().now()
        };
        self.end_at(end, now);
        now
    }

    #[inline]
    fn end_at(&mut self, end: End, now: u64) {
        self.is_over = true;
        let took_ns = if self.started == NOT_YET {
            0
        } else {
            now.saturating_sub(self.started)
        };
        let ended = Ended {
            is_attempt: self.is_attempt,
            operation: self.operation,
            end,
            took_ns,
        };
        here(self.id, |stripe| stripe.count(ended));
        if self.overhead != UNMEASURED && self.has_client {
            here(self.id, |stripe| {
                stripe.add_overhead(u64::from(self.overhead));
            });
        }
    }

    /// The call has failed with an error.
    #[cold]
    pub(crate) fn fail(mut self, outcome: Outcome, rejection: Option<&Rejection>) {
        let now = self.id.clock().now();
        self.end_at(End::of(outcome, rejection.is_some()), now);
        self.count_error(outcome, rejection, now);
    }

    #[cold]
    fn count_error(&self, outcome: Outcome, rejection: Option<&Rejection>, now: u64) {
        if self.is_attempt {
            return;
        }
        if let Some(error) = error_type(outcome, rejection) {
            let rejected = rejection.map(|rejection| (now, *rejection));
            here(self.id, |stripe| {
                stripe.fail(self.operation, error, rejected);
            });
        }
    }
}

impl Complete for OpenCall {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        let now = self.end(End::of(outcome, false));
        if outcome != Outcome::Success {
            self.count_error(outcome, None, now);
        }
    }
}

impl Drop for OpenCall {
    #[inline]
    fn drop(&mut self) {
        if !self.is_over {
            self.end(End::Abandoned);
        }
    }
}
