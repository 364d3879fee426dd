//! Our own view beside the broker's list.

use std::collections::{HashMap, HashSet};

use super::decimal::Decimal;
use super::event::OrderState;

/// The figures of an order.
// Exhaustive: what both sides know of every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrderFigures {
    /// The state.
    pub state: OrderState,
    /// The quantity that was ordered.
    pub quantity: Decimal,
    /// The quantity that is filled.
    pub filled: Decimal,
}

/// An order as we know it.
// Exhaustive: what a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnOrder<'a> {
    /// The client order id.
    pub id: &'a str,
    /// The figures.
    pub figures: OrderFigures,
    /// Whether the list must have it: it is confirmed, for longer than the visibility window, and
    /// the list covers its state. What is in doubt is looked up and not compared.
    pub expected: bool,
}

/// An order in the broker's list.
// Exhaustive: what a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BrokerOrder<'a> {
    /// The client order id; `None` for one that was placed without.
    pub id: Option<&'a str>,
    /// The broker's own id.
    pub order: &'a str,
    /// The figures.
    pub figures: OrderFigures,
}

/// What differs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Difference<'a> {
    /// The broker has an order that we do not know: placed by hand or by another program.
    UnknownToUs(BrokerOrder<'a>),
    /// We know an order that the broker should have, and has not.
    UnknownToBroker(OwnOrder<'a>),
    /// Both have it, with different figures.
    Figures {
        /// What we know.
        ours: OwnOrder<'a>,
        /// What the broker has.
        broker: BrokerOrder<'a>,
    },
    /// The broker has several orders of one client order id that work at the same time.
    Several {
        /// The client order id.
        id: &'a str,
        /// How many work.
        live: usize,
    },
}

/// Compares our own orders with the broker's list.
///
/// The list must be one that was read to its end: one that could not be read is not an empty one.
/// First come differences of our own orders, in their order, then orders that we do not know.
///
/// ```
/// use seawall_orders::protocol::{
///     BrokerOrder, Decimal, Difference, OrderFigures, OrderState, OwnOrder, compare_orders,
/// };
///
/// let open = OrderFigures {
///     state: OrderState::Open,
///     quantity: Decimal::from(10),
///     filled: Decimal::ZERO,
/// };
/// let ours = [OwnOrder { id: "desk-1", figures: open, expected: true }];
/// let by_hand = BrokerOrder { id: None, order: "904837e3", figures: open };
/// assert_eq!(compare_orders(&ours, &[by_hand]), [
///     Difference::UnknownToBroker(ours[0]),
///     Difference::UnknownToUs(by_hand),
/// ]);
/// ```
pub fn compare_orders<'a>(
    ours: &[OwnOrder<'a>],
    broker: &[BrokerOrder<'a>],
) -> Vec<Difference<'a>> {
    let mut listed: HashMap<&str, Vec<BrokerOrder<'a>>> = HashMap::new();
    for order in broker {
        if let Some(id) = order.id {
            listed.entry(id).or_default().push(*order);
        }
    }
    let mut differences = Vec::new();
    for own in ours {
        let Some(found) = listed.get(own.id) else {
            if own.expected {
                differences.push(Difference::UnknownToBroker(*own));
            }
            continue;
        };
        let live = found.iter().filter(|order| order.figures.state.is_live());
        let live = live.count();
        if live > 1 {
            differences.push(Difference::Several { id: own.id, live });
        }
        let same = found.iter().any(|order| order.figures == own.figures);
        if let (false, true, [first, ..]) = (same, own.expected, &found[..]) {
            let (ours, broker) = (*own, *first);
            differences.push(Difference::Figures { ours, broker });
        }
    }
    let known: HashSet<&str> = ours.iter().map(|own| own.id).collect();
    let unknown = broker
        .iter()
        .filter(|order| order.id.is_none_or(|id| !known.contains(id)));
    differences.extend(unknown.map(|order| Difference::UnknownToUs(*order)));
    differences
}

/// A position: a quantity of a symbol, below zero for a short one.
// Exhaustive: what a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position<'a> {
    /// The symbol.
    pub symbol: &'a str,
    /// The quantity.
    pub quantity: Decimal,
}

/// A position that differs; a side that has none has zero.
// Exhaustive: both sides of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PositionDifference<'a> {
    /// The symbol.
    pub symbol: &'a str,
    /// What we think it is.
    pub ours: Decimal,
    /// What the broker has.
    pub broker: Decimal,
}

/// Compares positions, by symbol. Several entries of a symbol are added up.
///
/// ```
/// use seawall_orders::protocol::{Decimal, Position, compare_positions};
///
/// let ours = [Position { symbol: "AAPL", quantity: Decimal::from(100) }];
/// let differences = compare_positions(&ours, &[]);
/// assert_eq!(differences[0].ours, Decimal::from(100));
/// assert_eq!(differences[0].broker, Decimal::ZERO);
/// ```
pub fn compare_positions<'a>(
    ours: &[Position<'a>],
    broker: &[Position<'a>],
) -> Vec<PositionDifference<'a>> {
    let mut sums: Vec<PositionDifference<'a>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let both = ours.iter().map(|own| (own, true));
    for (position, own) in both.chain(broker.iter().map(|theirs| (theirs, false))) {
        let symbol = position.symbol;
        let place = *places.entry(symbol).or_insert_with(|| {
            let (ours, broker) = (Decimal::ZERO, Decimal::ZERO);
            sums.push(PositionDifference {
                symbol,
                ours,
                broker,
            });
            sums.len() - 1
        });
        let Some(sum) = sums.get_mut(place) else {
            continue;
        };
        let side = if own { &mut sum.ours } else { &mut sum.broker };
        *side = *side + position.quantity;
    }
    sums.retain(|sum| sum.ours != sum.broker);
    sums
}
