//! Caps through the control: hooks, words, a restart, and changes while running.

use std::time::Duration;

use seawall_core::{EventSource, Figure, Reason};
use seawall_orders::Operation;
use seawall_orders::protocol::{Caps, CapsBuilder, Decimal, GuardRejection, ModePolicy};
use seawall_orders::safety::{OrderRejection, TradingControl};

use super::{DAY, at, buy, create, wall};

fn control(caps: CapsBuilder) -> std::sync::Arc<TradingControl> {
    let caps = caps.build().unwrap();
    TradingControl::builder().caps(caps).build()
}

#[test]
fn a_guard_keeps_its_figures_in_its_text_and_its_words_in_the_rejection() {
    let source = EventSource::new("orders", "alpaca");
    let order = buy("AAPL", 2, 100);
    let caps = Caps::builder;
    let all = [
        (
            caps().orders_per_minute(1),
            "the orders of a minute are used up",
            Some(at(59)),
        ),
        (
            caps().orders_per_day(1),
            "the orders of the day are used up",
            None,
        ),
        (
            caps().symbol_per_minute(1),
            "the orders of a minute for the symbol are used up",
            Some(at(59)),
        ),
        (
            caps().symbol_per_day(1),
            "the orders of the day for the symbol are used up",
            None,
        ),
        (
            caps().notional_per_day(Decimal::from(300)),
            "the orders of the day are worth too much",
            None,
        ),
        (
            caps().duplicate_within(at(10)),
            "it looks like the last order: mark it as intended",
            None,
        ),
    ];
    for (caps, words, after) in all {
        let control = control(caps);
        assert!(create(&control, 0, &order).is_ok(), "{words}");
        let rejected = create(&control, 1, &order).unwrap_err();
        assert_eq!(rejected.reason(), Reason::Guarded);
        let rejected = rejected.rejection(&source);
        assert_eq!(rejected.figure(), Some(Figure::Because(words.into())));
        assert_eq!(rejected.retry_after(), after, "{words}");
        assert_eq!(
            rejected.reason().as_str(),
            "guarded",
            "a metric has the same reason for all guards"
        );
    }
    let rejected = create(
        &control(caps().notional_per_order(Decimal::from(199))),
        0,
        &order,
    );
    assert_eq!(
        rejected.unwrap_err().to_string(),
        "the order is worth 200 of at most 199; nothing was sent"
    );
}

#[test]
fn the_value_of_an_order_is_its_own_figure_or_quantity_times_price_or_a_quote() {
    let cap = Decimal::from(1_000);
    let control = control(Caps::builder().notional_per_order(cap));
    assert!(create(&control, 0, &buy("AAPL", 10, 100)).is_ok());
    assert!(create(&control, 0, &buy("AAPL", 10, 101)).is_err());
    let mut by_value = buy("AAPL", 10, 101);
    by_value.notional = Some(Decimal::from(999));
    assert!(create(&control, 0, &by_value).is_ok());

    let mut market = buy("AAPL", 10, 0);
    market.price = None;
    let rejected = create(&control, 0, &market).unwrap_err();
    assert_eq!(
        rejected,
        OrderRejection::Guard(GuardRejection::NotionalUnknown)
    );
    // What makes a position smaller is not held back for that.
    market.reduces = true;
    assert!(create(&control, 0, &market).is_ok());

    market.reduces = false;
    let quoted = TradingControl::builder()
        .caps(Caps::builder().notional_per_order(cap).build().unwrap())
        .notional(|order| Some(order.quantity? * order.price.unwrap_or(Decimal::from(99))))
        .build();
    assert!(create(&quoted, 0, &market).is_ok());
    market.quantity = Some(Decimal::from(11));
    assert!(create(&quoted, 0, &market).is_err());
}

#[test]
fn orders_by_value_are_compared_by_value() {
    let control = control(Caps::builder().duplicate_within(at(10)));
    let by_value = |value: u32| {
        let mut order = buy("AAPL", 1, 1);
        order.quantity = None;
        order.notional = Some(Decimal::from(value));
        order
    };
    assert!(create(&control, 0, &by_value(500)).is_ok());
    assert!(create(&control, 1, &by_value(501)).is_ok());
    assert!(create(&control, 2, &by_value(500)).is_err());
    let again = control.admit(at(3), DAY, &by_value(500), Operation::Create, true);
    assert!(again.is_ok());
}

