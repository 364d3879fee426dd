//! The order book behind the simulated broker, as Alpaca's API has it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};

use super::body::Reply;
use super::call::Call;
use super::profile::Profile;
use super::stats::{Order, OrderStatus};
use super::text;
use crate::incident::{Route, SplitMix64};

#[derive(Debug)]
pub(crate) struct OrderBook {
    pub(crate) seed: u64,
    /// Rejects a client order id that an open order has.
    pub(crate) reject_duplicates: bool,
    orders: Mutex<Vec<Order>>,
}

const ORDERS: &str = "/v2/orders";
const BY_CLIENT_ID: &str = "/v2/orders:by_client_order_id";

fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

fn unprocessable(message: &str) -> Reply {
    error(422, 40_010_001, message)
}

fn not_found() -> Reply {
    error(404, 40_410_000, "order not found")
}

impl OrderBook {
    pub(crate) fn new(seed: u64, reject_duplicates: bool) -> Self {
        Self {
            seed,
            reject_duplicates,
            orders: Mutex::default(),
        }
    }

    pub(crate) fn route(method: &Method, path: &str) -> Route {
        let one = path
            .strip_prefix(ORDERS)
            .and_then(|rest| rest.strip_prefix('/'));
        match (method, path) {
            (&Method::POST, ORDERS) => Route::OrdersCreate,
            (&Method::GET, ORDERS | BY_CLIENT_ID) => Route::OrdersQuery,
            (&Method::GET, "/v2/positions") => Route::Positions,
            (&Method::GET, _) if one.is_some() => Route::OrdersQuery,
            (&Method::DELETE, _) if one.is_some() => Route::OrdersCancel,
            _ => Route::Other,
        }
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn execute(&self, call: &Call<'_>, at: Duration) -> Reply {
        let id = call.path.rsplit('/').next().unwrap_or_default();
        match call.route {
            Route::OrdersCreate => self.create(call.body, at),
            Route::OrdersQuery => match call.path {
                ORDERS => self.list(text::query(call.query, "status").as_deref()),
                BY_CLIENT_ID => {
                    let id = text::query(call.query, "client_order_id").unwrap_or_default();
                    // The newest, should there be several.
                    self.find(|order| order.client_order_id == id)
                }
                _ => self.find(|order| order.id == id),
            },
            Route::OrdersCancel => self.cancel(id),
            Route::Positions => self.positions(),
            _ => Profile::Alpaca.error(404, "endpoint not found", call.id),
        }
    }

    fn create(&self, body: &[u8], at: Duration) -> Reply {
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return error(400, 40_010_000, "request body format is invalid");
        };
        let text = |key: &str| request[key].as_str().filter(|text| !text.is_empty());
        let Some(symbol) = text("symbol") else {
            return unprocessable("symbol is required");
        };
        let Some(side @ ("buy" | "sell")) = text("side") else {
            return unprocessable("side must be buy or sell");
        };
        // Alpaca takes a number or its text.
        let qty = match &request["qty"] {
            Value::String(qty) => qty.parse().ok(),
            qty => qty.as_f64(),
        };
        let Some(qty) = qty.filter(|qty: &f64| qty.is_finite() && *qty > 0.0) else {
            return unprocessable("qty must be greater than 0");
        };
        let kind = text("type").unwrap_or("market");
        let client_order_id = text("client_order_id");
        if client_order_id.is_some_and(|id| id.chars().count() > 128) {
            return unprocessable("client_order_id must be no more than 128 characters");
        }

        let mut orders = self.lock();
        // Among open orders only: the id of a filled order can be used again.
        let taken = orders.iter().any(|order| {
            order.status == OrderStatus::New
                && Some(order.client_order_id.as_str()) == client_order_id
        });
        if taken && self.reject_duplicates {
            return unprocessable("client_order_id must be unique");
        }
        let id = uuid(&mut SplitMix64::new(&[self.seed, orders.len() as u64]));
        let order = Order {
            client_order_id: client_order_id.map_or_else(|| id.clone(), str::to_owned),
            id,
            symbol: symbol.to_owned(),
            qty,
            side: side.to_owned(),
            kind: kind.to_owned(),
            status: if kind == "market" {
                OrderStatus::Filled
            } else {
                OrderStatus::New
            },
            at,
        };
        let mut response = order_json(&order);
        // The fill comes after the response, as it does there.
        response["status"] = json!("accepted");
        response["filled_qty"] = json!("0");
        orders.push(order);
        Reply::json(200, &response)
    }

    fn list(&self, status: Option<&str>) -> Reply {
        let wanted = |order: &&Order| match status.unwrap_or("open") {
            "all" => true,
            "closed" => order.status != OrderStatus::New,
            _ => order.status == OrderStatus::New,
        };
        let orders: Vec<_> = self
            .lock()
            .iter()
            .rev()
            .filter(wanted)
            .map(order_json)
            .collect();
        Reply::json(200, &Value::Array(orders))
    }

    fn find(&self, wanted: impl Fn(&Order) -> bool) -> Reply {
        let orders = self.lock();
        let found = orders.iter().rev().find(|order| wanted(order));
        found.map_or_else(not_found, |order| Reply::json(200, &order_json(order)))
    }

    fn cancel(&self, id: &str) -> Reply {
        let mut orders = self.lock();
        match orders.iter_mut().find(|order| order.id == id) {
            None => not_found(),
            Some(order) if order.status == OrderStatus::New => {
                order.status = OrderStatus::Canceled;
                Reply::whole(204, "application/json", String::new())
            }
            Some(order) => {
                let state = order.status.name();
                error(
                    422,
                    42_210_000,
                    &format!("order is already in \"{state}\" state"),
                )
            }
        }
    }

    fn positions(&self) -> Reply {
        let mut held = BTreeMap::<String, f64>::new();
        for order in self
            .lock()
            .iter()
            .filter(|order| order.status == OrderStatus::Filled)
        {
            let signed = if order.side == "buy" {
                order.qty
            } else {
                -order.qty
            };
            *held.entry(order.symbol.clone()).or_default() += signed;
        }
        let positions = held
            .into_iter()
            .filter(|(_, qty)| *qty != 0.0)
            .map(|(symbol, qty)| {
                json!({
                    "symbol": symbol,
                    "asset_class": "us_equity",
                    "qty": qty.to_string(),
                    "side": if qty > 0.0 { "long" } else { "short" },
                })
            });
        Reply::json(200, &positions.collect())
    }
}

fn order_json(order: &Order) -> Value {
    let filled = order.status == OrderStatus::Filled;
    json!({
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": text::rfc3339(SystemTime::now()),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "qty": order.qty.to_string(),
        "filled_qty": if filled { order.qty.to_string() } else { "0".to_owned() },
        "side": order.side,
        "type": order.kind,
        "time_in_force": "day",
        "status": order.status.name(),
    })
}

/// A random (version 4) UUID.
pub(crate) fn uuid(draw: &mut SplitMix64) -> String {
    let (high, low) = (draw.next_u64(), draw.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}
