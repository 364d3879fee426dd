use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::Error;
use seawall_core::striped::Stripes;
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use super::limit::{Rule, State};
use super::sim::{self, Fixed, Limit, Load, MS, Phase, SCENARIO, SECOND};
use super::window::Window;
use super::*;
use crate::{BulkheadConfig, BulkheadLayer, CallSample, LimitAlgorithm};

fn adaptive(algorithm: impl Into<Algorithm>) -> Adaptive {
    Adaptive::builder().algorithm(algorithm).build().unwrap()
}

fn started_at(limit: u32, algorithm: impl Into<Algorithm>) -> State {
    let config = Adaptive::builder()
        .initial(limit)
        .max(20_000)
        .algorithm(algorithm);
    State::new(&config.build().unwrap())
}

/// A window of 20 calls in which the whole limit was used.
fn window(ms: u64, max_in_flight: u32) -> Window {
    Window {
        samples: 20,
        mean: ms * MS,
        latency: ms * MS,
        min: ms * MS,
        max_in_flight,
        drops: 0,
        length: Duration::from_millis(100),
    }
}

fn dropping(drops: u32, max_in_flight: u32) -> Window {
    Window {
        drops,
        ..window(10, max_in_flight)
    }
}

fn every_algorithm() -> [Algorithm; 4] {
    [
        Knee::default().into(),
        Aimd::default().into(),
        Vegas::default().into(),
        Gradient::default().into(),
    ]
}

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
fn an_overload_does_not_become_usual() {
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
    assert!(lowest < before, "it has to look");
    assert!(limit >= before, "{before} {limit}");
}

#[test]
fn the_knee_yields_when_latency_stays_above_what_it_believes() {
    let mut state = started_at(40, Knee::default());
    let mut limit = state.on_window(&window(10, 40));
    for _ in 0..200 {
        limit = state.on_window(&window(100, limit));
    }
    // Ten times the lowest, whatever the limit: somebody else's queue.
    assert!(limit <= 3, "{limit}");
    let Rule::Knee(knee) = state.rule() else {
        unreachable!()
    };
    assert!(knee.base <= 40.0 * MS as f64);
}

#[test]
fn the_knee_believes_a_higher_latency_once_the_lower_one_is_forgotten() {
    let knee = Knee::default().memory(Duration::from_secs(5));
    let mut state = started_at(40, knee);
    let mut limit = state.on_window(&window(10, 40));
    for _ in 0..600 {
        limit = state.on_window(&window(50, limit));
    }
    assert!(limit > 40, "{limit}");
}

#[test]
fn the_knee_bears_a_lost_call_now_and_then() {
    let mut state = started_at(40, Knee::default());
    let some = |drops| Window {
        samples: 1_000,
        ..dropping(drops, 40)
    };
    assert!(state.on_window(&some(9)) >= 40);
    let before = state.exact();
    assert_eq!(state.on_window(&some(11)), (before * 0.8) as u32);
}

fn finished(limit: &AdaptiveLimit, now: u64, calls: u32, seen: SampleKind) -> Vec<u32> {
    (0..calls)
        .filter_map(|_| limit.finished(now, 10 * MS, limit.limit(), seen))
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
        let config = Adaptive::builder().initial(100).algorithm(algorithm);
        let limit = AdaptiveLimit::with_stripes(&config.build().unwrap(), Stripes::ONE);
        limit.finished(SECOND, 10 * MS, 100, SampleKind::Answered);
        // 30 calls are dropped, which is seen at the next look at the window; and 30 more of the
        // same burst in each millisecond of the time that a call takes.
        let mut moves = finished(&limit, SECOND + 100 * MS, 30, SampleKind::Dropped);
        for after in 0..10 {
            let now = SECOND + (113 + after) * MS;
            moves.extend(finished(&limit, now, 30, SampleKind::Dropped));
        }
        assert_eq!(moves.len(), 1, "{algorithm:?} {moves:?}");
        // Nor does the next window count them.
        let later = finished(&limit, SECOND + 300 * MS, 30, SampleKind::Answered);
        assert!(later.iter().all(|next| *next >= moves[0]), "{algorithm:?}");
    }
}

