use std::time::Duration;

use seawall_core::{CircuitCause, FailureKind, Outcome, Scope};

use crate::circuit::Circuit;
use crate::circuit::admit::Admission;
use crate::circuit::settled::Settled;
use crate::config::{AbandonedPolicy, BreakerConfig, BreakerConfigBuilder};
use crate::entry_point::EntryPoint;
use crate::rule::RuleTrigger;
use crate::state_word::CircuitState;

const S: u64 = 1_000_000_000;
const FAILURE: Outcome = Outcome::Failure(FailureKind::Server);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn built(builder: BreakerConfigBuilder) -> (BreakerConfig, Circuit) {
    let config = builder.build().expect("valid");
    let circuit = Circuit::new(&config, 0);
    (config, circuit)
}

fn one() -> BreakerConfigBuilder {
    BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(secs(10))
}

fn ended(config: &BreakerConfig, outcome: Outcome) -> Settled {
    Settled::new(config, &outcome, None)
}

fn took(config: &BreakerConfig, outcome: Outcome, seconds: u64) -> Settled {
    Settled::new(config, &outcome, Some(seconds * S))
}

/// Fails once in the closed state.
fn fail(circuit: &mut Circuit, c: &BreakerConfig, now: u64) -> Option<&'static str> {
    let change = circuit.settle_closed(c, ended(c, FAILURE), 0, now);
    change.map(|change| change.cause.as_str())
}

fn passes(circuit: &mut Circuit, c: &BreakerConfig, now: u64) -> bool {
    matches!(
        circuit.admit(c, EntryPoint::Breaker, true, now).0,
        Admission::Pass(_)
    )
}

fn probe(
    circuit: &mut Circuit,
    c: &BreakerConfig,
    outcome: Outcome,
    now: u64,
) -> Option<&'static str> {
    let change = circuit.settle_probe(c, ended(c, outcome), 0, now);
    change.map(|change| change.cause.as_str())
}

#[test]
fn a_rate_is_compared_exactly_and_not_before_the_minimum() {
    let ten = || built(BreakerConfig::builder().failure_rate(0.3, 10).min_calls(10));
    let (c, mut circuit) = ten();
    assert_eq!(fail(&mut circuit, &c, 0), None);
    assert_eq!(fail(&mut circuit, &c, 0), None);
    circuit.successes(Some(0), 6, 0);
    // The third of nine: over the share, under the minimum.
    assert_eq!(fail(&mut circuit, &c, 0), None);
    assert_eq!(fail(&mut circuit, &c, 7), Some("failure_rate"));
    // Exactly three of ten trip too.
    let (c, mut circuit) = ten();
    fail(&mut circuit, &c, 0);
    fail(&mut circuit, &c, 0);
    circuit.successes(Some(0), 7, 0);
    assert_eq!(fail(&mut circuit, &c, 0), Some("failure_rate"));
    let figures = circuit.log()[0].figures;
    assert_eq!((figures.of, figures.among), (3, 10));
}

#[test]
fn a_time_window_forgets_failures_that_are_older_than_it() {
    let (c, mut circuit) = built(
        BreakerConfig::builder()
            .failure_rate_over(0.5, secs(10))
            .min_calls(3),
    );
    fail(&mut circuit, &c, 0);
    fail(&mut circuit, &c, 1);
    // Out of the window after exactly ten seconds, in it shortly before.
    assert_eq!(fail(&mut circuit, &c, 10 * S), None);
    assert_eq!(fail(&mut circuit, &c, 10 * S), None);
    assert_eq!(
        fail(&mut circuit, &c, 20 * S - 1),
        Some("failure_rate_over_time")
    );
}

#[test]
fn overdue_calls_count_as_slow_before_they_end() {
    let slow = BreakerConfig::builder()
        .slow_after(secs(2))
        .slow_rate(0.5, 10)
        .min_calls(4);
    let (c, mut circuit) = built(slow);
    circuit.successes(Some(0), 3, 0);
    assert_eq!(circuit.check_overdue(&c, 0, S), None);
    assert_eq!(circuit.check_overdue(&c, 2, S), None);
    let change = circuit.check_overdue(&c, 3, S).unwrap();
    assert_eq!(
        (
            change.cause.as_str(),
            change.figures.of,
            change.figures.among
        ),
        ("slow_rate", 3, 6)
    );
}

