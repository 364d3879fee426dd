//! Reading from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{
    Budget, Command, Events, InstanceHandle, InstanceName, Quantile, Samples, Unsupported,
};

use crate::HedgeConfig;
use crate::layer::Purse;
use crate::observe::{Fate, Ledger, Skip};

/// Reads what a hedge layer and all its services did, from any thread. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_hedge::{HedgeConfig, HedgeLayer};
///
/// let layer = HedgeLayer::new("alpaca", HedgeConfig::default());
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
/// assert_eq!(layer.handle().hedges(), 0);
/// assert_eq!(layer.handle().delay(), None, "nothing learned yet");
/// # Ok::<(), seawall_core::AlreadyRegistered>(())
/// ```
#[derive(Clone)]
pub struct HedgeHandle {
    purse: Purse,
    ledger: Arc<Ledger>,
}

impl HedgeHandle {
    pub(crate) const fn new(purse: Purse, ledger: Arc<Ledger>) -> Self {
        Self { purse, ledger }
    }

    /// The settings.
    pub fn config(&self) -> &HedgeConfig {
        &self.ledger.config
    }

    /// What pays for extra attempts, if anything does.
    pub const fn budget(&self) -> Option<&Budget> {
        self.purse.budget.as_ref()
    }

    /// The delay before an extra attempt, as far as it is known.
    pub fn delay(&self) -> Option<Duration> {
        let estimate = self.quantile().and_then(Quantile::last_estimate);
        self.ledger.config.delay(estimate)
    }

    /// The latencies, where the delay is learned from them.
    pub fn quantile(&self) -> Option<&Quantile> {
        self.ledger.quantile.as_ref()
    }

    /// How many extra attempts were begun.
    pub fn hedges(&self) -> u64 {
        self.ledger.hedges()
    }

    /// How many extra attempts gave the answer of their call.
    pub fn won(&self) -> u64 {
        self.ledger.ended(Fate::Won)
    }

    /// How many extra attempts were sent, and dropped since another one was answered first.
    pub fn lost(&self) -> u64 {
        self.ledger.ended(Fate::Lost)
    }

    /// How many extra attempts were answered with what is no good answer.
    pub fn failed(&self) -> u64 {
        self.ledger.ended(Fate::Failed)
    }

    /// How many extra attempts were never sent: their service was not ready before the call was
    /// answered, or a layer below rejected them. Their tokens were given back.
    pub fn not_sent(&self) -> u64 {
        self.ledger.ended(Fate::Unsent)
    }

    /// How many times an extra attempt was due and the budget had no token.
    pub fn stopped_by_budget(&self) -> u64 {
        self.ledger.skipped(Skip::Budget)
    }

    /// How many calls were not hedged, since their request must not be sent twice.
    pub fn not_replay_safe(&self) -> u64 {
        self.ledger.skipped(Skip::Unsafe)
    }

    /// How many extra attempts were not made, since their answer would have come too late.
    pub fn too_late(&self) -> u64 {
        self.ledger.skipped(Skip::Deadline)
    }
}

impl InstanceHandle for HedgeHandle {
    fn pattern(&self) -> &'static str {
        "hedge"
    }

    fn name(&self) -> InstanceName {
        self.ledger.observer.name()
    }

    /// `"warming_up"` while there is no hedge for want of samples, `"budget_exhausted"` while the
    /// budget has less than one token, `"ok"` otherwise.
    fn state(&self) -> &'static str {
        match self.budget() {
            _ if !self.ledger.has_delay() => "warming_up",
            Some(budget) if budget.balance() < 1.0 => "budget_exhausted",
            _ => "ok",
        }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.ledger.samples(sink);
        if let Some(budget) = self.budget() {
            sink.gauge("seawall_hedge_budget_balance", &[], budget.balance());
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.ledger.config.settings();
        settings.push(match self.budget() {
            Some(budget) => ("budget", format!("{:?}", budget.config())),
            None => ("budget", "none".to_owned()),
        });
        settings
    }

    fn attach(&self, events: &Events) {
        self.ledger.observer.attach(events);
    }

    /// [`Command::Reset`] forgets what was learned of the latencies.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match (command, self.quantile()) {
            (Command::Reset, Some(quantile)) => {
                quantile.reset();
                Ok(())
            }
            _ => Err(Unsupported {
                pattern: self.pattern(),
                command,
            }),
        }
    }
}

impl fmt::Debug for HedgeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeHandle")
            .field("name", &self.name())
            .field("fired", &self.hedges())
            .field("won", &self.won())
            .field("delay", &self.delay())
            .field("budget", &self.budget())
            .finish_non_exhaustive()
    }
}
