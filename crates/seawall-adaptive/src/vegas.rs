//! The queue, estimated from the latency, held between two bounds.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

use crate::checks::above_one;
use crate::lowest::Lowest;
use crate::window::Window;

/// TCP Vegas' rule: estimates how many of the calls in flight are queued in the upstream, as
/// `limit * (1 - unloaded / latency)`, and keeps that between 3 and 6 times the decimal logarithm
/// of the limit.
///
/// Constants and steps are those of Netflix's `VegasLimit`. There the unloaded latency is the
/// fastest single reply; here it is the fastest window, so that one reply from a cache does not
/// take the limit down. There it is measured again from time to time at the full limit, queue
/// included, and so grows for as long as there is a queue; here the limit is halved for a window
/// first, every 50 to 100 limits of calls. It rises to at most `drift` times the lowest window of
/// the last `memory`.
///
/// When the upstream becomes slower without a queue, the limit falls until the next measurement.
/// [`Knee`](crate::Knee) does not have this fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vegas {
    drift: f64,
    memory: Duration,
}

impl Default for Vegas {
    fn default() -> Self {
        Self {
            drift: 4.0,
            memory: Duration::from_secs(300),
        }
    }
}

impl Vegas {
    seawall_core::setters! { self:
        /// How many times the lowest latency of the last `memory` the baseline may be, above 1.
        /// Default: 4.
        #[must_use]
        pub const fn drift(f64);

        /// For how long, at least, the lowest latency is remembered. Default: 5 minutes.
        #[must_use]
        pub const fn memory(Duration);
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("vegas.drift", self.drift.to_string()),
            ("vegas.memory", format!("{:?}", self.memory)),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        above_one(self.drift, "vegas.drift")?;
        NonZeroDuration::check("vegas.memory", self.memory)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct VegasState {
    /// Infinite before the first window.
    pub(crate) unloaded: f64,
    lowest: Lowest,
    since_probe: f64,
    /// The limit to go back to after the window that measures.
    probing: Option<f64>,
}

impl VegasState {
    pub(crate) const fn new(params: &Vegas) -> Self {
        Self {
            unloaded: f64::INFINITY,
            lowest: Lowest::new(params.drift, params.memory),
            since_probe: 0.0,
            probing: None,
        }
    }

    pub(crate) const fn is_probing(&self) -> bool {
        self.probing.is_some()
    }

    pub(crate) fn next(&mut self, limit: f64, window: &Window) -> f64 {
        let lg = limit.log10().floor().max(1.0);
        let probed = self.probing.take();
        let latency = (window.latency as f64).max(1.0);
        if window.samples > 0 {
            self.lowest.observe(latency, window.length);
            if probed.is_some() {
                self.unloaded = latency.min(self.lowest.ceiling());
            }
            self.unloaded = self.unloaded.min(latency);
        }
        if window.drops > 0 {
            return limit - lg;
        }
        if window.samples == 0 || !window.uses(limit) {
            return limit;
        }
        if let Some(limit) = probed {
            return limit;
        }
        self.since_probe += f64::from(window.samples) / limit;
        // The low bits of a latency are random enough to keep clients out of step.
        if self.since_probe >= PROBE * (1.0 - (window.mean % 1_024) as f64 / 2_048.0) {
            self.since_probe = 0.0;
            self.probing = Some(limit);
            return limit / 2.0;
        }
        let queue = (limit * (1.0 - self.unloaded / latency)).ceil();
        if queue <= lg {
            limit + 6.0 * lg
        } else if queue < 3.0 * lg {
            limit + lg
        } else if queue > 6.0 * lg {
            limit - lg
        } else {
            limit
        }
    }
}

/// After so many limits of calls the unloaded latency is measured again, or half as many.
const PROBE: f64 = 100.0;
