//! Where an intent is, and what a step of it needs.

use std::time::Duration;

use crate::protocol::action::{Action, Alert, Notice, Settlement};
use crate::protocol::rules::Rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Writing,
    Waiting,
    Sent,
    InDoubt(Doubt),
    Exhausted,
    Settled(Settlement),
}

/// What every step needs.
pub(super) struct Turn<'a> {
    pub(super) rules: &'a Rules,
    pub(super) now: Duration,
    pub(super) out: &'a mut Vec<Action>,
}

impl Turn<'_> {
    pub(super) fn act(&mut self, action: Action) {
        self.out.push(action);
    }

    pub(super) fn alert(&mut self, alert: Alert) {
        self.act(Action::Notify(Notice::Alert(alert)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Doubt {
    pub(super) next: Next,
    /// How many look-ups ended without an outcome.
    pub(super) done: u32,
    /// How many in sequence were not made since.
    pub(super) not_made: u32,
    /// How often the window began again since the process stood still.
    pub(super) standstills: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Next {
    Resend { at: Duration },
    LookUp { at: Duration },
    Running(Running),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub(super) number: u32,
    /// Which of the queries of the rules.
    pub(super) step: usize,
    /// When the first of the queries was begun.
    pub(super) begun: Duration,
    /// When this one was, or when it last went on.
    pub(super) queried: Duration,
}

impl Doubt {
    pub(super) fn due(&self, rules: &Rules) -> Duration {
        match self.next {
            Next::Resend { at } | Next::LookUp { at } => at,
            Next::Running(running) => running.queried.saturating_add(rules.look_up_timeout()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cancel {
    No,
    /// It is on its way.
    Sent(Tries),
    /// The broker did not cancel: the order is not there yet, or not open any more, or the request
    /// was lost, or not made.
    Missed {
        tries: Tries,
        again_at: Duration,
        /// Whether the last one has left.
        was_made: bool,
    },
    Over,
}

/// How often a cancel was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tries {
    pub(super) all: u32,
    /// How many have left since the last alert, without an outcome.
    pub(super) sent: u32,
    pub(super) alerted: bool,
}

/// A look-up of an order that is settled, for its cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Check {
    pub(super) number: u32,
    /// Which of the queries of the rules.
    pub(super) step: usize,
    /// When this one was begun.
    pub(super) queried: Duration,
}

impl Cancel {
    pub(super) const fn is_wanted(self) -> bool {
        !matches!(self, Self::No)
    }
}
