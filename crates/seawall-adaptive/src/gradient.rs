//! The limit follows the ratio of the usual latency to the current one.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, Ratio};

use crate::checks::{above_one, below_one};
use crate::lowest::Lowest;
use crate::window::Window;

/// Netflix's `Gradient2Limit`: multiplies the limit by `tolerance * usual / current` latency, at
/// most 1 and at least a half, adds room for a queue of 4, and goes a fifth of the way there.
///
/// The usual latency is a moving average of 600 windows. Three flaws of the model are fixed: a
/// window with drops lowers the limit (there drops are not looked at), the average cannot creep
/// above `drift` times the lowest window of the last `memory` (there it follows an overload until
/// that is usual), and the limit is one of windows, not of single calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradient {
    tolerance: f64,
    backoff: f64,
    drift: f64,
    memory: Duration,
}

impl Default for Gradient {
    fn default() -> Self {
        Self {
            tolerance: 1.5,
            backoff: 0.9,
            drift: 4.0,
            memory: Duration::from_secs(300),
        }
    }
}

impl Gradient {
    seawall_core::setters! { self:
        /// How many times the usual latency is borne before the limit falls, from 1. Default: 1.5.
        #[must_use]
        pub const fn tolerance(f64);

        /// What the limit is multiplied by when calls were dropped, between 0 and 1. Default: 0.9.
        #[must_use]
        pub const fn backoff(f64);

        /// How many times the lowest latency of the last `memory` the usual one may be, above 1.
        /// Default: 4.
        #[must_use]
        pub const fn drift(f64);

        /// For how long, at least, the lowest latency is remembered. Default: 5 minutes.
        #[must_use]
        pub const fn memory(Duration);
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("gradient.tolerance", self.tolerance.to_string()),
            ("gradient.backoff", self.backoff.to_string()),
            ("gradient.drift", self.drift.to_string()),
            ("gradient.memory", format!("{:?}", self.memory)),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        if !(self.tolerance.is_finite() && self.tolerance >= 1.0) {
            return Err(InvalidConfig::new(
                "gradient.tolerance",
                self.tolerance,
                "a number from 1",
            ));
        }
        below_one(self.backoff, "gradient.backoff")?;
        above_one(self.drift, "gradient.drift")?;
        NonZeroDuration::check("gradient.memory", self.memory)
    }
}

const WARM_UP: f64 = 10.0;
const WINDOWS: f64 = 600.0;
const SMOOTHING: f64 = 0.2;
const QUEUE: f64 = 4.0;

#[derive(Clone, Copy, Debug)]
pub(crate) struct GradientState {
    params: Gradient,
    pub(crate) usual: f64,
    windows: f64,
    lowest: Lowest,
}

impl GradientState {
    pub(crate) const fn new(params: Gradient) -> Self {
        Self {
            params,
            usual: 0.0,
            windows: 0.0,
            lowest: Lowest::new(params.drift, params.memory),
        }
    }

    pub(crate) fn next(&mut self, limit: f64, window: &Window) -> f64 {
        if window.samples > 0 {
            self.learn((window.latency as f64).max(1.0), window.length);
        }
        if window.drops > 0 {
            return limit * self.params.backoff;
        }
        if window.samples == 0 || !window.uses(limit) {
            return limit;
        }
        let latency = (window.latency as f64).max(1.0);
        let gradient = self.params.tolerance * self.usual / latency;
        let gradient = gradient.clamp(Ratio::HALF.get(), 1.0);
        limit * (1.0 - SMOOTHING) + (limit * gradient + QUEUE) * SMOOTHING
    }

    fn learn(&mut self, latency: f64, length: Duration) {
        self.lowest.observe(latency, length);
        if self.windows < WARM_UP {
            self.windows += 1.0;
            self.usual += (latency - self.usual) / self.windows;
        } else {
            self.usual += (latency - self.usual) * 2.0 / (WINDOWS + 1.0);
        }
        if self.usual > 2.0 * latency {
            // After an overload that lasted: back to the current one faster than the average goes.
            self.usual *= 0.95;
        }
        self.usual = self.usual.min(self.lowest.ceiling());
    }
}
