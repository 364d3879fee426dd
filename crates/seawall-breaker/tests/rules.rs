//! When a circuit opens: each rule as a user sees it. Time is paused.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use seawall_breaker::{CircuitState, Rule, RuleContext};
use seawall_core::{CircuitCause, Scope};
use support::{Do, MS, SECOND, settings, subject};
use tokio::time::{Instant, advance};

fn cause(handle: &seawall_breaker::BreakerHandle) -> Option<&'static str> {
    handle
        .snapshot()
        .transitions
        .last()
        .map(|t| t.cause.as_str())
}

// ---- the last T ----

#[tokio::test(start_paused = true)]
async fn a_rate_over_time_forgets_what_is_older_than_its_window() {
    let s = subject(settings().failure_rate_over(0.5, 10 * SECOND).min_calls(4));
    s.times(3, Do::Fail).await;
    advance(10 * SECOND + SECOND).await;
    // Three more of which none is enough: the old ones are gone.
    s.times(3, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    assert_eq!(cause(&s.handle), Some("failure_rate_over_time"));
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_for_at_least_nine_tenths_of_the_window_and_never_for_more_than_the_window() {
    for (gap, counts) in [(8_900 * MS, true), (10_001 * MS, false)] {
        let s = subject(settings().failure_rate_over(1.0, 10 * SECOND).min_calls(2));
        // Anywhere within a bucket.
        advance(437 * MS).await;
        s.times(1, Do::Fail).await;
        advance(gap).await;
        s.times(1, Do::Fail).await;
        let open = s.handle.state() == CircuitState::Open;
        assert_eq!(open, counts, "after {gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_gaps_of_any_length_leave_an_empty_window() {
    let day = 24 * 3_600 * SECOND;
    for gap in [11 * SECOND, day, 365 * day, 20 * 365 * day] {
        let s = subject(settings().failure_rate_over(0.5, 10 * SECOND).min_calls(2));
        s.times(100, Do::Succeed).await;
        s.times(1, Do::Fail).await;
        advance(gap).await;
        // The successes of before do not soften it, its failures do not sharpen it.
        s.times(1, Do::Fail).await;
        assert_eq!(s.handle.state(), CircuitState::Closed, "after {gap:?}");
        s.times(1, Do::Fail).await;
        assert_eq!(s.handle.state(), CircuitState::Open, "after {gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn successes_spread_over_the_window_are_all_counted() {
    let s = subject(settings().failure_rate_over(0.5, 10 * SECOND).min_calls(2));
    for _ in 0..20 {
        s.times(5, Do::Succeed).await;
        advance(400 * MS).await;
    }
    // Eight seconds of them are still there: 100 calls.
    s.times(90, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(10, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    let last = s.handle.snapshot().transitions[0];
    assert_eq!(last.figures.among, 200);
    assert_eq!(last.figures.of, 100);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_calls_and_one_of_time_are_evaluated_side_by_side() {
    let rules = || {
        settings()
            .failure_rate(0.5, 10)
            .failure_rate_over(0.5, 10 * SECOND)
            .min_calls(10)
    };
    // Slow traffic: only the last ten calls show it.
    let s = subject(rules());
    for _ in 0..10 {
        advance(5 * SECOND).await;
        s.times(1, Do::Fail).await;
    }
    assert_eq!(cause(&s.handle), Some("failure_rate"));
    // A success long ago still breaks a row and fills the ring, though its bucket is reused.
    let s = subject(
        settings()
            .consecutive_failures(3)
            .failure_rate_over(1.0, SECOND),
    );
    s.times(2, Do::Fail).await;
    s.times(1, Do::Succeed).await;
    advance(5 * SECOND).await;
    s.times(2, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(cause(&s.handle), Some("consecutive_failures"));
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_bucket_is_reused_still_ends_a_run_of_failures() {
    let s = subject(
        settings()
            .consecutive_failures(2)
            .failure_rate_over(1.0, SECOND)
            .min_calls(50),
    );
    s.times(1, Do::Fail).await;
    s.times(1, Do::Succeed).await;
    // Exactly one lap of the buckets later the next success lands in the same slot.
    advance(SECOND).await;
    s.times(1, Do::Succeed).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().success, 2);
}

// ---- slow calls ----

#[tokio::test(start_paused = true)]
async fn calls_that_succeed_slowly_open_the_circuit() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(0.5, 10)
            .min_calls(4),
    );
    s.times(2, Do::Take(999 * MS)).await;
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Take(2 * SECOND)).await;
    assert_eq!(cause(&s.handle), Some("slow_rate"));
    let rejected = s.rejection().await;
    assert_eq!(
        rejected.cause(),
        Some(CircuitCause::SlowRate { percent: 50 })
    );
    assert_eq!(s.handle.counts().slow, 2);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_forgotten_with_the_window_of_time() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate_over(0.5, 20 * SECOND)
            .min_calls(3),
    );
    s.times(2, Do::Take(SECOND)).await;
    advance(21 * SECOND).await;
    s.times(2, Do::Take(SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(cause(&s.handle), Some("slow_rate_over_time"));
}

/// A broker that hangs: no call ends, so nothing that looks at results can notice.
#[tokio::test(start_paused = true)]
async fn calls_still_in_flight_count_as_slow_before_they_end() {
    for over_time in [false, true] {
        let rule = settings().slow_after(SECOND).min_calls(4);
        let s = subject(if over_time {
            rule.slow_rate_over(0.5, 60 * SECOND)
        } else {
            rule.slow_rate(0.5, 10)
        });
        let mut hung = Vec::new();
        for _ in 0..4 {
            hung.push(s.spawn(Do::Hang).await);
        }
        advance(900 * MS).await;
        assert!(s.passes(Do::Succeed).await, "none is slow yet");
        assert_eq!(s.handle.snapshot().overdue, 0);
        // An eighth of the threshold later at the latest.
        advance(230 * MS).await;
        assert_eq!(s.handle.snapshot().overdue, 4);
        assert!(!s.passes(Do::Succeed).await, "four of five calls hang");
        assert_eq!(s.handle.state(), CircuitState::Open);
        assert_eq!(s.sent(), 5);
        for call in hung {
            call.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_overdue_is_counted_once_when_it_ends() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(0.9, 10)
            .min_calls(10),
    );
    let late = s.spawn(Do::Take(5 * SECOND)).await;
    advance(3 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.snapshot().overdue, 1);
    advance(3 * SECOND).await;
    late.await
        .expect("no panic")
        .expect("it responds in the end");
    let snapshot = s.handle.snapshot();
    assert_eq!((snapshot.overdue, snapshot.counts.slow), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_overdue_call_that_is_dropped_stays_slow() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(1.0, 10)
            .min_calls(2),
    );
    let hung = s.spawn(Do::Hang).await;
    advance(2 * SECOND).await;
    hung.abort();
    let _ = hung.await;
    let snapshot = s.handle.snapshot();
    assert_eq!((snapshot.overdue, snapshot.counts.abandoned), (0, 1));
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(
        s.handle.state(),
        CircuitState::Open,
        "two slow calls of two"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_early_does_not_vote_and_leaves_nothing_behind() {
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(1.0, 10)
            .min_calls(1),
    );
    for _ in 0..100 {
        let call = s.spawn(Do::Hang).await;
        call.abort();
        let _ = call.await;
    }
    advance(10 * SECOND).await;
    assert!(s.passes(Do::Succeed).await);
    let snapshot = s.handle.snapshot();
    assert_eq!((snapshot.overdue, snapshot.counts.slow), (0, 0));
    assert_eq!(snapshot.state, CircuitState::Closed);
}

/// All permits of a bulkhead are taken by calls that hang: no call reaches the breaker inside of
/// it any more, so the gate has to look.
#[tokio::test(start_paused = true)]
async fn the_gate_notices_hung_calls_when_no_call_reaches_the_breaker() {
    use seawall_core::{Error, WrapError};
    use tower::{Layer, ServiceExt, service_fn};
    let config = settings()
        .slow_after(SECOND)
        .slow_rate(0.5, 10)
        .min_calls(3);
    let layer = seawall_breaker::BreakerLayer::new("hung", config.build().expect("valid"));
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(3));
    let breaker = layer.layer(WrapError::new(service_fn(|()| {
        std::future::pending::<Result<(), &str>>()
    })));
    // A bulkhead of three permits with a queue without end.
    let queue = service_fn(move |()| {
        let (permits, breaker) = (std::sync::Arc::clone(&permits), breaker.clone());
        async move {
            let _permit = permits.acquire().await;
            breaker.oneshot(()).await
        }
    });
    let gate = layer.gate().layer(queue);
    for _ in 0..3 {
        tokio::spawn(gate.clone().oneshot(()));
    }
    tokio::task::yield_now().await;
    advance(1_200 * MS).await;
    let rejected: Result<(), Error<&str>> = gate.oneshot(()).await;
    assert!(matches!(rejected, Err(Error::Rejected(_))));
    assert_eq!(layer.handle().state(), CircuitState::Open);
}

/// Ten calls hang, the circuit trips, and its probe succeeds: the ten still hang, and they have
/// been counted.
#[tokio::test(start_paused = true)]
async fn calls_that_hung_before_a_period_are_not_held_against_it() {
    let rules = settings()
        .slow_after(SECOND)
        .slow_rate(0.5, 10)
        .min_calls(5);
    let s = subject(rules);
    let mut hung = Vec::new();
    for _ in 0..10 {
        hung.push(s.spawn(Do::Hang).await);
    }
    advance(2 * SECOND).await;
    assert!(!s.passes(Do::Succeed).await);
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    for _ in 0..20 {
        advance(SECOND).await;
        assert!(s.passes(Do::Succeed).await, "the past does not count twice");
    }
    assert_eq!(s.handle.snapshot().overdue, 0);
    for call in hung {
        call.abort();
        let _ = call.await;
    }
    assert_eq!(s.handle.snapshot().overdue, 0);
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_on_a_ramp_are_noticed() {
    let rules = settings()
        .slow_after(SECOND)
        .slow_rate(0.5, 10)
        .min_calls(4)
        .ramp(1, 3_600 * SECOND);
    let s = subject(rules.consecutive_failures(1));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    for _ in 0..10 {
        s.spawn(Do::Hang).await;
    }
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    advance(2 * SECOND).await;
    s.times(2, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn one_threshold_of_slow_or_failed_can_be_had_by_both_rules() {
    // Failures count as calls of the slow rate, too, and slow successes as those of the other.
    let s = subject(
        settings()
            .slow_after(SECOND)
            .slow_rate(0.5, 4)
            .failure_rate(0.5, 4)
            .min_calls(4),
    );
    s.times(1, Do::Take(SECOND)).await;
    s.times(2, Do::Succeed).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::FailAfter(SECOND)).await;
    assert_ne!(s.handle.state(), CircuitState::Closed);
}

// ---- what the upstream reports ----

#[tokio::test(start_paused = true)]
async fn a_ban_opens_at_once_for_as_long_as_it_lasts() {
    let s = subject(settings().consecutive_failures(100));
    s.times(1, Do::Ban(Some(300 * SECOND))).await;
    assert_eq!(cause(&s.handle), Some("banned"));
    let rejected = s.rejection().await;
    assert_eq!(rejected.cause(), Some(CircuitCause::Banned));
    assert_eq!(rejected.retry_after(), Some(300 * SECOND));
    advance(299 * SECOND).await;
    assert!(!s.passes(Do::Succeed).await, "one request would prolong it");
    advance(SECOND).await;
    assert!(s.passes(Do::Succeed).await);
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_bounded_by_the_settings_and_never_shorter_than_the_open_time() {
    let opens_for = |lasts| async move {
        let s = subject(
            settings()
                .consecutive_failures(100)
                .open_on_ban(600 * SECOND),
        );
        s.times(1, Do::Ban(lasts)).await;
        s.rejection().await.retry_after()
    };
    assert_eq!(opens_for(Some(Duration::MAX)).await, Some(600 * SECOND));
    assert_eq!(opens_for(Some(SECOND)).await, Some(10 * SECOND));
    assert_eq!(opens_for(Some(Duration::ZERO)).await, Some(10 * SECOND));
    assert_eq!(opens_for(None).await, Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_late_ban_keeps_the_circuit_open_for_as_long_as_it_lasts() {
    let s = subject(settings().consecutive_failures(1));
    let late = s.spawn(Do::BanAfter(5 * SECOND, 300 * SECOND)).await;
    s.times(1, Do::Fail).await;
    assert_eq!(s.rejection().await.retry_after(), Some(10 * SECOND));
    let _ = late.await;
    assert_eq!(s.handle.counts().late, 1, "it does not vote");
    assert_eq!(s.rejection().await.retry_after(), Some(300 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_opens_only_in_the_scopes_of_the_settings_and_with_a_time() {
    let account = [Scope::Account];
    let s = subject(
        settings()
            .consecutive_failures(1)
            .open_on_throttle(account, 60 * SECOND),
    );
    s.times(1, Do::Throttle(Some(5 * SECOND), Scope::Endpoint))
        .await;
    s.times(1, Do::Throttle(None, Scope::Account)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Throttle(Some(30 * SECOND), Scope::Account))
        .await;
    assert_eq!(cause(&s.handle), Some("throttled"));
    assert_eq!(s.rejection().await.retry_after(), Some(30 * SECOND));

    let s = subject(settings().consecutive_failures(1));
    s.times(9, Do::Throttle(Some(SECOND), Scope::Upstream))
        .await;
    assert_eq!(
        s.handle.state(),
        CircuitState::Closed,
        "a throttle is no failure"
    );
}

// ---- custom rules ----

/// Opens when the last failures came within a second of each other.
#[derive(Debug, Default)]
struct Burst {
    seen: Mutex<Vec<Instant>>,
}

impl Rule for Burst {
    fn name(&self) -> &'static str {
        "burst"
    }

    fn trips(&self, context: &RuleContext, now: Instant) -> bool {
        assert!(context.failures_in_a_row >= 1);
        let mut seen = self.seen.lock().expect("no panic");
        seen.push(now);
        let recent = seen.iter().filter(|at| now - **at <= SECOND).count();
        recent >= 3
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_rule_opens_the_circuit_and_is_named() {
    let s = subject(settings().rule(Burst::default()));
    for _ in 0..5 {
        s.times(1, Do::Fail).await;
        advance(SECOND).await;
    }
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(2, Do::Fail).await;
    assert_eq!(cause(&s.handle), Some("burst"));
    let rejected = s.rejection().await;
    assert_eq!(rejected.cause(), Some(CircuitCause::Rule("burst".into())));
    assert!(rejected.to_string().contains("`burst`"), "{rejected}");
}

#[derive(Debug)]
struct Panics;

impl Rule for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn trips(&self, context: &RuleContext, _: Instant) -> bool {
        assert!(context.failures_in_a_row != 2, "on purpose");
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_panics_loses_no_vote_and_poisons_nothing() {
    let s = subject(settings().consecutive_failures(3).rule(Panics));
    s.times(1, Do::Fail).await;
    let call = s.spawn(Do::Fail).await;
    let _ = call.await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(
        s.handle.state(),
        CircuitState::Open,
        "the third failure in a row"
    );
    assert_eq!(s.handle.counts().failure, 3);
}

// ---- why ----

#[tokio::test(start_paused = true)]
async fn a_rejection_has_name_cause_and_end() {
    let s = subject(settings().failure_rate(0.5, 10).min_calls(10));
    s.times(4, Do::Succeed).await;
    s.times(6, Do::Fail).await;
    let rejected = s.rejection().await;
    assert_eq!(
        rejected.to_string(),
        "circuit breaker `upstream`: the circuit is open (60% of the calls failed); retry in 10 s; nothing was sent"
    );
    let last = s.handle.snapshot().transitions[0];
    assert_eq!((last.figures.of, last.figures.among), (6, 10));
    assert_eq!(last.open_for, Some(10 * SECOND));
    assert_eq!(last.at, Instant::now());
    let text = s.handle.explain().to_string();
    assert!(text.contains("6 of 10"), "{text}");
    assert!(text.contains("50%"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn bad_requests_do_not_vote() {
    let s = subject(settings().consecutive_failures(2));
    s.times(1, Do::Fail).await;
    s.times(50, Do::BadRequest).await;
    assert_eq!(s.handle.counts().abstained, 50);
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open, "still two in a row");
}
