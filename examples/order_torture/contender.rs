//! What sends the orders, and what it reports of each.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::plan::Order;

/// The name of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    Seawall,
    PlainRetry,
    NoRetry,
    TowerResilience,
}

impl Name {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 4] = [
        Self::Seawall,
        Self::PlainRetry,
        Self::NoRetry,
        Self::TowerResilience,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Seawall => "seawall",
            Self::PlainRetry => "plain_retry",
            Self::NoRetry => "no_retry",
            Self::TowerResilience => "tower_resilience",
        }
    }
}

/// What is reported of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderResult {
    /// The broker took it.
    Executed,
    /// The broker rejected it.
    Rejected,
    /// It was not executed, and will not be.
    NotExecuted,
    /// Nobody knows.
    InDoubt,
}

impl OrderResult {
    const ALL: [Self; 4] = [
        Self::Executed,
        Self::Rejected,
        Self::NotExecuted,
        Self::InDoubt,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Rejected => "rejected",
            Self::NotExecuted => "not_executed",
            Self::InDoubt => "in_doubt",
        }
    }

    /// The line that reports it.
    pub(crate) fn line(self, number: u32) -> String {
        format!("{number} {}\n", self.as_str())
    }

    /// Reads a line; `None` for one that was not written to its end.
    pub(crate) fn read(line: &str) -> Option<(u32, Self)> {
        let (number, result) = line.split_once(' ')?;
        let result = Self::ALL.into_iter().find(|one| one.as_str() == result)?;
        Some((number.parse().ok()?, result))
    }
}

/// A way to send orders.
pub(crate) trait Contender: Send + Sync + 'static {
    /// Places an order that was never asked for before.
    fn place(&self, order: &Order) -> impl Future<Output = OrderResult> + Send;

    /// Answers for an order that an earlier process was asked for, and of which it reported
    /// nothing before it was killed.
    fn recover(&self, order: &Order) -> impl Future<Output = OrderResult> + Send;

    /// Answers for an order that was reported as in doubt, at the end of the run.
    fn settle(&self, order: &Order) -> impl Future<Output = OrderResult> + Send;

    /// Cancels an order, if it can.
    fn cancel(&self, order: &Order) -> impl Future<Output = ()> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        for result in OrderResult::ALL {
            let line = result.line(42);
            assert_eq!(OrderResult::read(line.trim_end()), Some((42, result)));
        }
        for broken in ["", "42", "42 ", "42 exec", "x executed"] {
            assert_eq!(OrderResult::read(broken), None, "{broken}");
        }
    }
}
