//! The number of places follows how much of them is used.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio, ns};

use crate::{CallSample, LimitAlgorithm};

/// More places while most of them are used, fewer while most are not.
///
/// What is used is what calls find when they end: the mean over a window of time of the places
/// that were taken, each with the time since the end before it, as a share of those there are. At `up_at` of it or more, the next window has a
/// `step` of places more; at `down_at` or less, a step less, unless that would have filled the rest
/// up to `up_at`. Between the two nothing changes, so that a steady load has a steady limit. It
/// knows nothing of latency: for an upstream that gets slower under load, it grows the load. Use it
/// to keep no more tasks and connections at hand than needed.
///
/// Windows are looked at when a call ends: there is no task behind it, and while no call ends,
/// nothing changes.
///
/// ```
/// use std::time::Duration;
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, Scaling};
///
/// let scaling = Scaling::between(10, 100).step(5).window(Duration::from_secs(10)).build()?;
/// let layer = BulkheadLayer::new("orders", BulkheadConfig::default()).scaling(scaling);
/// assert_eq!(layer.handle().limit(), 50);
///
/// let rejected = Scaling::between(10, 5).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`max` is 5, accepted is a whole number from 10, the `min`");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    min: NonZeroCount,
    max: NonZeroCount,
    up_at: Ratio,
    down_at: Ratio,
    window: NonZeroDuration,
    step: NonZeroCount,
}

impl Scaling {
    /// Starts from these bounds, both of which can be reached.
    pub const fn between(min: u32, max: u32) -> ScalingBuilder {
        ScalingBuilder {
            min,
            max,
            up_at: 0.8,
            down_at: 0.3,
            window: Duration::from_secs(1),
            step: 1,
        }
    }

    /// The number of places within the bounds that is next to `places`.
    pub(crate) fn within(&self, places: u32) -> u32 {
        places.clamp(self.min.get(), self.max.get())
    }

    /// The limit after a window in which so many places were taken on average.
    fn next(&self, limit: u32, used: f64) -> u32 {
        let share = |places: u32| used / f64::from(places.max(1));
        let fewer = self.within(limit.saturating_sub(self.step.get()));
        if share(limit) >= self.up_at.get() {
            self.within(limit.saturating_add(self.step.get()))
        } else if share(limit) <= self.down_at.get() && share(fewer) < self.up_at.get() {
            fewer
        } else {
            self.within(limit)
        }
    }
}

/// Collects the settings of a [`Scaling`]; see [`Scaling::between`].
#[derive(Clone, Copy, Debug)]
pub struct ScalingBuilder {
    min: u32,
    max: u32,
    up_at: f64,
    down_at: f64,
    window: Duration,
    step: u32,
}

impl ScalingBuilder {
    /// From which share of used places there are more, from 0 to 1. Default: 0.8.
    #[must_use]
    pub const fn up_at(mut self, share: f64) -> Self {
        self.up_at = share;
        self
    }

    /// Up to which share of used places there are fewer, from 0 and below `up_at`. Default: 0.3.
    #[must_use]
    pub const fn down_at(mut self, share: f64) -> Self {
        self.down_at = share;
        self
    }

