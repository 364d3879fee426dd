//! Reads and controls from outside.

use seawall_core::{Budget, InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::counts::RetryCounts;
use crate::state::Core;
use crate::{AdaptiveRate, RetryConfig};

/// Reads and controls a retry layer and all its services, from any thread. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_retry::{RetryConfig, RetryLayer};
///
/// let layer = RetryLayer::new("alpaca", RetryConfig::default());
/// let handle = layer.handle();
/// let registry = Registry::new("broker");
/// registry.register(handle.clone())?;
/// assert_eq!(handle.counts().retries, 0);
///
/// // In an incident: two attempts at most, from the next decision on.
/// handle.configure(RetryConfig::builder().attempts(2).build()?)?;
/// assert_eq!(handle.config().attempts(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryHandle {
    core: Core,
}

seawall_core::state_words! {
    /// What a retry layer does at one moment.
    pub enum RetryState {
        /// Failed attempts are retried.
        Ok = "ok",
        /// The budget has less than one token.
        BudgetExhausted = "budget_exhausted",
        /// An operator has switched retries off.
        Bypassed = "bypassed",
    }
}

/// Everything that a [`RetryHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RetrySnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: RetryState,
    /// What it did so far.
    pub counts: RetryCounts,
    /// The tokens of the budget, if it is a [`Budget`].
    pub budget_balance: Option<f64>,
    /// The adaptive sending rate in requests per second, if it limits.
    pub sending_rate: Option<f64>,
}

impl RetryHandle {
    pub(crate) const fn new(core: Core) -> Self {
        Self { core }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.core.state.events.name()
    }

    /// The settings.
    pub fn config(&self) -> RetryConfig {
        RetryConfig::clone(&self.core.state.config())
    }

    /// Changes the settings of every service of the layer, while it is used. Calls under way go by
    /// the new settings from their next decision on. The budget, what it has, and the sending rate
    /// stay.
    ///
    /// # Errors
    ///
    /// None at present: a [`RetryConfig`] is valid by construction.
    pub fn configure(&self, config: RetryConfig) -> Result<(), InvalidConfig> {
        self.core.state.configure(config);
        self.core.state.events.commanded("configure");
        Ok(())
    }

    /// Switches retries off until [`reset`](Self::reset): each call has one attempt, without a
    /// time limit or a sending rate of this layer, and is counted.
    pub fn bypass(&self) {
        self.core.state.set_bypassed(true);
        self.core.state.events.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back and forgets the [adaptive rate](AdaptiveRate), for all
    /// layers that share it. The budget and the counters stay.
    pub fn reset(&self) {
        self.core.state.set_bypassed(false);
        if let Some(rate) = &self.core.rate {
            rate.reset();
        }
        self.core.state.events.commanded("reset");
    }

    /// Everything at once.
    pub fn snapshot(&self) -> RetrySnapshot {
        RetrySnapshot {
            name: self.name(),
            state: self.state(),
            counts: self.counts(),
            budget_balance: self.budget().map(Budget::balance),
            sending_rate: self.sending_rate(),
        }
    }

    /// What the layer did so far.
    pub fn counts(&self) -> RetryCounts {
        RetryCounts::sum(&self.core.state.stripes)
    }

    /// What pays for extra attempts; `None` when nothing does, or a budget of tower's.
    pub const fn budget(&self) -> Option<&Budget> {
        self.core.budget.budget()
    }

    /// The sending rate that is learned from throttles, if there is one.
    pub const fn adaptive_rate(&self) -> Option<&AdaptiveRate> {
        self.core.rate.as_ref()
    }

    /// For a stack, which has the policy `X` of its layers: what a layer notes itself, when the stack
    /// makes a service around `S`.
    #[doc(hidden)]
    pub fn check_classifier<S, X>(&self) {
        self.core.state.events.check_classifier::<S, X>();
    }

    fn sending_rate(&self) -> Option<f64> {
        let limiting = self.core.rate.as_ref().filter(|rate| rate.is_enabled());
        limiting.map(AdaptiveRate::rate)
    }

    fn state(&self) -> RetryState {
        if self.core.state.is_bypassed() {
            RetryState::Bypassed
        } else if self.core.budget.is_exhausted() {
            RetryState::BudgetExhausted
        } else {
            RetryState::Ok
        }
    }
}

/// A retry has nothing to [block](seawall_core::Command::Block) with.
impl InstanceHandle for RetryHandle {
    seawall_core::handle_methods! { |this|
        pattern: "retry",
        state: this.state().as_str(),
        attach: this.core.state.events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        if let Some(budget) = self.budget() {
            sink.gauge("seawall_retry_budget_balance", &[], budget.balance());
            let capacity = f64::from(budget.config().capacity());
            sink.gauge("seawall_retry_budget_capacity", &[], capacity);
        }
        if let Some(rate) = self.sending_rate() {
            sink.gauge("seawall_retry_sending_rate_per_second", &[], rate);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.core.state.config().settings();
        settings.push(self.core.budget.setting());
        settings.extend(self.core.state.events.classifier_setting());
        settings
    }
}
