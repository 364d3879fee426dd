//! The algorithms, one at a time, without clock and threads.

use std::time::Duration;

#[cfg(feature = "serde")]
use seawall_core::serialize::optional_seconds;

use crate::aimd::Aimd;
use crate::config::{AdaptiveConfig, Algorithm};
use crate::gradient::GradientState;
use crate::knee::KneeState;
use crate::vegas::VegasState;
use crate::window::Window;

/// What an algorithm has learned so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Estimates {
    /// The latency that it takes for that of an upstream without a queue (knee, Vegas) or for the
    /// usual one (gradient); `None` before the first window, and where there is none (AIMD).
    /// Serialized in seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "optional_seconds"))]
    pub baseline: Option<Duration>,
    /// The latency of the last window: its [quantile](crate::AdaptiveConfig::quantile). Serialized
    /// in seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "optional_seconds"))]
    pub latency: Option<Duration>,
    /// How many calls were dropped in the last window.
    pub drops: u32,
    /// Whether the limit is lowered now to measure the latency without a queue.
    pub probing: bool,
}

#[derive(Debug)]
pub(crate) struct RuleState {
    /// The exact limit: steps of less than one add up.
    limit: f64,
    min: f64,
    max: f64,
    rule: Rule,
    last: Option<Window>,
}

#[derive(Debug)]
pub(crate) enum Rule {
    Knee(KneeState),
    Aimd(Aimd),
    Vegas(VegasState),
    Gradient(GradientState),
}

impl RuleState {
    pub(crate) fn new(config: &AdaptiveConfig) -> Self {
        Self::at(config.initial(), config)
    }

    pub(crate) fn at(limit: u32, config: &AdaptiveConfig) -> Self {
        Self {
            limit: f64::from(limit),
            min: f64::from(config.min()),
            max: f64::from(config.max()),
            rule: Rule::new(config),
            last: None,
        }
    }

    pub(crate) fn set_bounds(&mut self, config: &AdaptiveConfig) {
        self.min = f64::from(config.min());
        self.max = f64::from(config.max());
        self.limit = self.limit.clamp(self.min, self.max);
    }

    pub(crate) const fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Moves the limit by what a window shows, and returns it.
    pub(crate) fn on_window(&mut self, window: &Window) -> u32 {
        let (limit, min) = (self.limit, self.min);
        let next = match &mut self.rule {
            Rule::Knee(state) => state.next(limit, min, window),
            Rule::Aimd(params) => params.next(limit, window),
            Rule::Vegas(state) => state.next(limit, window),
            Rule::Gradient(state) => state.next(limit, window),
        };
        self.limit = next.clamp(self.min, self.max);
        self.last = Some(*window);
        self.limit()
    }

    pub(crate) fn estimates(&self) -> Estimates {
        let (baseline, probing) = match &self.rule {
            Rule::Knee(state) => (state.base, state.is_probing()),
            Rule::Aimd(_) => (0.0, false),
            Rule::Vegas(state) => (state.unloaded, state.is_probing()),
            Rule::Gradient(state) => (state.usual, false),
        };
        let known = baseline > 0.0 && baseline.is_finite();
        let last = self.last.unwrap_or_default();
        Estimates {
            baseline: known.then(|| Duration::from_nanos(baseline as u64)),
            latency: (last.samples > 0).then(|| Duration::from_nanos(last.latency)),
            drops: last.drops,
            probing,
        }
    }

    #[cfg(test)]
    pub(crate) const fn exact(&self) -> f64 {
        self.limit
    }

    #[cfg(test)]
    pub(crate) const fn rule(&mut self) -> &mut Rule {
        &mut self.rule
    }
}

impl Rule {
    const fn new(config: &AdaptiveConfig) -> Self {
        match config.algorithm() {
            Algorithm::Knee(params) => Self::Knee(KneeState::new(params)),
            Algorithm::Aimd(params) => Self::Aimd(params),
            Algorithm::Vegas(params) => Self::Vegas(VegasState::new(&params)),
            Algorithm::Gradient(params) => Self::Gradient(GradientState::new(params)),
        }
    }
}
