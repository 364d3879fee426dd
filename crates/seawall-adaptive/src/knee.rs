//! Looks for the limit from which on more calls only wait longer.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, Ratio};

use crate::checks::{above_one, below_one};
use crate::lowest::Lowest;
use crate::window::Window;

/// The default: grows until latency rises, and finds out whether the rise is a queue.
///
/// Latency rises for two reasons, which need opposite reactions. A queue is cured by a lower
/// limit; an upstream that is slower, but not fuller, only loses throughput by it. A latency
/// alone does not distinguish them, so algorithms that compare it to a remembered one either
/// collapse after a lasting rise or forget what normal is during a lasting queue. This one lowers
/// the limit and looks: with a queue the latency falls as the limit does, without one it stays.
/// In the first case it goes on until the queue is gone; in the second it takes the latency for
/// the new baseline and restores the limit.
///
/// * Latency within `tolerance` of the baseline: the limit grows, by its square root at the most,
///   by less the nearer the tolerance is.
/// * Above: it falls to where the queue should be gone, at most by half in a window, and it is
///   decided which of the two it was when it has fallen by a fifth.
/// * Every `probe` it is lowered by 30 % or more for a window, so that a baseline that was measured with a
///   queue does not stay. With a window of two latencies this costs 30 % of the throughput for two
///   latencies per `probe`.
/// * The baseline never rises above `drift` times the lowest window of the last `memory`. Where
///   others fill the upstream, it yields to them from there on.
/// * A window with more drops than `drops` of its calls multiplies it by `backoff`.
///
/// On a simulated upstream that doubles its latency, loses three quarters of its capacity and
/// recovers, it keeps 91 % of the throughput of the best fixed limit of each phase in the worst of
/// 200 runs, and less than twice its 99th percentile of latency in 197 of them (the worst: 2.14
/// times); see the example `adaptive_limit` of the repository and `docs/adaptive_limit.svg` of this
/// crate. It needs a few calls in flight to distinguish a queue from noise: below a capacity of 10, or so,
/// a fixed limit does better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    tolerance: f64,
    backoff: f64,
    drops: f64,
    probe: Duration,
    drift: f64,
    memory: Duration,
}

impl Default for Knee {
    fn default() -> Self {
        Self {
            tolerance: 1.25,
            backoff: 0.8,
            drops: 0.01,
            probe: Duration::from_secs(10),
            drift: 4.0,
            memory: Duration::from_secs(300),
        }
    }
}

impl Knee {
    seawall_core::setters! { self:
        /// How many times the baseline's latency is borne before the limit falls, above 1.
        /// Default: 1.25.
        #[must_use]
        pub const fn tolerance(f64);

        /// What the limit is multiplied by when calls were dropped, between 0 and 1. Default: 0.8.
        #[must_use]
        pub const fn backoff(f64);

        /// The share of dropped calls in a window that is borne, from 0 to 1. Default: 0.01, as a
        /// caller's own timeout is hit now and then by an healthy upstream.
        #[must_use]
        pub const fn drops(f64);

        /// How long after the last measurement of the baseline it is measured again, longer than
        /// zero. Default: 10 seconds.
        #[must_use]
        pub const fn probe(Duration);

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
            ("knee.tolerance", self.tolerance.to_string()),
            ("knee.backoff", self.backoff.to_string()),
            ("knee.drops", self.drops.to_string()),
            ("knee.probe", format!("{:?}", self.probe)),
            ("knee.drift", self.drift.to_string()),
            ("knee.memory", format!("{:?}", self.memory)),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        above_one(self.tolerance, "knee.tolerance")?;
        below_one(self.backoff, "knee.backoff")?;
        Ratio::new(self.drops).map_err(|e| e.in_field("knee.drops"))?;
        NonZeroDuration::check("knee.probe", self.probe)?;
        above_one(self.drift, "knee.drift")?;
        NonZeroDuration::check("knee.memory", self.memory)
    }
}

/// What a probe lowers the limit to, at the least.
const DIP: f64 = 0.7;
/// Calls in the upstream's queue that are borne: with a small limit, one more is a large share.
const QUEUE: f64 = 3.0;
/// How far the limit must have fallen before its latency is compared.
const DECIDES_AT: f64 = 0.8;

