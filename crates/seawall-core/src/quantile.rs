//! A latency quantile that is learned from recent responses.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Clock, InvalidConfig, ns};

use self::histogram::{FULL, Merged, Slice};
use crate::histogram::layout::bucket;

mod histogram;

/// What the window is divided into; the oldest part is forgotten as a whole.
const SLICES: usize = 4;
/// The estimate is computed at most so many times per window.
const REFRESHES: u64 = 64;
/// What a [`Quantile`] is set to.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::QuantileConfig;
///
/// let p99 = QuantileConfig::new(0.99)?.with_window(Duration::from_secs(300))?.with_warm_up(500)?;
/// assert_eq!(p99.quantile(), 0.99);
///
/// let rejected = QuantileConfig::new(99.0).unwrap_err();
/// assert_eq!(rejected.to_string(), "`quantile` is 99, accepted is a number between 0 and 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantileConfig {
    quantile: f64,
    window: Duration,
    warm_up: u32,
}

impl QuantileConfig {
    /// The longest window, a day.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// The shortest window, a tenth of a second.
    const SHORTEST: Duration = Duration::from_millis(100);

    /// The time that a share `quantile` of the responses keeps to, learned from one minute and at
    /// least a hundred responses.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `quantile` is not between 0 and 1 or is one of the two.
    pub fn new(quantile: f64) -> Result<Self, InvalidConfig> {
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(InvalidConfig::new(
                "quantile",
                quantile,
                "a number between 0 and 1",
            ));
        }
        Ok(Self {
            quantile,
            ..Self::default()
        })
    }

    /// Sets how long a sample counts: from three quarters of `window` to all of it, since the
    /// window moves on by a quarter at a time.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `window` is shorter than 100 ms or longer than a day.
    pub fn with_window(mut self, window: Duration) -> Result<Self, InvalidConfig> {
        if !(Self::SHORTEST..=Self::LONGEST).contains(&window) {
            return Err(InvalidConfig::new(
                "window",
                format!("{window:?}"),
                "100ms to 86400s",
            ));
        }
        self.window = window;
        Ok(self)
    }

    /// Sets how many samples of the window there must be for an estimate.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `samples` is 0.
    pub fn with_warm_up(mut self, samples: u32) -> Result<Self, InvalidConfig> {
        if samples == 0 {
            return Err(InvalidConfig::new(
                "warm_up",
                samples,
                "a whole number from 1",
            ));
        }
        self.warm_up = samples;
        Ok(self)
    }

    /// How long a slice of the window is, in nanoseconds.
    const fn slice_ns(&self) -> u64 {
        ns(self.window) / SLICES as u64
    }

    /// The share of the responses that keeps to the estimate.
    pub const fn quantile(&self) -> f64 {
        self.quantile
    }

    /// How long a sample counts at most.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How many samples of the window there must be for an estimate.
    pub const fn warm_up(&self) -> u32 {
        self.warm_up
    }
}

/// In words: `0.95 quantile of 60s, from 100 samples`.
impl fmt::Display for QuantileConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (quantile, window, warm_up) = (self.quantile, self.window, self.warm_up);
        write!(
            f,
            "{quantile} quantile of {window:?}, from {warm_up} samples"
        )
    }
}

impl Default for QuantileConfig {
    /// The 95th percentile of one minute, from a hundred samples on.
    ///
    /// The 95th percentile is what Dean and Barroso delay a hedged request by ("The Tail at
    /// Scale", Communications of the ACM 56(2), 2013), so that about one request in twenty is
    /// sent twice. A hundred samples have five beyond it.
    fn default() -> Self {
        Self {
            quantile: 0.95,
            window: Duration::from_secs(60),
            warm_up: 100,
        }
    }
}

