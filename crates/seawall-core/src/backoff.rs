//! How long to wait before another attempt, as a pure value.

use std::time::Duration;

use crate::InvalidConfig;

/// How much of a delay is left to chance, so that clients that failed together do not come back
/// together.
///
/// Chance is drawn *below* the cap, so delays never pile up on the cap itself.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// The delay as computed.
    None,
    /// Uniform from zero to the delay ("full jitter").
    #[default]
    Full,
    /// Half of the delay, and uniform from zero to the other half ("equal jitter").
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Growth {
    Constant,
    Linear,
    Exponential { factor: f64 },
    Fibonacci,
}

/// A backoff strategy: the delay before the n-th extra attempt.
///
/// A plain value without clock or randomness of its own; the draw is passed in. The jitters are
/// those of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Backoff, Jitter};
///
/// let backoff = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(8))?
///     .with_jitter(Jitter::None);
/// let delays: Vec<_> = (0..6).map(|n| backoff.delay(n, 0.0).as_millis()).collect();
/// assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    growth: Growth,
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

impl Backoff {
    /// No wait at all.
    pub const NONE: Self = Self {
        growth: Growth::Constant,
        base: Duration::ZERO,
        cap: Duration::ZERO,
        jitter: Jitter::None,
    };

    fn new(growth: Growth, base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        if base.is_zero() {
            return Err(InvalidConfig::new("base", "0s", "longer than zero"));
        }
        if cap < base {
            return Err(InvalidConfig::new(
                "cap",
                format!("{cap:?}"),
                format!("at least the base, {base:?}"),
            ));
        }
        Ok(Self {
            growth,
            base,
            cap,
            jitter: Jitter::Full,
        })
    }

    /// `delay` before every extra attempt, without jitter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `delay` is zero; see [`Backoff::NONE`].
    pub fn constant(delay: Duration) -> Result<Self, InvalidConfig> {
        Ok(Self::new(Growth::Constant, delay, delay)?.with_jitter(Jitter::None))
    }

    /// `base`, twice `base`, three times `base` up to `cap`; full jitter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `base` is zero or `cap` is below `base`.
    pub fn linear(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        Self::new(Growth::Linear, base, cap)
    }

    /// `base`, doubled before each further attempt up to `cap`; full jitter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `base` is zero or `cap` is below `base`.
    pub fn exponential(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        Self::new(Growth::Exponential { factor: 2.0 }, base, cap)
    }

    /// `base` times 1, 1, 2, 3, 5, 8 up to `cap`; full jitter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `base` is zero or `cap` is below `base`.
    pub fn fibonacci(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        Self::new(Growth::Fibonacci, base, cap)
    }

    /// Sets the factor of an exponential backoff; the others have none and stay as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `factor` is NaN, infinite or below 1.
    pub fn with_factor(mut self, factor: f64) -> Result<Self, InvalidConfig> {
        if !(1.0..f64::INFINITY).contains(&factor) {
            return Err(InvalidConfig::new(
                "factor",
                factor,
                "a finite number from 1",
            ));
        }
        if let Growth::Exponential { factor: current } = &mut self.growth {
            *current = factor;
        }
        Ok(self)
    }

    /// Sets the jitter.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The longest delay before extra attempt `retry`, counted from 0: what jitter draws below.
    pub fn ceiling(&self, retry: u32) -> Duration {
        let times = match self.growth {
            Growth::Constant => 1.0,
            Growth::Linear => f64::from(retry) + 1.0,
            Growth::Exponential { factor } => factor.powi(i32::try_from(retry).unwrap_or(i32::MAX)),
            Growth::Fibonacci => fibonacci(retry),
        };
        // `try_from` refuses what overflows; infinity lands on the cap too.
        Duration::try_from_secs_f64(self.base.as_secs_f64() * times)
            .unwrap_or(Duration::MAX)
            .min(self.cap)
    }

    /// The delay before extra attempt `retry`, counted from 0, for a draw `unit` from `[0, 1)`.
    /// A draw outside of it is taken as its nearer end.
    pub fn delay(&self, retry: u32, unit: f64) -> Duration {
        let ceiling = self.ceiling(retry);
        // Written so that NaN becomes 0.
        let unit = if unit > 0.0 { unit.min(1.0) } else { 0.0 };
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => scale(ceiling, unit),
            Jitter::Equal => {
                let half = ceiling / 2;
                half + scale(ceiling - half, unit)
            }
        }
    }

    /// The longest delay of all.
    pub const fn cap(&self) -> Duration {
        self.cap
    }
}

/// `duration` times a share from 0 to 1.
fn scale(duration: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * share)
        .unwrap_or(duration)
        .min(duration)
}

fn fibonacci(n: u32) -> f64 {
    // The 200th number of nanoseconds is past `Duration::MAX`.
    let (mut a, mut b) = (1.0, 1.0);
    for _ in 0..n.min(200) {
        (a, b) = (b, a + b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn linear_and_fibonacci_grow_as_named() {
        let steps = |b: Backoff| -> Vec<u64> {
            let b = b.with_jitter(Jitter::None);
            (0..7).map(|n| b.delay(n, 0.9).as_secs()).collect()
        };
        let cap = 10 * SECOND;
        assert_eq!(
            steps(Backoff::linear(SECOND, cap).unwrap()),
            [1, 2, 3, 4, 5, 6, 7]
        );
        assert_eq!(
            steps(Backoff::fibonacci(SECOND, cap).unwrap()),
            [1, 1, 2, 3, 5, 8, 10]
        );
        assert_eq!(Backoff::NONE.delay(7, 0.5), Duration::ZERO);
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let field = |r: Result<Backoff, InvalidConfig>| r.unwrap_err().field().to_owned();
        assert_eq!(field(Backoff::constant(Duration::ZERO)), "base");
        assert_eq!(field(Backoff::linear(SECOND, SECOND / 2)), "cap");
        for factor in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            let b = Backoff::exponential(SECOND, SECOND).unwrap();
            assert_eq!(field(b.with_factor(factor)), "factor");
        }
    }

    proptest! {
        #[test]
        fn delays_stay_below_the_cap_and_keep_their_chance(
            base_ns in 1_u64..=u64::MAX,
            factor in 1.0_f64..1e300,
            retry in any::<u32>(),
            unit in 0.0_f64..1.0,
        ) {
            let base = Duration::from_nanos(base_ns);
            let cap = base.saturating_mul(1_000);
            let b = Backoff::exponential(base, cap).unwrap().with_factor(factor).unwrap();
            let full = b.delay(retry, unit);
            prop_assert!(full <= b.ceiling(retry) && b.ceiling(retry) <= cap);
            let equal = b.with_jitter(Jitter::Equal).delay(retry, unit);
            prop_assert!(equal >= b.ceiling(retry) / 2 && equal <= cap);
            // On the cap, too, two draws give two delays.
            if b.ceiling(retry) > Duration::from_micros(1) {
                prop_assert!(b.delay(retry, 0.25) < b.delay(retry, 0.75));
            }
        }
    }
}
