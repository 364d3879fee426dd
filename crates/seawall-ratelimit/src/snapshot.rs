//! A rate limit at one moment.

use std::time::Duration;

use seawall_core::InstanceName;

use crate::counts::RateLimitCounts;
use crate::limit::Limit;
use crate::limiter::Limiter;

seawall_core::state_words! {
    /// What a rate limit does.
    pub enum RateLimitState {
        /// There are tokens.
        Ok = "ok",
        /// Less than one token is there.
        Exhausted = "exhausted",
        /// Calls wait, for tokens or for their own service.
        Queueing = "queueing",
        /// Nothing is granted.
        Paused = "paused",
        /// New calls are rejected, and queued ones are served.
        Draining = "draining",
        /// Every call passes, whatever the limits are: an operator or the configuration has switched it
        /// off.
        Bypassed = "bypassed",
    }
}

impl RateLimitState {
    pub(crate) fn of(limiter: &Limiter, now_ns: u64) -> Self {
        if limiter.is_draining() {
            Self::Draining
        } else if limiter.paused_until(now_ns).is_some() {
            Self::Paused
        } else if limiter.is_bypassed() {
            Self::Bypassed
        } else if limiter.waiting(now_ns) > 0 {
            Self::Queueing
        } else if limiter.min_available(now_ns) < 1.0 {
            Self::Exhausted
        } else {
            Self::Ok
        }
    }
}

/// A rate limit at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RateLimitSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What the rate limit does.
    pub state: RateLimitState,
    /// Each limit with what is left of it; none where each key has limits, and all together have none.
    pub limits: Vec<LimitSnapshot>,
    /// How many calls wait.
    pub queue_depth: usize,
    /// What became of the calls.
    pub counts: RateLimitCounts,
    /// Which share of them was rejected, from 0 to 1.
    pub rejection_rate: f64,
    /// When a request that costs 1 would depart, from that moment, behind the queued calls; `None`
    /// when that is unknown.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub time_to_next: Option<Duration>,
    /// When a pause ends, from that moment; `None` when there is none, or when it lasts until it is
    /// resumed.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub resumes_in: Option<Duration>,
    /// Whether the layer is in shadow mode.
    pub shadow: bool,
}

/// One limit, and what is left of it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LimitSnapshot {
    /// The limit.
    pub limit: Limit,
    /// What is there now, in whole and partial units; below zero where more was used than estimated.
    pub available: f64,
}

impl LimitSnapshot {
    pub(crate) fn all(limiter: &Limiter, now_ns: u64) -> Vec<Self> {
        let config = limiter.config();
        let limits = config.limits().iter().cloned();
        let with = |(limit, available)| Self { limit, available };
        limits.zip(limiter.available(now_ns)).map(with).collect()
    }
}

/// When a pause ends, from `now_ns`; `None` when it lasts until it is resumed.
pub(crate) fn resumes_in(paused_until: Option<u64>, now_ns: u64) -> Option<Duration> {
    let until = paused_until.filter(|until| *until != u64::MAX)?;
    Some(Duration::from_nanos(until - now_ns))
}
