//! The application behind the limits of a provider.

use http::Uri;

use super::ai_api::Model;
use super::broker::OrderBook;
use super::market_data::Feed;
use super::profile::Profile;
use crate::incident::{ProviderKind, Route};

/// What is behind the limits.
#[derive(Debug)]
pub(crate) enum App {
    Broker(Box<OrderBook>),
    MarketData(Feed),
    AiApi(Model),
}

impl App {
    pub(crate) fn provider(&self) -> ProviderKind {
        match self {
            Self::Broker(_) => ProviderKind::Broker,
            Self::MarketData(_) => ProviderKind::MarketData,
            Self::AiApi(_) => ProviderKind::AiApi,
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        match self {
            Self::Broker(_) => Profile::Alpaca,
            Self::MarketData(feed) => feed.profile,
            Self::AiApi(model) => model.profile,
        }
    }

    pub(crate) fn route(&self, method: &http::Method, uri: &Uri) -> Route {
        match self {
            Self::Broker(_) => OrderBook::route(method, uri.path()),
            Self::MarketData(feed) => feed.route(method, uri.path(), uri.query()),
            Self::AiApi(model) => model.route(method, uri.path()),
        }
    }
}
