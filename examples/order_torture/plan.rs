//! The orders, by their numbers: both processes know them from the seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a broker does with a second order of one client order id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    ReturnFirst,
    RejectForATime,
    RejectWhileOpen,
    Accept,
}

impl Class {
    pub(crate) const ALL: [Self; 4] = [
        Self::ReturnFirst,
        Self::RejectForATime,
        Self::RejectWhileOpen,
        Self::Accept,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReturnFirst => "return-first",
            Self::RejectForATime => "reject-for-a-time",
            Self::RejectWhileOpen => "reject-while-open",
            Self::Accept => "accept",
        }
    }
}

/// Which orders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// `None`: every class, one after the other.
    pub(crate) class: Option<Class>,
}

/// One order that is intended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) class: Class,
    /// The client order id, the same in every attempt and every process.
    pub(crate) id: String,
    /// What is sent.
    pub(crate) body: Value,
    /// How long after it was asked for the order is cancelled; most are not.
    pub(crate) cancel_after: Option<Duration>,
}

const SYMBOLS: [&str; 6] = ["AAPL", "AMD", "IBM", "MSFT", "NVDA", "TSLA"];

impl Plan {
    /// The order of a number.
    pub(crate) fn order(self, number: u32) -> Order {
        // Neighbours in both must not be alike.
        let mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(number);
        let mut draw = fastrand::Rng::with_seed(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let every = Class::ALL[number as usize % Class::ALL.len()];
        let id = format!("torture-{}-{number}", self.seed);
        let limit = draw.u8(0..100) < 25;
        // A broker rejects a quantity of zero, every time.
        let wrong = draw.u8(0..100) < 2;
        let qty = if wrong { 0 } else { draw.u32(1..=9) };
        let body = json!({
            "client_order_id": id,
            "symbol": SYMBOLS[draw.usize(0..SYMBOLS.len())],
            "side": if draw.bool() { "buy" } else { "sell" },
            "qty": qty.to_string(),
            "type": if limit { "limit" } else { "market" },
            "limit_price": limit.then_some("100"),
            "time_in_force": "day",
        });
        let cancelled = limit && draw.bool();
        Order {
            number,
            class: self.class.unwrap_or(every),
            id,
            body,
            cancel_after: cancelled.then(|| Duration::from_millis(draw.u64(0..80))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_depends_on_seed_and_number_alone() {
        let plan = |seed| Plan { seed, class: None };
        assert_eq!(plan(7).order(3), plan(7).order(3));
        assert_ne!(plan(7).order(3).body, plan(8).order(3).body);
        assert_ne!(plan(7).order(3).body, plan(7).order(4).body);
    }

    #[test]
    fn orders_are_of_every_class_and_kind() {
        let plan = Plan {
            seed: 1,
            class: None,
        };
        let orders: Vec<_> = (0..400).map(|number| plan.order(number)).collect();
        for class in Class::ALL {
            let count = orders.iter().filter(|order| order.class == class).count();
            assert_eq!(count, 100);
        }
        let count = |wanted: fn(&&Order) -> bool| orders.iter().filter(wanted).count();
        assert!((60..=140).contains(&count(|order| order.body["type"] == "limit")));
        assert!((20..=80).contains(&count(|order| order.cancel_after.is_some())));
        assert!((1..=25).contains(&count(|order| order.body["qty"] == "0")));

        let class = Some(Class::Accept);
        let one = Plan { seed: 1, class };
        assert!((0..8).all(|number| one.order(number).class == Class::Accept));
    }
}
