//! How a layer holds the budget that pays for its extra attempts.

use std::fmt;
use std::sync::Arc;

use crate::{Budget, CostClass};

/// A budget of another library, in place of [`Budget`].
pub trait ForeignBudget: fmt::Debug + Send + Sync {
    /// Counts a success.
    fn deposit(&self);

    /// Takes the price of an extra attempt; `false`, and nothing is taken, when there is not
    /// enough.
    fn withdraw(&self, class: CostClass) -> bool;

    /// Counts an attempt that failed; nothing unless implemented.
    fn record_failure(&self) {}

    /// Gives back what was taken for an attempt that was not sent; nothing unless implemented.
    fn refund(&self, class: CostClass) {
        let _ = class;
    }
}

/// What a layer pays for extra attempts with: a budget, or nothing. Clones share the budget.
///
/// ```
/// use seawall_core::{Budget, BudgetConfig, BudgetHandle, CostClass};
///
/// let handle = BudgetHandle::filled(Budget::new(BudgetConfig::new(0.5, 0.0, 1)?));
/// let mut withdrawal = handle.withdraw(CostClass::Transient).ok_or("empty")?;
/// assert!(handle.withdraw(CostClass::Transient).is_none());
/// withdrawal.set_spent(true);
/// drop(withdrawal);
/// assert!(handle.is_exhausted(), "the attempt was sent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BudgetHandle(Source);

#[derive(Clone, Debug)]
enum Source {
    Free,
    Filled(Budget),
    Shared(Budget),
    Foreign(Arc<dyn ForeignBudget>),
}

impl BudgetHandle {
    /// Extra attempts cost nothing.
    pub const FREE: Self = Self(Source::Free);

    /// Extra attempts are paid from `budget`, which successes of this layer fill.
    pub const fn filled(budget: Budget) -> Self {
        Self(Source::Filled(budget))
    }

    /// Extra attempts are paid from `budget`, which another layer fills.
    pub const fn shared(budget: Budget) -> Self {
        Self(Source::Shared(budget))
    }

    /// Extra attempts are paid from a budget of another library, which successes of this layer
    /// fill.
    pub const fn foreign(budget: Arc<dyn ForeignBudget>) -> Self {
        Self(Source::Foreign(budget))
    }

    /// Counts a success, where successes of this layer fill the budget.
    #[inline]
    pub fn deposit(&self) {
        match &self.0 {
            Source::Filled(budget) => budget.deposit(),
            Source::Foreign(budget) => budget.deposit(),
            Source::Free | Source::Shared(_) => {}
        }
    }

    /// Counts an attempt that failed, where successes of this layer fill the budget: a layer that
    /// only shares the budget sees failures that the other one counts. Nothing but a [token
    /// throttle](crate::BudgetConfig::token_throttle) and a foreign budget takes note.
    pub fn record_failure(&self) {
        match &self.0 {
            Source::Filled(budget) => budget.record_failure(),
            Source::Foreign(budget) => budget.record_failure(),
            Source::Free | Source::Shared(_) => {}
        }
    }

    /// Counts the success of an attempt that `payment` has paid for: gives the price back where the
    /// budget [does so](crate::BudgetConfig::with_refund_on_success), and counts as
    /// [`deposit`](Self::deposit) otherwise.
    pub fn deposit_retried(&self, mut payment: Withdrawal) {
        let refunds = |budget: &Budget| budget.config().refund_on_success();
        if payment.from.budget().is_some_and(refunds) {
            payment.set_spent(false);
            return;
        }
        payment.set_spent(true);
        self.deposit();
    }

    /// Pays for an extra attempt of that class; `None` when there is not enough.
    pub fn withdraw(&self, class: CostClass) -> Option<Withdrawal> {
        let taken = match &self.0 {
            Source::Free => true,
            Source::Filled(budget) | Source::Shared(budget) => budget.withdraw_for(class),
            Source::Foreign(budget) => budget.withdraw(class),
        };
        taken.then(|| Withdrawal {
            from: self.clone(),
            class,
            spent: false,
        })
    }

    /// The budget; `None` when attempts cost nothing, or when it is of another library.
    pub const fn budget(&self) -> Option<&Budget> {
        match &self.0 {
            Source::Filled(budget) | Source::Shared(budget) => Some(budget),
            Source::Free | Source::Foreign(_) => None,
        }
    }

    /// Whether the budget is [exhausted](Budget::is_exhausted); `false` where that is not known.
    pub fn is_exhausted(&self) -> bool {
        self.budget().is_some_and(Budget::is_exhausted)
    }

    /// The budget as a setting: field and value.
    pub fn setting(&self) -> (&'static str, String) {
        let value = match &self.0 {
            Source::Free => "none".to_owned(),
            Source::Filled(budget) | Source::Shared(budget) => budget.config().to_string(),
            Source::Foreign(budget) => format!("{budget:?}"),
        };
        ("budget", value)
    }

    fn refund(&self, class: CostClass) {
        match &self.0 {
            Source::Free => {}
            Source::Filled(budget) | Source::Shared(budget) => budget.refund_for(class),
            Source::Foreign(budget) => budget.refund(class),
        }
    }
}

/// What was paid for an extra attempt; given back when it is dropped and the attempt was not sent.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub struct Withdrawal {
    from: BudgetHandle,
    class: CostClass,
    spent: bool,
}

impl Withdrawal {
    /// Sets whether the attempt was sent, and the payment is spent. It is not spent any more when
    /// it turns out that nothing was sent, and then pays for another attempt or is given back.
    pub const fn set_spent(&mut self, spent: bool) {
        self.spent = spent;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if !self.spent {
            self.from.refund(self.class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BudgetConfig;

    fn tokens(count: u32) -> Budget {
        Budget::new(BudgetConfig::new(0.5, 0.0, count).unwrap())
    }

    #[test]
    fn what_is_not_spent_is_given_back_once() {
        let budget = tokens(2);
        let handle = BudgetHandle::filled(budget.clone());
        let mut kept = handle.withdraw(CostClass::Transient).unwrap();
        kept.set_spent(true);
        drop(handle.withdraw(CostClass::Transient).unwrap());
        assert_eq!((budget.balance(), budget.refunded()), (1.0, 1));
        kept.set_spent(false);
        drop(kept);
        assert_eq!((budget.balance(), budget.refunded()), (2.0, 2));
    }

    #[test]
    fn only_a_budget_that_this_layer_fills_gets_its_deposits() {
        let budget = tokens(1);
        assert!(budget.withdraw());
        BudgetHandle::shared(budget.clone()).deposit();
        BudgetHandle::FREE.deposit();
        assert_eq!(budget.balance(), 0.0);
        BudgetHandle::filled(budget.clone()).deposit();
        assert_eq!(budget.balance(), 0.5);
    }

    #[test]
    fn free_attempts_are_always_paid_for() {
        assert!(BudgetHandle::FREE.withdraw(CostClass::Timeout).is_some());
        assert!(!BudgetHandle::FREE.is_exhausted());
        assert_eq!(BudgetHandle::FREE.setting(), ("budget", "none".to_owned()));
    }
}
