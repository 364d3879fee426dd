use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn close(a: f64, b: f64, by: f64) -> bool {
    (a - b).abs() <= by
}

/// The vectors of the SDKs' specification: time in seconds, throttled, rate.
#[test]
fn the_curve_meets_the_published_vectors() {
    let without_throttles = [
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
    for vector in [&without_throttles[..], &mixed[..]] {
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

/// The end-to-end vector of the SDKs' specification: responses every 0.2 s.
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
fn waiters_are_spaced_by_the_rate_and_a_rejected_wait_costs_nothing() {
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
    fn no_times_and_no_responses_break_it(
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
        // Between two responses the rate stays the same: at most capacity + rate * time.
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
