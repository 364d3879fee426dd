//! Prices behind the simulated market-data vendor, as three real ones have it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Map, Value, json};

use super::body::Reply;
use super::call::Call;
use super::price::{self, cents};
use super::profile::Profile;
use super::text;
use crate::incident::{Route, SplitMix64};

#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    ticks: AtomicU64,
}

/// Bars are one minute long, and this many by default.
const BARS: u64 = 10;
const BARS_AT_MOST: u64 = 1_000;

impl Feed {
    pub(crate) fn new(seed: u64, profile: Profile) -> Self {
        Self {
            seed,
            profile,
            ticks: AtomicU64::new(0),
        }
    }

    pub(crate) fn route(&self, method: &Method, path: &str, query: Option<&str>) -> Route {
        if method != Method::GET {
            return Route::Other;
        }
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (self.profile, parts.as_slice()) {
            (Profile::Alpaca, ["v2", "stocks", _, "quotes", "latest"])
            | (Profile::Polygon, ["v2", "last", "nbbo", _]) => Route::Quotes,
            (Profile::Alpaca, ["v2", "stocks", _, "bars"])
            | (Profile::Polygon, ["v2", "aggs", "ticker", _, "range", ..]) => Route::Bars,
            (Profile::AlphaVantage, ["query"]) => match text::query(query, "function").as_deref() {
                Some("GLOBAL_QUOTE") => Route::Quotes,
                Some("TIME_SERIES_INTRADAY") => Route::Bars,
                _ => Route::Other,
            },
            _ => Route::Other,
        }
    }

    pub(crate) fn execute(&self, call: &Call<'_>) -> Reply {
        let parts: Vec<_> = call.path.trim_start_matches('/').split('/').collect();
        let symbol = match self.profile {
            Profile::AlphaVantage => text::query(call.query, "symbol").unwrap_or_default(),
            Profile::Alpaca => text::decode(parts.get(2).copied().unwrap_or_default()),
            _ => text::decode(parts.get(3).copied().unwrap_or_default()),
        };
        let reply = match (self.profile, call.route) {
            (Profile::Alpaca, Route::Quotes) => self.alpaca_quote(&symbol),
            (Profile::Alpaca, Route::Bars) => self.alpaca_bars(&symbol, call.query),
            (Profile::Polygon, Route::Quotes) => self.polygon_quote(&symbol, call.id),
            (Profile::Polygon, Route::Bars) => self.polygon_bars(&symbol, call),
            (Profile::AlphaVantage, Route::Quotes | Route::Bars) if symbol.is_empty() => {
                json!({ "Error Message": "the parameter symbol is missing" })
            }
            (Profile::AlphaVantage, Route::Quotes) => self.alpha_quote(&symbol),
            (Profile::AlphaVantage, Route::Bars) => self.alpha_bars(&symbol),
            (Profile::AlphaVantage, _) => {
                json!({ "Error Message": "this API function does not exist" })
            }
            _ => return self.profile.error(404, "endpoint not found", call.id),
        };
        Reply::json(200, &reply)
    }

    /// A price near the symbol's base, another one for each tick.
    fn price(&self, symbol: &str, tick: u64) -> f64 {
        let step = SplitMix64::new(&[self.seed, tick]).normal() * 0.002;
        cents(price::base(self.seed, symbol) * (1.0 + step))
    }

    fn next(&self, symbol: &str) -> f64 {
        self.price(symbol, self.ticks.fetch_add(1, Ordering::Relaxed))
    }

    fn alpaca_quote(&self, symbol: &str) -> Value {
        let price = self.next(symbol);
        json!({ "symbol": symbol, "quote": {
            "t": text::rfc3339(SystemTime::now()),
            "ax": "V", "ap": cents(price + 0.01), "as": 2,
            "bx": "V", "bp": price, "bs": 3,
            "c": ["R"], "z": "C",
        } })
    }

