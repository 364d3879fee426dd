//! The same seed hits the same calls.

use super::*;
use proptest::prelude::*;
use seawall_chaos::FaultSet;

fn faults() -> FaultSet {
    let share = |fault: Fault, share| fault.with_intensity(share).unwrap();
    FaultSet::new([
        share(Fault::refused_connection(), 0.2),
        share(Fault::lost_response(), 0.2),
        share(Fault::delay(Delay::log_normal(20 * MS, 1.0).unwrap()), 0.5),
    ])
    .unwrap()
}

/// What became of each of some calls: its fault, and how long it took.
fn run(seed: Option<u64>, layer_seed: u64, calls: u32) -> Vec<(Option<FaultKind>, Duration)> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    runtime.build().unwrap().block_on(async {
        let config = ChaosConfig::builder().seed(layer_seed).build().unwrap();
        let layer = ChaosLayer::new("repeat", config).assume_idempotent();
        let mut service = layer.layer(mock().0);
        let set = match seed {
            Some(seed) => faults().seed(seed),
            None => faults(),
        };
        let _on = layer.handle().start(set).unwrap();
        let mut seen = Vec::new();
        for _ in 0..calls {
            let (result, took) = call(&mut service).await;
            seen.push((result.is_err().then(|| injected(result).0), took));
        }
        seen
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_run_is_the_same_in_every_run(seed: u64) {
        prop_assert_eq!(run(Some(seed), 1, 60), run(Some(seed), 2, 60));
        prop_assert_eq!(run(None, seed, 60), run(None, seed, 60));
        prop_assert_ne!(run(Some(seed), 1, 60), run(Some(seed.wrapping_add(1)), 1, 60));
    }
}

#[test]
fn shares_are_those_of_the_intensities() {
    let seen = run(Some(42), 0, 10_000);
    let share = |fault| seen.iter().filter(|(kind, _)| *kind == Some(fault)).count();
    let refused = share(FaultKind::RefusedConnection);
    assert!((1_880..2_120).contains(&refused), "{refused} of about 2000");
    // Of the four in five that are sent.
    let lost = share(FaultKind::LostResponse);
    assert!((1_480..1_720).contains(&lost), "{lost} of about 1600");
    let slow = seen.iter().filter(|(_, took)| !took.is_zero()).count();
    assert!((4_850..5_150).contains(&slow), "{slow} of about 5000");
}

#[test]
fn one_seed_is_followed_by_others_for_later_starts() {
    let handle = reads().handle();
    let seeds = || {
        let first = handle.start(Fault::hang()).unwrap();
        let second = handle.start(Fault::hang()).unwrap();
        (first.seed(), second.seed())
    };
    let (first, second) = seeds();
    assert_ne!(first, second, "two starts draw independently");
    let other = reads().handle();
    assert_eq!(other.start(Fault::hang()).unwrap().seed(), first);
    assert_eq!(handle.snapshot().seed, 7);
}
