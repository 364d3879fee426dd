//! A rate limit at one moment.

use std::time::Duration;

use seawall_core::{InstanceName, Samples};

use crate::counts::RateLimitCounts;
use crate::limit::{Limit, MAX_LIMITS};
use crate::limiter::Limiter;
use crate::reported::ReportedLimit;

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
    /// The most that can be there: the burst of a bucket, the count of other limits.
    pub capacity: u64,
    /// How much of that is [reserved](crate::RateLimitConfigBuilder::reserved_share): others have the rest.
    pub reserved: u64,
    /// When all of that is there again, from now, if nothing is taken meanwhile: a bucket is full, a
    /// window has ended, or what a strict limit counts has; `None` while it is paused until it is
    /// resumed.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub full_in: Option<Duration>,
    /// The last that the upstream has reported of it.
    pub reported: Option<ReportedLimit>,
}

impl LimitSnapshot {
    /// Hands the gauges of one limit to `sink`.
    fn samples(&self, index: &'static str, sink: &mut Samples<'_>) {
        let labels = [("limit", index), ("unit", self.limit.unit().as_str())];
        let mut gauge = |metric, value| sink.gauge(metric, &labels, value);
        gauge("seawall_ratelimit_limit_available", self.available);
        gauge("seawall_ratelimit_limit_capacity", self.capacity as f64);
        gauge("seawall_ratelimit_limit_reserved", self.reserved as f64);
        let window = self.limit.period().as_secs_f64();
        gauge("seawall_ratelimit_limit_window_seconds", window);
        let full = self
            .full_in
            .map_or(f64::INFINITY, |time| time.as_secs_f64());
        gauge("seawall_ratelimit_limit_full_seconds", full);
        let Some(reported) = self.reported else {
            return;
        };
        // Not left out when it is out of date: a recorder would keep what it has.
        let number = |value: Option<u64>| value.map_or(f64::NAN, |value| value as f64);
        let limit = number(reported.limit);
        gauge("seawall_ratelimit_reported_limit", limit);
        let remaining = number(reported.remaining);
        gauge("seawall_ratelimit_reported_remaining", remaining);
        let resets = reported
            .resets_in
            .map_or(f64::NAN, |time| time.as_secs_f64());
        gauge("seawall_ratelimit_reported_reset_seconds", resets);
        let used = reported.used_ratio().unwrap_or(f64::NAN);
        gauge("seawall_ratelimit_reported_used_ratio", used);
        let age = reported.age.as_secs_f64();
        gauge("seawall_ratelimit_reported_age_seconds", age);
    }
}

/// The limits of one layer as label values.
const LABELS: [&str; MAX_LIMITS] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// Hands the gauges of all limits to `sink`.
pub(crate) fn limit_samples(limits: &[LimitSnapshot], sink: &mut Samples<'_>) {
    for (index, limit) in LABELS.into_iter().zip(limits) {
        limit.samples(index, sink);
    }
}

/// Hands to `sink` how long a pause lasts.
pub(crate) fn pause_sample(paused_until: Option<u64>, now_ns: u64, sink: &mut Samples<'_>) {
    let seconds = match paused_until {
        None => 0.0,
        Some(_) => {
            resumes_in(paused_until, now_ns).map_or(f64::INFINITY, |time| time.as_secs_f64())
        }
    };
    sink.gauge("seawall_ratelimit_pause_seconds", &[], seconds);
}

/// When a pause ends, from `now_ns`; `None` when it lasts until it is resumed.
pub(crate) fn resumes_in(paused_until: Option<u64>, now_ns: u64) -> Option<Duration> {
    let until = paused_until.filter(|until| *until != u64::MAX)?;
    Some(Duration::from_nanos(until - now_ns))
}
