use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{FailureKind, Outcome, Scope};

use crate::circuit::Circuit;
use crate::circuit::admit::Admission;
use crate::circuit::settled::Settled;
use crate::config::{AbandonedPolicy, BreakerConfig};
use crate::entry_point::EntryPoint;
use crate::state_word::CircuitState;

const FAILURE: Outcome = Outcome::Failure(FailureKind::Server);
const MS: u64 = 1_000_000;

fn configs() -> impl Strategy<Value = BreakerConfig> {
    let d = || {
        prop_oneof![
            (1_u64..100).prop_map(Duration::from_millis),
            Just(Duration::MAX)
        ]
    };
    let short = (1_u64..100).prop_map(Duration::from_millis);
    (
        (1_u32..5, 1_u32..90, any::<bool>(), any::<bool>()),
        (d(), 1.0_f64..10.0, 0.01_f64..=1.0),
        (
            1_u32..5,
            1_u32..5,
            proptest::option::of(0.1_f64..=1.0),
            short.clone(),
        ),
        (proptest::option::of(1_u32..17), short, any::<bool>()),
    )
        .prop_map(
            |((run, calls, slow, over), (open, factor, jitter), probes, ramp)| {
                let mut b = BreakerConfig::builder()
                    .consecutive_failures(run)
                    .failure_rate(0.7, calls)
                    .open_on_throttle([Scope::Upstream], Duration::MAX)
                    .open_for(open)
                    .open_growth(factor, Duration::MAX)
                    .open_jitter(jitter)
                    .seed(1)
                    .abandoned_policy(AbandonedPolicy::FailureAfter(Duration::from_millis(5)))
                    .probes(probes.0)
                    .probe_timeout(probes.3)
                    .shadow(ramp.2);
                b = match probes.2 {
                    Some(share) => b.close_rate(share, probes.1),
                    None => b.successes_to_close(probes.1),
                };
                if slow {
                    b = b.slow_after(Duration::from_millis(3)).slow_rate(0.5, calls);
                }
                if over {
                    b = b.failure_rate_over(0.6, Duration::from_millis(50));
                }
                if let Some(steps) = ramp.0 {
                    b = b.ramp(steps, ramp.1);
                }
                b.build().expect("valid")
            },
        )
}

