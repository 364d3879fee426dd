//! Reading from outside.

use std::fmt;
use std::sync::Arc;

use seawall_core::{Budget, Events, InstanceHandle, InstanceName, Samples};

use crate::observe::Ledger;
use crate::purse::Purse;
use crate::{AdaptiveRate, RetryConfig, StopReason};

/// Reads what a retry layer and all its services did, from any thread. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_retry::{RetryConfig, RetryLayer};
///
/// let layer = RetryLayer::new("alpaca", RetryConfig::default());
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
/// assert_eq!(layer.handle().retries(), 0);
/// # Ok::<(), seawall_core::AlreadyRegistered>(())
/// ```
#[derive(Clone)]
pub struct RetryHandle {
    config: RetryConfig,
    budget: Purse,
    rate: Option<AdaptiveRate>,
    ledger: Arc<Ledger>,
}

impl RetryHandle {
    pub(crate) const fn new(
        config: RetryConfig,
        budget: Purse,
        rate: Option<AdaptiveRate>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            config,
            budget,
            rate,
            ledger,
        }
    }

    /// The settings.
    pub const fn config(&self) -> &RetryConfig {
        &self.config
    }

    /// What pays for extra attempts; `None` when nothing does, or a budget of tower's.
    pub const fn budget(&self) -> Option<&Budget> {
        self.budget.ours()
    }

    /// The sending rate that is learned from throttles, if there is one.
    pub const fn adaptive_rate(&self) -> Option<&AdaptiveRate> {
        self.rate.as_ref()
    }

    /// How many calls ended that way; successes are not counted as
    /// [`Answered`](StopReason::Answered).
    pub fn ended(&self, end: StopReason) -> u64 {
        self.ledger.ended(end)
    }

    /// How many attempts were answered, first ones included.
    pub fn attempts(&self) -> u64 {
        self.ledger.attempts()
    }

    /// How many answers led to another attempt.
    pub fn retries(&self) -> u64 {
        self.ledger.retries()
    }

    /// How many calls ended with a failure, since the budget had no token for another attempt.
    pub fn stopped_by_budget(&self) -> u64 {
        self.ledger.ended(StopReason::Budget)
    }

    /// How many calls ended with a failure, since they must not be executed twice.
    pub fn stopped_as_unsafe(&self) -> u64 {
        self.ledger.ended(StopReason::Unsafe)
    }

    /// How many calls ended with a failure after all their attempts.
    pub fn attempts_exhausted(&self) -> u64 {
        self.ledger.ended(StopReason::Attempts)
    }
}

impl InstanceHandle for RetryHandle {
    fn pattern(&self) -> &'static str {
        "retry"
    }

    fn name(&self) -> InstanceName {
        self.ledger.observer.name()
    }

    /// `"budget_exhausted"` while the budget has less than one token, `"ok"` otherwise.
    fn state(&self) -> &'static str {
        match self.budget() {
            Some(budget) if budget.balance() < 1.0 => "budget_exhausted",
            _ => "ok",
        }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.ledger.samples(sink);
        if let Some(budget) = self.budget() {
            sink.gauge("seawall_retry_budget_balance", &[], budget.balance());
        }
        if let Some(rate) = self.rate.as_ref().filter(|rate| rate.is_enabled()) {
            sink.gauge("seawall_retry_sending_rate", &[], rate.rate());
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config.settings();
        let budget = match self.budget() {
            Some(budget) => format!("{:?}", budget.config()),
            None => format!("{:?}", self.budget).to_lowercase(),
        };
        settings.push(("budget", budget));
        settings
    }

    fn attach(&self, events: &Events) {
        self.ledger.observer.attach(events);
    }
}

impl fmt::Debug for RetryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryHandle")
            .field("name", &self.name())
            .field("attempts", &self.attempts())
            .field("retries", &self.retries())
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
