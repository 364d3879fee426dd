//! Calls of long ago do not count with those of now. Time is paused, but for the last test.

mod support;

use std::time::Duration;

use seawall_breaker::{CircuitState, Rule, RuleContext};
use support::{Do, SECOND, settings, subject};
use tokio::time::{Instant, advance, sleep};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn failures_of_yesterday_do_not_open_the_circuit_with_one_of_today() {
    let s = subject(settings().consecutive_failures(5));
    s.times(4, Do::Fail).await;
    advance(24 * HOUR).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.snapshot().failures_in_a_row, 1);
    s.times(4, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_of_yesterday_are_in_no_rate_of_the_last_calls() {
    let s = subject(settings().failure_rate(0.5, 20).min_calls(10));
    s.times(9, Do::Fail).await;
    advance(24 * HOUR).await;
    let calls = s.handle.snapshot().calls.expect("the rule is on");
    assert_eq!((calls.calls, calls.failures), (0, 0));
    s.times(9, Do::Fail).await;
    assert_eq!(
        s.handle.state(),
        CircuitState::Closed,
        "nine of nine, below the minimum"
    );
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_of_yesterday_are_in_no_rate_of_the_last_calls() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(0.5, 20)
            .min_calls(4),
    );
    s.times(3, Do::Take(SECOND)).await;
    advance(24 * HOUR).await;
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    let slow = s.handle.snapshot().slow_calls.expect("the rule is on");
    assert_eq!((slow.calls, slow.slow), (1, 1));
    s.times(3, Do::Take(SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

/// A call every ten minutes that always fails: a gap of less than the age must not add up to more.
#[tokio::test(start_paused = true)]
async fn it_is_the_age_of_each_failure_that_counts_and_not_the_gap_between_two() {
    let s = subject(settings().consecutive_failures(5).max_age(HOUR / 2));
    for _ in 0..20 {
        s.times(1, Do::Fail).await;
        advance(HOUR / 6).await;
        assert_eq!(s.handle.state(), CircuitState::Closed);
        assert!(s.handle.snapshot().failures_in_a_row <= 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_for_seven_eighths_of_the_age_at_least() {
    let s = subject(settings().consecutive_failures(2).max_age(80 * SECOND));
    s.times(1, Do::Fail).await;
    advance(70 * SECOND).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    let s = subject(settings().consecutive_failures(2).max_age(80 * SECOND));
    s.times(1, Do::Fail).await;
    advance(80 * SECOND).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn without_an_age_calls_count_forever() {
    let s = subject(settings().consecutive_failures(5).without_max_age());
    s.times(4, Do::Fail).await;
    advance(365 * 24 * HOUR).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_age_that_is_set_while_it_runs_holds_for_what_was_counted() {
    let ages = |age: Option<Duration>| {
        let rules = settings().consecutive_failures(3).failure_rate(1.0, 50);
        let rules = match age {
            Some(age) => rules.max_age(age),
            None => rules.without_max_age(),
        };
        rules.build().expect("valid")
    };
    let s = subject(settings().consecutive_failures(3).failure_rate(1.0, 50));
    s.times(2, Do::Fail).await;
    advance(HOUR / 2).await;
    s.handle.configure(ages(Some(HOUR / 4))).expect("valid");
    assert_eq!(s.handle.snapshot().failures_in_a_row, 0, "older than that");
    s.times(2, Do::Fail).await;
    s.handle.configure(ages(None)).expect("valid");
    advance(100 * HOUR).await;
    assert_eq!(s.handle.snapshot().failures_in_a_row, 2);
    // When they ended is not known any more: their age begins now.
    s.handle.configure(ages(Some(HOUR))).expect("valid");
    assert_eq!(s.handle.snapshot().failures_in_a_row, 2);
    advance(HOUR).await;
    let snapshot = s.handle.snapshot();
    assert_eq!(
        (snapshot.failures_in_a_row, snapshot.calls.map(|c| c.calls)),
        (0, Some(0))
    );
}

#[tokio::test(start_paused = true)]
async fn successes_age_too_and_make_room_for_what_is_now() {
    let s = subject(settings().failure_rate(0.5, 100).min_calls(4));
    s.times(50, Do::Succeed).await;
    s.times(1, Do::Fail).await;
    advance(2 * HOUR).await;
    s.times(4, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open, "four of four");
}

#[tokio::test(start_paused = true)]
async fn rules_over_a_time_keep_theirs() {
    let s = subject(
        settings()
            .failure_rate_over(0.5, 2 * HOUR)
            .min_calls(4)
            .consecutive_failures(100),
    );
    s.times(3, Do::Fail).await;
    advance(3 * HOUR / 2).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

/// Sees a run that is young enough only.
#[derive(Debug)]
struct ThreeInARow;

impl Rule for ThreeInARow {
    fn name(&self) -> &'static str {
        "three_in_a_row"
    }

    fn trips(&self, context: &RuleContext, _: Instant) -> bool {
        context.failures_in_a_row >= 3
    }
}

#[tokio::test(start_paused = true)]
async fn custom_rules_do_not_see_them_either() {
    let s = subject(settings().rule(ThreeInARow).max_age(60 * SECOND));
    s.times(2, Do::Fail).await;
    advance(61 * SECOND).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(2, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn on_the_ramp_and_forced_closed_it_is_the_same() {
    let s = subject(
        settings()
            .consecutive_failures(2)
            .max_age(60 * SECOND)
            .ramp(1, HOUR),
    );
    s.times(2, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    // On the ramp, one call in two passes.
    s.times(1, Do::Fail).await;
    advance(61 * SECOND).await;
    s.times(2, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    s.times(2, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    s.handle.reset();
    s.handle.force_closed();
    s.times(1, Do::Fail).await;
    advance(61 * SECOND).await;
    s.handle.automatic();
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test]
async fn a_second_is_enough_in_real_time() {
    let s = subject(settings().consecutive_failures(2).max_age(SECOND));
    s.times(1, Do::Fail).await;
    sleep(Duration::from_millis(1_100)).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}
