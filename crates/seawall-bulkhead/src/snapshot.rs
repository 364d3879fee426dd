//! What a handle reads at one moment.

use std::time::Duration;

use seawall_core::{InstanceName, Reason};

use crate::counts::BulkheadCounts;
use crate::mode::Mode;

seawall_core::state_words! {
    /// What a bulkhead does now, of whichever kind it is.
    pub enum BulkheadState {
        /// A permit is available.
        Ok = "ok",
        /// Every permit is held.
        Full = "full",
        /// Calls wait, for a permit or for their own service.
        Queueing = "queueing",
        /// No call passes until it is resumed or reset.
        Paused = "paused",
        /// No new call passes; those queued are served.
        Draining = "draining",
        /// Every call passes, whatever the limit is: an operator or the configuration has switched it
        /// off.
        Bypassed = "bypassed",
    }
}

impl BulkheadState {
    /// By the command in force, and without one by the numbers.
    pub(crate) const fn with(mode: Mode, in_flight: u32, limit: u32, queue_depth: usize) -> Self {
        match mode.rejects() {
            // Nothing is served by one that drains and is paused as well.
            Some(Reason::Draining) if !mode.is_paused() => Self::Draining,
            Some(_) => Self::Paused,
            None if mode.is_bypassed() => Self::Bypassed,
            None => Self::of(in_flight, limit, queue_depth),
        }
    }

    /// By the numbers alone, while there is no command.
    pub(crate) const fn of(in_flight: u32, limit: u32, queue_depth: usize) -> Self {
        if queue_depth > 0 {
            Self::Queueing
        } else if in_flight >= limit {
            Self::Full
        } else {
            Self::Ok
        }
    }
}

/// A bulkhead at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BulkheadSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does now.
    pub state: BulkheadState,
    /// How many calls may hold a permit at once.
    pub limit: u32,
    /// How many calls hold a permit.
    pub in_flight: u32,
    /// How many permits no call holds.
    pub available: u32,
    /// How many calls wait, for a permit or for their own service.
    pub queue_depth: usize,
    /// The most that were in flight at once, since the layer was made or the last
    /// [`reset_peak`](crate::BulkheadHandle::reset_peak).
    pub peak_in_flight: u32,
    /// The share of the permits that is held; above 1 while more are held than there are.
    pub utilization: f64,
    /// For how long a permit is held, on average: recently, if a
    /// [`LimitAlgorithm`](crate::LimitAlgorithm) has it measured; by how fast the queue moves,
    /// while it does; unknown otherwise. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub mean_hold: Option<Duration>,
    /// Whether it is in shadow mode.
    pub shadow: bool,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}