#[test]
fn a_replace_is_a_further_order_and_no_duplicate() {
    let control = control(Caps::builder().duplicate_within(at(10)).orders_per_day(3));
    let order = buy("AAPL", 1, 1);
    let replace = || control.admit(at(0), DAY, &order, Operation::Replace, false);
    assert!(replace().is_ok());
    assert!(create(&control, 0, &order).is_ok());
    assert!(replace().is_ok());
    let rejected = replace().unwrap_err();
    let spent = GuardRejection::OrdersPerDay { cap: 3 };
    assert_eq!(rejected, OrderRejection::Guard(spent));
    let cancel = control.admit(at(0), DAY, &order, Operation::Cancel, false);
    assert!(!cancel.unwrap().is_counted());
}

#[test]
fn what_was_not_executed_is_given_back_once_and_what_is_dropped_is_not() {
    let control = control(Caps::builder().orders_per_day(1));
    let order = buy("AAPL", 1, 1);
    let admission = create(&control, 0, &order).unwrap();
    assert!(create(&control, 0, &order).is_err());
    control.give_back(admission);
    drop(create(&control, 0, &order).unwrap());
    assert!(create(&control, 0, &order).is_err());
}

#[test]
fn a_rejection_counts_nothing() {
    let control = control(Caps::builder().orders_per_day(1));
    control.set_exhausted(1);
    for _ in 0..5 {
        assert!(create(&control, 0, &buy("AAPL", 1, 1)).is_err());
    }
    control.set_exhausted(0);
    control.reset();
    assert!(create(&control, 0, &buy("AAPL", 1, 1)).is_ok());
}

#[test]
fn a_restart_does_not_give_a_day_again() {
    let caps = Caps::builder()
        .orders_per_day(4)
        .orders_per_minute(2)
        .notional_per_day(Decimal::from(450))
        .duplicate_within(at(300));
    let control = control(caps);
    let now = wall(7_200);
    let restore = |symbol: &str, seconds: u64| {
        let order = buy(symbol, 1, 100);
        control.restore(at(0), now, &order, Operation::Create, wall(seconds))
    };
    // Of yesterday: no part of the day, and too old for the rest.
    let yesterday = now - Duration::from_secs(10_000);
    let old = buy("OLD", 1, 100);
    control.restore(at(0), now, &old, Operation::Create, yesterday);
    restore("AAPL", 100);
    restore("MSFT", 7_000);
    let open = restore("TSLA", 7_190);
    let used = control.snapshot(at(0)).used;
    assert_eq!(
        (used.day, used.today, used.minute, used.recent),
        (DAY, 3, 1, 2)
    );
    assert_eq!(used.notional_today, Decimal::from(300));

    let rejected = create(&control, 0, &buy("MSFT", 1, 50)).unwrap_err();
    let (within, age) = (at(300), at(200));
    let duplicate = GuardRejection::Duplicate { within, age };
    assert_eq!(rejected, OrderRejection::Guard(duplicate));
    assert!(create(&control, 0, &buy("NVDA", 1, 100)).is_ok());
    let rejected = create(&control, 0, &buy("AMZN", 1, 40)).unwrap_err();
    let after = at(50);
    let minute = GuardRejection::OrdersPerMinute { cap: 2, after };
    assert_eq!(rejected, OrderRejection::Guard(minute));
    // One of the earlier process is looked up and was not executed.
    control.give_back(open);
    assert!(create(&control, 0, &buy("TSLA", 1, 100)).is_ok());
    let rejected = create(&control, 70, &buy("AMZN", 1, 60)).unwrap_err();
    let day = GuardRejection::OrdersPerDay { cap: 4 };
    assert!(matches!(
        rejected,
        OrderRejection::Guard(GuardRejection::NotionalPerDay { .. })
    ));
    assert_eq!(
        create(&control, 70, &buy("AMZN", 1, 1)).unwrap_err(),
        OrderRejection::Guard(day)
    );
}

