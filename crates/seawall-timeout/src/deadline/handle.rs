//! Reading and control from outside.

use seawall_core::striped::Shared;
use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples, Span};

use super::counts::{DeadlineCounters, DeadlineCounts};
use super::state::State;
use super::{DeadlineConfig, DeadlineSnapshot, DeadlineState};
use crate::instance::Pattern;

/// Reads and controls a deadline from outside, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{DeadlineConfig, DeadlineLayer, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = DeadlineLayer::new("alpaca", DeadlineConfig::new(Duration::from_secs(5))?);
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
///
/// layer.handle().configure(DeadlineConfig::new(Duration::from_secs(3))?)?;
/// assert_eq!(layer.handle().config().timeout(), Duration::from_secs(3));
/// assert_eq!(layer.handle().counts().deadline_exceeded, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DeadlineHandle {
    shared: Shared<State, ()>,
}

impl DeadlineHandle {
    pub(super) const fn new(shared: Shared<State, ()>) -> Self {
        Self { shared }
    }

    /// The name of the layer.
    pub fn name(&self) -> InstanceName {
        self.state().name()
    }

    /// The settings in force.
    pub fn config(&self) -> DeadlineConfig {
        self.state().settings().config
    }

    /// Changes the settings, for calls from now on; those under way keep their deadline.
    ///
    /// # Errors
    ///
    /// None today: settings are checked when they are made.
    pub fn configure(&self, config: DeadlineConfig) -> Result<(), InvalidConfig> {
        self.state().change(|settings| settings.config = config);
        self.state().commanded("configure");
        Ok(())
    }

    /// Everything that is known of the layer now.
    pub fn snapshot(&self) -> DeadlineSnapshot {
        let settings = self.state().settings();
        let (state, timeout) = if settings.bypassed {
            (DeadlineState::Bypassed, None)
        } else {
            (DeadlineState::Active, Some(settings.config.timeout()))
        };
        DeadlineSnapshot {
            name: self.name(),
            state,
            timeout,
            counts: self.counts(),
        }
    }

    /// How many calls missed their deadline since the layer was made.
    pub fn counts(&self) -> DeadlineCounts {
        DeadlineCounts::sum([self.state().counters()])
    }

    /// Lets calls take as long as they like, until [`reset`](Self::reset); none is written into
    /// requests.
    pub fn bypass(&self) {
        self.state().change(|settings| settings.bypassed = true);
        self.state().commanded("bypass");
    }

    /// Ends a bypass. Counts stay.
    pub fn reset(&self) {
        self.state().change(|settings| settings.bypassed = false);
        self.state().commanded("reset");
    }

    fn state(&self) -> &State {
        self.shared.common()
    }
}

/// There is nothing to [block](seawall_core::Command::Block): what waits is to end, not to be
/// rejected.
impl InstanceHandle for DeadlineHandle {
    seawall_core::handle_methods! { |this|
        pattern: DeadlineCounters::NAME,
        state: this.snapshot().state.as_str(),
        attach: this.state(),
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().all_samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("timeout", Span(self.config().timeout()).to_string())]
    }
}

seawall_core::impl_debug!(DeadlineHandle: |this| snapshot = this.snapshot());
