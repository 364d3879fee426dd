//! What admits orders: modes, caps, and what is known of them after a restart.
#![allow(clippy::unwrap_used, reason = "tests")]

mod caps;
mod model;
mod modes;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use seawall_orders::Operation;
use seawall_orders::broker::OrderRequest;
use seawall_orders::protocol::{Decimal, Side};
use seawall_orders::safety::{Admission, OrderRejection, TradingControl};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A moment of 2026-11-30, UTC.
fn wall(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_083_200 + seconds)
}

const DAY: u64 = 1_796_083_200 / 86_400;

fn buy(symbol: &str, quantity: u32, price: u32) -> OrderRequest {
    let mut order = OrderRequest::default();
    order.symbol = Some(symbol.into());
    order.side = Some(Side::Buy);
    order.quantity = Some(Decimal::from(quantity));
    order.price = Some(Decimal::from(price));
    order
}

fn create(
    control: &TradingControl,
    now: u64,
    order: &OrderRequest,
) -> Result<Admission, OrderRejection> {
    control.admit(at(now), DAY, order, Operation::Create, false)
}

/// A switch, and the closure that reads it.
fn switch() -> (Arc<AtomicBool>, impl Fn() -> bool + Send + Sync + 'static) {
    let switch = Arc::new(AtomicBool::new(false));
    let read = Arc::clone(&switch);
    (switch, move || read.load(Ordering::SeqCst))
}
