//! The providers of this crate, each as a function.

use super::{CatalogError, Provider, provider};

/// Declares the files of this crate, each with a function that an editor completes.
macro_rules! providers {
    ($($function:ident = $name:literal: $title:literal,)*) => {
        /// The files of this crate.
        pub(super) const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../catalog/", $name, ".toml")))),*];

        $(
            #[doc = concat!($title, ": [`provider`](super::provider)`(\"", $name, "\")`.")]
            ///
            /// # Errors
            ///
            /// None: the tests of this crate read its file.
            pub fn $function() -> Result<Provider, CatalogError> {
                provider($name)
            }
        )*
    };
}

providers! {
    alpaca = "alpaca": "Alpaca, trading",
    alpaca_data = "alpaca-data": "Alpaca, market data",
    alpha_vantage = "alpha-vantage": "Alpha Vantage",
    anthropic = "anthropic": "Anthropic",
    binance = "binance": "Binance, Spot",
    coinbase = "coinbase": "Coinbase Advanced Trade",
    finnhub = "finnhub": "Finnhub",
    ibkr = "ibkr": "Interactive Brokers, Web API",
    kite = "kite": "Zerodha Kite Connect",
    kraken = "kraken": "Kraken, Spot",
    newsapi = "newsapi": "NewsAPI",
    oanda = "oanda": "OANDA, v20",
    openai = "openai": "OpenAI",
    polygon = "polygon": "Polygon (Massive)",
    reddit = "reddit": "Reddit, data API",
    sec_edgar = "sec-edgar": "SEC EDGAR",
    tradier = "tradier": "Tradier, brokerage",
    yahoo_finance = "yahoo-finance": "Yahoo Finance, unofficial",
}
