//! Reads and controls the layers from outside.

use std::sync::Arc;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, LastRejection, Samples};

use crate::snapshot::last_rejection;
use crate::state::Instance;
use crate::{TelemetryConfig, TelemetryCounts, TelemetrySnapshot};

/// Reads and controls a [`TelemetryLayer`](crate::TelemetryLayer) and the layer of its attempts, from any
/// thread. Clones share.
///
/// ```
/// use seawall_telemetry::{TelemetryConfig, TelemetryLayer, TelemetryState};
///
/// let handle = TelemetryLayer::new("orders", TelemetryConfig::default()).handle();
/// assert_eq!(handle.snapshot().state, TelemetryState::On);
/// handle.configure(TelemetryConfig::builder().enabled(false).build()?)?;
/// assert_eq!(handle.snapshot().state, TelemetryState::Off);
/// # Ok::<(), seawall_telemetry::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct TelemetryHandle {
    instance: Arc<Instance>,
}

impl TelemetryHandle {
    pub(crate) const fn new(instance: Arc<Instance>) -> Self {
        Self { instance }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.instance.source.name()
    }

    /// The settings in force.
    pub fn config(&self) -> TelemetryConfig {
        self.instance.config()
    }

    /// Changes the settings, from the next call that ends on. What was measured stays.
    ///
    /// # Errors
    ///
    /// None today: settings are checked when they are built.
    pub fn configure(&self, config: TelemetryConfig) -> Result<(), InvalidConfig> {
        self.instance.configure(config);
        self.instance.source.commanded("configure");
        Ok(())
    }

    /// Everything that was measured.
    pub fn snapshot(&self) -> TelemetrySnapshot {
        TelemetrySnapshot::of(&self.instance)
    }

    /// How many calls and attempts there were.
    pub fn counts(&self) -> TelemetryCounts {
        self.snapshot().counts
    }

    /// The last call that was rejected: why, by which layer, and how long ago. Of two threads that reject at the
    /// same time, that of either.
    pub fn last_rejection(&self) -> Option<LastRejection> {
        last_rejection(&self.instance, &self.instance.stripes())
    }

    /// Forgets the last rejection, and measures again after a
    /// [`bypass`](Self::bypass). What was measured stays.
    pub fn reset(&self) {
        self.instance.set_bypassed(false);
        for stripe in self.instance.stripes() {
            stripe.forget_last();
        }
        self.instance.source.commanded("reset");
    }

    /// Measures nothing until a [`reset`](Self::reset).
    pub fn bypass(&self) {
        self.instance.set_bypassed(true);
        self.instance.source.commanded("bypass");
    }
}

/// [`Bypass`](seawall_core::Command::Bypass) ends measuring until a reset. There is no
/// [`Block`](seawall_core::Command::Block): it rejects nothing.
impl InstanceHandle for TelemetryHandle {
    seawall_core::handle_methods! { |this|
        pattern: "telemetry",
        state: this.snapshot().state.as_str(),
        attach: this.instance.source,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.snapshot().samples(sink);
    }

    fn last_rejection(&self) -> Option<LastRejection> {
        Self::last_rejection(self)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.instance.source.classifier_setting());
        settings
    }
}

seawall_core::impl_debug!(TelemetryHandle: |this| name = this.name(), config = this.config());
