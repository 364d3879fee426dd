//! The part of a provider's file that is about orders, as it is written.
//!
//! Its texts are those of `seawall_orders::broker::BrokerTable`.
#![cfg_attr(
    not(feature = "orders"),
    allow(dead_code, reason = "the table of the broker reads the rest")
)]

use serde::Deserialize;
use toml::Spanned;

use crate::catalog::figure::{Time, sourced};

macro_rules! words {
    ($($(#[$doc:meta])* $Name:ident { $($Word:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub(in crate::catalog) enum $Name {
            $($Word,)*
        }

        impl $Name {
            pub(in crate::catalog) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Word => $text,)*
                }
            }
        }
    )*};
}

words! {
    /// What the provider does with a second order of the same client order id, in words.
    DuplicatesName {
        ReturnFirst = "the first one is returned",
        RejectForATime = "is rejected for a time",
        RejectWhileOpen = "is rejected while the first one is open",
        Accept = "is accepted",
    }
    /// Which queries together show that there is no order, in words.
    CoverageName {
        ById = "by id",
        OpenThenClosed = "among open orders, then among closed ones",
        IdThenFills = "by id, then among fills",
        OpenClosedFills = "among open orders, closed ones, and fills",
    }
    QueryName {
        ById = "by id",
        Open = "open orders",
        Closed = "closed orders",
        Fills = "fills",
    }
    IdForm {
        Text = "",
        UuidV4 = "UUIDs of version 4",
        UuidV7 = "UUIDs of version 7",
    }
    OperationName {
        Create = "create",
        Replace = "replace",
        Cancel = "cancel",
    }
    StateName {
        Open = "open",
        PartiallyFilled = "partially filled",
        Filled = "filled",
        Cancelled = "cancelled",
        Expired = "expired",
        Rejected = "rejected",
    }
    MeaningName {
        Accepted = "accepted",
        Rejected = "rejected",
        Duplicate = "the id is known already",
        Throttled = "throttled",
        Unknown = "unknown",
        NotFound = "there is no such order",
    }
}

sourced! {
    OrdersData {
        duplicates: DuplicatesName,
        /// An order in a path that begins so is one of the client order id that follows.
        client_prefix: Option<String>,
        /// Headers and parameters of signatures, which an id would make wrong.
        #[serde(default)]
        signatures: Vec<String>,
        ids: IdsData,
        look_ups: LookUpsData,
        throttle: Option<ThrottleData>,
        create: RequestData,
        replace: Option<RequestData>,
        cancel: Option<RequestData>,
        reply: OrderData,
        order: OrderData,
        #[serde(default)]
        states: Vec<StateData>,
        #[serde(default)]
        replies: Vec<ReplyData>,
        #[serde(default)]
        lists: Vec<ListData>,
        #[serde(default)]
        cancels: Vec<CancelData>,
        positions: Option<PositionsData>,
    }
    /// The ids that the broker accepts, and those that are made.
    IdsData {
        max_length: u32,
        /// Characters beside letters and digits.
        #[serde(default)]
        characters: String,
        /// UUIDs, however long a text may be.
        #[serde(default)]
        or_uuid: bool,
        form: IdForm,
    }
    LookUpsData {
        coverage: CoverageName,
        window: Time,
        resends: Option<u32>,
        resend_within: Option<Time>,
    }
    /// Whether a throttle means that nothing was executed.
    ThrottleData {
        rejects: bool,
    }
    /// Where a request has what.
    RequestData {
        id: Option<String>,
        target_id: Option<String>,
        target_broker_id: Option<String>,
        symbol: Option<String>,
        side: Option<String>,
        quantity: Option<String>,
        price: Option<String>,
        notional: Option<String>,
        /// A path, and the word that is there.
        reduces: Option<(String, String)>,
    }
    /// Where an order of a response has what.
    OrderData {
        broker_id: Option<String>,
        id: Option<String>,
        symbol: Option<String>,
        side: Option<String>,
        state: Option<String>,
        quantity: Option<String>,
        filled: Option<String>,
        state_unless_set: Option<StateName>,
    }
    StateData {
        state: StateName,
        words: Vec<String>,
    }
    ReplyData {
        means: MeaningName,
        /// Of what is accepted.
        state: Option<StateName>,
        of: Option<OperationName>,
        #[serde(default)]
        statuses: Vec<u16>,
        at: Option<String>,
        #[serde(default)]
        equals: Vec<String>,
        #[serde(default)]
        contains: Vec<String>,
    }
    ListData {
        query: QueryName,
        /// Whether it lists all orders, and is not about one.
        #[serde(default)]
        all: bool,
        request: String,
        at: Option<String>,
        #[serde(default)]
        keyed: bool,
        most: Option<usize>,
        latest_first: Option<String>,
        reach: Option<Time>,
        cursor: Option<CursorData>,
        after_last: Option<AfterLastData>,
        fields: Option<OrderData>,
    }
    CancelData {
        request: String,
    }
    PositionsData {
        request: String,
        at: Option<String>,
        #[serde(default)]
        keyed: bool,
        most: Option<usize>,
        cursor: Option<CursorData>,
        symbol: String,
        quantity: String,
        side: Option<String>,
    }
}

/// The next page is asked for by a value of the response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct CursorData {
    pub(super) parameter: String,
    pub(super) at: String,
    pub(super) more: Option<String>,
}

/// The next page is asked for by a value of the last order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct AfterLastData {
    pub(super) parameter: String,
    pub(super) field: String,
}

impl OrdersData {
    /// The sources of all parts.
    pub(in crate::catalog) fn sources(&self) -> Vec<&Spanned<String>> {
        let mut used = vec![
            &self.source,
            &self.ids.source,
            &self.look_ups.source,
            &self.create.source,
            &self.reply.source,
            &self.order.source,
        ];
        used.extend(self.throttle.iter().map(|item| &item.source));
        used.extend(self.replace.iter().map(|item| &item.source));
        used.extend(self.cancel.iter().map(|item| &item.source));
        used.extend(self.states.iter().map(|item| &item.source));
        used.extend(self.replies.iter().map(|item| &item.source));
        used.extend(self.cancels.iter().map(|item| &item.source));
        used.extend(self.positions.iter().map(|item| &item.source));
        for list in &self.lists {
            used.push(&list.source);
            used.extend(list.fields.iter().map(|item| &item.source));
        }
        used
    }
}
