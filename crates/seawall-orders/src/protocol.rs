//! The protocol by which an order is never sent twice and never lost.
//!
//! Pure: no I/O, no clock, no task. A driver feeds a [`Lifecycle`] with [`Event`]s and does the
//! [`Action`]s that it gives, in their order. What may be done at a broker is in [`Rules`].
//!
//! # What is promised
//!
//! Under the assumptions below, for every sequence of events, crashes included:
//!
//! * at most one order is executed for one intent;
//! * once the network is quiet, every intent that was written has ended: executed and reported so, or
//!   not executed and reported so. Where look-ups fail until they are used up it is *exhausted*,
//!   which is an alert and no outcome;
//! * an order that is reported as not executed is not executed later either;
//! * a cancel goes on until it is answered: the order was not executed, or is not open any more. The order of one
//!   is not *exhausted*.
//!
//! `tests/model` checks that for each class of broker, and that it finds planted bugs.
//!
//! The assumptions: a request whose call is over is executed within the [window](Rules::window) or
//! never, counted again where our own process stood still meanwhile, and queries show what was executed by
//! its end; marks reach the disk in their order, and
//! a process that ends loses only those at the end that are not durable; one process works with a
//! journal, which its lock ensures; every copy asks before it leaves ([`Event::Departing`]), which the
//! hook at departure ensures.
//!
//! # States
//!
//! | state | what is known | ends with |
//! |---|---|---|
//! | intended | the mark of this copy is being written; the copy has not left | durable: waiting |
//! | waiting | the call is in the stack and has not left | departing: sent |
//! | sent | the copy has left, its call runs | the reply: settled; without one: in doubt |
//! | in doubt | a copy may have been executed | found, or absent after the window: settled or intended; look-ups used up: exhausted |
//! | exhausted | the same, and the protocol tries nothing more by itself | a further series ([`Event::LookUpAgain`], which the driver may feed periodically), evidence, a person, a restart |
//! | confirmed | the broker has the order | - |
//! | rejected | the broker rejected the only copy that can exist | an order that is seen nevertheless: an alert, and confirmed |
//! | absent | nothing was executed | the same |
//! | abandoned | a person does not want it looked after | confirmed, if it is seen |
//!
//! # Transitions
//!
//! | event | intended, waiting | sent | in doubt | exhausted | settled |
//! |---|---|---|---|---|---|
//! | durable | let the call into the stack | - | - | - | - |
//! | not durable | not sent: absent, or in doubt of earlier copies | - | - | - | - |
//! | departing | send, once | withhold, alert | withhold, alert | withhold, alert | withhold |
//! | not left | - | waiting | - | - | - |
//! | held back | not sent: absent, or in doubt of earlier copies | - | - | - | - |
//! | accepted | confirmed | confirmed | confirmed | confirmed | alert if it contradicts |
//! | rejected | - | rejected, if no other copy can exist; else in doubt | rejected, if only one copy was ever sent | same | - |
//! | duplicate | - | in doubt, and known to exist | known to exist | known to exist | - |
//! | throttled | not sent | not sent where the provider says so; else in doubt | - | - | - |
//! | not sent | absent, or in doubt of earlier copies | same | - | - | - |
//! | timeout, reset, 5xx | not sent | in doubt | - | - | - |
//! | dropped | not sent | in doubt, without a caller | without a caller | - | - |
//! | restart | in doubt | in doubt | in doubt | in doubt | - |
//! | found, evidence | confirmed, call withdrawn | confirmed | confirmed | confirmed | alert if it contradicts |
//! | not found | - | - | absent, if begun after the window by the present look-up; then sent again or settled | - | - |
//! | query goes on | - | - | its time begins again | - | - |
//! | look up again | - | - | - | in doubt, and looked up | - |
//! | query failed | - | - | another look-up, or exhausted | - | - |
//! | query failed, and showed the order | confirmed | confirmed | known to exist; confirmed as it was shown when the look-ups are used up or the caller waits no longer | confirmed | alert if it contradicts |
//! | query not made | - | - | another look-up, after a wait that doubles; it does not count | - | - |
//! | stood still | - | - | the window begins again, three times at most | it begins again | - |
//! | deadline | not sent | in doubt; the caller learns that it is unknown | the caller learns that | - | - |
//! | cancel | removed unsent | sent to the broker; no re-send any more | same | same | sent, or answered |
//! | cancel not made | - | - | made later; it does not count | same | same |
//! | cancel without an outcome | - | - | sent when it is found | same | sent later; looked up where the broker knows no such open order; an alert for each so many |
//! | a person | as decided | as decided | as decided | as decided | - |
//!
//! # What is written when
//!
//! `intended` and `resent` are durable before their copy may leave; all other marks need not be.
//! One synchronization for each order is enough because a start trusts only what is there: an intent
//! whose `sent` or whose settlement was lost is marked as sent, looked up again, and ends alike. An
//! intent that is not in the journal was never sent. One that ends before it has left is marked as
//! abandoned.
//!
//! # Rules for each class
//!
//! | second order of an id | brokers | after an unknown outcome | again at all | what shows that there is none |
//! |---|---|---|---|---|
//! | [is the first one](Duplicates::ReturnFirst) | Coinbase Advanced | the same request again: its response is the order | within `resend_within` of the first departure, or when absent | a look-up after the window |
//! | [is rejected for a time](Duplicates::RejectForATime) | IBKR Web API `cOID` (24 h) | the same request again; a duplicate is looked up | same | same |
//! | [is rejected while the first is open](Duplicates::RejectWhileOpen) | Binance, Kraken, OANDA; Alpaca by its error guide | look up | only when absent | open orders, then closed ones or fills: one that is filled has left the list of open orders |
//! | [is accepted](Duplicates::Accept) | Kite `tag`, Tradier `tag`, IBKR `orderRef`, Kraken `userref` | look up: list orders and match | never | the whole list of the day |
//!
//! An order is sent again only while its caller waits, before its deadline, without a cancel, and
//! never by another process than the first. A broker that is not in the table is one that accepts
//! duplicates.
//!
//! | fact | source |
//! |---|---|
//! | "the order corresponding with that ID will be returned instead" | docs.cdp.coinbase.com, Create Order |
//! | `cOID` "must be unique for a 24h span" | IBKR Web API, Place Order |
//! | `newClientOrderId` unique among open orders, accepted again once the first is filled; 5xx is unknown, "NOT a failure"; 10 s for the matching engine | binance-spot-api-docs, `rest-api.md` |
//! | `cl_ord_id` unique among open orders; `userref` is not unique | docs.kraken.com, Add Order |
//! | `CLIENT_ORDER_ID_ALREADY_EXISTS`: assigned to another pending order | developer.oanda.com, Transaction definitions |
//! | `client_order_id` unique for each active order; after a fill not established | alpaca.markets, How to fix common Trading API errors |
//! | `tag` is a label, orders are listed and matched | kite.trade/docs/connect/v3/orders |
//! | a replayed message is marked and keeps its id: the receiver compares | FIX session layer, PossResend |
//!
//! # Around the intents
//!
//! [`TradingModes`] is what passes while something is wrong: intents of an earlier process that are
//! not reconciled yet hold new orders back, and so do too many in doubt, an open circuit, a spent
//! limit, a journal that cannot be written, and a person. [`Guards`] are the last checks of an order.
//! [`compare_orders`] and [`compare_positions`] put our own view beside the broker's list.
//!
//! # Traps
//!
//! * A *rejection of a second copy* says nothing about the first: that may have used up the funds.
//! * A *report of a rejection* does not say of which copy, and may be late: it counts only where one
//!   copy was ever sent.
//! * A *query that began before the end of the window* is no proof, even if it ends after it; nor is
//!   one of an earlier look-up, or one that failed. Where orders share a query, it must begin after
//!   each of them has asked.
//! * A *process that stands still*, as a machine that is paused does, comes back with the window over and
//!   with requests that are only now leaving it: neither is a look-up then a proof.
//! * *Closed orders before open ones* misses the order that moves between the two queries.
//! * A *duplicate* proves that an order exists: such an intent is never absent.
//! * A *cancel* that does not find the order may be ahead of it: it is sent again when the order is
//!   found, and forbids every re-send.
//! * A *cancel of an order that is not open* is a "no such order" as well, and so is one that was done and whose
//!   response was lost: the order is looked up. While the broker may have it open, the cancel goes on, also after
//!   its alert.
//! * A *layer below that repeats requests* is withheld at its second departure.
//! * An order in doubt whose *process ends* is never sent again: nobody waits for it.

mod action;
mod compare;
mod decimal;
mod event;
mod guards;
mod intent;
mod modes;
mod rules;

pub use action::{
    Action, Alert, Answer, CancelStep, MarkKind, NotExecuted, Notice, Settlement, Via,
};
pub use compare::{
    BrokerOrder, Difference, OrderFigures, OwnOrder, Position, PositionDifference, compare_orders,
    compare_positions,
};
pub use decimal::{Decimal, InvalidDecimal};
pub use event::{CancelReply, DoubtCause, Event, LookUp, OrderState, Reply, Report, Verdict};
pub use guards::{
    Admitted, Caps, CapsBuilder, GuardRejection, GuardUse, GuardedOrder, Guards, Side, SymbolUse,
};
pub use intent::{IntentState, Lifecycle};
pub use modes::{
    Conditions, ModeCause, ModeChange, ModePolicy, ModePolicyBuilder, ModeRejection, ModeRequest,
    TradingMode, TradingModes,
};
pub use rules::{Coverage, Duplicates, Operation, Query, Rules, RulesBuilder};
