//! Reads and controls a layer from outside.

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::state::{self, State};
use crate::{CheckResult, HealthConfig, HealthCounts, HealthSnapshot, PassiveStats, Status};

/// Reads and controls a [`HealthLayer`](crate::HealthLayer), from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_health::{HealthConfig, HealthLayer, Status};
///
/// let layer = HealthLayer::new("orders", HealthConfig::default());
/// let handle = layer.handle();
/// assert_eq!(handle.snapshot().state, Status::Unknown, "no calls so far");
///
/// handle.configure(HealthConfig::builder().window(Duration::from_secs(10)).build()?)?;
/// assert_eq!(handle.config().window(), Duration::from_secs(10));
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct HealthHandle {
    state: State,
}

impl HealthHandle {
    pub(crate) const fn new(state: State) -> Self {
        Self { state }
    }

    /// The name of the layer.
    pub fn name(&self) -> InstanceName {
        self.state.common().source.name()
    }

    /// The settings in force.
    pub fn config(&self) -> HealthConfig {
        self.state.common().config()
    }

    /// Changes the settings, for services already made too. The calls of the window are kept:
    /// those of a longer window than before count for longer, and what was counted as slow stays
    /// slow.
    ///
    /// # Errors
    ///
    /// None today: settings are checked when they are built.
    pub fn configure(&self, config: HealthConfig) -> Result<(), InvalidConfig> {
        self.state.common().configure(config);
        self.state.common().source.commanded("configure");
        Ok(())
    }

    /// How healthy the service is, judged by the calls of the window.
    pub fn status(&self) -> Status {
        self.passive_stats().status
    }

    /// The calls of the window.
    pub fn passive_stats(&self) -> PassiveStats {
        PassiveStats::of(self.config(), state::window(&self.state))
    }

    /// Everything that is known of the layer now.
    pub fn snapshot(&self) -> HealthSnapshot {
        let window = self.passive_stats();
        HealthSnapshot {
            name: self.name(),
            state: window.status,
            window,
            counts: self.counts(),
        }
    }

    /// What was counted since the layer was made.
    pub fn counts(&self) -> HealthCounts {
        HealthCounts::sum(self.state.stripes().map(|stripe| &stripe.counters))
    }

    /// Forgets the calls of the window. Counts stay.
    pub fn reset(&self) {
        for stripe in self.state.stripes() {
            stripe.window.clear();
        }
        self.state.common().source.commanded("reset");
    }

    /// The result of a passive check of this layer.
    pub(crate) fn check_result(&self) -> CheckResult {
        self.passive_stats().check_result()
    }
}

/// It can only be reset: it rejects nothing that could be blocked or let pass.
impl InstanceHandle for HealthHandle {
    seawall_core::handle_methods! { |this|
        pattern: "health",
        state: this.status().as_str(),
        attach: this.state.common().source,
        commands: [Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let stats = self.passive_stats();
        let status = f64::from(stats.status.as_number());
        sink.gauge("seawall_health_status", &[], status);
        sink.gauge("seawall_health_window_calls", &[], stats.calls as f64);
        sink.gauge("seawall_health_error_ratio", &[], stats.error_rate());
        sink.gauge("seawall_health_slow_ratio", &[], stats.slow_rate());
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.state.common().source.classifier_setting());
        settings
    }
}