#[test]
fn slow_successes_trip_and_quick_ones_never_do() {
    let slow = BreakerConfig::builder()
        .slow_after(secs(2))
        .slow_rate_over(0.5, secs(60))
        .min_calls(2);
    let (c, mut circuit) = built(slow);
    assert_eq!(
        circuit.settle_closed(&c, took(&c, Outcome::Success, 2), 0, 0),
        None
    );
    assert_eq!(
        circuit.settle_closed(&c, took(&c, Outcome::Success, 1), 9, 0),
        None
    );
    let change = circuit.settle_closed(&c, took(&c, Outcome::Success, 2), 0, 0);
    assert_eq!(change.unwrap().cause.as_str(), "slow_rate_over_time");
}

#[test]
fn a_call_dropped_late_is_slow_and_fails_only_by_policy() {
    let slow = || {
        BreakerConfig::builder()
            .slow_after(secs(2))
            .slow_rate(1.0, 10)
            .min_calls(2)
    };
    let (c, mut circuit) = built(slow().consecutive_failures(5));
    let dropped = |c: &BreakerConfig, s: u64| Settled::abandoned(c, Some(s * S));
    circuit.settle_closed(&c, dropped(&c, 1), 0, 0);
    assert_eq!(circuit.windows().slow_calls(&c).unwrap().calls, 0);
    circuit.settle_closed(&c, dropped(&c, 2), 0, 0);
    assert_eq!(circuit.windows().run(), 0);
    assert!(circuit.settle_closed(&c, dropped(&c, 2), 0, 0).is_some());

    let (c, mut circuit) = built(one().abandoned_policy(AbandonedPolicy::FailureAfter(secs(3))));
    assert_eq!(circuit.settle_closed(&c, dropped(&c, 2), 0, 0), None);
    assert!(circuit.settle_closed(&c, dropped(&c, 3), 0, 0).is_some());
}

#[test]
fn a_ban_opens_until_it_is_over_within_bounds_and_never_shorter() {
    let ban = |lasts| Outcome::Banned { lasts };
    for (lasts, expected) in [
        (None, 10),
        (Some(secs(1)), 10),
        (Some(secs(30)), 30),
        (Some(Duration::MAX), 100),
    ] {
        let (c, mut circuit) = built(
            BreakerConfig::builder()
                .open_on_ban(secs(100))
                .open_for(secs(10)),
        );
        let change = circuit
            .settle_closed(&c, ended(&c, ban(lasts)), 0, 0)
            .unwrap();
        assert_eq!(
            (change.cause.as_str(), change.until),
            ("banned", expected * S)
        );
    }
    let (c, mut circuit) = built(
        BreakerConfig::builder()
            .consecutive_failures(2)
            .ban_as_failure(),
    );
    assert_eq!(circuit.settle_closed(&c, ended(&c, ban(None)), 0, 0), None);
    assert_eq!(fail(&mut circuit, &c, 0), Some("consecutive_failures"));
}

#[test]
fn a_throttle_opens_only_with_a_hint_and_in_scope() {
    let (c, mut circuit) = built(one().open_on_throttle([Scope::Account], secs(60)));
    let throttled = |wait, scope| Outcome::Throttled {
        retry_after: wait,
        scope,
    };
    let upstream = throttled(Some(secs(5)), Scope::Upstream);
    assert_eq!(circuit.settle_closed(&c, ended(&c, upstream), 0, 0), None);
    let no_hint = throttled(None, Scope::Account);
    assert_eq!(circuit.settle_closed(&c, ended(&c, no_hint), 0, 0), None);
    let hint = throttled(Some(secs(5)), Scope::Account);
    let change = circuit.settle_closed(&c, ended(&c, hint), 0, S).unwrap();
    assert_eq!((change.cause.as_str(), change.until), ("throttled", 6 * S));
    assert_eq!(circuit.streak(), 0);
}