    fn polygon_quote(&self, symbol: &str, id: &str) -> Value {
        let price = self.next(symbol);
        json!({ "request_id": id, "status": "OK", "results": {
            "T": symbol, "P": cents(price + 0.01), "S": 2, "p": price, "s": 3,
            "X": 11, "x": 11, "z": 3, "t": minute() * 60_000_000_000,
        } })
    }

    fn alpha_quote(&self, symbol: &str) -> Value {
        let (price, close) = (self.next(symbol), cents(price::base(self.seed, symbol)));
        let change = price - close;
        json!({ "Global Quote": {
            "01. symbol": symbol,
            "02. open": format!("{close:.4}"),
            "03. high": format!("{:.4}", price.max(close)),
            "04. low": format!("{:.4}", price.min(close)),
            "05. price": format!("{price:.4}"),
            "06. volume": "1000000",
            "07. latest trading day": text::day(minute() / 1_440),
            "08. previous close": format!("{close:.4}"),
            "09. change": format!("{change:.4}"),
            "10. change percent": format!("{:.4}%", change / close * 100.0),
        } })
    }

    /// Minutes since 1970 with open, high, low, close; oldest first.
    fn bars(&self, symbol: &str, query: Option<&str>) -> Vec<(u64, [f64; 4])> {
        let wanted = text::query(query, "limit").and_then(|limit| limit.parse().ok());
        let count = wanted.unwrap_or(BARS).clamp(1, BARS_AT_MOST);
        let now = minute();
        (now.saturating_sub(count)..now)
            .map(|minute| {
                let (open, close) = (self.price(symbol, minute), self.price(symbol, minute + 1));
                let (high, low) = (open.max(close) + 0.05, open.min(close) - 0.05);
                (minute, [open, cents(high), cents(low), close])
            })
            .collect()
    }

    fn alpaca_bars(&self, symbol: &str, query: Option<&str>) -> Value {
        let bars = self
            .bars(symbol, query)
            .into_iter()
            .map(|(minute, [o, h, l, c])| {
                let time = UNIX_EPOCH + std::time::Duration::from_secs(minute * 60);
                json!({ "t": text::rfc3339(time), "o": o, "h": h, "l": l, "c": c,
                    "v": 1_000, "n": 10, "vw": cents((h + l) / 2.0) })
            });
        let bars: Vec<_> = bars.collect();
        json!({ "bars": bars, "symbol": symbol, "next_page_token": null })
    }

    fn polygon_bars(&self, symbol: &str, call: &Call<'_>) -> Value {
        let bars = self
            .bars(symbol, call.query)
            .into_iter()
            .map(|(minute, [o, h, l, c])| {
                json!({ "v": 1_000, "vw": cents((h + l) / 2.0), "o": o, "c": c, "h": h, "l": l,
                    "t": minute * 60_000, "n": 10 })
            });
        let bars: Vec<_> = bars.collect();
        json!({ "ticker": symbol, "queryCount": bars.len(), "resultsCount": bars.len(),
                "adjusted": true, "count": bars.len(), "results": bars, "status": "OK",
                "request_id": call.id })
    }

    fn alpha_bars(&self, symbol: &str) -> Value {
        let mut series = Map::new();
        for (minute, [o, h, l, c]) in self.bars(symbol, None) {
            let of_day = minute % 1_440;
            let time = format!(
                "{} {:02}:{:02}:00",
                text::day(minute / 1_440),
                of_day / 60,
                of_day % 60
            );
            let bar = json!({
                "1. open": format!("{o:.4}"), "2. high": format!("{h:.4}"),
                "3. low": format!("{l:.4}"), "4. close": format!("{c:.4}"), "5. volume": "1000",
            });
            series.insert(time, bar);
        }
        json!({
            "Meta Data": {
                "1. Information": "Intraday (1min) open, high, low, close prices and volume",
                "2. Symbol": symbol, "4. Interval": "1min", "5. Output Size": "Compact",
            },
            "Time Series (1min)": series,
        })
    }
}

fn minute() -> u64 {
    text::epoch_seconds(SystemTime::now()) / 60
}
