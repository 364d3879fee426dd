//! The sending rate of a client that was throttled: a token bucket whose fill rate follows CUBIC.
//!
//! Pure but for [`AdaptiveRate::now`]: the time is passed in, in nanoseconds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::Clock;

/// What is left of the rate at a throttle.
const BETA: f64 = 0.7;
/// How fast the cubic rises, in requests per second to the fourth.
const SCALE: f64 = 0.4;
/// The share of the newest measurement in the measured rate.
const SMOOTH: f64 = 0.8;
/// The least fill rate, in tokens per second.
const MIN_FILL: f64 = 0.5;
/// The least capacity, in tokens.
const MIN_CAPACITY: f64 = 1.0;
/// What the measurement counts in: half seconds.
const BUCKET_NS: u64 = 500_000_000;
const SECOND_NS: f64 = 1e9;

/// A client-side sending rate that is learned from throttles; clones share it.
///
/// It does nothing until the upstream throttles for the first time. From then on requests take
/// tokens from a bucket, and wait when there are none. Its fill rate, in requests per second, is cut
/// to 0.7 of the rate at which the throttle came, rises fast at first, stays near the rate that was
/// throttled, and then probes beyond it, but never faster than twice what was really sent:
///
/// | seconds since a throttle at 10 /s | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
/// |---|---|---|---|---|---|---|---|
/// | requests per second | 7.0 | 9.65 | 10.0 | 10.45 | 13.4 | 21.3 | 36.4 |
///
/// One instance belongs to one upstream: share it between all layers that send there. The
/// algorithm and its constants are those of the `adaptive` retry mode of the AWS SDKs; the curve
/// is CUBIC's (Ha, Rhee, Xu, "CUBIC: A New TCP-Friendly High-Speed TCP Variant", 2008).
///
/// Times are passed in, as nanoseconds of the clock that [`now`](Self::now) reads, which all
/// clones share. A time that goes back is taken as standing still.
///
/// ```
/// use seawall_retry::AdaptiveRate;
///
/// const SECOND: u64 = 1_000_000_000;
/// let rate = AdaptiveRate::new();
/// // Ten requests in a second, none of which waits.
/// for n in 1..=10 {
///     assert_eq!(rate.acquire(n * SECOND / 10, u64::MAX), Ok(0));
///     rate.on_response(false, n * SECOND / 10);
/// }
/// rate.on_response(true, SECOND);
/// assert!(rate.is_enabled());
/// // The bucket starts empty: at 0.7 of what was sent, a token takes a while.
/// let wait = rate.acquire(SECOND, u64::MAX).unwrap_or(0);
/// assert!((100_000_000..250_000_000).contains(&wait), "{wait}");
/// ```
///
/// # Idle clients
///
/// A bucket saves up no more than one second's worth of tokens, so an idle client comes back with
/// a small burst. As the rate is at most twice what was sent recently, the responses after a
/// pause bring it down, to 0.5 per second at the least; sending as fast as it allows doubles it
/// again with every measurement (each half second, or each request where they are rarer).
#[derive(Clone, Debug, Default)]
pub struct AdaptiveRate {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl AdaptiveRate {
    /// A rate that is not limited yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the clock that all clones share: nanoseconds since the first of them was made.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Takes the token of one request at `now`, and returns how long to wait before it is sent,
    /// both in nanoseconds. Zero until the first throttle.
    ///
    /// A token is taken at once also when it is still to come, so that waiters are served in the
    /// order in which they came and never all at one instant. Give it back with
    /// [`release`](Self::release) when the request is not sent.
    ///
    /// # Errors
    ///
    /// The wait, in nanoseconds, when it is longer than `longest`; no token is taken then.
    pub fn acquire(&self, now: u64, longest: u64) -> Result<u64, u64> {
        self.lock().acquire(now, longest)
    }

    /// The same, and whether a token was taken.
    pub(crate) fn take(&self, now: u64, longest: u64) -> Result<(u64, bool), u64> {
        let mut state = self.lock();
        let taken = state.enabled;
        Ok((state.acquire(now, longest)?, taken))
    }

    /// Gives the token of a request back that was not sent. One that was let through before the
    /// first throttle has none.
    pub fn release(&self) {
        let mut state = self.lock();
        if state.enabled {
            // What is above the capacity goes at the next refill.
            state.tokens += 1.0;
        }
    }