#[test]
fn the_open_time_grows_with_openings_in_a_row_and_decays_while_closed() {
    let (c, mut circuit) = built(
        one()
            .successes_to_close(1)
            .open_growth(2.0, secs(35))
            .open_decay(secs(100)),
    );
    let mut now = 0;
    fail(&mut circuit, &c, now);
    for expected in [10, 20, 35, 35] {
        assert_eq!(circuit.open_until, now + expected * S);
        now = circuit.open_until;
        assert!(passes(&mut circuit, &c, now));
        assert_eq!(probe(&mut circuit, &c, FAILURE, now), Some("probe_failed"));
    }
    now = circuit.open_until;
    assert!(passes(&mut circuit, &c, now));
    assert_eq!(
        probe(&mut circuit, &c, Outcome::Success, now),
        Some("probes_succeeded")
    );
    // Five in a row, four taken back.
    now += 400 * S;
    fail(&mut circuit, &c, now);
    assert_eq!(circuit.open_until, now + 20 * S);
}

#[test]
fn probes_are_bounded_decided_early_and_never_wedge() {
    let (c, mut circuit) = built(one().probes(2).successes_to_close(3).probe_timeout(secs(5)));
    fail(&mut circuit, &c, 0);
    let rejected = circuit.admit(&c, EntryPoint::Breaker, true, 9 * S).0;
    let Admission::Reject(rejected) = rejected else {
        panic!("{rejected:?}")
    };
    assert_eq!(
        (rejected.wait, rejected.cause),
        (Some(S), CircuitCause::ConsecutiveFailures(1))
    );
    assert!(passes(&mut circuit, &c, 10 * S) && passes(&mut circuit, &c, 10 * S));
    assert!(!passes(&mut circuit, &c, 14 * S));
    // One is cancelled and gives its slot back.
    assert!(circuit.release_probe());
    assert!(passes(&mut circuit, &c, 14 * S));
    // Both hang: after the probe time their slots are used again.
    assert_eq!(circuit.time_left(&c, EntryPoint::Breaker, 14 * S), 5 * S);
    assert!(!passes(&mut circuit, &c, 19 * S - 1));
    let (again, change) = circuit.admit(&c, EntryPoint::Breaker, true, 19 * S);
    assert_eq!(change.unwrap().cause.as_str(), "probes_lost");
    assert_eq!(again, Admission::Pass(circuit.word));
    for _ in 0..2 {
        assert_eq!(probe(&mut circuit, &c, Outcome::Success, 19 * S), None);
        assert!(passes(&mut circuit, &c, 19 * S));
    }
    // No fourth is let out for three successes.
    assert!(!passes(&mut circuit, &c, 19 * S));
    assert_eq!(
        probe(&mut circuit, &c, Outcome::Success, 19 * S),
        Some("probes_succeeded")
    );
    assert_eq!(circuit.word.state(), CircuitState::Closed);
}

#[test]
fn a_close_rate_is_decided_as_soon_as_it_cannot_change() {
    // Seven of ten: three may fail.
    let rate = || {
        let (c, mut circuit) = built(one().probes(10).close_rate(0.7, 10));
        fail(&mut circuit, &c, 0);
        (0..7).for_each(|_| assert!(passes(&mut circuit, &c, 10 * S)));
        assert!(!passes(&mut circuit, &c, 10 * S));
        (c, circuit)
    };
    let (c, mut circuit) = rate();
    for _ in 0..3 {
        assert_eq!(probe(&mut circuit, &c, FAILURE, 10 * S), None);
    }
    assert_eq!(
        probe(&mut circuit, &c, FAILURE, 10 * S),
        Some("probe_failed")
    );
    let (c, mut circuit) = rate();
    for _ in 0..6 {
        assert_eq!(probe(&mut circuit, &c, Outcome::Success, 10 * S), None);
    }
    assert_eq!(
        probe(&mut circuit, &c, Outcome::Success, 10 * S),
        Some("probes_succeeded")
    );
}

#[test]
fn a_slow_probe_does_not_close() {
    let (c, mut circuit) = built(one().slow_after(secs(2)).slow_rate(0.5, 10));
    fail(&mut circuit, &c, 0);
    assert!(passes(&mut circuit, &c, 10 * S));
    let change = circuit.settle_probe(&c, took(&c, Outcome::Success, 2), 0, 12 * S);
    assert_eq!(change.unwrap().cause.as_str(), "probe_failed");
}

