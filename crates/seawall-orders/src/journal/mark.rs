//! What became of an intent.

use std::time::SystemTime;

use bytes::Bytes;

use super::State;
use super::intent::Millis;

/// What became of an intent, and when.
///
/// ```
/// use std::time::SystemTime;
/// use seawall_orders::journal::{Mark, State};
///
/// let filled = Mark::confirmed(SystemTime::now(), "904837e3", r#"{"filled_qty":"1"}"#);
/// assert_eq!(filled.state(), State::Confirmed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub(super) state: State,
    pub(super) at: Millis,
    pub(super) attempt: u32,
    pub(super) broker_id: Bytes,
    pub(super) details: Bytes,
}

impl Mark {
    fn new(state: State, at: SystemTime, details: Bytes) -> Self {
        Self {
            state,
            at: Millis::of(at),
            attempt: 0,
            broker_id: Bytes::new(),
            details,
        }
    }

    /// The request is about to leave for the `attempt`th time, counted from 1: every one but the
    /// first is a re-send. Must be written before the request leaves.
    pub fn sent(at: SystemTime, attempt: u32) -> Self {
        Self {
            attempt,
            ..Self::new(State::Sent, at, Bytes::new())
        }
    }

    /// The broker knows the order, under its own id and with these figures, which the journal does
    /// not read.
    pub fn confirmed(
        at: SystemTime,
        broker_id: impl Into<Bytes>,
        figures: impl Into<Bytes>,
    ) -> Self {
        Self {
            broker_id: broker_id.into(),
            ..Self::new(State::Confirmed, at, figures.into())
        }
    }

    /// The broker does not know the order, and would by now.
    pub fn absent(at: SystemTime) -> Self {
        Self::new(State::Absent, at, Bytes::new())
    }

    /// The broker rejected the order, for this reason.
    pub fn rejected(at: SystemTime, reason: impl Into<Bytes>) -> Self {
        Self::new(State::Rejected, at, reason.into())
    }

    /// The order is given up, for this reason.
    pub fn abandoned(at: SystemTime, reason: impl Into<Bytes>) -> Self {
        Self::new(State::Abandoned, at, reason.into())
    }

    /// All attempts to find out are used up; `last` is what the last one met with.
    pub fn exhausted(at: SystemTime, last: impl Into<Bytes>) -> Self {
        Self::new(State::Exhausted, at, last.into())
    }

    /// Sets what comes with the mark, in place of what it has: figures, a reason, who settled it.
    #[must_use]
    pub fn details(mut self, details: impl Into<Bytes>) -> Self {
        self.details = details.into();
        self
    }

    /// The state that it leads to.
    pub fn state(&self) -> State {
        self.state
    }

    /// When, to the millisecond.
    pub fn at(&self) -> SystemTime {
        self.at.time()
    }

    /// The number of the attempt, from 1; 0 where nothing leaves.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