/// A quantile of the latencies of recent responses, to hedge or to time out by.
///
/// The estimate is never below the quantile of the samples, and above it by at most a sixteenth
/// (6.25 %) and 1.024 us; the longest latency that is measured is 73 minutes. A record is one
/// relaxed atomic addition, reading the estimate is a load; memory is allocated at construction
/// only, 15 kB.
///
/// # Censored samples
///
/// A call that was given up after two seconds, because another one won or a timeout struck, has a
/// latency of *at least* two seconds. Leaving such calls out would make the estimate
/// blind to the very tail that they are, and taking them as two seconds would make a timeout
/// learn itself. [`record_at_least`](Self::record_at_least) counts them as what they are: the
/// estimate is the quantile of the product-limit estimator (E. L. Kaplan and P. Meier,
/// "Nonparametric Estimation from Incomplete Observations", Journal of the American Statistical
/// Association 53, 1958). When so many were given up that the quantile lies beyond them all, the
/// estimate is the longest of them, which is then less than the quantile.
///
/// # How it works
///
/// A histogram with sixteen buckets per octave, the log-linear layout of G. Tene's HdrHistogram,
/// for each of the four slices of the window. The oldest slice is cleared when time has moved on
/// by a quarter of the window, by the record or the reading that finds it out, so that an idle
/// window forgets all. The estimate is computed when it is read and older than a 64th of the
/// window, and once when the warm-up ends.
///
/// A thread that is held up between finding its slice and adding to it for as long as the window
/// adds to a later slice: the sample then counts longer than it should.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Quantile, QuantileConfig};
/// use tokio::time::Instant;
///
/// let p90 = Quantile::new(QuantileConfig::new(0.9)?.with_warm_up(10)?);
/// let now = Instant::now();
/// for ms in 1..=10 {
///     assert_eq!(p90.estimate(now), None, "still warming up");
///     p90.record(Duration::from_millis(10 * ms), now);
/// }
/// let estimate = p90.estimate(now).unwrap();
/// assert!((90..=95).contains(&estimate.as_millis()));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
pub struct Quantile {
    clock: Clock,
    /// The index of the slice that is written.
    at: AtomicUsize,
    /// When that slice ends.
    ends: AtomicU64,
    /// When the estimate is due.
    due: AtomicU64,
    /// In nanoseconds; 0 while there is none.
    estimate: AtomicU64,
    median: AtomicU64,
    /// Samples that the warm-up lacks; 0 when it is over.
    samples_missing: AtomicU32,
    slices: Box<[Slice]>,
    /// Held while slices are turned or the estimate is computed; only `reset`, `config` and
    /// `configure` wait for it. Records do not need the settings.
    turn: Mutex<QuantileConfig>,
}

impl Quantile {
    /// A quantile of which nothing is known yet.
    pub fn new(config: QuantileConfig) -> Self {
        Self {
            clock: Clock::start(),
            at: AtomicUsize::new(0),
            ends: AtomicU64::new(config.slice_ns()),
            due: AtomicU64::new(0),
            estimate: AtomicU64::new(0),
            median: AtomicU64::new(0),
            samples_missing: AtomicU32::new(config.warm_up),
            slices: (0..SLICES).map(|_| Slice::new()).collect(),
            turn: Mutex::new(config),
        }
    }

    /// Learns that a response took `latency`; it came at `now`.
    #[inline]
    pub fn record(&self, latency: Duration, now: Instant) {
        let now = self.clock.at(now);
        self.add(&self.slice(now).exact[bucket(ns(latency))], now);
    }

    /// Learns that a response would have taken at least `latency`: waiting for it ended at `now`,
    /// without one that shows how long it takes.
    #[inline]
    pub fn record_at_least(&self, latency: Duration, now: Instant) {
        let now = self.clock.at(now);
        self.add(&self.slice(now).at_least[bucket(ns(latency))], now);
    }

    /// The quantile of the samples of the window; `None` while they are fewer than the warm-up.
    pub fn estimate(&self, now: Instant) -> Option<Duration> {
        let now = self.clock.at(now);
        if now >= self.due.load(Ordering::Relaxed) {
            self.refresh(now);
        }
        self.last_estimate()
    }

    /// The estimate as it was computed last, for where there is no clock reading at hand.
    #[inline]
    pub fn last_estimate(&self) -> Option<Duration> {
        some(self.estimate.load(Ordering::Relaxed))
    }

    /// The median, as it was computed with the last estimate: what a response typically takes.
    #[inline]
    pub fn last_median(&self) -> Option<Duration> {
        some(self.median.load(Ordering::Relaxed))
    }

    /// How many samples the window lacks for an estimate, as far as was counted.
    pub fn samples_missing(&self) -> u32 {
        self.samples_missing.load(Ordering::Relaxed)
    }

