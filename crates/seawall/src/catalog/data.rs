//! What the file of a provider contains, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::figure::{Time, sourced};
use super::orders::OrdersData;

/// What kind of service a provider offers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Takes orders.
    Broker,
    /// Quotes, bars, fundamentals, filings.
    MarketData,
    /// News and posts.
    News,
    /// AI models.
    AiApi,
}

impl Kind {
    /// The kind in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::MarketData => "market data",
            Self::News => "news",
            Self::AiApi => "AI API",
        }
    }
}

/// Whose calls a provider counts together.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitScope {
    /// Those with one API key or token.
    Key,
    /// Those of one account, user or client id, whatever the key.
    Account,
    /// Those from one address.
    Ip,
    /// Those of an organization, for each model or [group](crate::catalog::Tier::model_key) of models.
    OrganizationModel,
}

impl LimitScope {
    /// The scope in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Account => "account",
            Self::Ip => "IP address",
            Self::OrganizationModel => "organization and model",
        }
    }
}

/// What a request asks for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Places an order.
    OrderCreate,
    /// Changes an order.
    OrderReplace,
    /// Cancels an order.
    OrderCancel,
    /// Looks an order up, or lists orders.
    OrderQuery,
    /// Reads positions.
    Positions,
    /// Reads the account.
    Account,
    /// Reads current prices.
    Quote,
    /// Reads past prices, trades or filings.
    History,
    /// Reads news or posts.
    News,
    /// Writes a post or a comment.
    Post,
    /// Asks a model for text.
    Completion,
    /// Asks a model for embeddings.
    Embedding,
    /// Anything else.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum UnitName {
    Requests,
    Cost,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// How a limit is kept below what the provider allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Enforcement {
    /// Spread over time, with a burst that no window of the provider's can exceed.
    Rate,
    /// As many as allowed at any time, and no more in any stretch of that length.
    Quota,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum JitterName {
    Full,
    Equal,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PriorityName {
    Low,
    Normal,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReplayName {
    Safe,
    SafeWithEffect,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ResetName {
    Auto,
    EpochSeconds,
    EpochMillis,
    SecondsLeft,
    GoDuration,
    Rfc3339,
    HttpDate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Meaning {
    Throttle,
    Ban,
    QuotaExhausted,
    Overloaded,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ScopeName {
    Account,
    Endpoint,
}

sourced! {
    BaseUrlData {
        name: String,
        url: String,
    }
    /// A header that every request must have.
    RequiredHeaderData {
        name: String,
        example: String,
    }
    LimitData {
        count: u32,
        per: Time,
        unit: UnitName,
        enforcement: Enforcement,
        scope: LimitScope,
        /// The class of routes that it is about; all calls where there is none.
        class: Option<String>,
        /// Less than the share that is left of the limit.
        burst: Option<u32>,
    }
    TimingData {
        deadline: Time,
        attempt_timeout: Time,
        connect_timeout: Time,
        first_byte: Option<Time>,
        idle: Time,
    }
    RetryData {
        attempts: u32,
        first_wait: Time,
        longest_wait: Time,
        jitter: JitterName,
        max_retry_after: Time,
    }
    BulkheadData {
        max_concurrent: u32,
        max_waiting: u32,
        max_wait: Time,
    }
    QueueData {
        max_waiting: u32,
        max_wait: Time,
        default_pause: Time,
    }
    BreakerData {
        consecutive_failures: Option<u32>,
        failure_rate: Option<f64>,
        calls: Option<u32>,
        min_calls: Option<u32>,
        open_for: Time,
        probes: u32,
        successes_to_close: u32,
    }
    RouteData {
        method: Option<String>,
        path: String,
        name: String,
        operation: Operation,
        replay: ReplayName,
        cost: Option<u32>,
        priority: Option<PriorityName>,
        class: Option<String>,
        /// No: its requests have no place for a client order id, so that their orders cannot be looked
        /// up.
        look_up: Option<bool>,
    }
    LimitHeadersData {
        unit: UnitName,
        window: Option<Time>,
        limit: Option<String>,
        used: Option<String>,
        remaining: Option<String>,
        reset: Option<String>,
        reset_format: Option<ResetName>,
    }
    /// Headers with their window in their name: `x-mbx-used-weight-1m`.
    UsedHeadersData {
        unit: UnitName,
        prefix: String,
    }
    SignalData {
        #[serde(default)]
        statuses: Vec<u16>,
        body: Option<BodyData>,
        means: Meaning,
        /// How long to stay away where the response does not say; the least of it for a quota.
        wait: Option<Time>,
        /// The longest ban that is believed; a day unless set. The longest one of a provider's
        /// signals holds for all its bans.
        longest: Option<Time>,
        scope: Option<ScopeName>,
    }
    /// Models that the provider counts together, where limits are of each model.
    ModelGroupData {
        name: String,
        /// The names of its models, or what they begin with.
        models: Vec<String>,
    }
}

/// What the body of a response must be like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BodyData {
    pub(super) html: bool,
    pub(super) first_key: Vec<String>,
    pub(super) before: Option<String>,
    pub(super) contains: Vec<String>,
    pub(super) begins_with: Vec<String>,
    pub(super) wait_in_words: bool,
}

/// The figures that a provider has for all tiers, and a tier where it differs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierData {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    pub(super) limits: Vec<LimitData>,
    pub(super) timing: Option<TimingData>,
    pub(super) retry: Option<RetryData>,
    pub(super) bulkhead: Option<BulkheadData>,
    pub(super) queue: Option<QueueData>,
    pub(super) breaker: Option<BreakerData>,
}

/// The file of a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderData {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    pub(super) kind: Kind,
    /// What a user has to know beside the figures.
    pub(super) about: String,
    pub(super) default_tier: Spanned<String>,
    pub(super) sources: BTreeMap<String, Spanned<String>>,
    pub(super) base_urls: Vec<BaseUrlData>,
    #[serde(default)]
    pub(super) required_headers: Vec<RequiredHeaderData>,
    pub(super) timing: TimingData,
    pub(super) retry: RetryData,
    pub(super) bulkhead: BulkheadData,
    pub(super) queue: QueueData,
    pub(super) breaker: BreakerData,
    pub(super) tiers: Vec<TierData>,
    #[serde(default)]
    pub(super) model_groups: Vec<ModelGroupData>,
    #[serde(default)]
    pub(super) routes: Vec<RouteData>,
    #[serde(default)]
    pub(super) limit_headers: Vec<LimitHeadersData>,
    #[serde(default)]
    pub(super) used_headers: Vec<UsedHeadersData>,
    #[serde(default)]
    pub(super) signals: Vec<SignalData>,
    pub(super) orders: Option<OrdersData>,
}
