//! The last guards before an order leaves.

use std::time::Duration;

use proptest::prelude::*;
use seawall_orders::protocol::{
    Caps, CapsBuilder, Decimal, GuardRejection, GuardedOrder, Guards, Side,
};

fn guards(caps: CapsBuilder) -> Guards {
    Guards::new(caps.build().expect("these caps are accepted"))
}

fn order(symbol: &str, notional: u32) -> GuardedOrder<'_> {
    GuardedOrder {
        symbol,
        side: Side::Buy,
        quantity: Decimal::from(1),
        notional: Some(Decimal::from(notional)),
        intended_again: false,
    }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_kill_switch_lets_nothing_pass() {
    let mut guards = guards(Caps::builder());
    assert!(guards.set_kill_switch(true));
    assert!(!guards.set_kill_switch(true), "no change, nothing to write");
    let rejected = guards.admit(at(0), 0, order("AAPL", 1)).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "the kill switch is engaged; nothing was sent"
    );
    assert!(guards.set_kill_switch(false));
    assert!(guards.admit(at(0), 0, order("AAPL", 1)).is_ok());
}

#[test]
fn a_day_has_its_caps_and_begins_again() {
    let mut guards = guards(Caps::builder().orders_per_day(3).symbol_per_day(2));
    assert!(guards.admit(at(0), 7, order("AAPL", 1)).is_ok());
    assert!(guards.admit(at(1), 7, order("AAPL", 1)).is_ok());
    let rejected = guards.admit(at(2), 7, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerDay);
    assert!(guards.admit(at(3), 7, order("MSFT", 1)).is_ok());
    let rejected = guards.admit(at(4), 7, order("TSLA", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::OrdersPerDay);
    // A clock that goes back does not give a day again.
    assert_eq!(
        guards.admit(at(5), 6, order("TSLA", 1)),
        Err(GuardRejection::OrdersPerDay)
    );
    assert!(guards.admit(at(6), 8, order("AAPL", 1)).is_ok());
}

#[test]
fn values_have_their_caps() {
    let per_order = Decimal::from(100);
    let caps = Caps::builder()
        .notional_per_order(per_order)
        .notional_per_day(Decimal::from(150));
    let mut guards = guards(caps);
    let much = Decimal::from(101);
    let rejected = guards.admit(at(0), 0, order("AAPL", 101)).unwrap_err();
    assert_eq!(rejected, GuardRejection::NotionalPerOrder(much));
    let admitted = guards.admit(at(0), 0, order("AAPL", 100)).unwrap();
    let rejected = guards.admit(at(0), 0, order("AAPL", 51)).unwrap_err();
    assert_eq!(rejected, GuardRejection::NotionalPerDay(Decimal::from(151)));
    // What was certainly not executed is given back.
    guards.give_back(&admitted);
    assert!(guards.admit(at(0), 0, order("AAPL", 51)).is_ok());

    let unknown = GuardedOrder {
        notional: None,
        ..order("AAPL", 0)
    };
    assert_eq!(
        guards.admit(at(0), 0, unknown),
        Err(GuardRejection::NotionalUnknown)
    );
}

#[test]
fn an_order_twice_is_a_mistake_unless_it_is_intended() {
    let mut guards = guards(Caps::builder().duplicate_within(at(10)));
    assert!(guards.admit(at(0), 0, order("AAPL", 1)).is_ok());
    let age = at(4);
    assert_eq!(
        guards.admit(at(4), 0, order("AAPL", 1)),
        Err(GuardRejection::Duplicate { age })
    );
    assert!(guards.admit(at(4), 0, order("MSFT", 1)).is_ok());
    let sell = GuardedOrder {
        side: Side::Sell,
        ..order("AAPL", 1)
    };
    assert!(guards.admit(at(4), 0, sell).is_ok());
    let intended = GuardedOrder {
        intended_again: true,
        ..order("AAPL", 1)
    };
    assert!(guards.admit(at(5), 0, intended).is_ok());
    assert!(
        guards.admit(at(14), 0, order("AAPL", 1)).is_err(),
        "10 s from the last one"
    );
    let last = guards.admit(at(15), 0, order("AAPL", 1)).unwrap();
    guards.give_back(&last);
    assert!(guards.admit(at(16), 0, order("AAPL", 1)).is_ok());
}

#[test]
fn a_new_day_does_not_forget_the_orders_before() {
    let mut guards = guards(
        Caps::builder()
            .duplicate_within(at(10))
            .symbol_per_minute(1),
    );
    assert!(guards.admit(at(0), 1, order("AAPL", 1)).is_ok());
    let sell = GuardedOrder {
        side: Side::Sell,
        ..order("AAPL", 1)
    };
    let after = at(59);
    let rejected = guards.admit(at(1), 2, sell).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerMinute { after });
    let rejected = guards.admit(at(1), 2, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerMinute { after });
    assert!(guards.admit(at(60), 2, order("AAPL", 1)).is_ok());
}

#[test]
fn orders_of_an_earlier_process_count() {
    let mut guards = guards(Caps::builder().orders_per_day(1));
    guards.count(at(0), 3, order("AAPL", 1));
    assert_eq!(
        guards.admit(at(0), 3, order("AAPL", 1)),
        Err(GuardRejection::OrdersPerDay)
    );
}

#[test]
fn caps_of_zero_are_errors() {
    let count = Caps::builder().orders_per_minute(0).build().unwrap_err();
    assert_eq!(count.field(), "orders_per_minute");
    let value = Caps::builder()
        .notional_per_day(Decimal::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(
        value.to_string(),
        "`notional_per_day` is 0, accepted is a value above 0"
    );
    let time = Caps::builder()
        .duplicate_within(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(time.field(), "duplicate_within");
}

proptest! {
    /// No minute has more orders than its cap, and none is rejected that would fit.
    #[test]
    fn a_minute_is_any_minute(steps in proptest::collection::vec((0..30_u64, 0..2_usize), 1..80)) {
        let mut guards = guards(Caps::builder().orders_per_minute(5).symbol_per_minute(3));
        let mut now = 0;
        let mut left: Vec<(u64, usize)> = Vec::new();
        for (step, symbol) in steps {
            now += step;
            let recent = |time: u64| now - time < 60;
            let all = left.iter().filter(|(time, _)| recent(*time)).count();
            let own = left.iter().filter(|(time, own)| recent(*time) && *own == symbol).count();
            let admitted = guards.admit(at(now), 0, order(["AAPL", "MSFT"][symbol], 1));
            prop_assert_eq!(admitted.is_ok(), all < 5 && own < 3);
            if admitted.is_ok() {
                left.push((now, symbol));
            }
            if let Err(GuardRejection::OrdersPerMinute { after }) = admitted {
                let first = left.iter().find(|(time, _)| recent(*time)).unwrap().0;
                prop_assert_eq!(after, at(first + 60 - now));
            }
        }
    }
}
