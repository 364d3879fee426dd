//! How long a circuit stays open and what closes it again, as a user sees it. Time is paused.

mod support;

use std::time::Duration;

use seawall_breaker::{AbandonedPolicy, CircuitState, HalfOpenPolicy};
use seawall_core::{CircuitCause, Reason, Rejectable};
use support::{Do, MS, SECOND, Subject, settings, subject};
use tokio::time::{Instant, advance, timeout};

/// Opens for one failure.
fn quick() -> seawall_breaker::BreakerConfigBuilder {
    settings().consecutive_failures(1)
}

async fn wait(s: &Subject) -> Duration {
    s.rejection()
        .await
        .retry_after()
        .expect("open, with a time")
}

fn cause(s: &Subject) -> Option<&'static str> {
    s.handle
        .snapshot()
        .transitions
        .last()
        .map(|t| t.cause.as_str())
}

// ---- open time ----

#[tokio::test(start_paused = true)]
async fn the_open_time_grows_while_openings_follow_each_other_up_to_its_cap() {
    let s = subject(quick().open_growth(2.0, 60 * SECOND));
    s.times(1, Do::Fail).await;
    for expected in [10, 20, 40, 60, 60, 60] {
        assert_eq!(wait(&s).await, expected * SECOND);
        advance(expected * SECOND).await;
        // The probe fails.
        s.times(1, Do::Fail).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_time_takes_the_growth_back_step_by_step() {
    let grown = |healthy: Duration| async move {
        let s = subject(
            quick()
                .open_growth(2.0, 3_600 * SECOND)
                .open_decay(60 * SECOND),
        );
        s.times(1, Do::Fail).await;
        for expected in [10, 20, 40] {
            advance(expected * SECOND).await;
            s.times(1, Do::Fail).await;
        }
        advance(80 * SECOND).await;
        assert!(s.passes(Do::Succeed).await);
        assert_eq!(s.handle.state(), CircuitState::Closed);
        advance(healthy).await;
        s.times(1, Do::Fail).await;
        wait(&s).await
    };
    // The openings so far were 10, 20, 40 and 80 s long; the next one in a row is 160.
    assert_eq!(grown(59 * SECOND).await, 160 * SECOND);
    assert_eq!(grown(60 * SECOND).await, 80 * SECOND);
    assert_eq!(grown(180 * SECOND).await, 20 * SECOND);
    assert_eq!(grown(365 * 86_400 * SECOND).await, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_open_time_above_its_length_and_never_piles_up_on_the_cap() {
    let mut seen = Vec::new();
    for seed in 0..200 {
        let rules = quick()
            .open_growth(2.0, 10 * SECOND)
            .open_jitter(0.5)
            .seed(seed);
        let s = subject(rules);
        s.times(1, Do::Fail).await;
        let time = wait(&s).await;
        assert!((10 * SECOND..15 * SECOND).contains(&time), "{time:?}");
        seen.push(time);
        // The same seed gives the same times.
        let again = quick()
            .open_growth(2.0, 10 * SECOND)
            .open_jitter(0.5)
            .seed(seed);
        let again = subject(again);
        again.times(1, Do::Fail).await;
        assert_eq!(wait(&again).await, time);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 190, "{} different times of 200", seen.len());
    let late = seen.iter().filter(|t| **t >= 12_500 * MS).count();
    assert!((60..140).contains(&late), "{late} of 200 in the upper half");
}

#[tokio::test(start_paused = true)]
async fn an_open_time_without_end_ends_by_reset_only() {
    let s = subject(quick().open_for(Duration::MAX));
    s.times(1, Do::Fail).await;
    advance(20 * 365 * 86_400 * SECOND).await;
    assert!(!s.passes(Do::Succeed).await);
    s.handle.reset();
    assert!(s.passes(Do::Succeed).await);
}

// ---- half-open ----

#[tokio::test(start_paused = true)]
async fn a_share_of_the_probes_closes_as_soon_as_it_is_certain() {
    let s = |outcomes: &'static str| async move {
        let s = subject(quick().probes(5).close_rate(0.6, 5));
        s.times(1, Do::Fail).await;
        advance(10 * SECOND).await;
        for outcome in outcomes.chars() {
            assert_ne!(s.handle.state(), CircuitState::Closed);
            s.times(
                1,
                if outcome == '.' {
                    Do::Succeed
                } else {
                    Do::Fail
                },
            )
            .await;
        }
        s.handle.state()
    };
    // Three of five are needed, so two may fail.
    assert_eq!(s("...").await, CircuitState::Closed);
    assert_eq!(s("x.x..").await, CircuitState::Closed);
    assert_eq!(s("xx").await, CircuitState::HalfOpen);
    assert_eq!(s("xxx").await, CircuitState::Open);
    assert_eq!(s("..xx").await, CircuitState::HalfOpen);
    assert_eq!(s("..xxx").await, CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_slow_does_not_close_the_circuit() {
    let s = subject(settings().slow_after(SECOND).slow_rate(0.5, 4).min_calls(1));
    s.times(1, Do::Take(SECOND)).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Take(2 * SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    advance(10 * SECOND).await;
    s.times(1, Do::Take(500 * MS)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_ban_of_a_probe_opens_for_as_long_as_it_lasts() {
    let s = subject(quick().open_on_ban(600 * SECOND));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Ban(Some(300 * SECOND))).await;
    assert_eq!(cause(&s), Some("banned"));
    assert_eq!(wait(&s).await, 300 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_a_half_open_circuit_has_the_probes_as_its_cause() {
    let s = subject(quick());
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let probe = s.spawn(Do::Hang).await;
    let rejected = s.rejection().await;
    assert_eq!(rejected.cause(), Some(CircuitCause::Probing));
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    probe.abort();
}

#[tokio::test(start_paused = true)]
async fn hung_probes_never_wedge_the_circuit() {
    let s = subject(quick().probes(2).probe_timeout(5 * SECOND));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    for _ in 0..10 {
        let hung = [s.spawn(Do::Hang).await, s.spawn(Do::Hang).await];
        assert!(!s.passes(Do::Succeed).await);
        advance(5 * SECOND).await;
        drop(hung);
    }
    s.times(2, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

// ---- ramp ----

#[tokio::test(start_paused = true)]
async fn a_ramp_lets_a_doubling_share_of_the_traffic_pass_and_then_closes() {
    let s = subject(quick().ramp(3, 10 * SECOND));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    for share in [8, 4, 2] {
        assert_eq!(s.handle.state(), CircuitState::HalfOpen);
        let before = s.sent();
        s.times(80, Do::Succeed).await;
        assert_eq!(s.sent() - before, 80 / share);
        advance(10 * SECOND).await;
    }
    let before = s.sent();
    s.times(80, Do::Succeed).await;
    assert_eq!(s.sent() - before, 80);
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(cause(&s), Some("ramp_completed"));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_the_ramp_has_its_share_and_when_it_grows() {
    let s = subject(quick().ramp(2, 10 * SECOND));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    advance(4 * SECOND).await;
    // The first of the share passes.
    assert!(s.passes(Do::Succeed).await);
    let rejected = s.rejection().await;
    assert_eq!(
        rejected.cause(),
        Some(CircuitCause::Recovering { percent: 25 })
    );
    assert_eq!(rejected.retry_after(), Some(6 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn failures_on_the_ramp_open_the_circuit_by_the_rules_and_count_as_following() {
    let rules = settings()
        .consecutive_failures(2)
        .open_growth(2.0, 60 * SECOND)
        .ramp(2, 10 * SECOND);
    let s = subject(rules);
    s.times(2, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    s.times(1, Do::Fail).await;
    assert_eq!(
        s.handle.state(),
        CircuitState::HalfOpen,
        "one failure is not two"
    );
    s.times(4, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    assert_eq!(wait(&s).await, 20 * SECOND);
}

/// A gate that is not used applies no share: calls without it do not all pass.
#[tokio::test(start_paused = true)]
async fn a_gate_that_is_not_used_does_not_open_the_ramp_to_all() {
    use tower::Layer;
    let s = subject(quick().ramp(3, 10 * SECOND));
    let _idle = s.layer.gate().layer(());
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    let before = s.sent();
    s.times(80, Do::Succeed).await;
    assert_eq!(s.sent() - before, 10);
    // Nor does another way in.
    let mut passed = 0;
    for _ in 0..80 {
        passed += u32::from(s.handle.call(async { Ok::<_, ()>(()) }).await.is_ok());
    }
    assert_eq!(passed, 10);
}

#[tokio::test(start_paused = true)]
async fn with_a_gate_the_share_of_the_ramp_is_applied_once() {
    use seawall_core::{Error, WrapError};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tower::{Layer, ServiceExt, service_fn};
    let config = quick().ramp(1, 10 * SECOND).build().expect("valid");
    let layer = seawall_breaker::BreakerLayer::new("ramp", config);
    let sent: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&sent);
    let service = layer
        .gate()
        .layer(layer.layer(WrapError::new(service_fn(move |well: bool| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { if well { Ok(()) } else { Err("down") } }
        }))));
    let call = |well| {
        let service = service.clone();
        async move { service.oneshot(well).await as Result<(), Error<&str>> }
    };
    let _ = call(false).await;
    advance(10 * SECOND).await;
    call(true).await.expect("the probe");
    let before = sent.load(Ordering::SeqCst);
    for _ in 0..80 {
        let _ = call(true).await;
    }
    assert_eq!(sent.load(Ordering::SeqCst) - before, 40);
}

// ---- waiting while probes run ----

#[tokio::test(start_paused = true)]
async fn calls_may_wait_for_the_result_of_the_probes() {
    let rules = || {
        quick().half_open_policy(HalfOpenPolicy::Wait {
            max_wait: 30 * SECOND,
        })
    };
    // The probe succeeds: all waiters pass.
    let s = subject(rules());
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let probe = s.spawn(Do::Take(2 * SECOND)).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(s.spawn(Do::Succeed).await);
    }
    assert_eq!(s.sent(), 2);
    let start = Instant::now();
    for call in waiting {
        call.await.expect("no panic").expect("a response");
    }
    assert_eq!(Instant::now() - start, 2 * SECOND);
    probe.await.expect("no panic").expect("a response");

    // The probe fails: all waiters are rejected at once.
    let s = subject(rules());
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let _probe = s.spawn(Do::FailAfter(2 * SECOND)).await;
    let start = Instant::now();
    assert!(!s.passes(Do::Succeed).await);
    assert_eq!(Instant::now() - start, 2 * SECOND);
    assert_eq!(s.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_longer_for_probes_than_max_wait() {
    let s = subject(
        quick()
            .probe_timeout(60 * SECOND)
            .half_open_policy(HalfOpenPolicy::Wait {
                max_wait: 3 * SECOND,
            }),
    );
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let _probe = s.spawn(Do::Hang).await;
    let start = Instant::now();
    assert_eq!(s.rejection().await.cause(), Some(CircuitCause::Probing));
    assert_eq!(Instant::now() - start, 3 * SECOND);
}

/// The probe hangs and all other calls wait: none is left to notice it but the waiters.
#[tokio::test(start_paused = true)]
async fn waiters_take_over_from_a_probe_that_hangs_or_is_dropped() {
    let s = subject(
        quick()
            .probe_timeout(5 * SECOND)
            .half_open_policy(HalfOpenPolicy::Wait {
                max_wait: 60 * SECOND,
            }),
    );
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let _hung = s.spawn(Do::Hang).await;
    let start = Instant::now();
    timeout(20 * SECOND, s.send(Do::Succeed))
        .await
        .expect("in time")
        .expect("a response");
    assert_eq!(Instant::now() - start, 5 * SECOND);

    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let given_up = s.spawn(Do::Hang).await;
    let waiting = s.spawn(Do::Succeed).await;
    let start = Instant::now();
    given_up.abort();
    waiting.await.expect("no panic").expect("a response");
    assert_eq!(Instant::now() - start, Duration::ZERO);
}

// ---- abandoned calls ----

#[tokio::test(start_paused = true)]
async fn abandoned_calls_do_not_vote_unless_they_are_old_enough() {
    let give_up = |rules: seawall_breaker::BreakerConfigBuilder, after: Duration| async move {
        let s = subject(rules);
        for _ in 0..3 {
            assert!(timeout(after, s.send(Do::Hang)).await.is_err());
        }
        let counts = s.handle.counts();
        (s.handle.state(), counts.abandoned, counts.failure)
    };
    let rules = || settings().consecutive_failures(3);
    assert_eq!(give_up(rules(), SECOND).await, (CircuitState::Closed, 3, 0));
    let strict = || rules().abandoned_policy(AbandonedPolicy::FailureAfter(SECOND));
    assert_eq!(
        give_up(strict(), 999 * MS).await,
        (CircuitState::Closed, 3, 0)
    );
    let (state, abandoned_policy, failures) = give_up(strict(), SECOND).await;
    assert_eq!(
        (state, abandoned_policy + failures >= 3),
        (CircuitState::Open, true)
    );
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_probe_that_was_old_enough_fails() {
    let s = subject(quick().abandoned_policy(AbandonedPolicy::FailureAfter(SECOND)));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    assert!(timeout(2 * SECOND, s.send(Do::Hang)).await.is_err());
    assert_eq!(s.handle.state(), CircuitState::Open);
}

// ---- late results ----

#[tokio::test(start_paused = true)]
async fn results_of_an_earlier_period_never_vote() {
    let s = subject(
        settings()
            .consecutive_failures(2)
            .probes(1)
            .successes_to_close(2),
    );
    let mut late = Vec::new();
    for what in [
        Do::Take(15 * SECOND),
        Do::Take(15 * SECOND),
        Do::FailAfter(15 * SECOND),
        Do::FailAfter(25 * SECOND),
        Do::FailAfter(25 * SECOND),
    ] {
        late.push(s.spawn(what).await);
    }
    s.times(2, Do::Fail).await;
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    // Two old successes would close it, an old failure would open it.
    advance(6 * SECOND).await;
    tokio::task::yield_now().await;
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    advance(10 * SECOND).await;
    for call in late {
        let result = call.await.expect("no panic");
        assert!(result.is_ok() || result.unwrap_err().rejection().is_none());
    }
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().late, 5);
}