/// A limit that is being lowered, and what it was before.
#[derive(Clone, Copy, Debug)]
struct Descent {
    /// The limit to go back to.
    restore: f64,
    /// Calls in flight and their latency, to compare with.
    in_flight: f64,
    latency: f64,
    /// Whether it goes on until the latency no longer falls, and not only until it is borne.
    probe: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KneeState {
    params: Knee,
    /// 0 before the first window.
    pub(crate) base: f64,
    lowest: Lowest,
    descent: Option<Descent>,
    since_probe: Duration,
}

impl KneeState {
    pub(crate) const fn new(params: Knee) -> Self {
        Self {
            params,
            base: 0.0,
            lowest: Lowest::new(params.drift, params.memory),
            descent: None,
            since_probe: Duration::ZERO,
        }
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.descent.is_some_and(|descent| descent.probe)
    }

    pub(crate) fn next(&mut self, limit: f64, least: f64, window: &Window) -> f64 {
        self.since_probe = self.since_probe.saturating_add(window.length);
        let calls = f64::from(window.samples) + f64::from(window.drops);
        let lost = f64::from(window.drops) > self.params.drops * calls;
        if window.samples > 0 {
            self.learn(window);
        }
        if lost {
            self.descent = None;
            return limit * self.params.backoff;
        }
        if window.samples == 0 {
            return limit;
        }
        let latency = (window.latency as f64).max(1.0);
        if !window.uses(limit) {
            // No queue of ours: the latency is the upstream's own.
            self.descent = None;
            self.follow(latency);
            return limit;
        }
        let in_flight = f64::from(window.max_in_flight).min(limit);
        if let Some(restored) = self.restored(in_flight, latency) {
            return restored;
        }
        self.step(limit, least, in_flight, latency)
    }

    fn learn(&mut self, window: &Window) {
        let latency = (window.latency as f64).max(1.0);
        self.lowest.observe(latency, window.length);
        if self.base == 0.0 {
            self.base = latency;
        } else if latency < self.base {
            // Half of the way: one quick window is not yet a quicker upstream.
            self.base += 0.5 * (latency - self.base);
        }
    }

    /// Moves the baseline a tenth of the way.
    fn follow(&mut self, latency: f64) {
        self.base += 0.1 * (latency - self.base);
        self.base = self.base.min(self.lowest.ceiling());
    }

    /// Whether the current descent was wasted, and to what the limit is restored then.
    ///
    /// Calls in flight fell by a factor `s`. With a queue the latency falls by `s` too, without
    /// one by nothing; halfway between, on the scale of ratios, is the root of `s`.
    fn restored(&mut self, in_flight: f64, latency: f64) -> Option<f64> {
        let descent = self.descent.as_mut()?;
        let fell = in_flight / descent.in_flight;
        if fell > DECIDES_AT {
            return None;
        }
        let queued = latency <= descent.latency * fell.sqrt();
        if !queued && descent.probe && latency <= self.lowest.ceiling() {
            let restored = descent.restore;
            self.base = latency;
            self.descent = None;
            self.since_probe = Duration::ZERO;
            return Some(restored);
        }
        if queued {
            descent.restore = in_flight;
        }
        // The first latency of a descent that was no probe may be half from before the change,
        // and too low to compare with. This one is not, and so decides the next time.
        descent.in_flight = in_flight;
        descent.latency = latency;
        descent.probe = true;
        None
    }

    fn step(&mut self, limit: f64, least: f64, in_flight: f64, latency: f64) -> f64 {
        if limit <= least {
            // Nothing below to compare with. What stays is believed in the end, or the limit
            // would stay here forever.
            self.since_probe = Duration::ZERO;
            self.descent = None;
            self.follow(latency);
        }
        let tolerance = self.params.tolerance.max(1.0 + QUEUE / limit);
        let excess = latency / self.base;
        let probing = match &self.descent {
            Some(descent) => descent.probe,
            None => self.since_probe >= self.params.probe,
        };
        if (!probing && excess <= tolerance) || limit <= least {
            self.descent = None;
            let room = ((tolerance - excess) / (tolerance - 1.0)).clamp(0.0, 1.0);
            return limit + limit.sqrt() * room;
        }
        self.descent.get_or_insert(Descent {
            restore: limit,
            in_flight,
            latency,
            probe: probing,
        });
        // To the middle of what is borne: growing again from below it would waste throughput.
        let target = f64::midpoint(1.0, tolerance) / excess;
        let most = if probing { DIP } else { 0.95 };
        limit * target.clamp(Ratio::HALF.get(), most)
    }
}
