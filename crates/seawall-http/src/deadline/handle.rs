//! Reading and controlling a layer that reads deadlines from outside.

use seawall_core::{Events, InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::state::{ReadDeadlineConfig, ReadDeadlineCounts, State};
use crate::LayerState;
use crate::state::handle_basics;

/// Reads and controls a [`ReadDeadlineLayer`](super::ReadDeadlineLayer) from outside. Clones
/// share.
#[derive(Clone, Debug)]
pub struct ReadDeadlineHandle {
    pub(super) state: State,
}

/// What a [`ReadDeadlineHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReadDeadlineSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether headers are read.
    pub state: LayerState,
    /// How many headers were ignored.
    pub counts: ReadDeadlineCounts,
}

impl ReadDeadlineHandle {
    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.common().name
    }

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
        self.state.common().set_config(config);
        Ok(())
    }

    /// Name, state and counts at this moment.
    pub fn snapshot(&self) -> ReadDeadlineSnapshot {
        ReadDeadlineSnapshot {
            name: self.name(),
            state: self.state.common().bypass.state(),
            counts: self.counts(),
        }
    }

    /// How many headers were ignored.
    pub fn counts(&self) -> ReadDeadlineCounts {
        ReadDeadlineCounts::sum(self.state.stripes())
    }

    /// Reads no header until [`reset`](Self::reset): for callers whose headers are wrong.
    pub fn bypass(&self) {
        self.state.common().bypass.set(true);
    }

    /// Ends a [`bypass`](Self::bypass).
    pub fn reset(&self) {
        self.state.common().bypass.set(false);
    }
}

impl InstanceHandle for ReadDeadlineHandle {
    handle_basics!("read_deadline");

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let max_timeout = format!("{:?}", self.config().max_timeout());
        vec![("max_timeout", max_timeout)]
    }

    // A header that is ignored is counted and has no event: any caller could cause a flood.
    fn attach(&self, _: &Events) {}
}
