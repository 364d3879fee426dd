//! How the admission of an order ends.

use std::error::Error as StdError;
use std::fmt;
use std::sync::LazyLock;

use seawall_core::{EventSource, Figure, InstanceName, Reason, Rejection};

use crate::protocol::{Admitted, GuardRejection, ModeCause, ModeRejection, TradingMode};

/// An order request that may be written to the journal, and what was counted for it.
///
/// Dropping it changes nothing: what may have been executed stays counted. What was certainly not
/// executed is taken back by [`give_back`](super::TradingControl::give_back).
#[derive(Debug)]
pub struct Admission {
    pub(super) counted: Option<Admitted>,
}

impl Admission {
    /// Whether something was counted: cancels are not.
    pub const fn is_counted(&self) -> bool {
        self.counted.is_some()
    }
}

/// Why an order request is not written to the journal, and so not sent.
// Exhaustive: a mode applies to all requests of a kind, a guard is about one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRejection {
    /// The trading mode does not let it pass.
    Mode(ModeRejection),
    /// A guard does not.
    Guard(GuardRejection),
}

impl OrderRejection {
    /// The reason.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Mode(_) => Reason::TradingMode,
            Self::Guard(_) => Reason::Guarded,
        }
    }

    /// As a rejection by the instance of `source`, whose pattern is `"orders"`: with the mode and its
    /// cause, or which guard it was, and where that knows it, when the next order may leave.
    ///
    /// A duplicate has no time to come back, since a layer that retries would make it the mistake that
    /// the guard is there for. The figures are in the text of `self`.
    ///
    /// ```
    /// use seawall_core::EventSource;
    /// use seawall_orders::protocol::{ModeCause, ModeRejection, TradingMode};
    /// use seawall_orders::safety::OrderRejection;
    ///
    /// let rejected = OrderRejection::Mode(ModeRejection {
    ///     mode: TradingMode::ReduceOnly,
    ///     cause: ModeCause::InDoubt,
    /// });
    /// let source = EventSource::new("orders", "alpaca");
    /// assert_eq!(
    ///     rejected.rejection(&source).to_string(),
    ///     "order safety `alpaca`: the trading mode does not allow it \
    ///      (trading mode reduce_only, because of in_doubt); nothing was sent",
    /// );
    /// ```
    pub fn rejection(&self, source: &EventSource) -> Rejection {
        let rejection = source.rejection(self.reason());
        let (words, after) = match self {
            Self::Mode(rejected) => (mode_words(rejected), None),
            Self::Guard(rejected) => {
                let (words, after) = guard_words(rejected);
                (words.into(), after)
            }
        };
        let rejection = rejection.with_figure(Figure::Because(words));
        match after {
            Some(after) => rejection.with_retry_after(after),
            None => rejection,
        }
    }
}

impl fmt::Display for OrderRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(rejected) => rejected.fmt(f),
            Self::Guard(rejected) => rejected.fmt(f),
        }
    }
}

impl StdError for OrderRejection {}

impl From<ModeRejection> for OrderRejection {
    fn from(rejected: ModeRejection) -> Self {
        Self::Mode(rejected)
    }
}

impl From<GuardRejection> for OrderRejection {
    fn from(rejected: GuardRejection) -> Self {
        Self::Guard(rejected)
    }
}

/// The words of a guard, and when the next order may leave.
fn guard_words(rejected: &GuardRejection) -> (&'static str, Option<std::time::Duration>) {
    match rejected {
        GuardRejection::OrdersPerMinute { after, .. } => {
            ("the orders of a minute are used up", Some(*after))
        }
        GuardRejection::OrdersPerDay { .. } => ("the orders of the day are used up", None),
        GuardRejection::SymbolPerMinute { after, .. } => (
            "the orders of a minute for the symbol are used up",
            Some(*after),
        ),
        GuardRejection::SymbolPerDay { .. } => {
            ("the orders of the day for the symbol are used up", None)
        }
        GuardRejection::NotionalPerOrder { .. } => ("the order is worth too much", None),
        GuardRejection::NotionalPerDay { .. } => ("the orders of the day are worth too much", None),
        GuardRejection::NotionalUnknown => ("the value of the order is not known", None),
        GuardRejection::Duplicate { .. } => {
            ("it looks like the last order: mark it as intended", None)
        }
    }
}

const MODES: [TradingMode; 4] = [
    TradingMode::Normal,
    TradingMode::ReduceOnly,
    TradingMode::CancelOnly,
    TradingMode::Halted,
];
const CAUSES: [ModeCause; 9] = [
    ModeCause::Fine,
    ModeCause::CircuitOpen,
    ModeCause::LimitsSpent,
    ModeCause::InDoubt,
    ModeCause::Exhausted,
    ModeCause::Starting,
    ModeCause::Journal,
    ModeCause::KillSwitch,
    ModeCause::Manual,
];

/// A rejection is made without allocating: its words are made once.
static MODE_WORDS: LazyLock<[[InstanceName; CAUSES.len()]; MODES.len()]> = LazyLock::new(|| {
    let words = |mode: TradingMode, cause: ModeCause| {
        let (mode, cause) = (mode.as_str(), cause.as_str());
        InstanceName::new(&format!("trading mode {mode}, because of {cause}"))
    };
    MODES.map(|mode| CAUSES.map(|cause| words(mode, cause)))
});

fn mode_words(rejected: &ModeRejection) -> InstanceName {
    let (mode, cause) = (rejected.mode as usize, rejected.cause as usize);
    let known = MODE_WORDS.get(mode).and_then(|of| of.get(cause));
    known.copied().unwrap_or_else(|| "a trading mode".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_and_cause_has_its_own_words() {
        for mode in MODES {
            for cause in CAUSES {
                let words = mode_words(&ModeRejection { mode, cause });
                let (mode, cause) = (mode.as_str(), cause.as_str());
                let expected = format!("trading mode {mode}, because of {cause}");
                assert_eq!(words.as_str(), expected);
            }
        }
    }
}
