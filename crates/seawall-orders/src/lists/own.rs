//! Our own view.

use std::time::Duration;

use crate::protocol::OrderFigures;

/// An order as we know it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEntry {
    /// The client order id.
    pub id: Box<str>,
    /// The figures as they were last learned.
    pub figures: OrderFigures,
    /// How long it is confirmed that the broker has it; `None` while it is in doubt, or was not executed:
    /// then its figures are not compared, and no list has to have it.
    pub confirmed_for: Option<Duration>,
    /// Whether a list that has it is [evidence](super::Reading::evidence): by our view it may not have been
    /// executed, or was not.
    pub listed_is_evidence: bool,
    /// How long ago it was made.
    pub age: Duration,
}

impl OwnEntry {
    /// An order that is in doubt, made so long ago.
    pub fn new(id: impl Into<Box<str>>, figures: OrderFigures, age: Duration) -> Self {
        let id = id.into();
        Self {
            id,
            figures,
            confirmed_for: None,
            listed_is_evidence: false,
            age,
        }
    }

    /// Confirmed for so long.
    #[must_use]
    pub const fn confirmed_for(mut self, confirmed_for: Duration) -> Self {
        self.confirmed_for = Some(confirmed_for);
        self
    }

    /// One that has left, and of which a list can say more than we know: in doubt, or not executed.
    #[must_use]
    pub const fn listed_is_evidence(mut self) -> Self {
        self.listed_is_evidence = true;
        self
    }
}

/// All our orders at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnView {
    /// Our orders, those in doubt and those that ended included: what is not here is unknown to us.
    pub orders: Vec<OwnEntry>,
}

impl OwnView {
    /// A view of these orders.
    pub const fn of(orders: Vec<OwnEntry>) -> Self {
        Self { orders }
    }
}
