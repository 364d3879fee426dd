//! One intent and all that became of it.

use std::time::SystemTime;

use bytes::Bytes;

use super::intent::{Millis, check_data};
use super::{Intent, JournalError, Mark, State};

/// How many of the last steps an entry keeps.
pub(super) const KEPT_STEPS: usize = 8;

/// One intent and all that became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) seq: u64,
    pub(super) intent: Intent,
    pub(super) fate: Fate,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) broker_id: Bytes,
    pub(super) details: Bytes,
    pub(super) steps: Steps,
}

/// One state that an entry was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub(super) state: State,
    pub(super) at: Millis,
    pub(super) attempt: u32,
}

/// The last steps, oldest first, in place: an entry in memory allocates nothing for them.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// Those beyond `total` say nothing.
    pub(super) kept: [Step; KEPT_STEPS],
    pub(super) total: u32,
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.total == other.total && self.as_slice() == other.as_slice()
    }
}

impl Eq for Steps {}

impl Step {
    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when, to the millisecond.
    pub fn at(&self) -> SystemTime {
        self.at.time()
    }

    /// The number of the attempt, from 1; 0 where nothing left.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Steps {
    pub(super) fn new(first: Step) -> Self {
        Self {
            kept: [first; KEPT_STEPS],
            total: 1,
        }
    }

    pub(super) fn push(&mut self, step: Step) {
        let len = self.as_slice().len();
        if len == KEPT_STEPS {
            self.kept.rotate_left(1);
            self.kept[KEPT_STEPS - 1] = step;
        } else {
            self.kept[len] = step;
        }
        self.total = self.total.saturating_add(1);
    }

    pub(super) fn as_slice(&self) -> &[Step] {
        let len = usize::try_from(self.total).unwrap_or(usize::MAX);
        &self.kept[..len.min(KEPT_STEPS)]
    }
}

impl Fate {
    /// That of an intent that nothing has become of.
    pub(super) fn new(at: Millis) -> Self {
        let first = Step {
            state: State::Intent,
            at,
            attempt: 0,
        };
        Self {
            state: State::Intent,
            attempts: 0,
            broker_id: Bytes::new(),
            details: Bytes::new(),
            steps: Steps::new(first),
        }
    }

    /// Makes it that of another intent, in the memory of this one.
    pub(super) fn begin(&mut self, at: Millis) {
        self.state = State::Intent;
        self.attempts = 0;
        self.forget_texts();
        self.steps.kept[0] = Step {
            state: State::Intent,
            at,
            attempt: 0,
        };
        self.steps.total = 1;
    }

    /// Gives back what the heap has of it.
    pub(super) fn forget_texts(&mut self) {
        // Most have none, and assigning drops what was there.
        if !self.broker_id.is_empty() {
            self.broker_id = Bytes::new();
        }
        if !self.details.is_empty() {
            self.details = Bytes::new();
        }
    }

    /// It may have left at the moment at which it was written.
    pub(super) fn send(&mut self, at: Millis) {
        self.write(&Mark::sent(at.time(), 1));
    }

    /// Applies a mark, if the state allows it.
    pub(super) fn apply(&mut self, id: &str, mark: &Mark) -> Result<(), JournalError> {
        check_data("mark", mark.details.len() + mark.broker_id.len())?;
        if !self.state.allows(mark.state) {
            return Err(JournalError::Forbidden {
                id: id.into(),
                from: self.state,
                to: mark.state,
            });
        }
        let expected = self.attempts.saturating_add(1);
        if mark.state == State::Sent && mark.attempt != expected {
            return Err(JournalError::WrongAttempt {
                id: id.into(),
                expected,
                found: mark.attempt,
            });
        }
        self.write(mark);
        Ok(())
    }

    fn write(&mut self, mark: &Mark) {
        self.state = mark.state;
        self.attempts = self.attempts.max(mark.attempt);
        if !mark.broker_id.is_empty() {
            self.broker_id = mark.broker_id.clone();
        }
        self.details = mark.details.clone();
        self.steps.push(Step {
            state: mark.state,
            at: mark.at,
            attempt: mark.attempt,
        });
    }

    /// When the present state began.
    pub(super) fn changed(&self) -> Millis {
        self.steps
            .as_slice()
            .last()
            .map_or(Millis::default(), |step| step.at)
    }
}

impl Entry {
    /// An intent that nothing has become of.
    #[cfg(feature = "durable")]
    pub(super) fn new(seq: u64, intent: Intent, sent: bool) -> Self {
        let mut fate = Fate::new(intent.at);
        if sent {
            fate.send(intent.at);
        }
        Self { seq, intent, fate }
    }

    /// Applies a mark, if the state allows it.
    #[cfg(feature = "durable")]
    pub(super) fn apply(&mut self, mark: &Mark) -> Result<(), JournalError> {
        self.fate.apply(&self.intent.id, mark)
    }

    /// The place of the entry in the order in which intents were appended. Never used again.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What was to be sent.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// What is known of it.
    pub fn state(&self) -> State {
        self.fate.state
    }

    /// How many times it may have left: above 1 there were re-sends.
    pub fn attempts(&self) -> u32 {
        self.fate.attempts
    }

    /// The broker's id of the order; empty if none was reported.
    pub fn broker_id(&self) -> &[u8] {
        &self.fate.broker_id
    }

    /// What came with the last mark: figures or a reason.
    pub fn details(&self) -> &[u8] {
        &self.fate.details
    }

    /// The last eight states, oldest first, the present one among them.
    pub fn steps(&self) -> &[Step] {
        self.fate.steps.as_slice()
    }

    /// How many states there were, those not kept included.
    pub fn steps_total(&self) -> u32 {
        self.fate.steps.total
    }

    /// When the present state began, to the millisecond.
    pub fn changed_at(&self) -> SystemTime {
        self.fate.changed().time()
    }
}
