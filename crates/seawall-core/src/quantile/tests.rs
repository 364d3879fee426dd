use super::*;
use crate::histogram::layout::{BUCKETS, upper};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn quantile(q: f64, warm_up: u32, window: Duration) -> Quantile {
    let config = QuantileConfig::new(q)
        .and_then(|c| c.with_window(window))
        .and_then(|c| c.with_warm_up(warm_up));
    Quantile::new(config.unwrap())
}

/// The smallest sample that at least a share `q` of the samples does not pass.
fn exact_quantile(samples: &[u64], q: f64) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (q * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

fn assert_near(estimate: Option<Duration>, exact: u64) -> Result<(), TestCaseError> {
    let estimate = ns(estimate.expect("warm"));
    let most = exact + exact / 16 + 1_024;
    prop_assert!(
        (exact..=most).contains(&estimate),
        "{estimate} for {exact}, at most {most}"
    );
    Ok(())
}

/// From nothing to 73 minutes, each order of magnitude alike.
fn latency() -> impl Strategy<Value = u64> {
    (0_u32..42, any::<u64>()).prop_map(|(bits, draw)| draw & ((1 << (bits + 1)) - 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_estimate_is_never_below_the_quantile_and_a_sixteenth_above_at_most(
        samples in proptest::collection::vec(latency(), 1..300),
        q in 0.01_f64..0.999,
    ) {
        let learned = quantile(q, 1, SECOND);
        let now = Instant::now();
        for &sample in &samples {
            learned.record(Duration::from_nanos(sample), now);
        }
        learned.refresh(learned.clock.at(now));
        assert_near(learned.last_estimate(), exact_quantile(&samples, q))?;
        assert_near(learned.last_median(), exact_quantile(&samples, 0.5))?;
    }

    #[test]
    fn only_the_slices_of_the_window_count(
        steps in proptest::collection::vec((0_u64..1_500, latency()), 1..200),
    ) {
        let learned = quantile(0.9, 1, 4 * SECOND);
        let start = learned.clock.instant(0);
        let (mut at, mut recorded) = (0, Vec::new());
        for (gap, sample) in steps {
            at += gap;
            let now = start + Duration::from_millis(at);
            learned.record(Duration::from_nanos(sample), now);
            recorded.push((at / 1_000, sample));
            let live: Vec<_> = recorded
                .iter()
                .filter(|(slice, _)| slice + 4 > at / 1_000)
                .map(|(_, sample)| *sample)
                .collect();
            learned.due.store(0, Ordering::Relaxed);
            assert_near(learned.estimate(now), exact_quantile(&live, 0.9))?;
        }
    }

    /// Efron's way to the same estimator: each censored sample hands its weight, in order, to all
    /// that lasted longer.
    #[test]
    fn censored_samples_hand_their_weight_to_the_longer_ones(
        samples in proptest::collection::vec((0_usize..40, any::<bool>()), 1..120),
        q in 0.01_f64..0.999,
    ) {
        let learned = quantile(q, 1, SECOND);
        let now = Instant::now();
        let mut sorted: Vec<(usize, bool, f64)> = Vec::new();
        for &(index, censored) in &samples {
            let latency = Duration::from_nanos(upper(index) - 1);
            prop_assert_eq!(bucket(ns(latency)), index);
            if censored {
                learned.record_at_least(latency, now);
            } else {
                learned.record(latency, now);
            }
            sorted.push((index, censored, 1.0 / samples.len() as f64));
        }
        sorted.sort_by_key(|s| (s.0, s.1));
        for i in 0..sorted.len() {
            let heirs = sorted.len() - i - 1;
            if sorted[i].1 && heirs > 0 {
                let share = sorted[i].2 / heirs as f64;
                sorted[i].2 = 0.0;
                sorted[i + 1..].iter_mut().for_each(|s| s.2 += share);
            }
        }
        let mut answered = 0.0;
        let mut weights = Vec::new();
        for (index, censored, weight) in &sorted {
            answered += if *censored { 0.0 } else { *weight };
            weights.push((*index, answered));
        }
        // Sums that only rounding keeps apart from the quantile decide nothing.
        prop_assume!(weights.iter().all(|(_, sum)| (sum - q).abs() > 1e-9));
        let model = weights.iter().find(|(_, sum)| *sum >= q).or(weights.last());
        learned.refresh(learned.clock.at(now));
        prop_assert_eq!(
            learned.last_estimate().map(ns),
            model.map(|(index, _)| upper(*index))
        );
    }

    #[test]
    fn buckets_cover_every_duration_without_gaps(latency in any::<u64>()) {
        let index = bucket(latency);
        prop_assert!(index < BUCKETS);
        let clamped = latency.min(upper(BUCKETS - 1) - 1);
        prop_assert!(clamped < upper(index));
        prop_assert!(index == 0 || clamped >= upper(index - 1));
    }
}

#[test]
fn there_is_no_estimate_before_the_warm_up_and_one_with_its_last_sample() {
    let learned = quantile(0.5, 3, SECOND);
    let now = Instant::now();
    for missing in [3, 2, 1] {
        assert_eq!(learned.samples_missing(), missing);
        assert_eq!(learned.last_estimate(), None);
        // Reading it changes nothing.
        assert_eq!(learned.estimate(now), None);
        learned.record(100 * MS, now);
    }
    assert_eq!(learned.samples_missing(), 0);
    assert!(learned.last_estimate().is_some());
}

#[test]
fn a_warm_up_that_ends_while_the_lock_is_taken_ends_with_the_next_sample() {
    let learned = quantile(0.5, 2, SECOND);
    let now = Instant::now();
    let turn = learned.turn.lock().unwrap();
    learned.record(MS, now);
    learned.record(MS, now);
    assert_eq!(learned.last_estimate(), None);
    drop(turn);
    learned.record(MS, now);
    assert!(learned.last_estimate().is_some());
}

#[test]
fn an_idle_gap_of_any_length_forgets_all_and_warms_up_again() {
    for gap in [SECOND, 2 * SECOND, Duration::from_secs(1 << 33)] {
        let learned = quantile(0.5, 2, SECOND);
        let start = learned.clock.instant(0);
        learned.record(100 * MS, start);
        learned.record(100 * MS, start);
        assert!(learned.estimate(start).is_some());
        let later = crate::deadline(start, gap);
        assert_eq!(learned.estimate(later), None);
        learned.record(7 * MS, later);
        assert_eq!(learned.last_estimate(), None);
        learned.record(7 * MS, later);
        assert!(learned.last_estimate().unwrap() < 8 * MS);
    }
}

#[test]
fn old_answers_fade_and_the_estimate_is_computed_at_most_64_times_a_window() {
    let learned = quantile(0.5, 1, 4 * SECOND);
    let start = learned.clock.instant(0);
    learned.record(100 * MS, start);
    let slow = learned.estimate(start);
    for _ in 0..3 {
        learned.record(10 * MS, start);
    }
    assert_eq!(learned.estimate(start + 4 * SECOND / 64 - MS), slow);
    let fast = learned.estimate(start + 4 * SECOND / 64).unwrap();
    assert!((10 * MS..11 * MS).contains(&fast), "{fast:?}");
}

#[test]
fn a_clock_that_stands_still_or_goes_back_loses_nothing() {
    let learned = quantile(0.5, 4, SECOND);
    let start = learned.clock.instant(0);
    let late = start + 10 * SECOND;
    learned.record(MS, late);
    learned.record(MS, start);
    learned.record(MS, late);
    learned.record(MS, start);
    assert!(learned.estimate(start).is_some());
}

#[test]
fn when_nearly_all_are_given_up_the_estimate_is_the_longest_wait() {
    let learned = quantile(0.95, 2, SECOND);
    let now = Instant::now();
    learned.record(10 * MS, now);
    for _ in 0..20 {
        learned.record_at_least(500 * MS, now);
    }
    learned.refresh(learned.clock.at(now));
    let estimate = learned.last_estimate().unwrap();
    assert!((500 * MS..532 * MS).contains(&estimate), "{estimate:?}");
    // Never taken as responses of that time: half are not answered at 10 ms.
    assert!(learned.last_median().unwrap() > 10 * MS);
}

#[test]
fn a_full_bucket_stays_full() {
    let learned = quantile(0.5, 1, SECOND);
    let now = Instant::now();
    let count = &learned.slices[0].exact[bucket(ns(MS))];
    count.store(FULL - 1, Ordering::Relaxed);
    for _ in 0..3 {
        learned.record(MS, now);
    }
    assert_eq!(count.load(Ordering::Relaxed), FULL);
    learned.refresh(0);
    assert!(learned.last_estimate().unwrap() < 2 * MS);
}

#[test]
fn the_extremes_of_durations_are_taken() {
    let learned = quantile(0.5, 1, SECOND);
    let now = Instant::now();
    learned.record(Duration::ZERO, now);
    assert_eq!(learned.last_estimate(), Some(Duration::from_nanos(1_024)));
    learned.record(Duration::MAX, now);
    learned.record_at_least(Duration::MAX, now);
    learned.refresh(learned.clock.at(now));
    let longest = learned.last_estimate().unwrap();
    assert!(longest > Duration::from_secs(73 * 60), "{longest:?}");
}

#[test]
fn a_reset_forgets_the_samples_and_the_estimate() {
    let learned = quantile(0.5, 1, SECOND);
    let now = Instant::now();
    learned.record(100 * MS, now);
    learned.reset();
    assert_eq!(
        (learned.last_estimate(), learned.samples_missing()),
        (None, 1)
    );
    learned.record(MS, now);
    assert!(learned.last_estimate().unwrap() < 2 * MS);
}

#[test]
fn threads_lose_no_sample() {
    let learned = quantile(0.5, 1, QuantileConfig::LONGEST);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..5_000_u32 {
                    learned.record(MS * (i % 50), now);
                    learned.record_at_least(MS * (i % 50), now);
                    learned.estimate(now);
                }
            });
        }
    });
    assert_eq!(Merged::of(&learned.slices).samples, 40_000);
}