    /// Forgets every sample and warms up again.
    pub fn reset(&self) {
        let config = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for slice in &self.slices {
            slice.clear();
        }
        self.estimate.store(0, Ordering::Relaxed);
        self.median.store(0, Ordering::Relaxed);
        self.samples_missing
            .store(config.warm_up, Ordering::Relaxed);
    }

    /// What it is set to.
    pub fn config(&self) -> QuantileConfig {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the settings and keeps the samples. Each sample counts for the new window from
    /// when the slice that it lies in ends, which is no later than a quarter of either window
    /// from now.
    pub fn configure(&self, config: QuantileConfig) {
        let now = self.clock.now();
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_slices(&turn, now);
        *turn = config;
        let ends = now.saturating_add(config.slice_ns());
        self.ends.fetch_min(ends, Ordering::Relaxed);
        self.compute(&turn, now);
    }

    #[inline]
    fn slice(&self, now: u64) -> &Slice {
        if now >= self.ends.load(Ordering::Relaxed) {
            self.turn_at(now);
        }
        // With the store: a thread that adds to a slice comes after the one that cleared it.
        &self.slices[self.at.load(Ordering::Acquire) % SLICES]
    }

    #[inline]
    fn add(&self, count: &AtomicU32, now: u64) {
        if count.fetch_add(1, Ordering::Relaxed) >= FULL {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        // Not `samples_missing`: when the last sample finds the lock taken, the next one tries again.
        if self.estimate.load(Ordering::Relaxed) == 0 {
            self.warm(now);
        }
    }

    #[cold]
    fn warm(&self, now: u64) {
        let less = |samples_missing: u32| Some(samples_missing.saturating_sub(1));
        let missing = self
            .samples_missing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if missing.is_ok_and(|missing| missing <= 1) {
            self.refresh(now);
        }
    }

    /// `None` when another thread is at it already.
    fn try_turn(&self) -> Option<MutexGuard<'_, QuantileConfig>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[cold]
    fn turn_at(&self, now: u64) {
        if let Some(config) = self.try_turn() {
            self.turn_slices(&config, now);
        }
    }

    /// Moves on to the slice of `now`; called with the lock.
    fn turn_slices(&self, config: &QuantileConfig, now: u64) {
        let ends = self.ends.load(Ordering::Relaxed);
        if now < ends {
            return;
        }
        let slice_ns = config.slice_ns();
        let steps = (now - ends) / slice_ns + 1;
        for _ in 0..steps.min(SLICES as u64) {
            let next = (self.at.load(Ordering::Relaxed) + 1) % SLICES;
            // Cleared before it is written to.
            self.slices[next].clear();
            self.at.store(next, Ordering::Release);
        }
        let ends = ends.saturating_add(steps.saturating_mul(slice_ns));
        self.ends.store(ends, Ordering::Relaxed);
    }

    #[cold]
    fn refresh(&self, now: u64) {
        if let Some(config) = self.try_turn() {
            self.turn_slices(&config, now);
            self.compute(&config, now);
        }
    }

    /// Computes the estimate; called with the lock.
    fn compute(&self, config: &QuantileConfig, now: u64) {
        let merged = Merged::of(&self.slices);
        let warm_up = u64::from(config.warm_up);
        let (estimate, median) = if merged.samples >= warm_up {
            (merged.quantile(config.quantile), merged.quantile(0.5))
        } else {
            (0, 0)
        };
        self.estimate.store(estimate, Ordering::Relaxed);
        self.median.store(median, Ordering::Relaxed);
        // At most the warm-up, which is 32 bits wide.
        let missing = warm_up.saturating_sub(merged.samples) as u32;
        self.samples_missing.store(missing, Ordering::Relaxed);
        let refresh_ns = ns(config.window) / REFRESHES;
        self.due
            .store(now.saturating_add(refresh_ns), Ordering::Relaxed);
    }
}

const fn some(nanoseconds: u64) -> Option<Duration> {
    if nanoseconds == 0 {
        None
    } else {
        Some(Duration::from_nanos(nanoseconds))
    }
}

crate::impl_debug!(Quantile: |this|
    config = this.config(),
    last_estimate = this.last_estimate(),
    missing = this.samples_missing(),
);

#[cfg(test)]
mod tests;