#[derive(Clone, Debug)]
enum Command {
    Admit(EntryPoint, bool),
    Complete(Outcome, u64),
    Abandon(u64),
    LeaveGate,
    Successes(Option<u8>, u64),
    CheckOverdue(u64),
    Force(Option<u64>),
    ForceClosed,
    Automatic,
    Reset,
    Shadow(bool),
    Configure(Box<BreakerConfig>),
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let hint = || {
        proptest::option::of(prop_oneof![
            (0_u64..50).prop_map(Duration::from_millis),
            Just(Duration::MAX)
        ])
    };
    prop_oneof![
        4 => Just(Outcome::Success),
        6 => Just(FAILURE),
        1 => Just(Outcome::Ignored),
        1 => hint().prop_map(|lasts| Outcome::Banned { lasts }),
        1 => hint().prop_map(|retry_after| Outcome::Throttled {
            retry_after,
            scope: Scope::Upstream,
        }),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    let at = prop_oneof![Just(EntryPoint::Gate), Just(EntryPoint::Breaker)];
    prop_oneof![
        8 => (at, any::<bool>()).prop_map(|(a, d)| Command::Admit(a, d)),
        8 => (outcomes(), any::<u64>()).prop_map(|(o, t)| Command::Complete(o, t)),
        1 => any::<u64>().prop_map(Command::Abandon),
        1 => Just(Command::LeaveGate),
        2 => (any::<Option<u8>>(), any::<u64>()).prop_map(|(a, n)| Command::Successes(a, n)),
        1 => any::<u64>().prop_map(Command::CheckOverdue),
        1 => any::<Option<u64>>().prop_map(Command::Force),
        1 => Just(Command::ForceClosed),
        1 => Just(Command::Automatic),
        1 => Just(Command::Reset),
        1 => any::<bool>().prop_map(Command::Shadow),
        1 => configs().prop_map(|c| Command::Configure(Box::new(c))),
    ]
}

/// Mostly forward by little, but also back, to the start and to the end of time.
fn times() -> impl Strategy<Value = Result<u64, u64>> {
    prop_oneof![
        20 => (0_u64..30 * MS).prop_map(Ok),
        1 => Just(Err(0)),
        1 => Just(Err(u64::MAX)),
        1 => any::<u64>().prop_map(Err),
    ]
}

proptest! {
    #[test]
    fn no_order_of_commands_and_times_wedges_a_circuit(
        config in configs(),
        steps in proptest::collection::vec((commands(), times()), 0..150),
    ) {
        let mut config = config;
        let mut circuit = Circuit::new(&config, 0);
        let mut now = 0_u64;
        // The probes that were admitted in the present period and not settled.
        let (mut probes, mut since) = (0_u32, 0);
        for (command, time) in steps {
            now = match time {
                Ok(on) => now.saturating_add(on),
                Err(to) => to,
            };
            let before = circuit.word;
            let mut changed = None;
            match command {
                Command::Admit(at, ramps) => {
                    let foreseen = circuit.would_reject(&config, at, now);
                    let ramping = circuit.is_ramping();
                    let (admission, change) = circuit.admit(&config, at, ramps, now);
                    changed = change;
                    let rejected = matches!(admission, Admission::Reject(_));
                    if ramping {
                        prop_assert_eq!(foreseen, None);
                    } else {
                        prop_assert_eq!(foreseen.is_some(), rejected, "{:?} {:?}", foreseen, admission);
                    }
                    if circuit.since != since {
                        (probes, since) = (0, circuit.since);
                    }
                    if let Admission::Pass(word) = admission {
                        prop_assert_eq!(word, circuit.word);
                        let probing = word.state() == CircuitState::HalfOpen && !circuit.is_ramping();
                        if probing && at == EntryPoint::Breaker {
                            probes += 1;
                            prop_assert!(probes <= config.probes());
                            prop_assert!(probes <= config.successes_to_close());
                        }
                    }
                }
                Command::Complete(outcome, took) => {
                    let settled = Settled::new(&config, &outcome, Some(took));
                    if circuit.word.state() == CircuitState::HalfOpen {
                        if probes > 0 || circuit.is_ramping() {
                            probes = probes.saturating_sub(1);
                            changed = circuit.settle_probe(&config, settled, 0, now);
                        }
                    } else if circuit.word.is_passing() {
                        changed = circuit.settle_closed(&config, settled, 0, now);
                    }
                    let context = circuit.rule_context(&config, Some(settled), 0, now);
                    prop_assert_eq!(context.slow, settled.slow);
                }
                Command::Abandon(took) => {
                    let settled = Settled::abandoned(&config, Some(took));
                    if circuit.word.is_passing() {
                        changed = circuit.settle_closed(&config, settled, took, now);
                    }
                }
                Command::LeaveGate => {
                    circuit.release_queued();
                }
                Command::Successes(age, count) => {
                    if circuit.word.is_passing() {
                        circuit.successes(age, count, config.pace.epoch(now));
                    }
                }
                Command::CheckOverdue(overdue) => changed = circuit.check_overdue(&config, overdue, now),
                Command::Force(until) => {
                    changed = circuit.force_open_until(until.unwrap_or(u64::MAX), now);
                }
                Command::ForceClosed => changed = circuit.force_closed(now),
                Command::Automatic => changed = circuit.automatic(now),
                Command::Reset => changed = Some(circuit.reset(now)),
                Command::Shadow(on) => {
                    let new = BreakerConfig { shadow: on, ..config.clone() };
                    changed = circuit.configure(&config, &new, now);
                    config = new;
                }
                Command::Configure(new) => {
                    changed = circuit.configure(&config, &new, now);
                    config = *new;
                }
            }
            if circuit.since != since {
                (probes, since) = (0, circuit.since);
            }
            // Every change counts the generation up, and nothing else changes the state.
            prop_assert!(circuit.word.generation() >= before.generation());
            if circuit.word != before {
                prop_assert!(circuit.word.generation() > before.generation());
            }
            if let Some(change) = changed {
                prop_assert_eq!(change.to, circuit.word.state());
                prop_assert_eq!(circuit.since, circuit.word.generation());
                prop_assert_eq!(circuit.log().last(), Some(&change));
            } else {
                prop_assert_eq!(circuit.word.state(), before.state());
            }
            prop_assert!(!circuit.explain(&config, now).to_string().is_empty());
        }
        // Whatever happened: unless an operator holds it, it admits at last.
        if circuit.word.state() == CircuitState::Open {
            now = now.max(circuit.open_until);
        } else if circuit.word.state() == CircuitState::ForcedOpen {
            circuit.automatic(now);
        }
        circuit.admit(&config, EntryPoint::Breaker, false, now);
        let left = circuit.time_left(&config, EntryPoint::Breaker, now);
        prop_assert!(u128::from(left) <= config.probe_timeout().as_nanos());
        if let Some(later) = now.checked_add(left) {
            let (admission, _) = circuit.admit(&config, EntryPoint::Breaker, false, later);
            prop_assert!(matches!(admission, Admission::Pass(_)), "{:?}", admission);
        }
    }

    #[test]
    fn the_rules_decide_as_a_model_of_all_calls_does(
        run in 1_u32..8,
        calls in 1_u32..80,
        min in 1_u32..80,
        share in 0.01_f64..=1.0,
        steps in proptest::collection::vec((0_u8..5, 0_u64..40, 0_u64..9), 1..200),
    ) {
        // Buckets of exactly 2^20 ns, so that the model need not round as the window does.
        let width = 1_u64 << 20;
        let window = Duration::from_nanos(width * 10);
        let min = min.min(calls);
        let config = BreakerConfig::builder()
            .consecutive_failures(run)
            .failure_rate(share, calls)
            .failure_rate_over(share, window)
            .slow_after(Duration::from_nanos(100))
            .slow_rate(share, calls)
            .slow_rate_over(share, window)
            .min_calls(min)
            .build()
            .expect("valid");
        let mut circuit = Circuit::new(&config, 0);
        // (epoch, failed, slow) of every call since the circuit closed.
        let mut history: Vec<(u64, bool, bool)> = Vec::new();
        let mut now = 0_u64;
        for (kind, gap, overdue) in steps {
            // Gaps of up to four windows in buckets, and sometimes no gap at all.
            now += gap * width / 2;
            let epoch = now / width;
            let (failed, slow) = match kind {
                0 => {
                    circuit.successes(Some(0), 1, epoch);
                    history.push((epoch, false, false));
                    continue;
                }
                kind => (kind & 1 == 1, kind & 2 == 2),
            };
            let outcome = if failed { FAILURE } else { Outcome::Success };
            let took = if slow { 100 } else { 99 };
            let settled = Settled::new(&config, &outcome, Some(took));
            let change = circuit.settle_closed(&config, settled, overdue, now);
            history.push((epoch, failed, slow));

            let in_a_row = history.iter().rev().take_while(|c| c.1).count();
            let last = &history[history.len().saturating_sub(calls as usize)..];
            let time: Vec<_> = history.iter().filter(|c| epoch - c.0 < 10).copied().collect();
            let over = |bad: usize, of: usize, overdue: u64| {
                let (bad, of) = (bad as f64 + overdue as f64, of as f64 + overdue as f64);
                bad > 0.0 && of >= f64::from(min) && bad / of >= share - 1e-12
            };
            let rate = |of: &[(u64, bool, bool)]| over(of.iter().filter(|c| c.1).count(), of.len(), 0);
            let slowness =
                |of: &[(u64, bool, bool)]| over(of.iter().filter(|c| c.2).count(), of.len(), overdue);
            let expected = failed && (in_a_row >= run as usize || rate(last) || rate(&time))
                || (failed || slow) && (slowness(last) || slowness(&time));
            prop_assert_eq!(change.is_some(), expected, "{:?}", change);
            if change.is_some() {
                circuit.reset(now);
                history.clear();
            }
        }
    }
}
