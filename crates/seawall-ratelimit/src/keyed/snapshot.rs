//! The limits of all keys at one moment.

use std::time::Duration;

use seawall_core::InstanceName;

use crate::counts::RateLimitCounts;
use crate::snapshot::{LimitSnapshot, RateLimitSnapshot, RateLimitState};

/// The limits of all keys at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KeyedRateLimitSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What all keys together do: paused, queueing, or ok.
    pub state: RateLimitState,
    /// How many keys are kept.
    pub keys: usize,
    /// How many keys were evicted, since nothing of their limits was used.
    pub evicted: u64,
    /// The memory of all keys, in bytes, without their queues.
    pub bytes: usize,
    /// How many calls of all keys wait.
    pub queue_depth: usize,
    /// The limits of the account; empty without one.
    pub account: Vec<LimitSnapshot>,
    /// What became of the calls.
    pub counts: RateLimitCounts,
    /// Which share of them was rejected, from 0 to 1.
    pub rejection_rate: f64,
    /// When a pause of all keys ends, from that moment; `None` when there is none, or when it lasts
    /// until it is resumed.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub resumes_in: Option<Duration>,
}

impl KeyedRateLimitSnapshot {
    /// What all keys do together, where nothing limits them together.
    pub(super) fn into_total(self, shadow: bool) -> RateLimitSnapshot {
        RateLimitSnapshot {
            name: self.name,
            state: self.state,
            limits: Vec::new(),
            queue_depth: self.queue_depth,
            counts: self.counts,
            rejection_rate: self.rejection_rate,
            time_to_next: None,
            resumes_in: self.resumes_in,
            shadow,
        }
    }
}
