//! Reads the lists, and compares.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::config::ListsConfig;
use super::difference::{ListedOrder, OwnedDifference};
use super::own::{OwnEntry, OwnView};
use super::read::{ListError, ListErrorKind, ListName, Orders, Reader};
use crate::broker::{Broker, FoundOrder};
use crate::client::RequestSender;
use crate::protocol::{
    BrokerOrder, Decimal, Difference, OrderState, OwnOrder, Query, compare_orders,
};

/// One reading of the lists.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What differs, by this reading alone: [`Confirmations`](super::Confirmations) says what to report.
    pub differences: Vec<OwnedDifference>,
    /// What the lists have of orders that may not have been executed by our view, or were not: it needs no
    /// second reading, since a list that has an order shows that there is one.
    pub evidence: Vec<ListedOrder>,
    /// How many orders or positions the lists had.
    pub listed: usize,
}

impl Reading {
    /// A reading between two moments that found these differences.
    pub const fn new(began: Instant, ended: Instant, differences: Vec<OwnedDifference>) -> Self {
        Self {
            began,
            ended,
            differences,
            evidence: Vec::new(),
            listed: 0,
        }
    }
}

/// Reads the broker's lists of orders to their ends, and compares them with our own view.
///
/// `own` is called after the lists were read: what was sent meanwhile is known then. `account` is what the
/// broker has in the paths of an account. Dropping the future stops the reading.
///
/// # Errors
///
/// [`ListError`]: a list cannot be read to its end, or the broker has no list of open orders. Nothing is
/// known of what differs then.
pub async fn compare(
    broker: &dyn Broker,
    client: &RequestSender,
    account: Option<&str>,
    config: ListsConfig,
    own: impl FnOnce() -> OwnView,
) -> Result<Reading, ListError> {
    let began = Instant::now();
    let reader = Reader::new(broker, client, account, &config);
    let mut orders = Orders::default();
    let open = reader.orders(Query::Open).await?;
    orders.replace(open.ok_or(ListError {
        list: ListName::Open,
        kind: ListErrorKind::Missing,
    })?);
    let (mut closed, mut fills) = (None, None);
    if config.closed() {
        closed = reader.orders(Query::Closed).await?;
        fills = reader.orders(Query::Fills).await?;
    }
    let own = own();
    let ended = Instant::now();
    let covered = Covered {
        closed: closed.is_some(),
        fills: fills.is_some(),
        history: config.history(),
        settled: config.window().saturating_add(ended - began),
    };
    orders.replace(closed.unwrap_or_default());
    // Fills say that there is an order, and not all of its figures.
    let with_figures = orders.all.len();
    orders.add(fills.unwrap_or_default());

    let differences = of_orders(&own.orders, &orders.all, with_figures, &covered);
    let mut reading = Reading::new(began, ended, differences);
    reading.evidence = evidence(&own.orders, &orders.all);
    reading.listed = orders.all.len();
    Ok(reading)
}

/// What the lists have of orders that are not known to be executed.
fn evidence(own: &[OwnEntry], found: &[FoundOrder]) -> Vec<ListedOrder> {
    let own = own.iter().filter(|own| own.listed_is_evidence);
    let ids: HashSet<&str> = own.map(|own| &*own.id).collect();
    let is_evidence = |found: &&FoundOrder| found.id.as_deref().is_some_and(|id| ids.contains(id));
    let found = found.iter().filter(is_evidence);
    found.map(ListedOrder::from).collect()
}

/// What the lists that were read must have.
struct Covered {
    closed: bool,
    fills: bool,
    history: Duration,
    settled: Duration,
}

impl Covered {
    /// Whether some list must have an order of ours.
    fn expects(&self, own: &OwnEntry) -> bool {
        let settled = own.confirmed_for.is_some_and(|of| of > self.settled);
        let recent = own.age < self.history;
        let has_fills = own.figures.filled > Decimal::ZERO;
        settled
            && match own.figures.state {
                state if state.is_live() => true,
                OrderState::Rejected => false,
                _ => recent && (self.closed || self.fills && has_fills),
            }
    }

    /// Whether there is a list of what became of an order that worked.
    fn decides(&self, own: &OwnEntry) -> bool {
        self.closed && own.age < self.history
    }
}

fn of_orders(
    own: &[OwnEntry],
    found: &[FoundOrder],
    with_figures: usize,
    covered: &Covered,
) -> Vec<OwnedDifference> {
    let full = &found[..with_figures];
    let listed: HashSet<&str> = full
        .iter()
        .filter_map(|found| found.id.as_deref())
        .collect();
    let places = found.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(place, of)| (&*of.broker_id, place)).collect();

    let fills = &found[with_figures..];
    let filled: HashSet<&str> = fills.iter().filter_map(|of| of.id.as_deref()).collect();
    // Fills alone do not say what became of an order that works by our view.
    let vanished = |own: &OwnEntry| {
        let works = own.figures.state.is_live() && covered.expects(own);
        let undecided = !covered.decides(own) || filled.contains(&*own.id);
        works && undecided && !listed.contains(&*own.id)
    };
    let not_open = own.iter().filter(|own| vanished(own)).map(|own| {
        let (id, ours) = (own.id.clone(), own.figures);
        OwnedDifference::NotOpen { id, ours }
    });
    let mut differences: Vec<_> = not_open.collect();

    let ours = own.iter().map(|own| OwnOrder {
        id: &own.id,
        figures: own.figures,
        expected: covered.expects(own) && !vanished(own),
    });
    let ours: Vec<_> = ours.collect();
    let brokers = found.iter().map(|found| BrokerOrder {
        id: found.id.as_deref(),
        order: &found.broker_id,
        figures: found.figures,
    });
    let brokers: Vec<_> = brokers.collect();
    let differ = compare_orders(&ours, &brokers).into_iter();
    differences.extend(differ.filter_map(|difference| match difference {
        Difference::UnknownToUs(of) => {
            let found = &found[*places.get(of.order)?];
            Some(OwnedDifference::UnknownToUs(found.into()))
        }
        Difference::UnknownToBroker(OwnOrder { id, figures, .. }) => {
            let (id, ours) = (id.into(), figures);
            Some(OwnedDifference::UnknownToBroker { id, ours })
        }
        Difference::Figures { ours, broker } => {
            let (ours, broker) = (ours.figures, full.get(*places.get(broker.order)?)?);
            let broker = broker.into();
            Some(OwnedDifference::Figures { ours, broker })
        }
        Difference::Several { id, live } => {
            let id = id.into();
            Some(OwnedDifference::Several { id, live })
        }
    }));
    differences
}
