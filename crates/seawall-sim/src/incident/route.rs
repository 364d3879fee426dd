//! Providers and routes, by which incidents are scripted.

use std::fmt;

use serde::Serialize;

/// One of the three simulated providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProviderKind {
    /// Takes orders: `broker`.
    Broker,
    /// Sells quotes and bars: `market_data`.
    MarketData,
    /// Completes prompts: `ai_api`.
    AiApi,
}

impl ProviderKind {
    /// All of them, in the order of the reports.
    pub const ALL: [Self; 3] = [Self::Broker, Self::MarketData, Self::AiApi];

    /// The name in incident files, e.g. `market_data`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::MarketData => "market_data",
            Self::AiApi => "ai_api",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request asks for, whatever the provider's own path for it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum Route {
    /// Places an order: `orders.create`.
    #[serde(rename = "orders.create")]
    OrdersCreate,
    /// Looks orders up: `orders.query`.
    #[serde(rename = "orders.query")]
    OrdersQuery,
    /// Cancels an order: `orders.cancel`.
    #[serde(rename = "orders.cancel")]
    OrdersCancel,
    /// Lists what the account holds: `positions`.
    #[serde(rename = "positions")]
    Positions,
    /// Reads a price: `quotes`.
    #[serde(rename = "quotes")]
    Quotes,
    /// Reads a series of prices: `bars`.
    #[serde(rename = "bars")]
    Bars,
    /// Completes a prompt: `completions`.
    #[serde(rename = "completions")]
    Completions,
    /// Anything the provider does not know, which gets its 404: `other`.
    #[serde(rename = "other")]
    Other,
    // Behind the others, whose draws depend on their numbers.
    /// Puts another order in the place of one: `orders.replace`.
    #[serde(rename = "orders.replace")]
    OrdersReplace,
    /// Lists what was traded: `fills`.
    #[serde(rename = "fills")]
    Fills,
}

impl Route {
    /// All of them, in the order of the reports.
    pub const ALL: [Self; 10] = [
        Self::OrdersCreate,
        Self::OrdersQuery,
        Self::OrdersCancel,
        Self::Positions,
        Self::Quotes,
        Self::Bars,
        Self::Completions,
        Self::Other,
        Self::OrdersReplace,
        Self::Fills,
    ];

    /// The name in incident files, e.g. `orders.create`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersCreate => "orders.create",
            Self::OrdersQuery => "orders.query",
            Self::OrdersCancel => "orders.cancel",
            Self::Positions => "positions",
            Self::Quotes => "quotes",
            Self::Bars => "bars",
            Self::Completions => "completions",
            Self::Other => "other",
            Self::OrdersReplace => "orders.replace",
            Self::Fills => "fills",
        }
    }

    /// The provider that serves this route; `None` for [`Route::Other`], which all have.
    #[must_use]
    pub fn provider(self) -> Option<ProviderKind> {
        match self {
            Self::OrdersCreate
            | Self::OrdersQuery
            | Self::OrdersCancel
            | Self::OrdersReplace
            | Self::Fills
            | Self::Positions => Some(ProviderKind::Broker),
            Self::Quotes | Self::Bars => Some(ProviderKind::MarketData),
            Self::Completions => Some(ProviderKind::AiApi),
            Self::Other => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
