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
/// tokens of a bucket, and wait when there are none. Its fill rate, in requests per second, is cut
/// to 0.7 of the rate at which the throttle came, rises fast at first, lingers about the rate
/// that was rejected, and then probes beyond it, but never faster than twice what was really sent:
///
/// | seconds since a throttle at 10 /s | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
/// |---|---|---|---|---|---|---|---|
/// | requests per second | 7.0 | 9.65 | 10.0 | 10.45 | 13.4 | 21.3 | 36.4 |
///
/// One instance belongs to one upstream: share it between all layers that send there. The
/// algorithm and its constants are those of the `adaptive_rate` retry mode of the AWS SDKs; the curve
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
/// a small burst. As the rate is at most twice what was sent of late, the answers after a
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

    /// Takes the token of one request at `now`; the answer is how long to wait before it is sent,
    /// both in nanoseconds. Zero until the first throttle.
    ///
    /// A token is taken at once also when it is still to come, so that those who wait are served
    /// in the order in which they asked and never all at one instant. Give it back with
    /// [`release`](Self::release) when the request is not sent after all.
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

    /// Learns from an answer of the upstream at `now`, in nanoseconds: whether it throttled.
    ///
    /// To be called once for each request that was answered, throttled or not, failed or not, and
    /// also before the first throttle: the rate that was sent is measured by it. Local rejections
    /// were not sent and do not count.
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

    /// Requests per second that were answered of late, smoothed.
    pub fn measured(&self) -> f64 {
        self.lock().measured
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
    /// Answers in the half second that is counted.
    answers: u64,
    /// The number of that half second; none before the first answer.
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
            answers: 0,
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

    fn measure(&mut self, now: u64) {
        let bucket = now / BUCKET_NS;
        let counted = *self.bucket.get_or_insert(bucket);
        self.answers = self.answers.saturating_add(1);
        if bucket > counted {
            let seconds = (bucket - counted) as f64 / 2.0;
            let rate = self.answers as f64 / seconds;
            self.measured = rate * SMOOTH + self.measured * (1.0 - SMOOTH);
            self.answers = 0;
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn close(a: f64, b: f64, by: f64) -> bool {
        (a - b).abs() <= by
    }

    /// The vectors of the SDKs' specification: time in seconds, throttled, rate.
    #[test]
    fn the_curve_meets_the_published_vectors() {
        let all_well = [
            (5, false, 7.0),
            (6, false, 9.648_936_009_66),
            (7, false, 10.000_030_849_917_364),
            (8, false, 10.453_284_520_772_092),
            (9, false, 13.408_697_022_224_185),
            (10, false, 21.266_268_354_273_64),
            (11, false, 36.425_998_516_920_465),
        ];
        let mixed = [
            (5, false, 7.0),
            (6, false, 9.648_936_009_66),
            (7, true, 6.754_255_206_761_999),
            (8, true, 4.727_978_644_733_399),
            (9, false, 6.606_547_753_887_045),
            (10, false, 6.763_279_816_944_947),
            (11, false, 7.598_174_833_907_107),
            (12, false, 11.511_232_804_773_524),
        ];
        for vector in [&all_well[..], &mixed[..]] {
            let mut cubic = Cubic {
                last_max: 10.0,
                throttled_at: 5 * SECOND,
            };
            let mut rate = 0.0;
            for &(at, throttled, expected) in vector {
                rate = if throttled {
                    cubic.throttled(rate, at * SECOND)
                } else {
                    cubic.succeeded(at * SECOND)
                };
                assert!(close(rate, expected, 1e-9), "at {at}: {rate}, {expected}");
            }
        }
    }

    /// The end-to-end vector of the SDKs' specification: answers every 0.2 s.
    #[test]
    fn measured_and_allowed_rates_meet_the_published_vector() {
        let vector = [
            (0.0, 0.5),
            (0.0, 0.5),
            (4.8, 0.5),
            (4.8, 0.5),
            (4.16, 0.5),
            (4.16, 0.691_2),
            (4.16, 1.097_6),
            (5.632, 1.638_4),
            (5.632, 2.332_8),
            (4.326_4, 3.028_48),
            (4.326_4, 3.486_639),
            (4.326_4, 3.821_874),
            (5.665_28, 4.053_386),
            (5.665_28, 4.200_373),
            (4.333_056, 4.282_037),
            (4.333_056, 2.997_426),
            (4.333_056, 3.452_226),
        ];
        let mut state = State::default();
        for (n, (measured, allowed)) in (1..).zip(vector) {
            state.on_response(n == 10 || n == 16, n * SECOND / 5);
            assert!(close(state.measured, measured, 1e-6), "{n}: {state:?}");
            assert!(close(state.fill_rate, allowed, 1e-6), "{n}: {state:?}");
            assert_eq!(state.enabled, n >= 10);
        }
    }

    /// Throttled at 10 requests per second, at second 10.
    fn throttled() -> State {
        let mut state = State::default();
        for n in 1..=100 {
            assert_eq!(state.acquire(n * SECOND / 10, 0), Ok(0), "not limited yet");
            state.on_response(false, n * SECOND / 10);
        }
        state.on_response(true, 10 * SECOND);
        state
    }

    #[test]
    fn those_who_wait_are_spaced_by_the_rate_and_a_rejected_wait_costs_nothing() {
        let mut state = throttled();
        let rate = state.fill_rate;
        assert!(close(rate, 7.0, 0.3), "{rate}");
        let at = 10 * SECOND;
        let waits: Vec<_> = (0..5).map(|_| state.acquire(at, u64::MAX)).collect();
        for (n, wait) in (1..).zip(waits) {
            let expected = f64::from(n) / rate * SECOND_NS;
            assert!(close(wait.unwrap() as f64, expected, 2.0), "{n}: {wait:?}");
        }
        let sixth = state.acquire(at, SECOND / 2).unwrap_err();
        assert_eq!(state.acquire(at, SECOND / 2), Err(sixth), "nothing taken");
        assert_eq!(state.acquire(at, sixth), Ok(sixth));
    }

    #[test]
    fn time_counts_once_and_at_the_rate_that_it_passed_at() {
        let mut state = throttled();
        let second = 10 * SECOND;
        let first = state.acquire(second + SECOND / 10, u64::MAX).unwrap();
        let back = state.acquire(second, u64::MAX).unwrap();
        let again = state.acquire(second + SECOND / 10, u64::MAX).unwrap();
        let step = (SECOND_NS / state.fill_rate) as u64;
        assert!(close(back as f64, (first + step) as f64, 4.0), "{back}");
        assert!(close(again as f64, (back + step) as f64, 4.0), "{again}");

        let mut state = throttled();
        let (before, later) = (state.fill_rate, second + SECOND / 4);
        state.on_response(true, later);
        assert!(state.fill_rate < before);
        assert!(close(state.tokens, before / 4.0, 1e-6), "{state:?}");
    }

    #[test]
    fn a_released_token_serves_the_next() {
        let rate = AdaptiveRate {
            state: Arc::new(Mutex::new(throttled())),
            clock: Clock::start(),
        };
        let first = rate.acquire(10 * SECOND, u64::MAX).unwrap();
        rate.clone().release();
        let again = rate.acquire(10 * SECOND, u64::MAX).unwrap();
        assert!(close(first as f64, again as f64, 2.0), "{first}, {again}");
        for _ in 0..100 {
            rate.release();
        }
        let free = (0..100).take_while(|_| rate.acquire(10 * SECOND, 0).is_ok());
        assert_eq!(free.count(), 6, "6.9 are saved up, and no more");

        let fresh = AdaptiveRate::new();
        fresh.release();
        assert_eq!(
            fresh.lock().tokens,
            0.0,
            "nothing was taken before a throttle"
        );
        assert_eq!((fresh.is_enabled(), fresh.rate()), (false, f64::INFINITY));
    }

    #[test]
    fn an_idle_client_has_a_second_of_tokens_and_doubles_its_rate_again() {
        let mut state = throttled();
        let mut now = 10_000 * SECOND;
        let burst = (0..1_000)
            .take_while(|_| state.acquire(now, 0).is_ok())
            .count();
        assert_eq!(burst, 6, "of 6.9 per second");
        state.on_response(false, now);
        state.on_response(false, now + SECOND);
        let slow = state.fill_rate;
        assert!(slow < 5.0, "the rate that was not used is lost: {slow}");
        let mut sent = 0;
        while state.fill_rate < 100.0 {
            now += state.acquire(now, u64::MAX).unwrap();
            state.on_response(false, now);
            sent += 1;
            assert!(sent < 1_000, "{state:?}");
        }
        assert!(now < 10_060 * SECOND, "back within a minute: {now}");
    }

    proptest! {
        #[test]
        fn no_times_and_no_answers_break_it(
            steps in proptest::collection::vec((any::<u64>(), any::<bool>(), any::<bool>()), 1..200),
        ) {
            let mut state = State::default();
            for (now, throttled, ask) in steps {
                if ask {
                    let _ = state.acquire(now, now / 2);
                } else {
                    state.on_response(throttled, now);
                }
                prop_assert!(state.fill_rate.is_finite() && state.fill_rate >= MIN_FILL);
                prop_assert!(state.fill_rate <= (2.0 * state.measured).max(MIN_FILL));
                prop_assert!(state.capacity.is_finite() && state.tokens <= state.capacity);
                prop_assert!(state.tokens.is_finite());
            }
        }

        #[test]
        fn requests_never_leave_faster_than_the_bucket_allows(
            gaps in proptest::collection::vec(0_u64..SECOND, 1..200),
        ) {
            // Between two answers the rate stands still: at most capacity + rate * time.
            let mut state = throttled();
            let (rate, start) = (state.fill_rate, 10 * SECOND);
            let (mut now, mut leave) = (start, Vec::new());
            for gap in gaps {
                now += gap;
                leave.push(now + state.acquire(now, u64::MAX).unwrap());
            }
            for (i, from) in leave.iter().enumerate() {
                prop_assert!(i == 0 || leave[i - 1] <= *from, "in order");
                for (n, to) in (1_u32..).zip(&leave[i..]) {
                    let most = state.capacity + rate * seconds(to - from);
                    prop_assert!(f64::from(n) <= most + 1e-3 + 1.0, "{n} in {}", to - from);
                }
            }
        }
    }
}
