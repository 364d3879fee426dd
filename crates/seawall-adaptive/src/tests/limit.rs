//! The limit: windows, threads, and what is set from outside.

use std::sync::atomic::{AtomicU32, Ordering};

use seawall_bulkhead::{CallSample, LimitAlgorithm};
use seawall_core::striped::Stripes;

use super::*;
use crate::sim::SECOND;
use crate::{AdaptiveLimit, SampleKind};

fn finished(limit: &AdaptiveLimit, now: u64, calls: u32, kind: SampleKind) -> Vec<u32> {
    (0..calls)
        .filter_map(|_| limit.finished(now, 10 * MS, limit.limit(), kind))
        .collect()
}

#[test]
fn a_burst_of_drops_is_one_decrease() {
    for algorithm in [
        Algorithm::from(Knee::default()),
        Aimd::default().into(),
        Vegas::default().into(),
        Gradient::default().into(),
    ] {
        let config = AdaptiveConfig::builder().initial(100).algorithm(algorithm);
        let limit = AdaptiveLimit::with_stripes(&config.build().unwrap(), Stripes::ONE);
        limit.finished(SECOND, 10 * MS, 100, SampleKind::Completed);
        // 30 calls are dropped, which is seen at the next look at the window; and 30 more of the
        // same burst in each millisecond of the time that a call takes.
        let mut moves = finished(&limit, SECOND + 100 * MS, 30, SampleKind::Dropped);
        for after in 0..10 {
            let now = SECOND + (113 + after) * MS;
            moves.extend(finished(&limit, now, 30, SampleKind::Dropped));
        }
        assert_eq!(moves.len(), 1, "{algorithm:?} {moves:?}");
        // Nor does the next window count them.
        let later = finished(&limit, SECOND + 300 * MS, 30, SampleKind::Completed);
        assert!(later.iter().all(|next| *next >= moves[0]), "{algorithm:?}");
    }
}

#[test]
fn few_calls_change_nothing_but_drops_do() {
    let config = adaptive(Knee::default());
    let limit = AdaptiveLimit::with_stripes(&config, Stripes::ONE);
    for second in 1..100 {
        assert_eq!(
            limit.finished(second * SECOND, 10 * MS, 20, SampleKind::Completed),
            None
        );
    }
    let moved: Vec<u32> = (100..130)
        .filter_map(|second| limit.finished(second * SECOND, 10 * MS, 20, SampleKind::Dropped))
        .collect();
    assert!((1..=3).contains(&moved.len()), "{moved:?}");
    assert!(moved.is_sorted_by(|a, b| a > b), "{moved:?}");
}

#[test]
fn one_lucky_response_changes_nothing() {
    for algorithm in [Algorithm::from(Knee::default()), Vegas::default().into()] {
        let limit = AdaptiveLimit::with_stripes(&adaptive(algorithm), Stripes::ONE);
        let mut lowest = u32::MAX;
        for round in 1..40_u64 {
            let now = SECOND + round * 100 * MS;
            finished(&limit, now, 100, SampleKind::Completed);
            if round == 20 {
                limit.finished(now, 1_000, limit.limit(), SampleKind::Completed);
            }
            if round > 20 {
                lowest = lowest.min(limit.limit());
            }
        }
        assert!(lowest >= 20, "{algorithm:?} {lowest}");
    }
}

#[test]
fn a_limit_that_is_set_stays_within_the_bounds() {
    let limit = AdaptiveLimit::new(&AdaptiveConfig::default());
    assert_eq!(limit.set_limit(0), 1);
    assert_eq!(limit.set_limit(u32::MAX), 200);
    assert_eq!(limit.limit(), 200);
}

#[test]
fn a_limit_that_is_set_from_outside_is_where_the_algorithm_goes_on() {
    let mut limit = AdaptiveLimit::default();
    let sample = |limit| CallSample::new(SECOND, 10 * MS, 1, limit);
    assert_eq!(limit.on_sample(&sample(20)), None);
    assert_eq!(limit.on_sample(&sample(90)), None);
    assert_eq!(limit.limit(), 90);
    // Back to what it was before.
    assert_eq!(limit.on_sample(&sample(20)), None);
    assert_eq!(limit.limit(), 20);
    assert_eq!(limit.on_sample(&sample(900)), Some(200), "the bound");
}

#[test]
fn threads_that_finish_together_close_each_window_once() {
    let config = adaptive(Aimd::default());
    let limit = AdaptiveLimit::new(&config);
    let moves = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 1..=500_u64 {
                    let now = SECOND + round * 10 * MS;
                    if limit
                        .finished(now, MS, 200, SampleKind::Completed)
                        .is_some()
                    {
                        moves.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // 5 s of windows of 50 ms at least, one step each.
    let moves = moves.into_inner();
    assert_eq!(limit.limit(), 20 + moves);
    assert!((1..=100).contains(&moves), "{moves}");
}

#[test]
fn other_bounds_keep_what_was_learned_and_another_algorithm_starts_again() {
    let limit = AdaptiveLimit::with_stripes(&adaptive(Knee::default()), Stripes::ONE);
    assert_eq!(limit.estimates(), crate::Estimates::default());
    for round in 1..10_u64 {
        finished(
            &limit,
            SECOND + round * 100 * MS,
            100,
            SampleKind::Completed,
        );
    }
    let (grown, learned) = (limit.limit(), limit.estimates());
    assert!(grown > 22, "{grown}");
    // A bucket of the histogram is 6 % wide.
    let baseline = learned.baseline.expect("it has seen windows");
    assert!(baseline.abs_diff(Duration::from_millis(10)) < Duration::from_micros(600));
    let narrow = AdaptiveConfig::builder().max(22).build().unwrap();
    assert_eq!(limit.configure(&narrow), 22);
    assert_eq!((limit.limit(), limit.config()), (22, narrow));
    assert_eq!(limit.estimates(), learned);
    let other = AdaptiveConfig::builder().min(30).algorithm(Aimd::default());
    assert_eq!(limit.configure(&other.build().unwrap()), 30);
    assert_eq!(limit.estimates(), crate::Estimates::default());
    assert_eq!(limit.restart(), 30, "the bound next to the initial 20");
}
