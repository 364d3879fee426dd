//! The algorithms beside the best fixed limit of a simulated upstream.

use seawall_core::striped::Stripes;

use super::*;
use crate::sim::{self, Fixed, Limit, Load, Phase, SCENARIO, SECOND};
use crate::{AdaptiveLimit, SampleKind};

struct Ours(AdaptiveLimit);

impl Limit for Ours {
    fn limit(&self) -> u32 {
        self.0.limit()
    }

    fn finished(&mut self, now: u64, latency: u64, in_flight: u32, dropped: bool) {
        let kind = if dropped {
            SampleKind::Dropped
        } else {
            SampleKind::Completed
        };
        self.0.finished(now, latency, in_flight, kind);
    }
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
    let config = AdaptiveConfig::builder()
        .algorithm(algorithm)
        .build()
        .unwrap();
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
fn the_simulated_upstream_has_the_capacity_of_its_phases() {
    let run = |limit| sim::run(&SCENARIO, Load::Closed, 1, &mut Fixed(limit)).phases;
    let (forty, eighty) = (run(40), run(80));
    for (phase, fared) in SCENARIO.iter().zip(&forty) {
        let most = phase.capacity as f64 / phase.latency as f64 * SECOND as f64;
        assert!((fared.throughput / most - 1.0).abs() < 0.01, "{fared:?}");
    }
    assert!(eighty[0].p99 > forty[0].p99 * 3 / 2);
    assert_eq!(forty[2].drops, 0);
    assert!(eighty[2].drops > 1_000, "70 queue where 50 fit");
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
    // AIMD knows about queues only what is configured.
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
