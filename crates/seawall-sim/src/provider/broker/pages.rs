//! Lists of orders and fills, page by page, and positions.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::book::{Book, Entry, Fill};
use crate::provider::stats::OrderStatus;
use crate::provider::text;

/// What is wrong with a query string.
pub(super) type Wrong = &'static str;

/// A book at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot<'a> {
    pub(super) book: &'a Book,
    /// The start of the book on the wall clock.
    pub(super) start: SystemTime,
    pub(super) now: Duration,
}

/// The parts of a query that both lists have.
#[derive(Debug)]
struct Page {
    after: Option<SystemTime>,
    until: Option<SystemTime>,
    ascending: bool,
    size: usize,
}

impl Page {
    fn read(
        query: Option<&str>,
        size: &str,
        accepted: RangeInclusive<usize>,
        default: usize,
    ) -> Result<Self, Wrong> {
        let text = |key| text::query(query, key).filter(|text| !text.is_empty());
        let time = |key| {
            let time = text(key).map(|text| text::parse_time(&text));
            time.map(|time| time.ok_or("after and until must be RFC 3339 times in UTC"))
                .transpose()
        };
        let size = match text(size) {
            None => default,
            Some(size) => size
                .parse()
                .ok()
                .filter(|size| accepted.contains(size))
                .ok_or("the size of a page is out of its range")?,
        };
        let ascending = match text("direction").as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err("direction must be asc or desc"),
        };
        Ok(Self {
            after: time("after")?,
            until: time("until")?,
            ascending,
            size,
        })
    }

    /// Both ends are exclusive.
    fn has(&self, at: SystemTime) -> bool {
        self.after.is_none_or(|after| at > after) && self.until.is_none_or(|until| at < until)
    }

    fn of<T>(&self, mut all: Vec<T>, show: impl Fn(T) -> Value) -> Value {
        if !self.ascending {
            all.reverse();
        }
        all.into_iter().take(self.size).map(show).collect()
    }
}

impl Snapshot<'_> {
    pub(super) fn orders(self, query: Option<&str>) -> Result<Value, Wrong> {
        let page = Page::read(query, "limit", 1..=500, 50)?;
        let (open, closed) = match text::query(query, "status").as_deref() {
            None | Some("open" | "") => (true, false),
            Some("closed") => (false, true),
            Some("all") => (true, true),
            Some(_) => return Err("status must be open, closed or all"),
        };
        let symbols = text::query(query, "symbols").filter(|symbols| !symbols.is_empty());
        let side = text::query(query, "side").filter(|side| !side.is_empty());
        let wanted = |entry: &&Entry| {
            let order = &entry.order;
            let symbol = |list: &str| list.split(',').any(|symbol| symbol == order.symbol);
            entry.is_visible(self.now)
                && if order.status.is_open() { open } else { closed }
                && symbols.as_deref().is_none_or(symbol)
                && side.as_deref().is_none_or(|side| side == order.side)
                && page.has(self.wall(entry.submitted))
        };
        let all = self.book.entries.iter().filter(wanted).collect();
        Ok(page.of(all, |entry| self.order_json(entry)))
    }

    pub(super) fn fills(self, query: Option<&str>) -> Result<Value, Wrong> {
        let page = Page::read(query, "page_size", 1..=100, 100)?;
        let mut all: Vec<_> = self.book.fills.iter().collect();
        if let Some(token) = text::query(query, "page_token").filter(|token| !token.is_empty()) {
            let at = |fill: &&Fill| self.fill_id(fill) == token;
            let Some(at) = all.iter().position(at) else {
                return Err("page_token is no id of an activity");
            };
            if page.ascending {
                all.drain(..=at);
            } else {
                all.truncate(at);
            }
        }
        all.retain(|fill| {
            self.book.entries[fill.order].is_visible(self.now) && page.has(self.wall(fill.at))
        });
        Ok(page.of(all, |fill| self.fill_json(fill)))
    }

    pub(super) fn positions(self) -> Value {
        let mut held = BTreeMap::<&str, f64>::new();
        let visible = self.book.entries.iter();
        for entry in visible.filter(|entry| entry.is_visible(self.now)) {
            let order = &entry.order;
            let signed = if order.side == "buy" {
                order.filled_qty
            } else {
                -order.filled_qty
            };
            *held.entry(&order.symbol).or_default() += signed;
        }
        let positions = held.into_iter().filter(|(_, qty)| *qty != 0.0);
        let positions = positions.map(|(symbol, qty)| {
            json!({
                "symbol": symbol,
                "asset_class": "us_equity",
                "qty": qty.to_string(),
                "side": if qty > 0.0 { "long" } else { "short" },
            })
        });
        positions.collect()
    }

    pub(super) fn order_json(self, entry: &Entry) -> Value {
        let order = &entry.order;
        let time = |at| json!(text::rfc3339_micros(self.wall(at)));
        let ended = |status| {
            if order.status == status {
                time(entry.updated)
            } else {
                Value::Null
            }
        };
        json!({
            "id": order.id,
            "client_order_id": order.client_order_id,
            "created_at": time(entry.submitted),
            "submitted_at": time(entry.submitted),
            "updated_at": time(entry.updated),
            "filled_at": ended(OrderStatus::Filled),
            "canceled_at": ended(OrderStatus::Canceled),
            "replaced_at": ended(OrderStatus::Replaced),
            "replaces": order.replaces,
            "replaced_by": order.replaced_by,
            "symbol": order.symbol,
            "asset_class": "us_equity",
            "qty": order.qty.to_string(),
            "filled_qty": order.filled_qty.to_string(),
            "side": order.side,
            "type": order.kind,
            "time_in_force": entry.time_in_force,
            "limit_price": entry.limit_price.map(|price| price.to_string()),
            "status": order.status.name(),
        })
    }

    fn fill_json(self, fill: &Fill) -> Value {
        let order = &self.book.entries[fill.order].order;
        let left = order.qty - fill.filled;
        json!({
            "activity_type": "FILL",
            "id": self.fill_id(fill),
            "order_id": order.id,
            "symbol": order.symbol,
            "side": order.side,
            "qty": fill.qty.to_string(),
            "cum_qty": fill.filled.to_string(),
            "leaves_qty": left.to_string(),
            "price": fill.price.to_string(),
            "transaction_time": text::rfc3339_micros(self.wall(fill.at)),
            "type": if left > 0.0 { "partial_fill" } else { "fill" },
        })
    }

    fn fill_id(self, fill: &Fill) -> String {
        format!("{}::{}", text::digits(self.wall(fill.at)), fill.id)
    }

    /// To the microsecond, as it is written: a list after a time that was read must not begin with
    /// the order of that time.
    fn wall(self, at: Duration) -> SystemTime {
        let micros = (at.as_micros()).min(u128::from(u64::MAX));
        self.start + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
