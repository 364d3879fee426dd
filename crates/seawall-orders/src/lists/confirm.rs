//! Which differences are reported. Pure: readings have their times.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::compare::Reading;
use super::difference::OwnedDifference;
use crate::protocol::{Decimal, OrderFigures};

/// What one difference is: while that stays, it is the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An order by the broker's id, whatever becomes of it.
    UnknownToUs(Box<str>),
    /// The kind, the client order id, and our figures: a view that follows is another one.
    Ours(&'static str, Box<str>, OrderFigures),
    Several(Box<str>),
    /// By the symbol, whatever the gap is.
    Position(Box<str>),
}

fn key(difference: &OwnedDifference) -> Key {
    let word = difference.as_str();
    match difference {
        OwnedDifference::UnknownToUs(broker) => Key::UnknownToUs(broker.broker_id.clone()),
        OwnedDifference::UnknownToBroker { id, ours } | OwnedDifference::NotOpen { id, ours } => {
            Key::Ours(word, id.clone(), *ours)
        }
        OwnedDifference::Figures { ours, broker } => {
            Key::Ours(word, broker.id.clone().unwrap_or_default(), *ours)
        }
        OwnedDifference::Several { id, .. } => Key::Several(id.clone()),
        OwnedDifference::Position { symbol, .. } => Key::Position(symbol.clone()),
    }
}

/// Our position and the broker's.
type Held = (Decimal, Decimal);

fn held(difference: &OwnedDifference) -> Option<Held> {
    match difference {
        OwnedDifference::Position { ours, broker, .. } => Some((*ours, *broker)),
        _ => None,
    }
}

/// Whether a position is still wrong in the same way. A gap that changes is, unless one follows the other: it has come
/// to what the other had when the gap was found, and that one has gone on.
fn is_same(first: Option<Held>, last: Option<Held>, now: Option<Held>) -> bool {
    let (Some((ours, broker)), Some(last), Some(now)) = (first, last, now) else {
        return true;
    };
    let follows = if ours <= broker {
        now.0 >= broker || now.1 <= ours
    } else {
        now.0 <= broker || now.1 >= ours
    };
    now.1 - now.0 == last.1 - last.0 || !follows
}

#[derive(Debug)]
struct Candidate {
    /// When the first reading that had it ended.
    since: Instant,
    reported: bool,
    /// What that reading had of a position.
    first: Option<Held>,
    difference: OwnedDifference,
}

/// What a reading changes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// Differences to report, each once.
    pub differences: Vec<OwnedDifference>,
    /// Differences that were reported and are gone.
    pub gone: Vec<OwnedDifference>,
}

/// Decides which differences are reported: those that a second reading still has.
///
/// A position is reported where neither side comes within the window to what the other had: a gap that changes
/// meanwhile is the same one, and [`open`](Self::open) has it as it was read last. Where one side follows, and the
/// other goes on, it is another one.
///
/// Readings are taken in their order. One that failed is not: it neither confirms nor clears anything. What is
/// kept is what the last reading had.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::lists::{Confirmations, OwnedDifference, Reading};
/// use tokio::time::Instant;
///
/// let window = Duration::from_secs(15);
/// let mut confirmations = Confirmations::new(window);
/// let now = Instant::now();
/// let differs = || vec![OwnedDifference::Position {
///     symbol: "AAPL".into(),
///     ours: 90.into(),
///     broker: 100.into(),
/// }];
/// let first = Reading::new(now, now, differs());
/// assert!(confirmations.take(first).differences.is_empty());
/// assert_eq!(confirmations.read_again_at(), Some(now + window));
///
/// let second = Reading::new(now + window, now + window, differs());
/// let confirmed = confirmations.take(second);
/// assert_eq!(confirmed.differences[0].to_string(), "AAPL: we have 90, the broker has 100");
/// ```
#[derive(Debug)]
pub struct Confirmations {
    window: Duration,
    candidates: HashMap<Key, Candidate>,
}

impl Confirmations {
    /// With the time after which the broker shows what it has accepted.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            candidates: HashMap::new(),
        }
    }

    /// Takes a reading.
    pub fn take(&mut self, reading: Reading) -> Confirmed {
        let mut before = std::mem::take(&mut self.candidates);
        let mut confirmed = Confirmed::default();
        let mut gone = Vec::new();
        for difference in reading.differences {
            let key = key(&difference);
            let at_once = matches!(difference, OwnedDifference::Several { .. });
            let now = held(&difference);
            let known = match before.remove(&key) {
                Some(known) if !is_same(known.first, held(&known.difference), now) => {
                    gone.extend(known.reported.then_some(known.difference));
                    None
                }
                known => known,
            };
            let first = known.as_ref().map_or(now, |known| known.first);
            let since = known.as_ref().map_or(reading.ended, |known| known.since);
            let reported = known.as_ref().is_some_and(|known| known.reported);
            let is_old =
                known.is_some() && reading.began >= seawall_core::deadline(since, self.window);
            if !reported && (is_old || at_once) && !self.candidates.contains_key(&key) {
                confirmed.differences.push(difference.clone());
            }
            let candidate = self.candidates.entry(key).or_insert(Candidate {
                since,
                reported: false,
                first,
                difference,
            });
            candidate.reported |= reported || is_old || at_once;
        }
        let others = before.into_values().filter(|candidate| candidate.reported);
        gone.extend(others.map(|candidate| candidate.difference));
        confirmed.gone = gone;
        confirmed
    }

    /// From when on a reading can confirm something that the last one found; `None` if there is nothing to
    /// confirm.
    pub fn read_again_at(&self) -> Option<Instant> {
        let waiting = self.candidates.values().filter(|of| !of.reported);
        let from = waiting.map(|of| seawall_core::deadline(of.since, self.window));
        from.min()
    }

    /// The differences that were reported and that the last reading still had.
    pub fn open(&self) -> impl Iterator<Item = &OwnedDifference> {
        let reported = self.candidates.values().filter(|of| of.reported);
        reported.map(|of| &of.difference)
    }
}
