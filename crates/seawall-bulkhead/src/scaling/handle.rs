//! Scaling from outside.

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig};

use super::algorithm::Scaler;
use super::config::ScalingConfig;
use crate::counts::BulkheadCounts;
use crate::handle::BulkheadHandle;
use crate::snapshot::BulkheadState;

/// Reads and controls the scaling of a bulkhead; for the bulkhead itself, see
/// [`bulkhead`](Self::bulkhead).
#[derive(Clone, Debug)]
pub struct ScalingHandle {
    bulkhead: BulkheadHandle,
    scaler: Scaler,
}

impl ScalingHandle {
    pub(crate) const fn new(bulkhead: BulkheadHandle, scaler: Scaler) -> Self {
        Self { bulkhead, scaler }
    }

    /// The handle of the bulkhead, to pause it or to change its own settings. Scaling goes on
    /// from a limit that is set there.
    pub const fn bulkhead(&self) -> &BulkheadHandle {
        &self.bulkhead
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.bulkhead.name()
    }

    /// The settings in force.
    pub fn config(&self) -> ScalingConfig {
        self.scaler.config()
    }

    /// Changes the settings while calls run. The limit moves to the nearer bound, if it is out of
    /// the new ones; the window that is open goes on.
    ///
    /// # Errors
    ///
    /// None today: a [`ScalingConfig`] is valid.
    pub fn configure(&self, config: ScalingConfig) -> Result<(), InvalidConfig> {
        self.scaler.configure(config);
        let within = config.within(self.bulkhead.limit());
        self.bulkhead.algorithm_configured(within);
        Ok(())
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> ScalingSnapshot {
        let bulkhead = self.bulkhead.snapshot();
        let config = self.scaler.config();
        ScalingSnapshot {
            name: bulkhead.name,
            state: bulkhead.state,
            limit: bulkhead.limit,
            min: config.min(),
            max: config.max(),
            in_flight: bulkhead.in_flight,
            queue_depth: bulkhead.queue_depth,
            window_utilization: self.scaler.utilization(),
            counts: bulkhead.counts,
        }
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        self.bulkhead.counts()
    }

    /// Back to automatic: resets the bulkhead, and starts again with the limit of its
    /// configuration.
    pub fn reset(&self) {
        self.bulkhead.reset();
    }
}

impl InstanceHandle for ScalingHandle {
    seawall_core::handle_methods!(|this| inner: this.bulkhead);

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.bulkhead.settings();
        settings.extend(self.config().settings());
        settings
    }
}

/// A bulkhead that scales, at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ScalingSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What the bulkhead does now.
    pub state: BulkheadState,
    /// How many calls may hold a permit at once.
    pub limit: u32,
    /// The lowest limit.
    pub min: u32,
    /// The highest limit.
    pub max: u32,
    /// How many calls hold a permit.
    pub in_flight: u32,
    /// How many calls wait.
    pub queue_depth: usize,
    /// The share of the permits that was held in the last window; `None` before there was one.
    pub window_utilization: Option<f64>,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}
