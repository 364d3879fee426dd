//! What our own view and the broker's lists differ in.

use std::time::SystemTime;

use crate::lists::OwnedDifference;

/// What the lists of one kind differ in.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) at: Option<SystemTime>,
    pub(super) differences: Vec<OwnedDifference>,
    pub(super) failed: Option<String>,
}

/// The lists that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compares {
    Orders,
    Positions,
}

/// What both kinds of lists differ in.
#[derive(Debug, Default)]
pub(super) struct AllCompared {
    orders: Compared,
    positions: Compared,
}

impl AllCompared {
    pub(super) const fn of(&mut self, what: Compares) -> &mut Compared {
        match what {
            Compares::Orders => &mut self.orders,
            Compares::Positions => &mut self.positions,
        }
    }

    pub(super) fn snapshot(&self) -> ComparedSnapshot {
        let (orders, positions) = (&self.orders, &self.positions);
        let differences = orders.differences.iter().chain(&positions.differences);
        ComparedSnapshot {
            at: orders.at,
            positions_at: positions.at,
            differences: differences.cloned().collect(),
            failed: orders.failed.clone(),
            positions_failed: positions.failed.clone(),
        }
    }
}

/// What our own orders and positions and the broker's lists differ in, at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ComparedSnapshot {
    /// When the lists of orders were last read to their ends; `None` if that was never.
    pub at: Option<SystemTime>,
    /// When positions were last compared; `None` if that was never.
    pub positions_at: Option<SystemTime>,
    /// The differences that were reported and are not gone, those of orders first.
    pub differences: Vec<OwnedDifference>,
    /// Why the last comparison of orders failed, if it did. Nothing is known of what differs then.
    pub failed: Option<String>,
    /// The same of positions.
    pub positions_failed: Option<String>,
}
