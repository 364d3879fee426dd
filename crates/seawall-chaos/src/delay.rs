//! How long something takes: a distribution within a bound.

use std::time::Duration;

use seawall_core::InvalidConfig;

use crate::decide::Draws;

/// The longest delay that a distribution may draw: one hour.
pub const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// How long a delay takes: drawn from a distribution, and never longer than
/// [`at_most`](Self::at_most).
///
/// ```
/// use std::time::Duration;
/// use seawall_chaos::Delay;
///
/// let ms = Duration::from_millis;
/// // Half of the delays are longer than 80 ms, one of forty is longer than about 290 ms.
/// let slow = Delay::log_normal(ms(80), 0.66)?.at_most(ms(2_000))?;
/// assert_eq!(slow.longest(), ms(2_000));
///
/// let invalid = Delay::uniform(ms(50), ms(20)).unwrap_err();
/// assert_eq!(invalid.to_string(), "`delay.to` is 20ms, accepted is at least `from`, 50ms");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    shape: Shape,
    longest: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Constant(Duration),
    Uniform { from: Duration, to: Duration },
    Normal { mean: Duration, deviation: Duration },
    LogNormal { median: Duration, sigma: f64 },
    Pareto { least: Duration, shape: f64 },
}

impl Delay {
    /// Always the same.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is zero or longer than [`LONGEST_DELAY`].
    pub fn constant(delay: Duration) -> Result<Self, InvalidConfig> {
        positive("delay.constant", delay)?;
        Ok(Self::of(Shape::Constant(delay), delay))
    }

    /// Equally likely anywhere between two bounds. `from` may be zero.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `to` is zero, longer than [`LONGEST_DELAY`] or shorter than `from`.
    pub fn uniform(from: Duration, to: Duration) -> Result<Self, InvalidConfig> {
        positive("delay.to", to)?;
        if to < from {
            let accepted = format!("at least `from`, {from:?}");
            return Err(InvalidConfig::new("delay.to", format!("{to:?}"), accepted));
        }
        Ok(Self::of(Shape::Uniform { from, to }, to))
    }

    /// Normally distributed, cut off at zero.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `mean` is zero, or either is longer than [`LONGEST_DELAY`].
    pub fn normal(mean: Duration, deviation: Duration) -> Result<Self, InvalidConfig> {
        positive("delay.mean", mean)?;
        if deviation > LONGEST_DELAY {
            return Err(too_long("delay.deviation", deviation));
        }
        Ok(Self::of(Shape::Normal { mean, deviation }, LONGEST_DELAY))
    }

    /// The logarithm is normally distributed: half of the delays are longer than `median`, and some
    /// much longer. This is what latencies of networks and servers mostly look like. `sigma` is the
    /// standard deviation of the natural logarithm; 0.5 to 1 are usual.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `median` is zero or longer than [`LONGEST_DELAY`], or `sigma` not from
    /// 0.01 to 5.
    pub fn log_normal(median: Duration, sigma: f64) -> Result<Self, InvalidConfig> {
        positive("delay.median", median)?;
        if !(0.01..=5.0).contains(&sigma) {
            let accepted = "a number from 0.01 to 5";
            return Err(InvalidConfig::new("delay.sigma", sigma, accepted));
        }
        Ok(Self::of(Shape::LogNormal { median, sigma }, LONGEST_DELAY))
    }

    /// The Pareto distribution: never below `least`, and longer than `t` with the probability
    /// `(least / t)^shape`. A `shape` of 1 to 3 has a heavy tail: pauses of garbage collectors, queues.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `least` is zero or longer than [`LONGEST_DELAY`], or `shape` not from
    /// 0.1 to 100.
    pub fn pareto(least: Duration, shape: f64) -> Result<Self, InvalidConfig> {
        positive("delay.least", least)?;
        if !(0.1..=100.0).contains(&shape) {
            let accepted = "a number from 0.1 to 100";
            return Err(InvalidConfig::new("delay.shape", shape, accepted));
        }
        Ok(Self::of(Shape::Pareto { least, shape }, LONGEST_DELAY))
    }

    const fn of(shape: Shape, longest: Duration) -> Self {
        Self { shape, longest }
    }

    /// Draws nothing longer than `longest`: what would be longer takes just that long. Unless set it
    /// is the end of the distribution, or [`LONGEST_DELAY`] where it has none.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `longest` is not longer than the shortest delay of the distribution, so
    /// that it would be a constant, or is beyond its end or [`LONGEST_DELAY`], and so without effect.
    pub fn at_most(mut self, longest: Duration) -> Result<Self, InvalidConfig> {
        let (above, end) = match self.shape {
            Shape::Constant(delay) => (delay, delay),
            Shape::Uniform { from, to } => (from, to),
            Shape::Normal { .. } | Shape::LogNormal { .. } => (Duration::ZERO, LONGEST_DELAY),
            Shape::Pareto { least, .. } => (least, LONGEST_DELAY),
        };
        if longest <= above || longest > end {
            let accepted = format!("longer than {above:?}, up to {end:?}");
            let value = format!("{longest:?}");
            return Err(InvalidConfig::new("delay.at_most", value, accepted));
        }
        self.longest = longest;
        Ok(self)
    }

