//! Reading and controlling a layer that reads deadlines from outside.

use seawall_core::{InstanceHandle, InvalidConfig, Samples};

use super::state::{PATTERN, ReadDeadlineConfig, ReadDeadlineCounts, State};
use crate::state::LayerSnapshot;

/// Reads and controls a [`ReadDeadlineLayer`](super::ReadDeadlineLayer) from outside. Clones
/// share.
#[derive(Clone, Debug)]
pub struct ReadDeadlineHandle {
    pub(super) state: State,
}

/// What a handle of type [`ReadDeadlineHandle`] knows at one moment.
pub type ReadDeadlineSnapshot = LayerSnapshot<ReadDeadlineCounts>;

impl ReadDeadlineHandle {
    crate::handle_methods!(ReadDeadlineCounts);

    /// The settings.
    pub fn config(&self) -> ReadDeadlineConfig {
        self.state.common().config()
    }

    /// Reads by these settings from now on, also in services that were made before.
    ///
    /// # Errors
    ///
    /// None: every value of [`ReadDeadlineConfig`] is valid.
    pub fn configure(&self, config: ReadDeadlineConfig) -> Result<(), InvalidConfig> {
        let common = self.state.common();
        common.set_config(config);
        common.events.commanded("configure");
        Ok(())
    }

    /// How many headers were ignored.
    pub fn counts(&self) -> ReadDeadlineCounts {
        ReadDeadlineCounts::sum(self.state.stripes())
    }
}

impl InstanceHandle for ReadDeadlineHandle {
    seawall_core::handle_methods! { |this|
        pattern: PATTERN,
        state: this.snapshot().state.as_str(),
        attach: this.state.common().events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let max_timeout = format!("{:?}", self.config().max_timeout());
        vec![("max_timeout", max_timeout)]
    }
}
