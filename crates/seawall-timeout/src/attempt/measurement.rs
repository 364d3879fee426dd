//! How long one attempt took, for a learned timeout.
#![allow(unnameable_types, reason = "parts of futures, which need no names")]

use seawall_core::striped::Local;
use seawall_core::{Classify, ErrorIsFailure, Outcome, Reason, Rejectable, classify_result};
use tokio::time::Instant;

use super::learner::NoResponse;
use super::state::State;

/// What a future does to measure its call. Sealed.
pub trait Measure<T, E> {
    /// The call's future is polled. Returns, at the first poll, the limit in nanoseconds that is
    /// learned.
    fn polled(&mut self) -> Option<u64>;

    /// The call has ended.
    fn ended(&mut self, result: &Result<T, E>);
}

/// No measurement: the timeout is fixed.
#[derive(Clone, Copy, Debug)]
pub struct NotMeasured;

impl<T, E> Measure<T, E> for NotMeasured {
    #[inline(always)]
    fn polled(&mut self) -> Option<u64> {
        None
    }

    #[inline(always)]
    fn ended(&mut self, _: &Result<T, E>) {}
}

/// Measures one attempt, which is recorded when it ends or is dropped.
#[derive(Debug)]
pub struct Measurement<C = ErrorIsFailure> {
    /// `None` when there is nothing (more) to record.
    state: Option<Local<State, ()>>,
    began: Option<Instant>,
    classifier: C,
}

impl<C> Measurement<C> {
    pub(super) const fn new(state: Option<Local<State, ()>>, classifier: C) -> Self {
        Self {
            state,
            began: None,
            classifier,
        }
    }

    /// Takes out what is to be recorded, once.
    fn take(&mut self) -> Option<(Local<State, ()>, Instant)> {
        Some((self.state.take()?, self.began?))
    }
}

impl<T, E, C> Measure<T, E> for Measurement<C>
where
    C: Classify<T, E>,
    E: Rejectable,
{
    fn polled(&mut self) -> Option<u64> {
        if self.began.is_some() {
            return None;
        }
        let state = self.state.as_ref()?.common();
        let learner = state.learner.as_ref()?;
        // Asked for in any case: the estimate is computed when it is asked for.
        Some(learner.timeout(*self.began.insert(state.common.id().clock().instant_now())))
    }

    fn ended(&mut self, result: &Result<T, E>) {
        let Some((state, began)) = self.take() else {
            return;
        };
        let rejection = result.as_ref().err().and_then(Rejectable::rejection);
        // By name too: a layer below may have timed out. Layers of one stack often have one name.
        let timed_out = rejection.is_some_and(|rejection| {
            matches!(
                rejection.reason(),
                Reason::AttemptTimeout | Reason::DeadlineExceeded
            ) && rejection.name() == state.common().common.name()
        });
        let no_response = if timed_out {
            Some(NoResponse::GivenUp)
        } else {
            match (classify_result(&self.classifier, result), result) {
                (Outcome::Success | Outcome::Ignored | Outcome::Degraded, Ok(_)) => None,
                // A rejection below: the request did not reach the upstream.
                (Outcome::Ignored, Err(_)) if rejection.is_some() => return,
                _ => Some(NoResponse::Failed),
            }
        };
        record(&state, began, no_response);
    }
}

impl<C> Drop for Measurement<C> {
    /// The caller gave up, or another attempt won: hedging drops the slow ones, and without them
    /// the timeout would be learned from the fast ones alone.
    fn drop(&mut self) {
        if let Some((state, began)) = self.take() {
            // A panic of the inner service says nothing about its responses.
            if !std::thread::panicking() {
                record(&state, began, Some(NoResponse::GivenUp));
            }
        }
    }
}

fn record(state: &Local<State, ()>, began: Instant, no_response: Option<NoResponse>) {
    let now = state.common().common.id().clock().instant_now();
    let took = now.saturating_duration_since(began);
    match (&state.common().learner, no_response) {
        (Some(learner), None) => learner.record(took, now),
        (Some(learner), Some(why)) => learner.record_without_response(why, took, now),
        (None, _) => {}
    }
}
