//! One window at a time.

use proptest::prelude::*;

use super::*;
use crate::rules::Rule;

// The vectors of Netflix's implementations, where the rules agree.

#[test]
fn aimd_takes_one_step_per_window() {
    let slow = Duration::from_millis(50);
    let mut state = started_at(50, Aimd::default().slow(slow));
    assert_eq!(state.on_window(&window(50, 50)), 51);
    assert_eq!(state.on_window(&window(51, 51)), 45);
    assert_eq!(state.on_window(&dropping(20, 45)), 40);
    assert_eq!(state.on_window(&window(10, 20)), 41);
    assert_eq!(state.on_window(&window(10, 20)), 41, "20 is not half of 41");
}

#[test]
fn vegas_follows_its_vectors() {
    let mut state = started_at(10, Vegas::default());
    assert_eq!(state.on_window(&window(10, 11)), 16);
    for (latency, expected) in [(50, 9), (14, 10)] {
        let mut state = started_at(10, Vegas::default());
        let Rule::Vegas(vegas) = state.rule() else {
            unreachable!()
        };
        vegas.unloaded = 10.0 * MS as f64;
        assert_eq!(state.on_window(&window(latency, 10)), expected);
    }
    let mut state = started_at(10_000, Vegas::default());
    assert_eq!(state.on_window(&window(10, 6_000)), 10_024);
    let mut state = started_at(100, Vegas::default());
    assert_eq!(state.on_window(&dropping(7, 100)), 98);
}

#[test]
fn gradient_follows_its_vectors_and_drops_count() {
    for (present, expected) in [(10, 100.8), (15, 100.8), (30, 90.8)] {
        let mut state = started_at(100, Gradient::default());
        for _ in 0..2_000 {
            // The usual latency is learnt while the limit is not used.
            state.on_window(&window(10, 10));
        }
        state.on_window(&window(present, 100));
        assert!((state.exact() - expected).abs() < 0.1, "{present}");
    }
    let mut state = started_at(100, Gradient::default());
    assert_eq!(state.on_window(&dropping(20, 100)), 90);
}

#[test]
fn an_overload_does_not_become_the_usual_latency() {
    for algorithm in [
        Algorithm::from(Gradient::default()),
        Vegas::default().into(),
    ] {
        let mut state = started_at(100, algorithm);
        state.on_window(&window(10, 100));
        for _ in 0..5_000 {
            let limit = state.on_window(&window(100, 200));
            assert!(limit >= 1);
        }
        let usual = match state.rule() {
            Rule::Gradient(gradient) => gradient.usual,
            Rule::Vegas(vegas) => vegas.unloaded,
            other => unreachable!("{other:?}"),
        };
        assert!(usual <= 40.0 * MS as f64, "{usual}");
    }
}

#[test]
fn the_knee_restores_the_limit_when_the_upstream_is_slower_and_not_fuller() {
    let mut state = started_at(40, Knee::default());
    for _ in 0..3 {
        state.on_window(&window(10, 30));
    }
    let before = state.exact() as u32;
    let mut lowest = before;
    let mut limit = before;
    for _ in 0..6 {
        limit = state.on_window(&window(25, limit));
        lowest = lowest.min(limit);
    }
    assert!(lowest < before, "it has to probe");
    assert!(limit >= before, "{before} {limit}");
}

#[test]
fn the_knee_yields_when_latency_stays_above_what_it_accepts() {
    let mut state = started_at(40, Knee::default());
    let mut limit = state.on_window(&window(10, 40));
    for _ in 0..200 {
        limit = state.on_window(&window(100, limit));
    }
    // Ten times the lowest, whatever the limit: the queue of other clients.
    assert!(limit <= 3, "{limit}");
    let Rule::Knee(knee) = state.rule() else {
        unreachable!()
    };
    assert!(knee.base <= 40.0 * MS as f64);
}

#[test]
fn the_knee_accepts_a_higher_latency_once_the_lower_one_is_forgotten() {
    let knee = Knee::default().memory(Duration::from_secs(5));
    let mut state = started_at(40, knee);
    let mut limit = state.on_window(&window(10, 40));
    for _ in 0..600 {
        limit = state.on_window(&window(50, limit));
    }
    assert!(limit > 40, "{limit}");
}

#[test]
fn the_knee_tolerates_a_lost_call_now_and_then() {
    let mut state = started_at(40, Knee::default());
    let some = |drops| Window {
        samples: 1_000,
        ..dropping(drops, 40)
    };
    assert!(state.on_window(&some(9)) >= 40);
    let before = state.exact();
    assert_eq!(state.on_window(&some(11)), (before * 0.8) as u32);
}

fn any_window() -> impl Strategy<Value = Window> {
    let drops = prop_oneof![4 => Just(0), 1 => 0..50_u32];
    let latency = prop_oneof![1..200 * MS, Just(0), Just(u64::MAX)];
    (0..500_u32, latency, 0..400_u32, drops, 0..60_000_u64).prop_map(
        |(samples, latency, max_in_flight, drops, ms)| Window {
            samples,
            mean: latency,
            latency,
            min: latency,
            max_in_flight,
            drops,
            length: Duration::from_millis(ms),
        },
    )
}

proptest! {
    #[test]
    fn the_limit_stays_within_bounds_and_never_grows_unused(
        which in 0..4_usize,
        min in 1..50_u32,
        more in 0..300_u32,
        initial in 0..400_u32,
        windows in proptest::collection::vec(any_window(), 1..200),
    ) {
        let config = AdaptiveConfig::builder()
            .min(min)
            .max(min + more)
            .initial(initial.clamp(min, min + more))
            .algorithm(every_algorithm()[which])
            .build()
            .unwrap();
        let mut state = RuleState::new(&config);
        for window in windows {
            let before = state.exact();
            let limit = state.on_window(&window);
            prop_assert!((min..=min + more).contains(&limit));
            if 2.0 * f64::from(window.max_in_flight) < before {
                prop_assert!(state.exact() <= before, "{window:?}");
            }
        }
    }
}
