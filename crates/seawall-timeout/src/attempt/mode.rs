//! How a layer comes to its timeout, and what a call does for that.
#![allow(
    private_interfaces,
    unnameable_types,
    reason = "nobody outside calls or implements what is sealed"
)]

use std::fmt;

use seawall_core::striped::{Anchor, Local};
use seawall_core::{Classify, ErrorIsFailure, Outcome, Reason, Rejectable, judge};
use tokio::time::Instant;

use super::learner::Unanswered;
use crate::observe::Common;

/// How an attempt timeout comes to its value: [`Fixed`] or [`Learned`]. Sealed.
pub trait Mode<T, E>: sealed::Mode<T, E> {}

impl<M: sealed::Mode<T, E>, T, E> Mode<T, E> for M {}

/// What a call does for the timeout of later ones: `()` or [`Learning`]. Sealed.
pub trait Lesson<T, E>: sealed::Lesson<T, E> {}

impl<L: sealed::Lesson<T, E>, T, E> Lesson<T, E> for L {}

/// The timeout is what it was set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed;

/// The timeout is learned from answers; what counts as one is said by a classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned<C = ErrorIsFailure> {
    pub(crate) classify: C,
}

/// What the call of a learned timeout knows of itself; it learns when it ends or is dropped.
pub struct Learning<C = ErrorIsFailure> {
    /// `None` when there is nothing (more) to learn.
    state: Option<Local<Common, ()>>,
    began: Option<Instant>,
    /// Whether the request came with a timeout of its own.
    own: bool,
    classify: C,
}

pub(crate) mod sealed {
    use super::{Anchor, Common};

    pub trait Mode<T, E> {
        type Lesson: Lesson<T, E> + super::Lesson<T, E>;

        /// The lesson of a call whose request has a timeout of its `own` or not.
        fn lesson(&self, state: &Anchor<Common, ()>, own: bool) -> Self::Lesson;

        /// The lesson of a call that is not made.
        fn none(&self) -> Self::Lesson;
    }

    pub trait Lesson<T, E> {
        /// The call's future is polled; answers at the first time what it may take, in
        /// nanoseconds, where that is learned.
        fn polled(&mut self) -> Option<u64>;

        /// The call has ended.
        fn ended(&mut self, result: &Result<T, E>);
    }
}

impl<T, E> sealed::Mode<T, E> for Fixed {
    type Lesson = ();

    #[inline(always)]
    fn lesson(&self, _: &Anchor<Common, ()>, _: bool) {}

    fn none(&self) {}
}

impl<T, E> sealed::Lesson<T, E> for () {
    #[inline(always)]
    fn polled(&mut self) -> Option<u64> {
        None
    }

    #[inline(always)]
    fn ended(&mut self, _: &Result<T, E>) {}
}

impl<T, E, C> sealed::Mode<T, E> for Learned<C>
where
    C: Classify<T, E> + Clone,
    E: Rejectable,
{
    type Lesson = Learning<C>;

    fn lesson(&self, state: &Anchor<Common, ()>, own: bool) -> Learning<C> {
        Learning {
            state: Some(state.local()),
            began: None,
            own,
            classify: self.classify.clone(),
        }
    }

    fn none(&self) -> Learning<C> {
        Learning {
            state: None,
            began: None,
            own: false,
            classify: self.classify.clone(),
        }
    }
}

impl<T, E, C> sealed::Lesson<T, E> for Learning<C>
where
    C: Classify<T, E>,
    E: Rejectable,
{
    fn polled(&mut self) -> Option<u64> {
        if self.began.is_some() {
            return None;
        }
        let common = self.state.as_ref()?.common();
        let now = *self.began.insert(Instant::now());
        // Asked for in any case: the estimate is computed when it is asked for.
        let allowed = common.learner()?.allowed(now, common.after_ns());
        (!self.own).then_some(allowed)
    }

    fn ended(&mut self, result: &Result<T, E>) {
        let (Some(state), Some(began)) = (self.state.take(), self.began) else {
            return;
        };
        let Some(learner) = state.common().learner() else {
            return;
        };
        let rejected = result.as_ref().err().and_then(Rejectable::rejection);
        // Layers of one stack often have one name.
        let own = rejected.is_some_and(|rejected| {
            let cut = matches!(
                rejected.reason(),
                Reason::AttemptTimeout | Reason::DeadlineExceeded
            );
            cut && rejected.name() == state.common().name()
        });
        let how = if own {
            Some(Unanswered::GivenUp)
        } else {
            match (judge(&self.classify, result), result) {
                (Outcome::Success | Outcome::Ignored, Ok(_)) => None,
                // A rejection below: nobody was asked who could have answered.
                (Outcome::Ignored, Err(_)) if rejected.is_some() => return,
                _ => Some(Unanswered::Failed),
            }
        };
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        match how {
            None => learner.answered(took, now),
            Some(how) => learner.unanswered(how, took, now, state.common().after_ns()),
        }
    }
}

impl<C> Drop for Learning<C> {
    /// The caller lost patience, or another attempt won: hedging drops the slow ones, and what
    /// forgets them learns from the fast ones alone.
    fn drop(&mut self) {
        let (Some(state), Some(began)) = (self.state.take(), self.began) else {
            return;
        };
        // A panic of the inner service says nothing about its answers.
        if std::thread::panicking() {
            return;
        }
        if let Some(learner) = state.common().learner() {
            let now = Instant::now();
            let took = now.saturating_duration_since(began);
            learner.unanswered(Unanswered::GivenUp, took, now, state.common().after_ns());
        }
    }
}

impl<C> fmt::Debug for Learning<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learning")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}