/// Who turns twice would clear a slice that is in the window.
#[test]
fn threads_that_turn_the_slices_at_once_lose_and_keep_nothing() {
    for _ in 0..20 {
        let learned = quantile(0.5, 1, 400 * MS);
        let start = learned.clock.instant(0);
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for slice in 0..4 {
                        barrier.wait();
                        for i in 0..50 {
                            learned.record(MS * i, start + slice * 100 * MS);
                        }
                    }
                });
            }
        });
        assert_eq!(Merged::of(&learned.slices).samples, 800);
        // The slice that a thread adds to may be the one before, while another turns.
        learned.estimate(start + 400 * MS);
        assert!(Merged::of(&learned.slices).samples <= 600);
        learned.estimate(start + 10 * SECOND);
        assert_eq!(Merged::of(&learned.slices).samples, 0);
    }
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    for bad in [0.0, 1.0, -0.5, 95.0, f64::NAN, f64::INFINITY] {
        assert_eq!(QuantileConfig::new(bad).unwrap_err().field(), "quantile");
    }
    let p95 = QuantileConfig::default();
    for bad in [Duration::ZERO, 99 * MS, Duration::MAX] {
        assert_eq!(p95.with_window(bad).unwrap_err().field(), "window");
    }
    assert_eq!(p95.with_warm_up(0).unwrap_err().field(), "warm_up");
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_at_once_and_keep_the_samples() {
    let config = |quantile, warm_up| {
        let config = QuantileConfig::new(quantile).unwrap();
        config.with_warm_up(warm_up).unwrap()
    };
    let learned = Quantile::new(config(0.9, 1_000));
    for ms in 1..=100 {
        learned.record(Duration::from_millis(ms), Instant::now());
    }
    assert_eq!(learned.last_estimate(), None);
    learned.configure(config(0.5, 100));
    assert_eq!(learned.config(), config(0.5, 100));
    let median = learned.last_estimate().unwrap().as_millis();
    assert!((50..=54).contains(&median), "{median}");
    // A shorter window forgets sooner.
    let short = config(0.5, 100).with_window(Duration::from_secs(1));
    learned.configure(short.unwrap());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(learned.estimate(Instant::now()), None);
    assert_eq!(learned.samples_missing(), 100);
}
