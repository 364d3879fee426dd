//! What a step is asked, and what it answers.

use std::time::Duration;

use seawall_core::{Degradation, Outcome, Rejection, RequestMeta};

/// A call that has failed, as the steps see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailedCall {
    outcome: Outcome,
    rejection: Option<Rejection>,
    meta: RequestMeta,
}

impl FailedCall {
    pub(crate) const fn new(
        outcome: Outcome,
        rejection: Option<Rejection>,
        meta: RequestMeta,
    ) -> Self {
        Self {
            outcome,
            rejection,
            meta,
        }
    }

    /// What its result means.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The rejection, where a layer has rejected it.
    pub const fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    /// What its request is: its replay, its operation and its deadline. The rest of the description is not
    /// kept until a call fails.
    pub const fn meta(&self) -> &RequestMeta {
        &self.meta
    }

    /// The failure in a word, as the mark of the answer has it.
    pub const fn reason(&self) -> &'static str {
        Degradation::reason_of(self.outcome, self.rejection.as_ref())
    }
}

/// What a step answers: a value, and how old its data is.
///
/// A value by itself is one that was made for the call: functions may return `Some(value)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<Res> {
    pub(crate) value: Res,
    pub(crate) age: Option<Duration>,
}

impl<Res> Answer<Res> {
    /// An answer that was made for the call.
    pub const fn made(value: Res) -> Self {
        Self { value, age: None }
    }

    /// An answer whose data is that old.
    pub const fn aged(value: Res, age: Duration) -> Self {
        let age = Some(age);
        Self { value, age }
    }
}

impl<Res> From<Res> for Answer<Res> {
    fn from(value: Res) -> Self {
        Self::made(value)
    }
}