#[test]
fn a_ramp_doubles_the_share_that_passes_until_all_do() {
    let (c, mut circuit) = built(one().successes_to_close(1).ramp(2, secs(10)));
    fail(&mut circuit, &c, 0);
    assert!(passes(&mut circuit, &c, 10 * S));
    assert_eq!(
        probe(&mut circuit, &c, Outcome::Success, 10 * S),
        Some("probes_succeeded")
    );
    let passed = |circuit: &mut Circuit, now| (0..8).filter(|_| passes(circuit, &c, now)).count();
    assert_eq!(passed(&mut circuit, 10 * S), 2);
    assert_eq!(circuit.ramp_share(&c, 10 * S), Some(0.25));
    assert!(passes(&mut circuit, &c, 14 * S), "the ninth of the step");
    let Admission::Reject(rejection) = circuit.admit(&c, EntryPoint::Breaker, true, 14 * S).0
    else {
        panic!("the tenth is rejected")
    };
    assert_eq!(rejection.wait, Some(6 * S));
    assert_eq!(rejection.cause, CircuitCause::Recovering { percent: 25 });
    // Readiness is for all, and where the share is not applied nothing is rejected.
    assert_eq!(circuit.would_reject(&c, EntryPoint::Breaker, 14 * S), None);
    let (passes_by, _) = circuit.admit(&c, EntryPoint::Breaker, false, 14 * S);
    assert_eq!(passes_by, Admission::Pass(circuit.word));
    assert_eq!(passed(&mut circuit, 20 * S), 4);
    assert_eq!(passed(&mut circuit, 30 * S), 8);
    assert_eq!(circuit.word.state(), CircuitState::Closed);
    assert_eq!(
        circuit.log().last().unwrap().cause.as_str(),
        "ramp_completed"
    );
}

#[test]
fn a_failure_in_the_ramp_opens_by_the_rules_and_for_longer() {
    let (c, mut circuit) = built(
        BreakerConfig::builder()
            .consecutive_failures(2)
            .open_for(secs(10))
            .open_growth(2.0, secs(100))
            .successes_to_close(1)
            .ramp(3, secs(10)),
    );
    fail(&mut circuit, &c, 0);
    fail(&mut circuit, &c, 0);
    assert!(passes(&mut circuit, &c, 10 * S));
    probe(&mut circuit, &c, Outcome::Success, 10 * S);
    assert_eq!(probe(&mut circuit, &c, FAILURE, 11 * S), None);
    let cause = probe(&mut circuit, &c, FAILURE, 11 * S);
    assert_eq!(cause, Some("consecutive_failures"));
    assert_eq!(circuit.open_until, 31 * S);
}

#[test]
fn shadow_mode_reports_what_it_would_reject_but_an_operator_rejects() {
    let (c, mut circuit) = built(one().shadow(true));
    fail(&mut circuit, &c, 0);
    let (admission, _) = circuit.admit(&c, EntryPoint::Breaker, true, S);
    let Admission::Shadow(word, rejection) = admission else {
        panic!("{admission:?}")
    };
    assert!(word.is_unjudged() && !circuit.is_present(word));
    assert_eq!(rejection.wait, Some(9 * S));
    assert_eq!(circuit.would_reject(&c, EntryPoint::Gate, S), None);
    circuit.force_open(S);
    let (admission, _) = circuit.admit(&c, EntryPoint::Breaker, true, S);
    assert!(matches!(admission, Admission::Reject(r) if r.cause == CircuitCause::Operator));
}

#[test]
fn a_forced_opening_with_an_end_gives_the_circuit_back_to_the_probes() {
    let (c, mut circuit) = built(one());
    circuit.force_open_until(5 * S, 0).unwrap();
    assert_eq!(circuit.force_open_until(5 * S, 0), None);
    let rejection = circuit.would_reject(&c, EntryPoint::Gate, S).unwrap();
    assert_eq!(
        (rejection.wait, rejection.cause),
        (Some(4 * S), CircuitCause::Operator)
    );
    let (admission, change) = circuit.admit(&c, EntryPoint::Breaker, true, 5 * S);
    assert_eq!(change.unwrap().cause.as_str(), "forced_time_over");
    assert!(matches!(admission, Admission::Pass(_)));
    // Without an end only an operator ends it.
    circuit.force_open(6 * S).unwrap();
    assert_eq!(
        circuit
            .would_reject(&c, EntryPoint::Gate, u64::MAX - 1)
            .unwrap()
            .wait,
        None
    );
    assert_eq!(circuit.automatic(7 * S).unwrap().to, CircuitState::HalfOpen);
    assert_eq!(circuit.automatic(7 * S), None);
}

