//! The bodies of requests that create or change an order.

use serde_json::Value;

/// An order that is asked for.
#[derive(Debug, Clone)]
pub(super) struct NewOrder {
    pub(super) symbol: String,
    pub(super) qty: f64,
    pub(super) side: &'static str,
    pub(super) kind: String,
    pub(super) time_in_force: String,
    pub(super) limit_price: Option<f64>,
    pub(super) client_order_id: Option<String>,
}

/// What of an order is to be changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) qty: Option<f64>,
    pub(super) time_in_force: Option<String>,
    pub(super) limit_price: Option<f64>,
    pub(super) client_order_id: Option<String>,
}

/// Why a body is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    NotJson,
    Value(&'static str),
}

const QTY: Wrong = Wrong::Value("qty must be greater than 0");

impl NewOrder {
    pub(super) fn read(body: &[u8]) -> Result<Self, Wrong> {
        let body = json(body)?;
        let Some(symbol) = text(&body, "symbol") else {
            return Err(Wrong::Value("symbol is required"));
        };
        let side = match text(&body, "side").as_deref() {
            Some("buy") => "buy",
            Some("sell") => "sell",
            _ => return Err(Wrong::Value("side must be buy or sell")),
        };
        Ok(Self {
            symbol,
            qty: number(&body, "qty", QTY)?.ok_or(QTY)?,
            side,
            kind: text(&body, "type").unwrap_or_else(|| "market".to_owned()),
            time_in_force: text(&body, "time_in_force").unwrap_or_else(|| "day".to_owned()),
            limit_price: limit_price(&body)?,
            client_order_id: client_order_id(&body)?,
        })
    }
}

impl Change {
    pub(super) fn read(body: &[u8]) -> Result<Self, Wrong> {
        let body = json(body)?;
        Ok(Self {
            qty: number(&body, "qty", QTY)?,
            time_in_force: text(&body, "time_in_force"),
            limit_price: limit_price(&body)?,
            client_order_id: client_order_id(&body)?,
        })
    }
}

fn json(body: &[u8]) -> Result<Value, Wrong> {
    serde_json::from_slice(body).ok().ok_or(Wrong::NotJson)
}

fn text(body: &Value, key: &str) -> Option<String> {
    let text = body[key].as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

/// Alpaca takes a number or its text.
fn number(body: &Value, key: &str, wrong: Wrong) -> Result<Option<f64>, Wrong> {
    let number = match &body[key] {
        Value::Null => return Ok(None),
        Value::String(number) => number.parse().ok(),
        number => number.as_f64(),
    };
    let number = number.filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.map(Some).ok_or(wrong)
}

fn limit_price(body: &Value) -> Result<Option<f64>, Wrong> {
    let wrong = Wrong::Value("limit_price must be greater than 0");
    number(body, "limit_price", wrong)
}

fn client_order_id(body: &Value) -> Result<Option<String>, Wrong> {
    let id = text(body, "client_order_id");
    if id.as_ref().is_some_and(|id| id.chars().count() > 128) {
        let wrong = "client_order_id must be no more than 128 characters";
        return Err(Wrong::Value(wrong));
    }
    Ok(id)
}