    /// How long what is used is looked at before the number of places changes, longer than zero.
    /// Default: one second.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// By how many places one window changes the number: a whole number from 1. Default: 1.
    #[must_use]
    pub const fn step(mut self, places: u32) -> Self {
        self.step = places;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `min` or `step` is 0, `max` is below `min`, a share is not from 0 to
    /// 1, `down_at` is not below `up_at`, or `window` is zero.
    pub fn build(self) -> Result<Scaling, InvalidConfig> {
        let min = NonZeroCount::new(self.min).map_err(|e| e.in_field("min"))?;
        if self.max < self.min {
            let accepted = format!("a whole number from {}, the `min`", self.min);
            return Err(InvalidConfig::new("max", self.max, accepted));
        }
        let up_at = Ratio::new(self.up_at).map_err(|e| e.in_field("up_at"))?;
        let down_at = Ratio::new(self.down_at).map_err(|e| e.in_field("down_at"))?;
        if self.down_at >= self.up_at {
            let accepted = format!("a number from 0, below {}, the `up_at`", self.up_at);
            return Err(InvalidConfig::new("down_at", self.down_at, accepted));
        }
        Ok(Scaling {
            min,
            max: NonZeroCount::new(self.max).map_err(|e| e.in_field("max"))?,
            up_at,
            down_at,
            window: NonZeroDuration::new(self.window).map_err(|e| e.in_field("window"))?,
            step: NonZeroCount::new(self.step).map_err(|e| e.in_field("step"))?,
        })
    }
}

/// A [`Scaling`] at work.
#[derive(Debug)]
pub(crate) struct Scaler {
    scaling: Scaling,
    /// When the window began; `None` before the first call.
    since_ns: Option<u64>,
    last_ns: u64,
    /// Places times nanoseconds.
    taken: f64,
}

impl Scaler {
    pub(crate) const fn new(scaling: Scaling) -> Self {
        Self {
            scaling,
            since_ns: None,
            last_ns: 0,
            taken: 0.0,
        }
    }
}

impl LimitAlgorithm for Scaler {
    fn ended(&mut self, end: &CallSample) -> Option<u32> {
        let Some(since) = self.since_ns else {
            self.since_ns = Some(end.now_ns);
            self.last_ns = end.now_ns;
            return None;
        };
        // Weighted by time: of calls that end together, the first has found the others, and the
        // last has found none.
        let weight = end.now_ns.saturating_sub(self.last_ns) as f64;
        self.taken += f64::from(end.in_flight) * weight;
        self.last_ns = self.last_ns.max(end.now_ns);
        let span = self.last_ns.saturating_sub(since);
        if span < ns(self.scaling.window.get()) {
            return None;
        }
        let used = self.taken / span as f64;
        self.taken = 0.0;
        self.since_ns = Some(self.last_ns);
        Some(self.scaling.next(end.limit, used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling() -> Scaling {
        let scaling = Scaling::between(4, 40).step(4).build();
        scaling.expect("valid settings")
    }

    /// Ten calls a second find so many places taken, for so many seconds.
    fn run(scaler: &mut Scaler, limit: &mut u32, from_s: u64, seconds: u64, taken: u32) -> u32 {
        let mut changes = 0;
        for tick in from_s * 10..(from_s + seconds) * 10 {
            let end = CallSample::new(tick * 100_000_000, 1, taken.min(*limit), *limit);
            if let Some(next) = scaler.ended(&end) {
                changes += u32::from(next != *limit);
                *limit = next;
            }
        }
        changes
    }

    #[test]
    fn places_follow_the_load_within_their_bounds_and_stand_still_under_a_steady_one() {
        let (mut scaler, mut limit) = (Scaler::new(scaling()), 8);
        run(&mut scaler, &mut limit, 0, 60, 1_000);
        assert_eq!(limit, 40, "full at every limit");
        run(&mut scaler, &mut limit, 60, 60, 20);
        assert_eq!(limit, 40, "half used: between the two shares");
        run(&mut scaler, &mut limit, 120, 60, 6);
        assert_eq!(limit, 16, "6 of 20 are 0.3");
        assert_eq!(run(&mut scaler, &mut limit, 180, 600, 6), 0);
        run(&mut scaler, &mut limit, 780, 60, 0);
        assert_eq!(limit, 4);
    }

    #[test]
    fn a_window_changes_the_limit_by_one_step() {
        let (mut scaler, mut limit) = (Scaler::new(scaling()), 8);
        assert_eq!(run(&mut scaler, &mut limit, 0, 4, 1_000), 3);
        assert_eq!(limit, 20);
    }

    #[test]
    fn calls_that_end_together_count_for_all_their_places() {
        let (mut scaler, mut limit) = (Scaler::new(scaling()), 8);
        for second in 0..4 {
            for taken in (1..=limit).rev() {
                let end = CallSample::new(second * 1_000_000_000, 1, taken, limit);
                limit = scaler.ended(&end).unwrap_or(limit);
            }
        }
        assert_eq!(limit, 20);
    }

    #[test]
    fn a_step_down_that_would_lead_to_a_step_up_is_not_made() {
        let scaling = Scaling::between(1, 40).step(6).build().expect("valid");
        // 3 of 10 are 0.3, and would be 0.75 of 4; 4 of 14 are 0.29.
        assert_eq!(scaling.next(10, 3.0), 4);
        // 2 of 7 are 0.29, and would be 2 of 1.
        assert_eq!(scaling.next(7, 2.0), 7);
        assert_eq!(
            scaling.next(100, 50.0),
            40,
            "bounds hold for limits from outside"
        );
    }

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |builder: ScalingBuilder| builder.build().unwrap_err().field().to_owned();
        let builder = Scaling::between(1, 10);
        assert_eq!(field(Scaling::between(0, 1)), "min");
        assert_eq!(field(Scaling::between(2, 1)), "max");
        assert_eq!(field(builder.step(0)), "step");
        assert_eq!(field(builder.window(Duration::ZERO)), "window");
        assert_eq!(field(builder.up_at(1.5)), "up_at");
        assert_eq!(field(builder.up_at(f64::NAN)), "up_at");
        assert_eq!(field(builder.down_at(-0.1)), "down_at");
        assert_eq!(field(builder.down_at(0.8)), "down_at");
    }
}
