//! The orders, by their numbers: both processes know them from the seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a broker does with a second order of one client order id, and how orders are looked up there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    ReturnFirst,
    RejectForATime,
    RejectWhileOpen,
    Accept,
    /// It accepts one, and has no query by client order id: only its lists of open and closed orders.
    ListsOnly,
}

impl Class {
    pub(crate) const ALL: [Self; 5] = [
        Self::ReturnFirst,
        Self::RejectForATime,
        Self::RejectWhileOpen,
        Self::Accept,
        Self::ListsOnly,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReturnFirst => "return-first",
            Self::RejectForATime => "reject-for-a-time",
            Self::RejectWhileOpen => "reject-while-open",
            Self::Accept => "accept",
            Self::ListsOnly => "lists-only",
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
    /// The client order id of the order that this one replaces, at the same broker; most replace none.
    pub(crate) replaces: Option<String>,
}

/// An order replaces the one that is so many rounds of the classes before it.
const ROUNDS: u32 = 4;

const SYMBOLS: [&str; 6] = ["AAPL", "AMD", "IBM", "MSFT", "NVDA", "TSLA"];

impl Plan {
    /// The order of a number.
    pub(crate) fn order(self, number: u32) -> Order {
        let mut order = self.placed(number);
        if let Some(target) = self.target(number) {
            let qty = target.body["qty"].as_str().and_then(|qty| qty.parse().ok());
            let qty = 1 + qty.unwrap_or(1_u32);
            order.body = json!({
                "client_order_id": order.id,
                "qty": qty.to_string(),
                "limit_price": "101",
            });
            order.cancel_after = None;
            order.replaces = Some(target.id);
        }
        order
    }

    /// The order that the one of this number replaces: of every other four rounds, the
    /// limit orders that are not cancelled are.
    fn target(self, number: u32) -> Option<Order> {
        let distance = ROUNDS * u32::try_from(Class::ALL.len()).unwrap_or(u32::MAX);
        let replaces = (number / distance) % 2 == 1;
        let target = self.placed(number.checked_sub(distance).filter(|_| replaces)?);
        let is_open = target.body["type"] == "limit" && target.body["qty"] != "0";
        (is_open && target.cancel_after.is_none()).then_some(target)
    }

    /// The order of a number, where it replaces none.
    fn placed(self, number: u32) -> Order {
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
            replaces: None,
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
            assert_eq!(count, 80);
        }
        let count = |wanted: fn(&&Order) -> bool| orders.iter().filter(wanted).count();
        assert!((50..=140).contains(&count(|order| order.body["type"] == "limit")));
        assert!((10..=60).contains(&count(|order| order.replaces.is_some())));
        assert!((20..=80).contains(&count(|order| order.cancel_after.is_some())));
        assert!((1..=25).contains(&count(|order| order.body["qty"] == "0")));

        let class = Some(Class::Accept);
        let one = Plan { seed: 1, class };
        assert!((0..8).all(|number| one.order(number).class == Class::Accept));
    }

    #[test]
    fn an_order_is_replaced_once_at_its_own_broker_and_by_one_that_is_not_replaced() {
        let plan = Plan {
            seed: 3,
            class: None,
        };
        let orders: Vec<_> = (0..1_000).map(|number| plan.order(number)).collect();
        let mut replaced = std::collections::BTreeSet::new();
        for order in orders.iter().filter(|order| order.replaces.is_some()) {
            let target = orders
                .iter()
                .find(|of| Some(&of.id) == order.replaces.as_ref());
            let target = target.expect("it is one of them");
            assert_eq!((target.class, &target.replaces), (order.class, &None));
            assert!(target.number < order.number && target.cancel_after.is_none());
            assert!(replaced.insert(target.number));
        }
        assert!(replaced.len() > 30);
    }
}
