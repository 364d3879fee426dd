//! Ages and `Retry-After` against obvious models.

use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{FailureKind, Outcome};

use crate::circuit::Circuit;
use crate::circuit::settled::Settled;
use crate::config::BreakerConfig;
use crate::state_word::CircuitState;

const S: u64 = 1_000_000_000;
const FAILURE: Outcome = Outcome::Failure(FailureKind::Overloaded);

#[derive(Clone, Copy, Debug)]
enum Step {
    Fail,
    Succeed(u64),
    Pass(u64),
    MaxAge(Option<u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Fail),
        2 => (1_u64..20).prop_map(Step::Succeed),
        4 => (0_u64..40).prop_map(Step::Pass),
        1 => (40_u64..300).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..200)
}

fn config(max_age: Option<u64>) -> BreakerConfig {
    let rules = BreakerConfig::builder()
        .consecutive_failures(u32::MAX)
        .failure_rate(1.0, 30)
        .min_calls(30);
    let rules = match max_age {
        Some(age) => rules.max_age(Duration::from_secs(age)),
        None => rules.without_max_age(),
    };
    rules.build().expect("valid")
}

proptest! {
    /// An age of 80 s, in slices of 10 s: a call counts while its slice is one of the last eight.
    #[test]
    fn what_counts_are_the_last_calls_that_are_young_enough(steps in steps(), aged in any::<bool>()) {
        let config = config(aged.then_some(80));
        let mut circuit = Circuit::new(&config, 0);
        // When, and whether it failed.
        let mut calls: Vec<(u64, bool)> = Vec::new();
        let mut now = 0_u64;
        for step in steps {
            match step {
                Step::Pass(seconds) => now += seconds * S,
                Step::MaxAge(_) => {}
                Step::Fail => {
                    let settled = Settled::new(&config, &FAILURE, None);
                    circuit.settle_closed(&config, settled, 0, now);
                    calls.push((now, true));
                }
                Step::Succeed(count) => {
                    circuit.expire(&config, now);
                    circuit.successes(Some(0), count, 0);
                    calls.extend((0..count).map(|_| (now, false)));
                }
            }
            if circuit.word.state() != CircuitState::Closed {
                // Thirty of thirty failed.
                circuit.reset(now);
                calls.clear();
            }
            circuit.expire(&config, now);
            let slice = |at: u64| at / (10 * S);
            let young = |(at, _): &&(u64, bool)| !aged || slice(now) - slice(*at) < 8;
            let last: Vec<_> = calls.iter().rev().take(30).filter(young).collect();
            let seen = circuit.windows().calls(&config).expect("the rule is on");
            prop_assert_eq!(seen.calls, last.len() as u64);
            prop_assert_eq!(seen.failures, last.iter().filter(|(_, failed)| *failed).count() as u64);
            let run = calls.iter().rev().take_while(|(_, failed)| *failed).filter(young).count();
            prop_assert_eq!(circuit.windows().run() as usize, run);
        }
    }

    /// Any change of the age while it runs: what counts is never more than without one, and a call that
    /// is older than every age that was ever set does not count.
    #[test]
    fn no_order_of_changes_keeps_a_call_for_longer_than_every_age(
        steps in proptest::collection::vec(
            prop_oneof![
                4 => Just(Step::Fail),
                4 => (0_u64..40).prop_map(Step::Pass),
                2 => (8_u64..200).prop_map(|age| Step::MaxAge(Some(age))),
            ],
            0..100,
        ),
    ) {
        let mut config = config(Some(80));
        let mut circuit = Circuit::new(&config, 0);
        let (mut calls, mut now, mut longest) = (Vec::new(), 0_u64, 80);
        for step in steps {
            match step {
                Step::Pass(seconds) => now += seconds * S,
                Step::Succeed(_) => {}
                Step::Fail => {
                    let settled = Settled::new(&config, &FAILURE, None);
                    circuit.settle_closed(&config, settled, 0, now);
                    calls.push(now);
                }
                Step::MaxAge(age) => {
                    longest = longest.max(age.expect("some"));
                    let new = self::config(age);
                    circuit.configure(&config, &new, now);
                    config = new;
                }
            }
            if circuit.word.state() != CircuitState::Closed {
                circuit.reset(now);
                calls.clear();
            }
            circuit.expire(&config, now);
            let young = calls.iter().filter(|at| now - **at <= longest * S).count();
            prop_assert!(circuit.windows().run() as usize <= young);
            if matches!(step, Step::Fail) && !calls.is_empty() {
                prop_assert!(circuit.windows().run() > 0, "the call of now counts");
            }
        }
    }

    /// Failures with and without a wait, and successes: the circuit that opens stays open until the
    /// latest end that was asked for since the last success.
    #[test]
    fn the_open_time_is_the_latest_end_that_was_asked_for_since_the_last_success(
        steps in proptest::collection::vec(
            (prop_oneof![3 => (0_u64..2_000).prop_map(Some), 3 => Just(None)], 0_u64..60, any::<bool>()),
            1..60,
        ),
        limit in 1_u32..6,
    ) {
        let config = BreakerConfig::builder()
            .consecutive_failures(limit)
            .open_for(Duration::from_secs(10))
            .build()
            .expect("valid");
        let mut circuit = Circuit::new(&config, 0);
        let (mut now, mut latest) = (0_u64, 0_u64);
        for (wait, passed, succeeds) in steps {
            now += passed * S;
            if succeeds {
                circuit.successes(Some(0), 1, 0);
                latest = 0;
                continue;
            }
            let until = wait.map_or(0, |wait| now + wait * S);
            latest = latest.max(until);
            let settled = Settled::new(&config, &FAILURE, None).asking(until);
            if let Some(change) = circuit.settle_closed(&config, settled, 0, now) {
                let own = now + 10 * S;
                prop_assert_eq!(circuit.open_until, own.max(latest));
                prop_assert_eq!(change.until, circuit.open_until);
                prop_assert_eq!(change.by_retry_after, latest > own);
                prop_assert_eq!(circuit.log().last(), Some(&change));
                // One of an earlier period prolongs, and never shortens.
                let (before, late) = (circuit.open_until, now + passed * S);
                let settled = Settled::new(&config, &FAILURE, None).asking(late);
                prop_assert_eq!(circuit.prolong(settled, now), late > before);
                prop_assert_eq!(circuit.open_until, before.max(late));
                let success = Settled::new(&config, &Outcome::Success, None).asking(u64::MAX);
                prop_assert!(!circuit.prolong(success, now));
                circuit.reset(now);
                latest = 0;
            }
        }
    }
}
