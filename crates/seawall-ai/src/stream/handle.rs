//! Reading and controlling a layer from outside.

use seawall_core::{InstanceHandle, InvalidConfig, Reason, Samples};
use seawall_http::LayerSnapshot;

use super::config::StreamConfig;
use super::state::{self, PATTERN, State, StreamCounts};

/// Reads and controls a [`StreamLayer`](super::StreamLayer) from outside. Clones share.
///
/// ```
/// use seawall_ai::stream::{StreamConfig, StreamLayer};
/// use seawall_core::Registry;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = StreamLayer::new("anthropic", StreamConfig::default());
/// Registry::new("models").register(layer.handle())?;
/// assert_eq!(layer.handle().counts().cut_off, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct StreamHandle {
    pub(super) state: State,
}

/// What a handle of type [`StreamHandle`] knows at one moment.
pub type StreamSnapshot = LayerSnapshot<StreamCounts>;

impl StreamHandle {
    seawall_http::handle_methods!(StreamCounts);

    /// The settings.
    pub fn config(&self) -> StreamConfig {
        (*self.state.here().config()).clone()
    }

    /// Sets the settings of every call that begins from now on, also by services that were made
    /// before.
    ///
    /// # Errors
    ///
    /// None: every value of [`StreamConfig`] is valid.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as every other handle's configure"
    )]
    pub fn configure(&self, config: StreamConfig) -> Result<(), InvalidConfig> {
        state::configure(&self.state, &config);
        self.state.common().events.commanded("configure");
        Ok(())
    }

    /// What was counted.
    pub fn counts(&self) -> StreamCounts {
        StreamCounts::sum([&self.state.common().counters])
    }
}

impl InstanceHandle for StreamHandle {
    seawall_core::handle_methods! { |this|
        pattern: PATTERN,
        state: this.snapshot().state.as_str(),
        attach: this.state.common().events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let counts = self.counts();
        for (reason, total) in [
            (Reason::AttemptTimeout, counts.first_content),
            (Reason::BodyTimeout, counts.between_contents + counts.total),
        ] {
            let labels = [("layer", PATTERN), ("reason", reason.as_str())];
            sink.counter("seawall_rejections_total", &labels, total);
        }
        counts.samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let text = |limit: Option<_>| limit.map_or_else(|| "none".to_owned(), |l| format!("{l:?}"));
        vec![
            ("dialect", config.dialect().as_str().to_owned()),
            ("first_content", text(config.first_content())),
            ("between_contents", text(config.between_contents())),
            ("total", text(config.total())),
            ("max_bytes", config.max_bytes().to_string()),
            ("max_event", config.max_event().to_string()),
            ("held_bytes", config.held_bytes().to_string()),
            ("held_events", config.held_events().to_string()),
        ]
    }
}

seawall_core::impl_debug!(StreamHandle: |this|
    config = this.config(),
    snapshot = this.snapshot());
