//! A throttle at one moment.

use seawall_core::InstanceName;

use crate::formula::CLASSES;
use crate::{AdaptiveThrottleCounts, PriorityClass};

seawall_core::state_words! {
    /// Whether a throttle rejects calls.
    pub enum AdaptiveThrottleState {
        /// Every call passes.
        Ok = "ok",
        /// Calls of at least one class of priority may be rejected.
        Throttling = "throttling",
    }
}

impl AdaptiveThrottleState {
    pub(crate) fn of(probabilities: &[f64; CLASSES]) -> Self {
        if *probabilities == [0.0; CLASSES] {
            Self::Ok
        } else {
            Self::Throttling
        }
    }
}

/// A throttle at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AdaptiveThrottleSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether calls may be rejected.
    pub state: AdaptiveThrottleState,
    /// Whether the layer is in shadow mode.
    pub shadow: bool,
    /// What the window has of each class of priority, from the lowest to the highest.
    pub classes: [ClassSnapshot; CLASSES],
    /// What became of the calls since the layer was made.
    pub counts: AdaptiveThrottleCounts,
}

/// One class of priority in the window.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClassSnapshot {
    /// The class.
    pub class: PriorityClass,
    /// Requests whose result is known, and those that this layer has rejected.
    pub requests: u64,
    /// How many of them the upstream has accepted.
    pub accepts: u64,
    /// How likely the next one is to be rejected, from 0 to 1.
    pub rejection_probability: f64,
}
