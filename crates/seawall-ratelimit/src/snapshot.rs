//! A rate limit at one moment.

use std::time::Duration;

use crate::{Limit, RateLimitCounts};

/// What a rate limit is and has done, as of one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitSnapshot {
    /// `"ok"`, `"exhausted"`, `"queueing"`, `"paused"` or `"draining"`.
    pub state: &'static str,
    /// Each limit with what is left of it.
    pub limits: Vec<LimitSnapshot>,
    /// How many calls wait.
    pub waiting: u32,
    /// What became of the calls.
    pub counts: RateLimitCounts,
    /// Which share of them was rejected, from 0 to 1.
    pub rejection_rate: f64,
    /// When a request that costs 1 could depart, from that moment, behind those in line; `None`
    /// when nobody knows.
    pub time_to_next: Option<Duration>,
    /// When a pause ends, from that moment; `None` when there is none, or when it lasts until it is
    /// ended.
    pub resumes_in: Option<Duration>,
    /// Whether the layer only watches.
    pub shadow: bool,
}

/// One limit and what is left of it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSnapshot {
    /// The limit.
    pub limit: Limit,
    /// What is there now, whole and partial; below zero where more was used than was estimated.
    pub available: f64,
}
