//! Reading and controlling a body timeout from outside.

use seawall_core::{InstanceHandle, InvalidConfig, Reason, Samples};

use super::config::BodyTimeoutConfig;
use super::state::{BodyTimeoutCounts, PATTERN, State};
use crate::state::LayerSnapshot;

/// Reads and controls a [`BodyTimeoutLayer`](super::BodyTimeoutLayer) from outside. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BodyTimeoutLayer::new("anthropic", BodyTimeoutConfig::default());
/// Registry::new("models").register(layer.handle())?;
/// assert_eq!(layer.handle().counts().idle, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BodyTimeoutHandle {
    pub(super) state: State,
}

/// What a handle of type [`BodyTimeoutHandle`] knows at one moment.
pub type BodyTimeoutSnapshot = LayerSnapshot<BodyTimeoutCounts>;

impl BodyTimeoutHandle {
    crate::handle_methods!(BodyTimeoutCounts);

    /// The limits.
    pub fn config(&self) -> BodyTimeoutConfig {
        self.state.common().config()
    }

    /// Sets the limits of every response that begins from now on, also by services that were made
    /// before.
    ///
    /// # Errors
    ///
    /// None: every value of [`BodyTimeoutConfig`] is valid.
    pub fn configure(&self, config: BodyTimeoutConfig) -> Result<(), InvalidConfig> {
        let common = self.state.common();
        common.change(|current| *current = config);
        common.events.commanded("configure");
        Ok(())
    }

    /// How many responses timed out.
    pub fn counts(&self) -> BodyTimeoutCounts {
        BodyTimeoutCounts::sum([&self.state.common().counters])
    }
}

impl InstanceHandle for BodyTimeoutHandle {
    seawall_core::handle_methods! { |this|
        pattern: PATTERN,
        state: this.snapshot().state.as_str(),
        attach: this.state.common().events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let counts = self.counts();
        let body = counts.first_byte + counts.idle + counts.total;
        for (reason, total) in [
            (Reason::AttemptTimeout, counts.head),
            (Reason::BodyTimeout, body),
            (Reason::DeadlineExceeded, counts.deadline),
        ] {
            let labels = [("layer", PATTERN), ("reason", reason.as_str())];
            sink.counter("seawall_rejections_total", &labels, total);
        }
        counts.samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let limits = [
            ("first_byte", config.first_byte()),
            ("idle", config.idle()),
            ("total", config.total()),
        ];
        let text = |limit: Option<_>| limit.map_or_else(|| "none".to_owned(), |l| format!("{l:?}"));
        let mut settings: Vec<_> = limits.map(|(key, limit)| (key, text(limit))).into();
        settings.push(("within_deadline", config.within_deadline().to_string()));
        settings
    }
}

seawall_core::impl_debug!(BodyTimeoutHandle: |this|
    config = this.config(),
    snapshot = this.snapshot());
