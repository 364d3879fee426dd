//! The order book behind the simulated broker, as Alpaca's API has it.

mod book;
mod pages;
mod request;
mod rules;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::book::{Book, Placed, Rejected};
use self::pages::Snapshot;
use self::request::{Change, NewOrder, Wrong};
use super::body::Reply;
use super::call::{Call, Validity};
use super::profile::Profile;
use super::stats::Order;
use super::text;
use crate::incident::Route;

pub(crate) use rules::Rules;
pub use rules::{Duplicates, Fills};

/// The orders behind a lock, with their clock.
#[derive(Debug)]
pub(crate) struct OrderBook {
    start: Instant,
    /// The same moment, to the microsecond.
    wall: SystemTime,
    book: Mutex<Book>,
}

const ORDERS: &str = "/v2/orders";
const BY_CLIENT_ID: &str = "/v2/orders:by_client_order_id";
const FILLS: &str = "/v2/account/activities/FILL";

fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

fn unprocessable(message: &str) -> Reply {
    error(422, 40_010_001, message)
}

fn not_found() -> Reply {
    error(404, 40_410_000, "order not found")
}

fn malformed(wrong: Wrong) -> Reply {
    match wrong {
        Wrong::NotJson => error(400, 40_010_000, "request body format is invalid"),
        Wrong::Value(message) => unprocessable(message),
    }
}

fn rejected(rejected: Rejected) -> Reply {
    match rejected {
        Rejected::IdTaken => unprocessable("client_order_id must be unique"),
        Rejected::Unknown => not_found(),
        Rejected::Closed(status) => {
            let status = status.name();
            let message = format!("order is already in \"{status}\" state");
            error(422, 42_210_000, &message)
        }
        Rejected::AlreadyFilled => unprocessable("qty must be greater than filled_qty"),
    }
}

impl OrderBook {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let micros = Duration::new(since.as_secs(), since.subsec_micros() * 1_000);
        Self {
            start: Instant::now(),
            wall: UNIX_EPOCH + micros,
            book: Mutex::new(Book::new(seed, rules)),
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
            (&Method::GET, FILLS) => Route::Fills,
            (&Method::GET, _) if one.is_some() => Route::OrdersQuery,
            (&Method::DELETE, _) if one.is_some() => Route::OrdersCancel,
            (&Method::PATCH, _) if one.is_some() => Route::OrdersReplace,
            _ => Route::Other,
        }
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        let (book, _) = self.current();
        book.entries
            .iter()
            .map(|entry| entry.order.clone())
            .collect()
    }

    /// Orders whose client order id was known, and that were not executed for that reason.
    pub(crate) fn duplicates(&self) -> u64 {
        self.current().0.duplicates
    }

    /// Orders that were not valid any more, and that were not executed for that reason.
    pub(crate) fn out_of_date(&self) -> u64 {
        self.current().0.out_of_date
    }

    /// The book as it is now.
    fn current(&self) -> (MutexGuard<'_, Book>, Duration) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind the lock, so that it does not go back.
        let now = Instant::now().saturating_duration_since(self.start);
        book.advance(now);
        (book, now)
    }

    pub(crate) fn execute(&self, call: &Call<'_>) -> Reply {
        let id = call.path.rsplit('/').next().unwrap_or_default();
        let (mut book, now) = self.current();
        if matches!(call.route, Route::OrdersCreate | Route::OrdersReplace) {
            // Behind the lock, and after `now`: what is executed is shown in time, too.
            if call.validity.is_over() {
                book.out_of_date += 1;
                return unprocessable("the order is not valid any more");
            }
            if call.validity == Validity::Unreadable {
                return unprocessable("x-valid-until must be a whole number");
            }
        }
        let snapshot = Snapshot {
            book: &book,
            start: self.wall,
            now,
        };
        match call.route {
            Route::OrdersCreate => match NewOrder::read(call.body) {
                Ok(order) => {
                    let placed = book.create(order, call.moment, now);
                    self.placed(placed, &book, now)
                }
                Err(wrong) => malformed(wrong),
            },
            Route::OrdersReplace => match Change::read(call.body) {
                Ok(change) => {
                    let placed = book.replace(id, change, call.moment, now);
                    self.placed(placed, &book, now)
                }
                Err(wrong) => malformed(wrong),
            },
            Route::OrdersCancel => match book.cancel(id, now) {
                Ok(()) => Reply::whole(204, "application/json", String::new()),
                Err(why) => rejected(why),
            },
            Route::OrdersQuery => match call.path {
                ORDERS => listed(snapshot.orders(call.query)),
                BY_CLIENT_ID => {
                    let id = text::query(call.query, "client_order_id").unwrap_or_default();
                    // The newest, should there be several.
                    found(snapshot, book.by_client_id(&id).iter().rev().copied())
                }
                _ => found(snapshot, book.by_id(id).into_iter()),
            },
            Route::Fills => listed(snapshot.fills(call.query)),
            Route::Positions => Reply::json(200, &snapshot.positions()),
            _ => Profile::Alpaca.error(404, "endpoint not found", call.id),
        }
    }

    fn placed(&self, placed: Result<Placed, Rejected>, book: &Book, now: Duration) -> Reply {
        let (index, new) = match placed {
            Ok(Placed::New(index)) => (index, true),
            Ok(Placed::First(index)) => (index, false),
            Err(why) => return rejected(why),
        };
        let start = self.wall;
        let mut response = Snapshot { book, start, now }.order_json(&book.entries[index]);
        if new {
            // The fill comes after the response, as it does there.
            response["status"] = json!("accepted");
            response["filled_qty"] = json!("0");
            response["filled_at"] = Value::Null;
        }
        Reply::json(200, &response)
    }
}

fn listed(list: Result<Value, pages::Wrong>) -> Reply {
    list.map_or_else(unprocessable, |list| Reply::json(200, &list))
}

/// The first of these that queries show.
fn found(snapshot: Snapshot<'_>, mut indexes: impl Iterator<Item = usize>) -> Reply {
    let entries = &snapshot.book.entries;
    let index = indexes.find(|index| entries[*index].is_visible(snapshot.now));
    index.map_or_else(not_found, |index| {
        Reply::json(200, &snapshot.order_json(&entries[index]))
    })
}
