//! What a provider has seen: the state that a run is judged by.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::incident::Route;

/// Tokens that an AI API has billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// Tokens of prompts that were completed.
    pub input: u64,
    /// Tokens of the completions, sent or not.
    pub output: u64,
}

/// A snapshot of what a provider has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Requests whose head arrived.
    pub received: u64,
    /// The same by route.
    pub by_route: BTreeMap<Route, u64>,
    /// Requests that the application behind the limits carried out, whatever its response was and
    /// whether or not the response arrived.
    pub executed: u64,
    /// Orders that a broker did not execute since it knew their client order id, by its
    /// [`Duplicates`](super::Duplicates).
    pub duplicate_ids: u64,
    /// Orders that a broker did not execute since they were not valid any more: see
    /// [`Broker`](super::Broker).
    pub out_of_date: u64,
    /// Requests over a limit.
    pub violations: u64,
    /// The same by what was exceeded: `requests`, `quota`, `tokens`, `input_tokens`,
    /// `output_tokens`.
    pub violations_by: BTreeMap<&'static str, u64>,
    /// Responses that throttle, earned or scripted, hidden or plain.
    pub throttled: u64,
    /// Bans that the caller earned by violations.
    pub bans: u64,
    /// Bans that an incident imposed.
    pub scripted_bans: u64,
    /// Requests rejected because the caller is banned.
    pub while_banned: u64,
    /// Requests, or connects where no request could be seen, that arrived during an outage. A
    /// refused connection leaves no trace here; ask
    /// [`Incidents::is_outage`](crate::incident::Incidents::is_outage) on the sending side.
    pub during_outage: u64,
    /// Requests affected by a scripted fault, by its name in incident files; `latency` is not counted.
    pub faults: BTreeMap<&'static str, u64>,
    /// Tokens billed, for AI APIs.
    pub tokens: TokenUsage,
}

/// One execution of an order; an order that was sent twice is two of these.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Order {
    /// The broker's own name for this execution.
    pub id: String,
    /// The caller's name for the order; made up by the broker when the caller gave none.
    pub client_order_id: String,
    /// What is traded.
    pub symbol: String,
    /// How much of it.
    pub qty: f64,
    /// How much of that was traded so far.
    pub filled_qty: f64,
    /// `buy` or `sell`.
    pub side: &'static str,
    /// `market`, `limit`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// The broker's name of the order in whose place this one was put.
    pub replaces: Option<String>,
    /// The broker's name of the order that was put in the place of this one.
    pub replaced_by: Option<String>,
    /// When the head of its request was read, counted from the start of the incident clock.
    pub arrived: Duration,
    /// When it was accepted, counted in the same way.
    pub at: Duration,
}

/// Where an accepted order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrderStatus {
    /// Open, and nothing is filled.
    New,
    /// Open, and a part is filled.
    PartiallyFilled,
    /// Still open: it was cancelled by the caller, and may be filled before that takes effect.
    PendingCancel,
    /// Filled.
    Filled,
    /// Cancelled by the caller; a part may have been filled before.
    Canceled,
    /// Another order has its place; a part may have been filled before.
    Replaced,
}

impl OrderStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::PartiallyFilled => "partially_filled",
            Self::PendingCancel => "pending_cancel",
            Self::Filled => "filled",
            Self::Canceled => "canceled",
            Self::Replaced => "replaced",
        }
    }

    /// Whether more of the order may be filled.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::New | Self::PartiallyFilled | Self::PendingCancel
        )
    }
}
