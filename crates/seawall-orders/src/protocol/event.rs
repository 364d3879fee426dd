//! What happens to an intent.

use seawall_core::state_words;

state_words! {
    /// What a broker reports of an order.
    pub enum OrderState {
        /// It works at the broker, nothing is filled.
        Open = "open",
        /// It works at the broker, a part is filled.
        PartiallyFilled = "partially_filled",
        /// It is filled.
        Filled = "filled",
        /// It was cancelled; a part may have been filled before.
        Cancelled = "cancelled",
        /// It has expired; a part may have been filled before.
        Expired = "expired",
        /// The broker rejected it.
        Rejected = "rejected",
    }
}

impl OrderState {
    /// Whether it works at the broker.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Open | Self::PartiallyFilled)
    }

    /// Whether the broker took it, whatever came then.
    pub const fn is_accepted(self) -> bool {
        !matches!(self, Self::Rejected)
    }
}

/// An order as a broker reports it: in a response, a look-up, or a stream.
// Exhaustive: what the protocol decides by; the rest of an order is the driver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// The broker's own id as a number, or a hash of it; `None` where the report has none. Two
    /// orders of one client order id are distinguished by it.
    pub order: Option<u64>,
    /// Its state.
    pub state: OrderState,
}

impl Report {
    /// A report without the broker's own id.
    pub const fn of(state: OrderState) -> Self {
        Self { order: None, state }
    }
}

state_words! {
    /// Why an outcome is unknown.
    pub enum DoubtCause {
        /// No response came in time.
        Timeout = "timeout",
        /// The connection ended before the response.
        Reset = "reset",
        /// A status of a proxy or of the broker that says nothing: 5xx, a body that cannot be read.
        ServerError = "server_error",
        /// A throttle of a broker that does not say whether it executed the request.
        Throttled = "throttled",
        /// The broker knows the id already.
        Duplicate = "duplicate",
        /// The broker rejected a copy while an earlier one can exist.
        LaterCopyRejected = "later_copy_rejected",
        /// The caller dropped its future.
        Dropped = "dropped",
        /// The process started again.
        Restart = "restart",
        /// A re-send did not leave.
        ResendNotSent = "resend_not_sent",
    }
}

/// How the call of one copy ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The broker took the order, or returned the first one of that id.
    Accepted(Report),
    /// The broker rejected the order: the request was read and not executed.
    Rejected,
    /// The broker knows the id already.
    Duplicate,
    /// The broker, or something before it, throttled.
    Throttled,
    /// The request certainly did not leave: rejected by a layer, no connection, no TLS session.
    NotSent,
    /// Anything else: the request may have been executed.
    Unknown(DoubtCause),
}

/// What one query of a look-up found.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUp {
    /// One order of that id. Of an order and of copies that were rejected, it is the order.
    Found(Report),
    /// The broker answered, and has no such order.
    NotFound,
    /// More than one order of that id that was not rejected; this is the state of one, a live one
    /// if there is any.
    Several(OrderState),
    /// The query failed: an error, a timeout, a body that cannot be read, a page that is missing.
    /// It says nothing about the order.
    Failed,
    /// The query failed after it had shown one order of that id, which was not rejected, as where a later page
    /// cannot be read. The order exists; whether it is the only one is not known.
    Shown(Report),
    /// The query was not made: a layer rejected it before it left, as an open circuit does. It does not
    /// count, and is made later.
    NotMade,
}

/// How a cancel that was to be sent ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReply {
    /// The broker cancelled the order.
    Cancelled,
    /// The broker knows no open order of that id: it is not there yet, or not open any more.
    UnknownOrder,
    /// It may or may not have been cancelled.
    Unknown,
    /// The cancel was not made: a layer rejected it before it left, as a rate limit or an open circuit does. It
    /// does not count, and is made later.
    NotMade,
}

/// What a person decided of an intent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The order exists at the broker, in this state.
    Executed(OrderState),
    /// It was not executed.
    NotExecuted,
    /// It is not looked after any more.
    Abandon,
}

/// What happens to an intent. Between an action and its event any time may pass, and any other event
/// may come.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The mark that was to be durable is.
    Durable,
    /// It could not be written.
    NotDurable,
    /// A copy is about to leave for the client, below every wait. The actions say whether it may.
    Departing,
    /// The copy that was let out was certainly not sent, and its call goes on: a layer below may try
    /// again, and asks again then.
    NotLeft,
    /// New orders must not leave any more, by the word of a person: one that waits is not sent.
    HeldBack,
    /// The call of the last copy ended.
    Reply(Reply),
    /// The caller dropped its future.
    Dropped,
    /// A query of a look-up ended.
    LookUp {
        /// The number of [`Action::LookUp`](super::Action::LookUp).
        number: u32,
        /// What it found.
        found: LookUp,
    },
    /// A query of a look-up goes on, and its time begins again: a driver that makes it in parts says so, and
    /// bounds it.
    LookUpGoesOn {
        /// The number of [`Action::LookUp`](super::Action::LookUp).
        number: u32,
    },
    /// An order stream, a fill report or a list says something of the order.
    Evidence(Report),
    /// The order is to be cancelled.
    Cancel,
    /// The cancel that was to be sent ended.
    CancelReply(CancelReply),
    /// A person decided.
    Resolve(Verdict),
    /// A person or the driver asks for another series of look-ups of an exhausted intent.
    LookUpAgain,
    /// The process stood still for longer than the rules allow for, as on a machine that is paused or far
    /// too busy: what a call had written before may have left only now.
    StoodStill,
    /// Time has passed: it is [`wake`](super::Lifecycle::wake) or later.
    Tick,
}
