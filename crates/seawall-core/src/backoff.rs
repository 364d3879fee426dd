//! How long to wait before another attempt, as a pure value.

mod custom;
mod delays;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::{InvalidConfig, Span};
use custom::Maker;
pub use delays::Delays;

/// How much of a delay is left to chance, so that clients that failed together do not come back
/// together.
///
/// Chance is drawn *below* the cap, so delays never pile up on the cap itself. For a computed
/// delay `d`, a base `b` and a previous delay `p`:
///
/// | jitter | delay | mean |
/// |---|---|---|
/// | `None` | `d` | `d` |
/// | `Full` | 0 to `d` | `d / 2` |
/// | `Equal` | `d / 2` to `d` | `3 d / 4` |
/// | `Decorrelated` | `b` to `3 p`, at most the cap; `p` is `b` at first | half of `b + 3 p` |
///
/// The four are those of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015; there, what is drawn is cut to the cap afterwards.
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
    /// Uniform from the base to three times the delay before ("decorrelated jitter"). It takes
    /// the place of the growth: only base and cap of the strategy count. A
    /// [custom](Backoff::custom) one has no base, and is drawn from as with `Full`.
    Decorrelated,
}

#[derive(Clone, Debug, PartialEq)]
enum Growth {
    Constant,
    Linear,
    Exponential { factor: f64 },
    Fibonacci,
    Custom(Maker),
}

/// A backoff strategy: the delay before the n-th extra attempt.
///
/// A plain value without clock or randomness of its own; the draw is passed in, from a seeded
/// generator where a test wants the same delays twice. With a base of 1 s, a cap of 30 s and no
/// jitter, in seconds:
///
/// | strategy | 1st | 2nd | 3rd | 4th | 5th | 6th | 7th | 8th |
/// |---|---|---|---|---|---|---|---|---|
/// | [`constant`](Self::constant) | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 |
/// | [`linear`](Self::linear) | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |
/// | [`fibonacci`](Self::fibonacci) | 1 | 1 | 2 | 3 | 5 | 8 | 13 | 21 |
/// | [`exponential`](Self::exponential) | 1 | 2 | 4 | 8 | 16 | 30 | 30 | 30 |
/// | [`decorrelated`](Self::decorrelated), least to most | 1-3 | 1-9 | 1-27 | 1-30 | 1-30 | 1-30 | 1-30 | 1-30 |
///
/// [`Jitter`] says what chance makes of them.
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
///
/// Some strategies need the delay before, or are at their n-th delay only when they have given
/// the others: a call that is tried again walks with [`start`](Self::start).
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    growth: Growth,
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

