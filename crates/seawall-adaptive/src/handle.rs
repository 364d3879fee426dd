//! The adaptive bulkhead from outside.

use std::sync::Arc;

use seawall_bulkhead::{BulkheadCounts, BulkheadHandle, BulkheadState};
use seawall_core::{InstanceHandle, InstanceName, InvalidConfig};

use crate::config::AdaptiveConfig;
use crate::rules::Estimates;
use crate::state::AdaptiveLimit;

/// Reads and controls an adaptive bulkhead from any thread, without being part of any call; for
/// its queue, pause and drain, see [`bulkhead`](Self::bulkhead).
///
/// ```
/// use seawall_adaptive::{AdaptiveBulkheadLayer, AdaptiveConfig, BulkheadConfig};
///
/// let layer = AdaptiveBulkheadLayer::new(
///     "orders",
///     BulkheadConfig::default(),
///     AdaptiveConfig::default(),
/// );
/// let handle = layer.handle();
/// // The limit of 20 is above the new bounds.
/// handle.configure(AdaptiveConfig::builder().max(15).build()?)?;
/// assert_eq!(handle.snapshot().limit, 15);
/// handle.bulkhead().pause();
/// # Ok::<(), seawall_adaptive::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveBulkheadHandle {
    bulkhead: BulkheadHandle,
    limit: Arc<AdaptiveLimit>,
}

impl AdaptiveBulkheadHandle {
    pub(crate) const fn new(bulkhead: BulkheadHandle, limit: Arc<AdaptiveLimit>) -> Self {
        Self { bulkhead, limit }
    }

    /// The handle of the bulkhead, to pause it or to change its own settings. The algorithm goes
    /// on from a limit that is set there, within its bounds.
    pub const fn bulkhead(&self) -> &BulkheadHandle {
        &self.bulkhead
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.bulkhead.name()
    }

    /// The settings in force.
    pub fn config(&self) -> AdaptiveConfig {
        self.limit.config()
    }

    /// Changes the settings while calls run. The limit moves to the nearer bound, if it is out of
    /// the new ones. What was learned stays, unless the algorithm is another one.
    ///
    /// # Errors
    ///
    /// None today: an [`AdaptiveConfig`] is valid.
    pub fn configure(&self, config: AdaptiveConfig) -> Result<(), InvalidConfig> {
        let limit = self.limit.configure(&config);
        self.bulkhead.algorithm_configured(limit);
        Ok(())
    }

    /// How many calls hold a permit now.
    pub fn in_flight(&self) -> u32 {
        self.bulkhead.in_flight()
    }

    /// How many calls wait for a permit now.
    pub fn queue_depth(&self) -> usize {
        self.bulkhead.queue_depth()
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        self.bulkhead.counts()
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> AdaptiveSnapshot {
        let bulkhead = self.bulkhead.snapshot();
        let config = self.config();
        AdaptiveSnapshot {
            name: bulkhead.name,
            state: bulkhead.state,
            algorithm: config.algorithm().as_str(),
            limit: bulkhead.limit,
            min: config.min(),
            max: config.max(),
            in_flight: bulkhead.in_flight,
            queue_depth: bulkhead.queue_depth,
            estimates: self.limit.estimates(),
            counts: bulkhead.counts,
        }
    }

    /// Back to automatic: resets the bulkhead, forgets what was learned, and starts again with
    /// [`AdaptiveConfig::initial`].
    pub fn reset(&self) {
        self.bulkhead.reset();
    }
}

impl InstanceHandle for AdaptiveBulkheadHandle {
    seawall_core::handle_methods!(|this| inner: this.bulkhead);

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.bulkhead.settings();
        settings.extend(self.config().settings());
        settings
    }
}

/// An adaptive bulkhead at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AdaptiveSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What the bulkhead does now.
    pub state: BulkheadState,
    /// The algorithm, as [`Algorithm::as_str`](crate::Algorithm::as_str).
    pub algorithm: &'static str,
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
    /// What the algorithm has learned.
    pub estimates: Estimates,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}
