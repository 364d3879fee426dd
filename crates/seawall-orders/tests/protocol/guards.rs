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
        symbol: Some(symbol),
        side: Some(Side::Buy),
        quantity: Some(Decimal::from(1)),
        notional: Some(Decimal::from(notional)),
        intended_again: false,
    }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_day_has_its_caps_and_begins_again() {
    let mut guards = guards(Caps::builder().orders_per_day(3).symbol_per_day(2));
    assert!(guards.admit(at(0), 7, order("AAPL", 1)).is_ok());
    assert!(guards.admit(at(1), 7, order("AAPL", 1)).is_ok());
    let rejected = guards.admit(at(2), 7, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerDay { cap: 2 });
    assert!(guards.admit(at(3), 7, order("MSFT", 1)).is_ok());
    let rejected = guards.admit(at(4), 7, order("TSLA", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::OrdersPerDay { cap: 3 });
    // A clock that goes back does not give a day again.
    assert_eq!(
        guards.admit(at(5), 6, order("TSLA", 1)),
        Err(GuardRejection::OrdersPerDay { cap: 3 })
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
    let rejected = guards.admit(at(0), 0, order("AAPL", 101)).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "the order is worth 101 of at most 100; nothing was sent"
    );
    let admitted = guards.admit(at(0), 0, order("AAPL", 100)).unwrap();
    let rejected = guards.admit(at(0), 0, order("AAPL", 51)).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "the orders of the day would be worth 151 of at most 150; nothing was sent"
    );
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
    let (within, age) = (at(10), at(4));
    assert_eq!(
        guards.admit(at(4), 0, order("AAPL", 1)),
        Err(GuardRejection::Duplicate { within, age })
    );
    assert!(guards.admit(at(4), 0, order("MSFT", 1)).is_ok());
    let sell = GuardedOrder {
        side: Some(Side::Sell),
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
        side: Some(Side::Sell),
        ..order("AAPL", 1)
    };
    let (cap, after) = (1, at(59));
    let rejected = guards.admit(at(1), 2, sell).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerMinute { cap, after });
    let rejected = guards.admit(at(1), 2, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerMinute { cap, after });
    assert!(guards.admit(at(60), 2, order("AAPL", 1)).is_ok());
}

#[test]
fn orders_of_an_earlier_process_count() {
    let mut guards = guards(Caps::builder().orders_per_day(1));
    guards.restore(at(10_000), at(5_000), 3, order("AAPL", 1));
    assert_eq!(
        guards.admit(at(10_000), 3, order("AAPL", 1)),
        Err(GuardRejection::OrdersPerDay { cap: 1 })
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
            if let Err(GuardRejection::OrdersPerMinute { cap, after }) = admitted {
                let first = left.iter().find(|(time, _)| recent(*time)).unwrap().0;
                prop_assert_eq!(cap, 5);
                prop_assert_eq!(after, at(first + 60 - now));
            }
        }
    }
}

#[test]
fn orders_of_a_clock_that_was_set_back_count_for_the_latest_day() {
    let mut guards = guards(Caps::builder().orders_per_day(2));
    assert!(guards.admit(at(0), 7, order("AAPL", 1)).is_ok());
    assert!(guards.admit(at(1), 6, order("AAPL", 1)).is_ok());
    let rejected = guards.admit(at(2), 6, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::OrdersPerDay { cap: 2 });
}

#[test]
fn caps_that_are_set_later_know_the_orders_before() {
    let mut guards = guards(Caps::builder());
    for second in 0..10 {
        guards.admit(at(second), 1, order("AAPL", 1)).unwrap();
    }
    let caps = Caps::builder().orders_per_minute(4).symbol_per_day(11);
    guards.set_caps(caps.build().unwrap());
    // The seventh of ten has to become older than a minute.
    let rejected = guards.admit(at(10), 1, order("AAPL", 1)).unwrap_err();
    let after = at(56);
    assert_eq!(rejected, GuardRejection::OrdersPerMinute { cap: 4, after });
    assert!(guards.admit(at(66), 1, order("AAPL", 1)).is_ok());
    let rejected = guards.admit(at(200), 1, order("AAPL", 1)).unwrap_err();
    assert_eq!(rejected, GuardRejection::SymbolPerDay { cap: 11 });
}

#[test]
fn the_last_order_that_stays_is_the_one_to_compare_with() {
    let mut guards = guards(Caps::builder().duplicate_within(at(10)));
    let intended = GuardedOrder {
        intended_again: true,
        ..order("AAPL", 1)
    };
    let first = guards.admit(at(0), 0, intended).unwrap();
    let second = guards.admit(at(0), 0, intended).unwrap();
    guards.give_back(&second);
    assert!(guards.admit(at(1), 0, order("AAPL", 1)).is_err());
    guards.give_back(&first);
    assert!(guards.admit(at(1), 0, order("AAPL", 1)).is_ok());
}

#[test]
fn orders_that_cannot_be_compared_are_not() {
    let mut guards = guards(Caps::builder().duplicate_within(at(10)).symbol_per_day(1));
    for unknown in [
        GuardedOrder {
            symbol: None,
            ..order("", 1)
        },
        GuardedOrder {
            symbol: Some(""),
            ..order("", 1)
        },
        GuardedOrder {
            side: None,
            ..order("MSFT", 1)
        },
        GuardedOrder {
            quantity: None,
            ..order("TSLA", 1)
        },
    ] {
        assert!(guards.admit(at(0), 0, unknown).is_ok(), "{unknown:?}");
    }
    assert_eq!(guards.used(at(0)).symbols, 2);
}

#[test]
fn symbols_without_end_use_memory_with_an_end() {
    let mut guards = guards(Caps::builder().symbol_per_day(2));
    // Those that were not executed leave nothing.
    for number in 0..10_000 {
        let symbol = format!("X{number}");
        let admitted = guards.admit(at(0), 1, order(&symbol, 1)).unwrap();
        guards.give_back(&admitted);
    }
    assert!(guards.used(at(0)).symbols <= 64);
    // Those that were are counted one by one, and then together.
    let mut together = 0;
    for number in 0..70_000 {
        let symbol = format!("Y{number}");
        together += usize::from(guards.admit(at(0), 1, order(&symbol, 1)).is_err());
    }
    let used = guards.used(at(0));
    assert!(used.symbols <= 65_537, "{}", used.symbols);
    assert!((4_000..5_000).contains(&together), "{together}");
    assert_eq!((&*used.busiest[0].symbol, used.busiest[0].today), ("", 2));
    // A known symbol has its own count, and another day begins without all of them.
    assert!(guards.admit(at(1), 1, order("Y7", 1)).is_ok());
    assert!(guards.admit(at(1), 1, order("Y7", 1)).is_err());
    assert!(guards.admit(at(100), 2, order("Y69999", 1)).is_ok());
    assert_eq!(guards.used(at(100)).symbols, 1);
}