/// In words: `exponential from 1s by 2, at most 60s, full jitter`.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, cap) = (self.base, self.cap);
        match (&self.growth, self.jitter) {
            (Growth::Custom(_), Jitter::Decorrelated) => f.write_str("custom")?,
            (_, Jitter::Decorrelated) => write!(f, "from {base:?}")?,
            (Growth::Constant, _) if base.is_zero() => return f.write_str("none"),
            (Growth::Constant, _) => write!(f, "constant {base:?}")?,
            (Growth::Linear, _) => write!(f, "linear from {base:?}")?,
            (Growth::Exponential { factor }, _) => {
                write!(f, "exponential from {base:?} by {factor}")?;
            }
            (Growth::Fibonacci, _) => write!(f, "fibonacci from {base:?}")?,
            (Growth::Custom(_), _) => f.write_str("custom")?,
        }
        let constant = matches!(self.growth, Growth::Constant);
        if cap != Duration::MAX && !(constant && self.jitter != Jitter::Decorrelated) {
            write!(f, ", at most {cap:?}")?;
        }
        f.write_str(match self.jitter {
            Jitter::None => "",
            Jitter::Full => ", full jitter",
            Jitter::Equal => ", equal jitter",
            Jitter::Decorrelated => ", decorrelated jitter",
        })
    }
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
            return Err(InvalidConfig::new("base", Span(base), "longer than zero"));
        }
        if cap < base {
            return Err(below_base(cap, base));
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

    /// A delay between `base` and three times the delay before, up to `cap`, which makes clients
    /// drift apart for good instead of meeting at each power of two.
    ///
    /// The delays of a walk with draws of one half each, in units of the base: 2, 3.5, 5.75, 9.1,
    /// 14.2, 21.8. Its mean grows by half each time.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `base` is zero or `cap` is below `base`.
    pub fn decorrelated(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        let growth = Growth::Exponential { factor: SPREAD };
        Ok(Self::new(growth, base, cap)?.with_jitter(Jitter::Decorrelated))
    }

    /// The delays of an iterator, a fresh one for each call that is tried again; without jitter,
    /// and without a cap ([`with_cap`](Self::with_cap) sets one).
    ///
    /// Where the iterator ends, so do the attempts. It is made, in one allocation, when a call
    /// waits for the first time: a call that is not tried again pays nothing. Two custom
    /// strategies are equal when one is a clone of the other.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Backoff;
    ///
    /// let schedule = Backoff::custom(|| [1, 5, 30].map(Duration::from_secs));
    /// let mut walk = schedule.start();
    /// let delays: Vec<_> =
    ///     std::iter::from_fn(|| walk.next(&schedule, 0.5)).map(|d| d.as_secs()).collect();
    /// assert_eq!(delays, [1, 5, 30]);
    /// ```
    pub fn custom<F, I>(delays: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Send + Sync + 'static,
    {
        Self {
            growth: Growth::Custom(Maker::new(delays)),
            base: Duration::ZERO,
            cap: Duration::MAX,
            jitter: Jitter::None,
        }
    }

    /// Sets the longest delay of all, which jitter draws below.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `cap` is below the base.
    pub fn with_cap(mut self, cap: Duration) -> Result<Self, InvalidConfig> {
        if cap < self.base {
            return Err(below_base(cap, self.base));
        }
        self.cap = cap;
        Ok(self)
    }

    /// Sets the factor of an [exponential](Self::exponential) backoff.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `factor` is NaN, infinite or below 1, and for every other strategy:
    /// they have no factor, so it would be without effect. So it would be with
    /// [`Jitter::Decorrelated`], which takes the place of the growth.
    pub fn with_factor(mut self, factor: f64) -> Result<Self, InvalidConfig> {
        if !(1.0..f64::INFINITY).contains(&factor) {
            return Err(InvalidConfig::new(
                "factor",
                factor,
                "a finite number from 1",
            ));
        }
        match &mut self.growth {
            Growth::Exponential { factor: current } if self.jitter != Jitter::Decorrelated => {
                *current = factor;
                Ok(self)
            }
            _ => Err(InvalidConfig::new(
                "factor",
                factor,
                "none where the backoff is not exponential",
            )),
        }
    }

    /// Sets the jitter.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The longest delay before extra attempt `retry`, counted from 0: what jitter draws below.
    ///
    /// A [custom](Self::custom) strategy makes an iterator and skips to that delay; where it has
    /// ended before, zero.
    pub fn ceiling(&self, retry: u32) -> Duration {
        if self.jitter == Jitter::Decorrelated && !self.is_custom() {
            return self.times(SPREAD.powi(exponent(retry.saturating_add(1))));
        }
        match &self.growth {
            Growth::Constant => self.base,
            Growth::Linear => self.times(f64::from(retry) + 1.0),
            Growth::Exponential { factor } => self.times(factor.powi(exponent(retry))),
            Growth::Fibonacci => self.times(fibonacci(retry)),
            Growth::Custom(maker) => {
                let at = usize::try_from(retry).unwrap_or(usize::MAX);
                maker.make().nth(at).unwrap_or_default().min(self.cap)
            }
        }
    }

    /// The delay before extra attempt `retry`, counted from 0, for a draw `unit` from `[0, 1)`.
    /// A draw outside of it is taken as its nearer end.
    ///
    /// A [walk](Self::start) knows the delays before it; this one does not, and draws a
    /// decorrelated delay from all that such a walk may come to.
    pub fn delay(&self, retry: u32, unit: f64) -> Duration {
        self.draw(self.ceiling(retry), unit)
    }

    /// Which strategy it is: `none`, `constant`, `linear`, `exponential`, `fibonacci`,
    /// `decorrelated` or `custom`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Backoff;
    ///
    /// let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60))?;
    /// assert_eq!((backoff.strategy(), backoff.factor()), ("exponential", Some(2.0)));
    /// assert_eq!(backoff.base(), Duration::from_secs(1));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub const fn strategy(&self) -> &'static str {
        match (&self.growth, self.jitter) {
            (Growth::Custom(_), _) => "custom",
            (_, Jitter::Decorrelated) => "decorrelated",
            (Growth::Constant, _) if self.base.is_zero() => "none",
            (Growth::Constant, _) => "constant",
            (Growth::Linear, _) => "linear",
            (Growth::Exponential { .. }, _) => "exponential",
            (Growth::Fibonacci, _) => "fibonacci",
        }
    }

    /// The first delay, from which the others grow; zero where there is none.
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// The factor of an exponential backoff.
    pub const fn factor(&self) -> Option<f64> {
        match self.growth {
            Growth::Exponential { factor } if !matches!(self.jitter, Jitter::Decorrelated) => {
                Some(factor)
            }
            _ => None,
        }
    }

    /// The longest delay of all.
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// What chance is left to do.
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    const fn is_custom(&self) -> bool {
        matches!(self.growth, Growth::Custom(_))
    }

    /// A multiple of the base, at most the cap.
    fn times(&self, times: f64) -> Duration {
        // `try_from` rejects what overflows; infinity lands on the cap too.
        Duration::try_from_secs_f64(self.base.as_secs_f64() * times)
            .unwrap_or(Duration::MAX)
            .min(self.cap)
    }

    /// A delay below a ceiling that is at most the cap.
    fn draw(&self, ceiling: Duration, unit: f64) -> Duration {
        // Written so that NaN becomes 0.
        let unit = if unit > 0.0 { unit.min(1.0) } else { 0.0 };
        let least = match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => Duration::ZERO,
            Jitter::Equal => ceiling / 2,
            Jitter::Decorrelated => self.base.min(ceiling),
        };
        least + scale(ceiling - least, unit)
    }
}

/// How much longer than the delay before a decorrelated one may be.
const SPREAD: f64 = 3.0;

fn below_base(cap: Duration, base: Duration) -> InvalidConfig {
    let accepted = format!("at least the base, {}", Span(base));
    InvalidConfig::new("cap", Span(cap), accepted)
}

fn exponent(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
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
