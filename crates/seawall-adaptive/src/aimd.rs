//! One more while nothing is wrong, a share less when something is.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, ns};

use crate::checks::below_one;
use crate::window::Window;

/// Additive increase, multiplicative decrease: one more per window that was used, a share less
/// per window with a drop or with a latency above [`slow`](Self::slow).
///
/// It needs no baseline and so cannot lose it, but it recognizes queueing only by what you configure:
/// with the default `slow` of 5 seconds it grows until calls are dropped. Steps and the share are
/// those of Netflix's `AIMDLimit`, which takes them per call: there a burst of 20 timeouts takes
/// the limit from 50 to 6, here to 45.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aimd {
    backoff: f64,
    slow: Duration,
}

impl Default for Aimd {
    fn default() -> Self {
        Self {
            backoff: 0.9,
            slow: Duration::from_secs(5),
        }
    }
}

impl Aimd {
    seawall_core::setters! { self:
        /// What the limit is multiplied by in a decrease, between 0 and 1. Default: 0.9.
        #[must_use]
        pub const fn backoff(f64);

        /// The latency above which a window counts as overload, longer than zero. Set it to what a
        /// caller tolerates, such as twice the usual latency. Default: 5 seconds.
        #[must_use]
        pub const fn slow(Duration);
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("aimd.backoff", self.backoff.to_string()),
            ("aimd.slow", format!("{:?}", self.slow)),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        below_one(self.backoff, "aimd.backoff")?;
        NonZeroDuration::check("aimd.slow", self.slow)
    }

    pub(crate) fn next(&self, limit: f64, window: &Window) -> f64 {
        if window.drops > 0 || (window.samples > 0 && window.latency > ns(self.slow)) {
            (limit * self.backoff).floor()
        } else if window.uses(limit) {
            limit + 1.0
        } else {
            limit
        }
    }
}