#[test]
fn entries_of_the_future_and_of_yesterday_evening_count_where_they_belong() {
    let control = control(Caps::builder().orders_per_minute(10).orders_per_day(10));
    let now = wall(20);
    for at_wall in [wall(90_000), now - Duration::from_secs(30)] {
        let order = buy("AAPL", 1, 1);
        control.restore(at(0), now, &order, Operation::Create, at_wall);
    }
    let used = control.snapshot(at(0)).used;
    // The future one is of today, and the one of yesterday evening of the last minute.
    assert_eq!((used.day, used.today, used.minute), (DAY, 1, 2));
    assert_eq!(control.snapshot(at(31)).used.minute, 1);
}

#[test]
fn the_day_is_the_accounts() {
    // A day that begins at 17:00 in New York, in winter.
    let begins = Duration::from_secs(22 * 3_600);
    let control = TradingControl::builder()
        .day(move |at| {
            let since = at.duration_since(std::time::SystemTime::UNIX_EPOCH);
            (since.unwrap_or_default() - begins).as_secs() / 86_400
        })
        .build();
    let evening = wall(22 * 3_600);
    let before = evening - Duration::from_secs(1);
    assert_eq!(control.wall_day(before) + 1, control.wall_day(evening));
    assert_eq!(TradingControl::builder().build().wall_day(wall(0)), DAY);
}

#[test]
fn caps_change_while_running_and_counts_stay() {
    let control = control(Caps::builder().orders_per_day(2));
    for symbol in ["AAPL", "AAPL", "AAPL"] {
        let _ = create(&control, 0, &buy(symbol, 1, 100));
    }
    let wider = Caps::builder().orders_per_day(9).symbol_per_day(3);
    control.configure(ModePolicy::default(), wider.build().unwrap());
    assert!(create(&control, 1, &buy("AAPL", 1, 100)).is_ok());
    let rejected = create(&control, 1, &buy("AAPL", 1, 100)).unwrap_err();
    let symbol = GuardRejection::SymbolPerDay { cap: 3 };
    assert_eq!(rejected, OrderRejection::Guard(symbol));
    let snapshot = control.snapshot(at(1));
    assert_eq!(snapshot.caps.orders_per_day(), Some(9));
    assert_eq!((snapshot.used.today, snapshot.used.minute), (3, 3));
    let busiest = &snapshot.used.busiest;
    assert_eq!((&*busiest[0].symbol, busiest[0].today), ("AAPL", 3));
}

#[test]
fn an_order_of_a_known_symbol_allocates_nothing() {
    let caps = Caps::builder()
        .orders_per_minute(1_000)
        .symbol_per_day(1_000)
        .notional_per_day(Decimal::from(1_000_000))
        .duplicate_within(at(1));
    let control = control(caps);
    let order = buy("AAPL", 1, 1);
    for second in 0..100 {
        create(&control, second * 2, &order).unwrap();
    }
    let counts = seawall_testkit::alloc::count(|| create(&control, 1_000, &order).is_ok());
    assert_eq!(counts.allocations, 0);
    control.set_journal_failed(true);
    let source = EventSource::new("orders", "alpaca");
    let reject = || {
        create(&control, 2_000, &order)
            .unwrap_err()
            .rejection(&source)
    };
    reject();
    assert_eq!(seawall_testkit::alloc::count(reject).allocations, 0);
}

#[cfg(feature = "serde")]
#[test]
fn a_snapshot_can_be_written() {
    let caps = Caps::builder()
        .notional_per_day(Decimal::from(450))
        .duplicate_within(Duration::from_millis(1_500));
    let control = control(caps);
    create(&control, 0, &buy("AAPL", 1, 100)).unwrap();
    control.set_in_doubt(6);
    let written = serde_json::to_value(control.snapshot(at(0))).unwrap();
    assert_eq!(written["mode"], "reduce_only");
    assert_eq!(written["cause"], "in_doubt");
    assert_eq!(written["conditions"]["in_doubt"], 6);
    assert_eq!(written["caps"]["notional_per_day"], "450");
    assert_eq!(written["caps"]["duplicate_within"], 1.5);
    assert_eq!(written["used"]["notional_today"], "100");
    assert_eq!(written["used"]["busiest"][0]["symbol"], "AAPL");
}
