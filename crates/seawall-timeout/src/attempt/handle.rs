//! Reading and control from outside.

use std::marker::PhantomData;
use std::time::Duration;

use seawall_core::striped::Shared;
use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples, Span};

use super::counts::{AttemptTimeoutCounters, AttemptTimeoutCounts};
use super::state::State;
use super::{AttemptTimeoutConfig, AttemptTimeoutSnapshot, Fixed};
use crate::instance::Pattern;

/// Reads and controls an attempt timeout from outside, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = AttemptTimeoutConfig::fixed(Duration::from_secs(5))?;
/// let layer = AttemptTimeoutLayer::new("alpaca", config);
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
///
/// let shorter = AttemptTimeoutConfig::fixed(Duration::from_secs(3))?;
/// layer.handle().configure(shorter)?;
/// assert_eq!(layer.handle().timeout(), Some(Duration::from_secs(3)));
/// assert_eq!(layer.handle().counts().timed_out, 0);
/// # Ok(()) }
/// ```
pub struct AttemptTimeoutHandle<M = Fixed> {
    shared: Shared<State, ()>,
    mode: PhantomData<M>,
}

impl<M> AttemptTimeoutHandle<M> {
    pub(super) const fn new(shared: Shared<State, ()>) -> Self {
        Self {
            shared,
            mode: PhantomData,
        }
    }

    /// The name of the layer.
    pub fn name(&self) -> InstanceName {
        self.state().common.name()
    }

    /// The settings in force.
    pub fn config(&self) -> AttemptTimeoutConfig<M> {
        AttemptTimeoutConfig::of(self.state().common.settings().config)
    }

    /// Changes the settings, for calls from now on; those under way keep their timeout. What was
    /// learned is kept.
    ///
    /// # Errors
    ///
    /// None today: settings are checked when they are made.
    pub fn configure(&self, config: AttemptTimeoutConfig<M>) -> Result<(), InvalidConfig> {
        self.state().configure(config.into_source());
        self.state().common.commanded("configure");
        Ok(())
    }

    /// How long an attempt may take now: as it was set, or as it was learned last; `None` while the
    /// layer is bypassed.
    pub fn timeout(&self) -> Option<Duration> {
        self.snapshot().timeout
    }

    /// Everything that is known of the layer now.
    pub fn snapshot(&self) -> AttemptTimeoutSnapshot {
        self.state().snapshot()
    }

    /// How many attempts timed out since the layer was made.
    pub fn counts(&self) -> AttemptTimeoutCounts {
        self.snapshot().counts
    }

    /// Lets attempts take as long as they like, until [`reset`](Self::reset): no timeout, no
    /// deadline, nothing is learned.
    pub fn bypass(&self) {
        let common = &self.state().common;
        common.change(|settings| settings.bypassed = true);
        common.commanded("bypass");
    }

    /// Ends a bypass and forgets what was learned: a learned timeout is the initial one until
    /// enough is known again. For an upstream that was moved or replaced. Counts stay.
    pub fn reset(&self) {
        self.state().reset();
        self.state().common.commanded("reset");
    }

    fn state(&self) -> &State {
        self.shared.common()
    }
}

/// There is nothing to [block](seawall_core::Command::Block): what waits is to end, not to be
/// rejected.
impl<M: Send + Sync> InstanceHandle for AttemptTimeoutHandle<M> {
    seawall_core::handle_methods! { |this|
        pattern: AttemptTimeoutCounters::NAME,
        state: this.snapshot().state.as_str(),
        attach: this.state().common,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let snapshot = self.snapshot();
        if self.config().learning().is_some()
            && let Some(timeout) = snapshot.timeout
        {
            let seconds = timeout.as_secs_f64();
            sink.gauge("seawall_timeout_learned_seconds", &[], seconds);
        }
        snapshot.counts.all_samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let mut settings = match config.learning() {
            None => vec![("timeout", Span(config.timeout()).to_string())],
            Some(learned) => learned.settings(),
        };
        settings.extend(self.state().common.source().classifier_setting());
        settings
    }
}

impl<M> Clone for AttemptTimeoutHandle<M> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

seawall_core::impl_debug!(AttemptTimeoutHandle<M>: |this| snapshot = this.snapshot());