    /// The longest delay that is drawn.
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// Draws one.
    pub(crate) fn draw(&self, draws: &mut Draws) -> Duration {
        let seconds = match self.shape {
            Shape::Constant(delay) => return delay,
            Shape::Uniform { from, to } => {
                let from = from.as_secs_f64();
                from + (to.as_secs_f64() - from) * draws.unit()
            }
            Shape::Normal { mean, deviation } => {
                mean.as_secs_f64() + deviation.as_secs_f64() * draws.normal()
            }
            Shape::LogNormal { median, sigma } => {
                median.as_secs_f64() * (sigma * draws.normal()).exp()
            }
            Shape::Pareto { least, shape } => {
                least.as_secs_f64() * (1.0 - draws.unit()).powf(-1.0 / shape)
            }
        };
        // Compared as numbers, since a tail may be longer than a `Duration` can be.
        if seconds >= self.longest.as_secs_f64() {
            return self.longest;
        }
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
    }
}

fn positive(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if value.is_zero() {
        return Err(InvalidConfig::new(field, "0 s", "longer than zero"));
    }
    if value > LONGEST_DELAY {
        return Err(too_long(field, value));
    }
    Ok(())
}

fn too_long(field: &'static str, value: Duration) -> InvalidConfig {
    InvalidConfig::new(field, format!("{value:?}"), "at most one hour")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn quantiles(delay: Delay) -> [Duration; 3] {
        let mut drawn: Vec<_> = (0..20_001)
            .map(|call| delay.draw(&mut Draws::new(11, 0, call)))
            .collect();
        drawn.sort();
        [drawn[10_000], drawn[19_000], drawn[20_000]]
    }

    #[test]
    fn distributions_have_the_quantiles_of_their_formulas() {
        let near = |found: Duration, expected_ms: f64| {
            let off = found.as_secs_f64() * 1e3 / expected_ms;
            assert!(
                (0.95..1.05).contains(&off),
                "{found:?} for {expected_ms} ms"
            );
        };
        let [half, p95, _] = quantiles(Delay::uniform(100 * MS, 300 * MS).unwrap());
        near(half, 200.0);
        near(p95, 290.0);
        let [half, p95, _] = quantiles(Delay::normal(100 * MS, 10 * MS).unwrap());
        near(half, 100.0);
        near(p95, 116.4);
        let [half, p95, _] = quantiles(Delay::log_normal(100 * MS, 0.5).unwrap());
        near(half, 100.0);
        near(p95, 227.6);
        let [half, p95, most] = quantiles(Delay::pareto(100 * MS, 2.0).unwrap());
        near(half, 141.4);
        near(p95, 447.2);
        assert!(most > Duration::from_secs(5), "a heavy tail: {most:?}");
    }

    proptest! {
        #[test]
        fn no_delay_is_beyond_its_bounds(
            call: u64, first in 1_u32..4_000_000, second in 0_u32..3_600_000, number in -1.0..200.0,
            longest in 0_u32..4_000_000,
        ) {
            let [first, second, longest] = [first, second, longest].map(|n| n * MS);
            let all = [
                Delay::constant(first),
                Delay::uniform(second, first),
                Delay::normal(first, second),
                Delay::log_normal(first, number),
                Delay::pareto(first, number),
            ];
            for delay in all.into_iter().flatten() {
                let drawn = delay.draw(&mut Draws::new(5, 0, call));
                prop_assert!(drawn <= delay.longest() && delay.longest() <= LONGEST_DELAY);
                if let Ok(bounded) = delay.at_most(longest) {
                    let cut = bounded.draw(&mut Draws::new(5, 0, call));
                    prop_assert_eq!(cut, drawn.min(longest));
                }
            }
        }
    }

    #[test]
    fn what_has_no_effect_or_no_sense_is_an_error() {
        let zero = Duration::ZERO;
        let long = Duration::MAX;
        let found = [
            (Delay::constant(zero), "delay.constant"),
            (Delay::constant(long), "delay.constant"),
            (Delay::uniform(zero, zero), "delay.to"),
            (Delay::uniform(zero, long), "delay.to"),
            (Delay::uniform(MS, zero), "delay.to"),
            (Delay::normal(zero, MS), "delay.mean"),
            (Delay::normal(MS, long), "delay.deviation"),
            (Delay::log_normal(zero, 1.0), "delay.median"),
            (Delay::log_normal(MS, f64::NAN), "delay.sigma"),
            (Delay::log_normal(MS, 0.0), "delay.sigma"),
            (Delay::pareto(zero, 1.0), "delay.least"),
            (Delay::pareto(MS, f64::INFINITY), "delay.shape"),
            (Delay::constant(MS).unwrap().at_most(MS), "delay.at_most"),
            (Delay::pareto(MS, 1.0).unwrap().at_most(MS), "delay.at_most"),
            (
                Delay::pareto(MS, 1.0).unwrap().at_most(long),
                "delay.at_most",
            ),
        ];
        for (delay, field) in found {
            assert_eq!(delay.unwrap_err().field(), field);
        }
    }
}