#[test]
fn few_calls_say_nothing_but_drops_do() {
    let config = adaptive(Knee::default());
    let limit = AdaptiveLimit::with_stripes(&config, Stripes::ONE);
    for second in 1..100 {
        assert_eq!(
            limit.finished(second * SECOND, 10 * MS, 20, SampleKind::Answered),
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
fn one_lucky_reply_changes_nothing() {
    for algorithm in [Algorithm::from(Knee::default()), Vegas::default().into()] {
        let limit = AdaptiveLimit::with_stripes(&adaptive(algorithm), Stripes::ONE);
        let mut lowest = u32::MAX;
        for round in 1..40_u64 {
            let now = SECOND + round * 100 * MS;
            finished(&limit, now, 100, SampleKind::Answered);
            if round == 20 {
                limit.finished(now, 1_000, limit.limit(), SampleKind::Answered);
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
    let limit = AdaptiveLimit::new(&Adaptive::default());
    assert_eq!(limit.set(0), 1);
    assert_eq!(limit.set(u32::MAX), 200);
    assert_eq!(limit.limit(), 200);
}

#[test]
fn an_operator_may_resize_and_the_bulkhead_goes_on_from_there() {
    let mut limit = AdaptiveLimit::with_stripes(&Adaptive::default(), Stripes::ONE);
    let end = |limit| CallSample::new(SECOND, 10 * MS, 1, limit);
    assert_eq!(limit.ended(&end(20)), None);
    assert_eq!(limit.ended(&end(90)), None);
    assert_eq!(limit.limit(), 90);
    // Back to what it was before.
    assert_eq!(limit.ended(&end(20)), None);
    assert_eq!(limit.limit(), 20);
    assert_eq!(limit.ended(&end(900)), Some(200), "the bound");
}

#[test]
fn threads_that_finish_together_close_each_window_once() {
    let config = adaptive(Aimd::default());
    let limit = AdaptiveLimit::new(&config);
    let moves = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 1..=500_u64 {
                    let now = SECOND + round * 10 * MS;
                    if limit.finished(now, MS, 200, SampleKind::Answered).is_some() {
                        moves.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
fn settings_that_make_no_sense_are_rejected_by_name() {
    type Change = fn(AdaptiveBuilder) -> AdaptiveBuilder;
    let cases: [(&str, Change); 18] = [
        ("min", |b| b.min(0)),
        ("max", |b| b.min(5).max(4)),
        ("quantile", |b| b.quantile(1.1)),
        ("quantile", |b| b.quantile(f64::NAN)),
        ("min_window", |b| b.min_window(Duration::ZERO)),
        ("max_window", |b| b.max_window(Duration::from_millis(1))),
        ("min_samples", |b| b.min_samples(0)),
        ("aimd.backoff", |b| {
            b.algorithm(Aimd::default().backoff(1.0))
        }),
        ("aimd.slow", |b| {
            b.algorithm(Aimd::default().slow(Duration::ZERO))
        }),
        ("vegas.drift", |b| b.algorithm(Vegas::default().drift(1.0))),
        ("vegas.memory", |b| {
            b.algorithm(Vegas::default().memory(Duration::ZERO))
        }),
        ("gradient.tolerance", |b| {
            b.algorithm(Gradient::default().tolerance(0.9))
        }),
        ("gradient.backoff", |b| {
            b.algorithm(Gradient::default().backoff(0.0))
        }),
        ("gradient.drift", |b| {
            b.algorithm(Gradient::default().drift(f64::INFINITY))
        }),
        ("knee.tolerance", |b| {
            b.algorithm(Knee::default().tolerance(f64::NAN))
        }),
        ("knee.drops", |b| b.algorithm(Knee::default().drops(-0.1))),
        ("knee.probe", |b| {
            b.algorithm(Knee::default().probe(Duration::ZERO))
        }),
        ("knee.drift", |b| b.algorithm(Knee::default().drift(0.5))),
    ];
    for (field, change) in cases {
        let rejected = change(Adaptive::builder()).build().unwrap_err();
        assert_eq!(rejected.field(), field);
    }
    let extremes = Adaptive::builder()
        .max(u32::MAX)
        .initial(u32::MAX)
        .max_window(Duration::MAX)
        .build()
        .unwrap();
    let limit = AdaptiveLimit::new(&extremes);
    for now in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        limit.finished(now, u64::MAX, u32::MAX, SampleKind::Answered);
    }
    assert_eq!(limit.limit(), u32::MAX);
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
        let config = Adaptive::builder()
            .min(min)
            .max(min + more)
            .initial(initial)
            .algorithm(every_algorithm()[which])
            .build()
            .unwrap();
        let mut state = State::new(&config);
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

struct Ours(AdaptiveLimit);

impl Limit for Ours {
    fn limit(&self) -> u32 {
        self.0.limit()
    }

    fn finished(&mut self, now: u64, latency: u64, in_flight: u32, dropped: bool) {
        let seen = if dropped {
            SampleKind::Dropped
        } else {
            SampleKind::Answered
        };
        self.0.finished(now, latency, in_flight, seen);
    }
}

/// Eight places and a queue, 10 ms a call.
#[tokio::test(start_paused = true)]
async fn a_bulkhead_finds_how_many_calls_its_upstream_bears() {
    let places = Arc::new(Semaphore::new(8));
    let upstream = service_fn(move |(): ()| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Error<BoxError>>(())
        }
    });
    let config = BulkheadConfig::builder().max_waiting(100).build().unwrap();
    let adaptive = Adaptive::builder().initial(60).build().unwrap();
    let layer = BulkheadLayer::new("orders", config).adaptive(adaptive);
    let (handle, service) = (layer.handle(), layer.layer(upstream));
    assert_eq!(handle.limit(), 60);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let mut service = service.clone();
            tokio::spawn(async move {
                loop {
                    let _ = service.ready().await.unwrap().call(()).await;
                }
            })
        })
        .collect();
    // The baseline is that of a full queue, until the second measurement or so.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let mut limits = Vec::new();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        limits.push(handle.limit());
    }
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    let mean = limits.iter().sum::<u32>() / 50;
    assert!((7..=14).contains(&mean), "{limits:?}");
}

fn best_fixed(load: Load) -> Vec<(u32, sim::Fared)> {
    sim::best_fixed(&SCENARIO, load, 1, &[8, 10, 14, 40, 44])
}

/// The share of the best throughput, and how many times the best p99, for each phase.
fn beside(
    best: &[(u32, sim::Fared)],
    algorithm: Algorithm,
    load: Load,
    seed: u64,
) -> Vec<(Phase, f64, f64)> {
    let config = Adaptive::builder().algorithm(algorithm).build().unwrap();
    let mut limit = Ours(AdaptiveLimit::with_stripes(&config, Stripes::ONE));
    let run = sim::run(&SCENARIO, load, seed, &mut limit);
    let phases = SCENARIO.iter().zip(run.phases).zip(best);
    phases
        .map(|((phase, fared), (_, best))| {
            (
                *phase,
                fared.throughput / best.throughput,
                fared.p99 as f64 / best.p99 as f64,
            )
        })
        .collect()
}

#[test]
fn the_simulated_upstream_is_what_it_says() {
    let run = |limit| sim::run(&SCENARIO, Load::Closed, 1, &mut Fixed(limit)).phases;
    let (forty, eighty) = (run(40), run(80));
    for (phase, fared) in SCENARIO.iter().zip(&forty) {
        let most = phase.capacity as f64 / phase.latency as f64 * SECOND as f64;
        assert!((fared.throughput / most - 1.0).abs() < 0.01, "{fared:?}");
    }
    assert!(eighty[0].p99 > forty[0].p99 * 3 / 2);
    assert_eq!(forty[2].drops, 0);
    assert!(eighty[2].drops > 1_000, "70 wait where 50 fit");
}

#[test]
fn the_default_keeps_to_the_best_fixed_limit_in_every_phase() {
    for load in [Load::Closed, Load::Open] {
        let best = best_fixed(load);
        for seed in 0..3 {
            for (phase, throughput, p99) in beside(&best, Knee::default().into(), load, seed) {
                let phase = phase.name;
                assert!(throughput > 0.9, "{load:?} {seed} {phase} {throughput}");
                assert!(p99 < 2.0, "{load:?} {seed} {phase} {p99}");
            }
        }
    }
}

#[test]
fn the_others_keep_the_throughput_too() {
    // AIMD knows of queues only what it is told.
    let slow = Duration::from_millis(60);
    for load in [Load::Closed, Load::Open] {
        let best = best_fixed(load);
        for algorithm in [
            Algorithm::from(Aimd::default().slow(slow)),
            Vegas::default().into(),
            Gradient::default().into(),
        ] {
            for (phase, throughput, _) in beside(&best, algorithm, load, 1) {
                let phase = phase.name;
                assert!(
                    throughput > 0.9,
                    "{algorithm:?} {load:?} {phase} {throughput}"
                );
            }
        }
    }
}
