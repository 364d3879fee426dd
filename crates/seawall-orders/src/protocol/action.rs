//! What the driver of an intent has to do.

use seawall_core::state_words;

use super::event::{DoubtCause, OrderState};
use super::rules::Query;

state_words! {
    /// What is written to the journal.
    pub enum MarkKind {
        /// An order with this id is about to be sent.
        Intended = "intended",
        /// It has left, or is about to in this moment.
        Sent = "sent",
        /// It is about to be sent again.
        Resent = "resent",
        /// The look-ups are used up; the outcome is still unknown.
        Exhausted = "exhausted",
        /// The broker has it.
        Confirmed = "confirmed",
        /// The broker rejected it.
        Rejected = "rejected",
        /// It was certainly not executed.
        Absent = "absent",
        /// It was given up before it left, or by a person.
        Abandoned = "abandoned",
    }
}

impl MarkKind {
    /// Whether an intent with this mark is settled. All others are looked up at start.
    pub const fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Confirmed | Self::Rejected | Self::Absent | Self::Abandoned
        )
    }
}

state_words! {
    /// Where an outcome is known from.
    pub enum Via {
        /// The response of the call.
        Reply = "reply",
        /// A look-up.
        LookUp = "look_up",
        /// Evidence from elsewhere.
        Evidence = "evidence",
        /// A person.
        Person = "person",
        /// The journal: it was settled before the process started.
        Journal = "journal",
    }
}

state_words! {
    /// Why it is certain that nothing was executed.
    pub enum NotExecuted {
        /// Cancelled before it was sent.
        Cancelled = "cancelled",
        /// The caller dropped its future before it was sent.
        Dropped = "dropped",
        /// The deadline passed before it was sent.
        Deadline = "deadline",
        /// The journal could not be written, so it was not sent.
        NotJournalled = "not_journalled",
        /// A layer or the client could not send it.
        NotSent = "not_sent",
        /// A person has stopped new orders before it was sent.
        HeldBack = "held_back",
        /// The broker throttled, and says that it executes nothing then.
        Throttled = "throttled",
        /// The broker has no such order after the visibility window.
        LookedUp = "looked_up",
        /// The broker has an order of this id, and it is not ours: none was sent.
        IdTaken = "id_taken",
        /// A person decided so.
        Person = "person",
        /// The journal has it so.
        Journal = "journal",
    }
}

/// How an intent ended.
// Exhaustive: the four ends of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The broker has the order, in this state when it was learned.
    Confirmed(Via, OrderState),
    /// The broker rejected the order.
    Rejected(Via),
    /// The order was certainly not executed.
    Absent(NotExecuted),
    /// A person decided that it is not looked after any more.
    Abandoned,
}

impl Settlement {
    /// The mark in the journal, of an intent that has left.
    pub const fn mark(self) -> MarkKind {
        match self {
            Self::Confirmed(..) => MarkKind::Confirmed,
            Self::Rejected(_) => MarkKind::Rejected,
            Self::Absent(_) => MarkKind::Absent,
            Self::Abandoned => MarkKind::Abandoned,
        }
    }
}

/// What the caller gets.
// Exhaustive: an outcome is known, or it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The outcome: for [`Via::Reply`] the broker's response as it is, else what was found.
    Settled(Settlement),
    /// The outcome is unknown: a [`Rejection`](seawall_core::Rejection) with
    /// [`Reason::OutcomeUnknown`](seawall_core::Reason::OutcomeUnknown) and the id. The intent
    /// stays open.
    Unknown,
}

/// What a person has to look at.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alert {
    /// The broker has several orders of one client order id.
    SeveralOrders,
    /// The intent was settled as not executed, and the broker has the order.
    Contradiction(Settlement),
    /// The broker has an order of this id, and none was sent: another program uses the id.
    NotOurs,
    /// A copy was about to leave that the protocol has not passed, and was withheld: a layer below
    /// repeats requests. Or such a copy has left: the driver does not ask.
    UnexpectedDeparture,
    /// The look-ups are used up.
    Exhausted,
    /// The cancel was sent as often as [`Rules::cancels`](super::Rules::cancels) says, and the order may still
    /// work at the broker. It goes on, and so many more without an outcome are an alert again.
    CancelUnconfirmed,
}

impl Alert {
    /// The alert as a word of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeveralOrders => "several_orders",
            Self::Contradiction(_) => "contradiction",
            Self::NotOurs => "not_ours",
            Self::UnexpectedDeparture => "unexpected_departure",
            Self::Exhausted => "exhausted",
            Self::CancelUnconfirmed => "cancel_unconfirmed",
        }
    }
}

/// What is emitted as an event, and counted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The outcome became unknown.
    InDoubt(DoubtCause),
    /// The order is sent again: this is the copy's number, from 2.
    Resend(u32),
    /// The outcome is known.
    Settled(Settlement),
    /// A person has to look.
    Alert(Alert),
}

/// What becomes of a cancel.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelStep {
    /// Send it to the broker, ahead of everything else; its end is
    /// [`Event::CancelReply`](super::Event::CancelReply).
    Send,
    /// Answer it: the order was removed unsent, or was not executed.
    NotSent,
    /// Answer it: the broker has cancelled the order, or it is not open any more.
    Over,
    /// Answer it: it is given up without an outcome, of an order that a person has abandoned.
    Unconfirmed,
}

/// What the driver has to do, in the order of the list.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Append a mark to the journal. The actions that follow are not begun before it is appended; a
    /// durable one ends with [`Event::Durable`](super::Event::Durable) or
    /// [`Event::NotDurable`](super::Event::NotDurable). Marks of one intent keep their order, and a
    /// mark that is durable makes all before it durable.
    Write {
        /// The mark.
        mark: MarkKind,
        /// Whether the driver reports when it is on the disk.
        durable: bool,
    },
    /// Let the call into the stack, where it may wait; copies from 2 are marked as re-sends.
    Pass {
        /// The number of the copy, from 1.
        copy: u32,
    },
    /// Take the call out of the stack: it is not to be sent.
    Withdraw,
    /// The copy that is about to leave may.
    Send {
        /// The number of the copy, from 1.
        copy: u32,
    },
    /// The copy that is about to leave must not.
    Withhold,
    /// Query the broker; [`Event::LookUp`](super::Event::LookUp) has the number. The query must be sent after
    /// this action: one that was under way before may not show the order, although it is there.
    LookUp {
        /// The number of the query in this intent.
        number: u32,
        /// What to query.
        query: Query,
    },
    /// What becomes of the cancel.
    Cancel(CancelStep),
    /// Answer the caller, once, and drop the call where it still runs: the visibility window is
    /// counted from now.
    Answer(Answer),
    /// Emit an event.
    Notify(Notice),
}
