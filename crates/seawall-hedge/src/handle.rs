//! Reads and controls from outside.

use std::time::Duration;

use seawall_core::{Budget, InstanceHandle, InstanceName, InvalidConfig, Quantile, Samples};

use crate::HedgeConfig;
use crate::counts::HedgeCounts;
use crate::state::Core;

/// Reads and controls a hedge layer and all its services, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Registry;
/// use seawall_hedge::{HedgeConfig, HedgeLayer};
///
/// let layer = HedgeLayer::new("alpaca", HedgeConfig::default());
/// let handle = layer.handle();
/// let registry = Registry::new("broker");
/// registry.register(handle.clone())?;
/// assert_eq!(handle.counts().extra.begun, 0);
/// assert_eq!(handle.delay(), None, "nothing learned yet");
///
/// handle.configure(HedgeConfig::builder().delay(Duration::from_millis(40)).build()?)?;
/// assert_eq!(handle.delay(), Some(Duration::from_millis(40)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    core: Core,
}

seawall_core::state_words! {
    /// What a hedge layer does at one moment.
    pub enum HedgeState {
        /// Slow calls are hedged.
        Ok = "ok",
        /// No call is hedged until the delay is learned.
        WarmingUp = "warming_up",
        /// The budget has less than one token.
        BudgetExhausted = "budget_exhausted",
        /// An operator has switched hedging off.
        Bypassed = "bypassed",
    }
}

/// Everything that a [`HedgeHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HedgeSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: HedgeState,
    /// What it did so far.
    pub counts: HedgeCounts,
    /// The delay before an extra attempt, as far as it is known. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub delay: Option<Duration>,
    /// The tokens of the budget, if there is one.
    pub budget_balance: Option<f64>,
}

impl HedgeHandle {
    pub(crate) const fn new(core: Core) -> Self {
        Self { core }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.core.state.events.name()
    }

    /// The settings.
    pub fn config(&self) -> HedgeConfig {
        self.core.state.config()
    }

    /// Changes the settings of every service of the layer, while it is used. The budget, what it
    /// has, and the latencies stay; the delay is learned from them at once if it was learned
    /// before. A call under way keeps the delay that it waits for.
    ///
    /// # Errors
    ///
    /// None at present: a [`HedgeConfig`] is valid by construction.
    pub fn configure(&self, config: HedgeConfig) -> Result<(), InvalidConfig> {
        self.core.state.configure(config);
        self.core.state.events.commanded("configure");
        Ok(())
    }

    /// Switches hedging off until [`reset`](Self::reset): no extra attempt is begun any more.
    /// Calls are counted, and their latencies learned from.
    pub fn bypass(&self) {
        self.core.state.set_bypassed(true);
        self.core.state.events.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back and forgets the latencies. The budget and the counters
    /// stay.
    pub fn reset(&self) {
        self.core.state.set_bypassed(false);
        if let Some(quantile) = self.quantile() {
            quantile.reset();
        }
        self.core.state.events.commanded("reset");
    }

    /// Everything at once.
    pub fn snapshot(&self) -> HedgeSnapshot {
        HedgeSnapshot {
            name: self.name(),
            state: self.state(),
            counts: self.counts(),
            delay: self.delay(),
            budget_balance: self.budget().map(Budget::balance),
        }
    }

    /// What the layer did so far.
    pub fn counts(&self) -> HedgeCounts {
        HedgeCounts::sum(&self.core.state.stripes)
    }

    /// What pays for extra attempts, if anything does.
    pub const fn budget(&self) -> Option<&Budget> {
        self.core.budget.budget()
    }

    /// The delay before an extra attempt, as far as it is known.
    pub fn delay(&self) -> Option<Duration> {
        self.core.state.last_delay()
    }

    /// The latencies, where the delay is learned from them.
    pub fn quantile(&self) -> Option<&Quantile> {
        self.core.state.quantile()
    }

    fn state(&self) -> HedgeState {
        let state = &self.core.state;
        if state.extra_attempts() == 0 {
            HedgeState::Bypassed
        } else if !state.has_delay(state.call_settings()) {
            HedgeState::WarmingUp
        } else if self.core.budget.is_exhausted() {
            HedgeState::BudgetExhausted
        } else {
            HedgeState::Ok
        }
    }
}

/// A hedge has nothing to [block](seawall_core::Command::Block) with.
impl InstanceHandle for HedgeHandle {
    seawall_core::handle_methods! { |this|
        pattern: "hedge",
        state: this.state().as_str(),
        attach: this.core.state.events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        if let Some(delay) = self.delay() {
            sink.gauge("seawall_hedge_delay_seconds", &[], delay.as_secs_f64());
        }
        if let Some(budget) = self.budget() {
            sink.gauge("seawall_hedge_budget_balance", &[], budget.balance());
            let capacity = f64::from(budget.config().capacity());
            sink.gauge("seawall_hedge_budget_capacity", &[], capacity);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.push(self.core.budget.setting());
        settings.extend(self.core.state.events.classifier_setting());
        settings
    }
}
