//! What is known by asking.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::broker::OrderRequest;
use crate::protocol::{Conditions, Decimal};

type Source = Box<dyn Fn() -> bool + Send + Sync>;
type Notional = Box<dyn Fn(&OrderRequest) -> Option<Decimal> + Send + Sync>;
type Reduces = Box<dyn Fn(&OrderRequest) -> bool + Send + Sync>;
type Day = Box<dyn Fn(SystemTime) -> u64 + Send + Sync>;

/// Closures of the user. None of it is called under a lock.
pub(super) struct Hooks {
    pub(super) circuit_open: Source,
    pub(super) limits_spent: Source,
    pub(super) kill_switch: Source,
    pub(super) notional: Notional,
    pub(super) reduces: Reduces,
    pub(super) day: Day,
}

/// What the closures say at one moment.
#[derive(Clone, Copy)]
pub(super) struct Pulled {
    circuit_open: bool,
    limits_spent: bool,
    kill_switch: bool,
}

impl Hooks {
    pub(super) fn pull(&self) -> Pulled {
        Pulled {
            circuit_open: (self.circuit_open)(),
            limits_spent: (self.limits_spent)(),
            kill_switch: (self.kill_switch)(),
        }
    }
}

impl Pulled {
    pub(super) const fn put(self, conditions: Conditions) -> Conditions {
        conditions
            .circuit_open(self.circuit_open)
            .limits_spent(self.limits_spent)
            .kill_switch(self.kill_switch)
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            circuit_open: Box::new(|| false),
            limits_spent: Box::new(|| false),
            kill_switch: Box::new(|| false),
            notional: Box::new(request_notional),
            reduces: Box::new(|order| order.reduces),
            day: Box::new(utc_day),
        }
    }
}

fn request_notional(order: &OrderRequest) -> Option<Decimal> {
    let value = || Some(order.quantity? * order.price?);
    order.notional.or_else(value)
}

fn utc_day(at: SystemTime) -> u64 {
    const DAY: Duration = Duration::from_secs(86_400);
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY.as_secs()
}