    /// Learns from a response of the upstream at `now`, in nanoseconds: whether it throttled.
    ///
    /// To be called once for each request that was sent and has completed, throttled or not,
    /// failed or not, and also before the first throttle: the rate that was sent is measured by
    /// it. Local rejections were not sent and do not count.
    pub fn on_response(&self, throttled: bool, now: u64) {
        self.lock().on_response(throttled, now);
    }

    /// Whether the upstream has throttled so far, and the rate is limited since.
    pub fn is_enabled(&self) -> bool {
        self.lock().enabled
    }

    /// Requests per second that are let through; infinite until the first throttle.
    pub fn rate(&self) -> f64 {
        let state = self.lock();
        if state.enabled {
            state.fill_rate
        } else {
            f64::INFINITY
        }
    }

    /// Requests per second that have completed recently, smoothed.
    pub fn measured(&self) -> f64 {
        self.lock().measured
    }

    /// Forgets what was learned: nothing is limited until the next throttle.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct State {
    enabled: bool,
    /// Tokens per second.
    fill_rate: f64,
    capacity: f64,
    /// Below zero while tokens are taken that are still to come.
    tokens: f64,
    filled_at: u64,
    cubic: Cubic,
    /// Requests per second.
    measured: f64,
    /// Responses in the half second that is counted.
    responses: u64,
    /// The number of that half second; none before the first response.
    bucket: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            enabled: false,
            fill_rate: MIN_FILL,
            capacity: MIN_CAPACITY,
            tokens: 0.0,
            filled_at: 0,
            cubic: Cubic::default(),
            measured: 0.0,
            responses: 0,
            bucket: None,
        }
    }
}

impl State {
    fn acquire(&mut self, now: u64, longest: u64) -> Result<u64, u64> {
        if !self.enabled {
            return Ok(0);
        }
        self.refill(now);
        let short = (1.0 - self.tokens).max(0.0);
        // Rounded up, or the token would be a fraction short; the conversion saturates.
        let wait = (short / self.fill_rate * SECOND_NS).ceil() as u64;
        if wait > longest {
            return Err(wait);
        }
        self.tokens -= 1.0;
        Ok(wait)
    }

    fn refill(&mut self, now: u64) {
        let passed = seconds(now.saturating_sub(self.filled_at));
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * self.fill_rate).min(self.capacity);
    }

    fn on_response(&mut self, throttled: bool, now: u64) {
        self.measure(now);
        let rate = if throttled {
            let rate = if self.enabled {
                self.measured.min(self.fill_rate)
            } else {
                // Nothing has been earned before there was a bucket.
                self.tokens = 0.0;
                self.filled_at = now;
                self.measured
            };
            self.enabled = true;
            self.cubic.throttled(rate, now)
        } else {
            self.cubic.succeeded(now)
        };
        self.set_rate(rate.min(2.0 * self.measured), now);
    }

    /// Counts a response, and measures the rate once per half second.
    fn measure(&mut self, now: u64) {
        let bucket = now / BUCKET_NS;
        let counted = *self.bucket.get_or_insert(bucket);
        self.responses = self.responses.saturating_add(1);
        if bucket > counted {
            let seconds = (bucket - counted) as f64 / 2.0;
            let rate = self.responses as f64 / seconds;
            self.measured = rate * SMOOTH + self.measured * (1.0 - SMOOTH);
            self.responses = 0;
            self.bucket = Some(bucket);
        }
    }

    fn set_rate(&mut self, rate: f64, now: u64) {
        // What was earned so far was earned at the old rate.
        self.refill(now);
        self.fill_rate = rate.max(MIN_FILL);
        self.capacity = rate.max(MIN_CAPACITY);
        self.tokens = self.tokens.min(self.capacity);
    }
}

/// The curve.
#[derive(Debug, Default)]
struct Cubic {
    /// The rate at the last throttle, in requests per second.
    last_max: f64,
    throttled_at: u64,
}

impl Cubic {
    /// The rate after a throttle that came at `rate`.
    fn throttled(&mut self, rate: f64, now: u64) -> f64 {
        self.last_max = rate;
        self.throttled_at = now;
        rate * BETA
    }

    /// The rate after a success.
    fn succeeded(&self, now: u64) -> f64 {
        // When the curve is back at the rate of the last throttle.
        let back = (self.last_max * (1.0 - BETA) / SCALE).cbrt();
        let passed = seconds(now.saturating_sub(self.throttled_at));
        SCALE * (passed - back).powi(3) + self.last_max
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND_NS
}

#[cfg(test)]
mod tests;
