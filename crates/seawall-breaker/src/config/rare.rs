//! The settings that few circuits have.

use std::time::Duration;

use super::values::{Ramp, RateRule, ThrottleRule};
use crate::rule::Rules;

/// Settings that few circuits have, in a box of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RareSettings {
    pub(crate) failure_rate_over: Option<RateRule<Duration>>,
    pub(crate) slow_rate: Option<RateRule<u32>>,
    pub(crate) slow_rate_over: Option<RateRule<Duration>>,
    pub(crate) rules: Rules,
    pub(crate) throttle: Option<ThrottleRule>,
    pub(crate) open_growth: Option<(f64, Duration)>,
    pub(crate) ramp: Option<Ramp>,
}

impl RareSettings {
    /// None of them.
    pub(super) const NONE: &'static Self = &Self {
        failure_rate_over: None,
        slow_rate: None,
        slow_rate_over: None,
        rules: Rules(Vec::new()),
        throttle: None,
        open_growth: None,
        ramp: None,
    };
}
