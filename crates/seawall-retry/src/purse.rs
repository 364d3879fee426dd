//! What pays for extra attempts, and what spaces them: taken for an attempt, given back when it
//! is not made.

use std::fmt;

use seawall_core::{Budget, CostClass};

use crate::AdaptiveRate;

/// What pays.
#[derive(Clone)]
pub(crate) enum Purse {
    /// Nothing is paid.
    Open,
    Ours(Budget),
    #[cfg(feature = "tower")]
    Towers(std::sync::Arc<dyn tower::retry::budget::Budget + Send + Sync>),
}

impl Purse {
    #[inline]
    pub(crate) fn deposit(&self) {
        match self {
            Self::Open => {}
            Self::Ours(budget) => budget.deposit(),
            #[cfg(feature = "tower")]
            Self::Towers(budget) => budget.deposit(),
        }
    }

    /// Pays for an attempt after a failure of that class; `None` when there is not enough.
    pub(crate) fn pay(&self, charge: CostClass) -> Option<Option<Paid>> {
        let taken = match self {
            Self::Open => return Some(None),
            Self::Ours(budget) => budget.withdraw_for(charge),
            #[cfg(feature = "tower")]
            Self::Towers(budget) => budget.withdraw(),
        };
        taken.then(|| {
            Some(Paid {
                purse: self.clone(),
                charge,
                in_flight: false,
            })
        })
    }

    pub(crate) const fn ours(&self) -> Option<&Budget> {
        match self {
            Self::Ours(budget) => Some(budget),
            _ => None,
        }
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("None"),
            Self::Ours(budget) => budget.fmt(f),
            #[cfg(feature = "tower")]
            Self::Towers(_) => f.write_str("a budget of tower's"),
        }
    }
}

/// What was paid for an extra attempt.
#[derive(Debug)]
pub(crate) struct Paid {
    purse: Purse,
    charge: CostClass,
    /// Whether the attempt is being made. It is not any more when it was rejected before anything
    /// was sent; the payment then waits for an attempt that is.
    pub(crate) in_flight: bool,
}

impl Drop for Paid {
    fn drop(&mut self) {
        // The call ended in its pause, or its extra attempt was never sent. Tower's budgets take
        // nothing back.
        if let Purse::Ours(budget) = &self.purse
            && !self.in_flight
        {
            budget.refund_for(self.charge);
        }
    }
}

/// A place in the sending rate, given back unless it is used.
#[derive(Debug)]
pub(crate) struct Place(Option<AdaptiveRate>);

impl Place {
    /// For an attempt that needs none.
    pub(crate) const FREE: Self = Self(None);

    /// Takes a place; the wait until it comes, both waits in nanoseconds. `None` when that is
    /// longer than `longest`.
    pub(crate) fn take(rate: &AdaptiveRate, longest: u64) -> Result<(u64, Self), u64> {
        let (wait, taken) = rate.take(rate.now(), longest)?;
        // What was let through before the first throttle has taken nothing, and must not give
        // anything back after it.
        Ok((wait, Self(taken.then(|| rate.clone()))))
    }

    /// The attempt is made now; whether it has taken a token.
    #[inline]
    pub(crate) fn used(mut self) -> bool {
        self.0.take().is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(rate) = &self.0 {
            rate.release();
        }
    }
}
