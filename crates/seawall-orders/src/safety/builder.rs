//! What a trading control is made of.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::control::TradingControl;
use super::hooks::Hooks;
use crate::broker::OrderRequest;
use crate::protocol::{Caps, Decimal, ModePolicy};

/// Makes a [`TradingControl`].
///
/// Closures are called for each order, so they must be short.
#[must_use]
pub struct TradingControlBuilder {
    policy: ModePolicy,
    caps: Caps,
    hooks: Hooks,
}

impl TradingControl {
    /// A builder without caps, with the default policy.
    pub fn builder() -> TradingControlBuilder {
        TradingControlBuilder {
            policy: ModePolicy::default(),
            caps: Caps::default(),
            hooks: Hooks::default(),
        }
    }
}

impl TradingControlBuilder {
    /// Sets which condition leads to which mode; the default of [`ModePolicy`] unless set.
    pub fn policy(mut self, policy: ModePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the caps; none unless set.
    pub fn caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
        self
    }

    /// Sets what says whether the circuit of the broker is open: a handle of its breaker.
    pub fn circuit_open(mut self, is_open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.hooks.circuit_open = Box::new(is_open);
        self
    }

    /// Sets what says whether a limit or quota is spent: a handle of a rate limit.
    pub fn limits_spent(mut self, is_spent: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.hooks.limits_spent = Box::new(is_spent);
        self
    }

    /// Sets what says whether the kill switch is engaged.
    pub fn kill_switch(mut self, is_engaged: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.hooks.kill_switch = Box::new(is_engaged);
        self
    }

    /// Sets what an order is worth in the account's currency, without regard to its side. The default is
    /// the request's own figure, or else quantity times price; a market order has no price, and a hook
    /// can take the one of a quote. `None` is not known: with a cap on the value the order is rejected
    /// then, unless it only reduces a position.
    pub fn notional(
        mut self,
        notional: impl Fn(&OrderRequest) -> Option<Decimal> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.notional = Box::new(notional);
        self
    }

    /// Sets whether an order can only make a position smaller. The default is what the request says; a
    /// hook can look at the position.
    pub fn reduces(
        mut self,
        reduces: impl Fn(&OrderRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.reduces = Box::new(reduces);
        self
    }

    /// Sets the number of the account's day at a moment of the calendar. It grows by one when a day
    /// begins. The default are days of UTC.
    pub fn day(mut self, day: impl Fn(SystemTime) -> u64 + Send + Sync + 'static) -> Self {
        self.hooks.day = Box::new(day);
        self
    }

    /// The trading control, in the mode that the closures ask for now.
    pub fn build(self) -> Arc<TradingControl> {
        Arc::new(TradingControl::new(self.policy, self.caps, self.hooks))
    }
}

impl fmt::Debug for TradingControlBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TradingControlBuilder")
            .field("policy", &self.policy)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}
