//! Our own view beside the broker's list.

use seawall_orders::protocol::{
    BrokerOrder, Decimal, Difference, OrderFigures, OrderState, OwnOrder, Position,
    PositionDifference, compare_orders, compare_positions,
};

fn figures(state: OrderState, filled: u32) -> OrderFigures {
    OrderFigures {
        state,
        quantity: Decimal::from(10),
        filled: Decimal::from(filled),
    }
}

fn own(id: &str, expected: bool) -> OwnOrder<'_> {
    let figures = figures(OrderState::Open, 0);
    OwnOrder {
        id,
        figures,
        expected,
    }
}

fn theirs<'a>(id: &'a str, order: &'a str, filled: u32) -> BrokerOrder<'a> {
    let figures = figures(OrderState::Open, filled);
    BrokerOrder {
        id: Some(id),
        order,
        figures,
    }
}

#[test]
fn equal_views_have_no_difference() {
    assert_eq!(compare_orders(&[], &[]), []);
    assert_eq!(
        compare_orders(&[own("a", true)], &[theirs("a", "1", 0)]),
        []
    );
}

#[test]
fn each_side_can_lack_an_order() {
    let (ours, broker) = (own("a", true), theirs("b", "2", 0));
    let expected = [
        Difference::UnknownToBroker(ours),
        Difference::UnknownToUs(broker),
    ];
    assert_eq!(compare_orders(&[ours], &[broker]), expected);
}

#[test]
fn what_is_in_doubt_is_not_compared() {
    assert_eq!(compare_orders(&[own("a", false)], &[]), []);
    assert_eq!(
        compare_orders(&[own("a", false)], &[theirs("a", "1", 4)]),
        []
    );
}

#[test]
fn figures_of_both_sides_are_shown() {
    let (ours, broker) = (own("a", true), theirs("a", "1", 4));
    let expected = [Difference::Figures { ours, broker }];
    assert_eq!(compare_orders(&[ours], &[broker]), expected);
}

#[test]
fn several_live_orders_of_one_id_are_found_even_in_doubt() {
    let broker = [theirs("a", "1", 0), theirs("a", "2", 0)];
    let expected = [Difference::Several { id: "a", live: 2 }];
    assert_eq!(compare_orders(&[own("a", false)], &broker), expected);
}

#[test]
fn positions_are_compared_by_symbol() {
    let position = |symbol, quantity| Position {
        symbol,
        quantity: Decimal::from(quantity),
    };
    let ours = [
        position("AAPL", 3),
        position("AAPL", 4),
        position("MSFT", 1),
    ];
    let broker = [position("TSLA", 2), position("AAPL", 7)];
    let differs = |symbol, ours, broker| PositionDifference {
        symbol,
        ours: Decimal::from(ours),
        broker: Decimal::from(broker),
    };
    let expected = [differs("MSFT", 1, 0), differs("TSLA", 0, 2)];
    assert_eq!(compare_positions(&ours, &broker), expected);
}