#[test]
fn a_circuit_forced_closed_counts_and_keeps_its_windows_afterwards() {
    let (c, mut circuit) = built(BreakerConfig::builder().failure_rate(1.0, 10).min_calls(3));
    fail(&mut circuit, &c, 0);
    circuit.force_closed(0).unwrap();
    assert_eq!(circuit.force_closed(0), None);
    for _ in 0..5 {
        assert_eq!(fail(&mut circuit, &c, 0), None);
    }
    assert_eq!(circuit.automatic(0).unwrap().to, CircuitState::Closed);
    assert_eq!(circuit.windows().calls(&c).unwrap().failures, 6);
    circuit.reset(0);
    assert_eq!(circuit.windows().calls(&c).unwrap().calls, 0);
}

#[test]
fn new_settings_keep_state_windows_and_permits() {
    let rate = |n| {
        BreakerConfig::builder()
            .failure_rate(1.0, n)
            .min_calls(n)
            .open_for(secs(10))
    };
    let (old, mut circuit) = built(rate(10));
    let permit = circuit.word;
    for _ in 0..3 {
        fail(&mut circuit, &old, 0);
    }
    let new = rate(2).build().unwrap();
    assert_eq!(circuit.configure(&old, &new, 0), None);
    assert!(circuit.is_present(permit) && circuit.word != permit);
    assert_eq!(circuit.windows().calls(&new).unwrap().failures, 2);
    assert_eq!(fail(&mut circuit, &new, 0), Some("failure_rate"));
    assert!(!circuit.is_present(permit));
    let later = rate(2).open_for(secs(1)).build().unwrap();
    circuit.configure(&new, &later, S);
    assert_eq!(
        (circuit.word.state(), circuit.open_until),
        (CircuitState::Open, 10 * S)
    );
}

#[test]
fn new_settings_decide_about_probes_that_have_succeeded_already() {
    let (old, mut circuit) = built(one().successes_to_close(3));
    fail(&mut circuit, &old, 0);
    assert!(passes(&mut circuit, &old, 10 * S));
    assert_eq!(probe(&mut circuit, &old, Outcome::Success, 10 * S), None);
    let new = one().successes_to_close(1).build().unwrap();
    let change = circuit.configure(&old, &new, 10 * S).unwrap();
    assert_eq!(change.to, CircuitState::Closed);
}

#[test]
fn custom_rules_see_the_circuit_and_open_it_by_name() {
    let (c, mut circuit) = built(one().failure_rate(1.0, 10).consecutive_failures(9));
    fail(&mut circuit, &c, 2 * S);
    let context = circuit.rule_context(&c, Some(took(&c, FAILURE, 1)), 4, 2 * S);
    assert_eq!(
        (context.trigger, context.overdue),
        (RuleTrigger::Failure, 4)
    );
    assert_eq!(
        (context.failures_in_a_row, context.closed_for),
        (1, secs(2))
    );
    assert_eq!(
        (context.took, context.calls.unwrap().failures),
        (Some(secs(1)), 1)
    );
    assert_eq!(
        circuit.rule_context(&c, None, 4, 2 * S).trigger,
        RuleTrigger::Overdue
    );
    let change = circuit.open_by_rule(&c, "mine".into(), 2 * S).unwrap();
    assert_eq!(change.cause.as_str(), "mine");
    assert_eq!(circuit.open_by_rule(&c, "mine".into(), 2 * S), None);
    let explanation = circuit.explain(&c, 3 * S);
    assert_eq!(explanation.to_string(), "open: rule `mine`; for another 9s");
}

#[test]
fn the_last_eight_transitions_are_kept() {
    let (c, mut circuit) = built(one());
    for now in 0..20 {
        circuit.reset(now);
        fail(&mut circuit, &c, now);
    }
    assert_eq!(circuit.log().len(), 8);
    assert_eq!(circuit.log().last().unwrap().at, 19);
}

#[test]
fn an_open_time_without_end_saturates_and_names_no_wait() {
    let (c, mut circuit) = built(one().open_for(Duration::MAX).open_jitter(1.0).seed(7));
    assert!(fail(&mut circuit, &c, 5).is_some());
    let rejection = circuit
        .would_reject(&c, EntryPoint::Gate, u64::MAX - 1)
        .unwrap();
    assert_eq!(rejection.wait, None);
}

#[test]
fn a_circuit_is_small() {
    let size = size_of::<Circuit>();
    assert!(size <= 320, "{size}");
}
