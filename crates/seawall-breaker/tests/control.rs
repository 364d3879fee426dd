//! A circuit from outside: commands, settings, shadow, use without Tower. Time is paused.

mod support;

use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerHandle, BreakerLayer, CircuitState, HalfOpenPolicy};
use seawall_core::{
    CircuitCause, Command, Complete, Error, EventKind, InstanceHandle, Outcome, Reason, Received,
    Registry, Rejectable, Value, as_recovery,
};
use support::{Do, MS, SECOND, settings, subject};
use tokio::time::{Instant, advance, sleep};

fn quick() -> seawall_breaker::BreakerConfigBuilder {
    settings().consecutive_failures(1)
}

fn handle(builder: seawall_breaker::BreakerConfigBuilder) -> BreakerHandle {
    BreakerLayer::new("alone", builder.build().expect("valid")).handle()
}

// ---- commands win over rules ----

#[tokio::test(start_paused = true)]
async fn a_circuit_forced_closed_lets_all_pass_and_still_counts() {
    let s = subject(quick());
    s.handle.force_closed();
    s.times(20, Do::Fail).await;
    assert_eq!(
        (s.handle.state(), s.sent()),
        (CircuitState::ForcedClosed, 20)
    );
    assert_eq!(s.handle.counts().failure, 20);
    s.handle.automatic();
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open, "the rules work again");
}

#[tokio::test(start_paused = true)]
async fn a_forced_opening_holds_until_it_is_taken_back_and_then_probes() {
    let s = subject(quick());
    s.handle.force_open();
    advance(3_600 * SECOND).await;
    let rejected = s.rejection().await;
    assert_eq!(rejected.cause(), Some(CircuitCause::Operator));
    assert_eq!(rejected.retry_after(), None);
    s.handle.automatic();
    let probe = s.spawn(Do::Take(SECOND)).await;
    assert!(!s.passes(Do::Succeed).await, "one probe at a time");
    probe.await.expect("no panic").expect("a response");
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_forced_opening_with_an_end_probes_after_it() {
    let s = subject(quick());
    s.handle.force_open_for(60 * SECOND);
    assert_eq!(s.rejection().await.retry_after(), Some(60 * SECOND));
    advance(59 * SECOND).await;
    assert!(!s.passes(Do::Succeed).await);
    advance(SECOND).await;
    assert!(s.passes(Do::Succeed).await);
    assert_eq!(s.handle.state(), CircuitState::Closed);
    let causes: Vec<_> = s
        .handle
        .snapshot()
        .transitions
        .iter()
        .map(|t| t.cause.as_str())
        .collect();
    assert_eq!(causes, ["operator", "forced_time_over", "probes_succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_a_cause_of_its_own_and_an_operator_takes_over() {
    let s = subject(quick());
    let untouched = s.handle.operated();
    as_recovery("recovery_hold", || s.handle.control(Command::Block)).expect("it can be blocked");
    assert_eq!(s.rejection().await.cause(), Some(CircuitCause::Recovery));
    assert_eq!(s.handle.operated(), untouched, "no operator");
    s.handle.force_open();
    assert_eq!(s.rejection().await.cause(), Some(CircuitCause::Operator));
    assert_ne!(s.handle.operated(), untouched);
    s.handle.force_open();
    let transitions = s.handle.snapshot().transitions;
    let causes: Vec<_> = transitions.iter().map(|t| t.cause.as_str()).collect();
    assert_eq!(causes, ["recovery", "operator"]);
}

#[tokio::test(start_paused = true)]
async fn reset_closes_forgets_the_windows_and_the_growth() {
    let s = subject(quick().open_growth(2.0, 3_600 * SECOND));
    s.times(1, Do::Fail).await;
    for _ in 0..3 {
        advance(s.rejection().await.retry_after().expect("a time")).await;
        s.times(1, Do::Fail).await;
    }
    s.handle.reset();
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(1, Do::Fail).await;
    assert_eq!(s.rejection().await.retry_after(), Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn reset_takes_every_command_back_and_keeps_counters_and_settings() {
    let s = subject(quick());
    s.times(1, Do::Fail).await;
    let failures = s.handle.counts().failure;
    let settings = s.handle.config();
    for command in [
        BreakerHandle::force_open,
        BreakerHandle::force_closed,
        |handle: &BreakerHandle| handle.force_open_for(3_600 * SECOND),
    ] {
        command(&s.handle);
        assert_ne!(s.handle.state(), CircuitState::Closed);
        s.handle.reset();
        assert_eq!(s.handle.state(), CircuitState::Closed);
        assert!(s.passes(Do::Succeed).await);
    }
    assert_eq!(s.handle.counts().failure, failures);
    assert_eq!(s.handle.config(), settings);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_is_commanded_until_a_reset_or_other_settings() {
    for set in [false, true] {
        let s = subject(quick().shadow(set).open_for(7 * SECOND));
        s.handle.set_shadow(!set);
        assert_eq!(s.handle.snapshot().shadow, !set);
        assert_eq!(s.handle.config().shadow(), set, "the setting stays");
        s.handle.reset();
        assert_eq!(s.handle.snapshot().shadow, set);
        s.handle.set_shadow(!set);
        let settings = s.handle.config();
        s.handle.configure(settings.clone()).expect("valid");
        assert_eq!(s.handle.snapshot().shadow, set);
        assert_eq!(s.handle.config(), settings);
        s.handle.set_shadow(set);
        s.handle.set_shadow(!set);
        s.handle.set_shadow(set);
        assert_eq!(s.handle.snapshot().shadow, set);
        s.times(2, Do::Fail).await;
        assert_eq!(s.passes(Do::Succeed).await, set, "it is in force");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_does_not_vote_after_a_reset() {
    let mut s = subject(quick());
    let call = s.call(Do::Fail);
    s.handle.reset();
    // Polled late: it was admitted before the reset.
    call.await.expect_err("it fails");
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!((s.handle.counts().late, s.handle.counts().failure), (1, 0));
    let call = s.call(Do::Fail);
    s.handle.reset();
    drop(call);
    assert_eq!(s.handle.counts().abandoned, 1);
}

// ---- settings ----

#[tokio::test(start_paused = true)]
async fn new_settings_apply_to_probes_that_are_called_and_not_polled() {
    let probes = |n| quick().probes(n).successes_to_close(2);
    let mut s = subject(probes(1));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let unpolled = s.call(Do::Succeed);
    s.call(Do::Succeed)
        .await
        .expect_err("one slot, and it is taken");
    s.handle
        .configure(probes(2).build().expect("valid"))
        .expect("valid");
    s.call(Do::Succeed).await.expect("a second slot");
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    drop(unpolled);
    s.call(Do::Succeed).await.expect("the slot of the first");
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn new_settings_shorten_a_wait_for_probes_that_has_begun() {
    let wait = |max_wait| {
        let policy = HalfOpenPolicy::Wait { max_wait };
        quick().half_open_policy(policy)
    };
    let s = subject(wait(3_600 * SECOND));
    s.times(1, Do::Fail).await;
    advance(10 * SECOND).await;
    let probe = s.spawn(Do::Take(8 * SECOND)).await;
    let waiter = s.spawn(Do::Succeed).await;
    s.handle
        .configure(wait(SECOND).build().expect("valid"))
        .expect("valid");
    let began = Instant::now();
    waiter.await.expect("no panic").expect_err("it waited");
    assert_eq!(Instant::now() - began, SECOND);
    probe.await.expect("no panic").expect("a response");
}

#[tokio::test(start_paused = true)]
async fn new_settings_take_effect_and_lose_nothing() {
    let ten = |n| {
        settings()
            .failure_rate(0.5, n)
            .min_calls(10)
            .build()
            .expect("valid")
    };
    let s = subject(settings().failure_rate(0.5, 100).min_calls(100));
    s.times(60, Do::Succeed).await;
    s.times(8, Do::Fail).await;
    let old = s.spawn(Do::FailAfter(SECOND)).await;
    let before = s.handle.counts();
    s.handle.configure(ten(10)).expect("valid");
    assert_eq!(s.handle.config().failure_rate().map(|r| r.over), Some(10));
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.snapshot().counts, before);
    // The newest of the window are kept: 2 successes and 8 failures. The call that was in flight
    // still votes.
    advance(SECOND).await;
    let _ = old.await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    // An open circuit stays open until the end that it had.
    s.handle.configure(ten(20)).expect("valid");
    assert_eq!(s.handle.state(), CircuitState::Open);
    assert_eq!(s.rejection().await.retry_after(), Some(10 * SECOND));
    advance(10 * SECOND).await;
    assert!(s.passes(Do::Succeed).await);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_survives_a_change_of_its_length() {
    let over = |time| settings().failure_rate_over(0.5, time).min_calls(10);
    let s = subject(over(10 * SECOND));
    s.times(9, Do::Fail).await;
    advance(2 * SECOND).await;
    s.handle
        .configure(over(60 * SECOND).build().expect("valid"))
        .expect("valid");
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open, "nine and one are ten");
}

#[tokio::test(start_paused = true)]
async fn slow_calls_can_be_switched_on_while_calls_are_in_flight() {
    let s = subject(quick());
    let before = s.spawn(Do::Take(5 * SECOND)).await;
    s.handle
        .configure(
            settings()
                .slow_after(SECOND)
                .slow_rate(0.3, 10)
                .min_calls(1)
                .build()
                .expect("valid"),
        )
        .expect("valid");
    s.times(1, Do::Take(500 * MS)).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    before.await.expect("no panic").expect("a response");
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_can_be_switched_on_and_off_again() {
    let count = || settings().failure_rate(0.5, 100).min_calls(10);
    let time = || {
        settings()
            .failure_rate_over(0.5, 10 * SECOND)
            .slow_after(SECOND)
            .slow_rate_over(0.5, 10 * SECOND)
            .min_calls(10)
    };
    let s = subject(count());
    s.times(4, Do::Succeed).await;
    for _ in 0..2 {
        s.handle
            .configure(time().build().expect("valid"))
            .expect("valid");
        s.times(3, Do::Succeed).await;
        s.times(1, Do::Take(SECOND)).await;
        let window = s.handle.snapshot().time.expect("there is one");
        assert_eq!(window.calls, 4, "each success has its time");
        let slow = s.handle.counts().slow;
        s.handle
            .configure(count().build().expect("valid"))
            .expect("valid");
        s.times(1, Do::Take(SECOND)).await;
        let seen = s.handle.snapshot();
        assert_eq!((seen.time, seen.counts.slow), (None, slow));
    }
    assert_eq!(s.handle.counts().success, 14);
    assert_eq!(s.handle.snapshot().calls.map(|w| w.calls), Some(1));
}

// ---- watching ----

#[tokio::test(start_paused = true)]
async fn changes_can_be_waited_for() {
    let s = subject(quick());
    let changed = s.handle.state_change();
    s.times(1, Do::Fail).await;
    // It happened between the call of `state_change` and its first poll.
    let change = changed.await;
    assert_eq!(
        (change.from, change.to),
        (CircuitState::Closed, CircuitState::Open)
    );
    let waiting = tokio::spawn(s.handle.state_change());
    tokio::task::yield_now().await;
    advance(10 * SECOND).await;
    assert!(
        !waiting.is_finished(),
        "an open circuit probes when a call comes"
    );
    s.times(1, Do::Take(SECOND)).await;
    assert_eq!(waiting.await.expect("no panic").to, CircuitState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_has_everything_and_the_last_transitions() {
    let s = subject(quick());
    for _ in 0..6 {
        s.times(1, Do::Fail).await;
        advance(10 * SECOND).await;
        s.times(1, Do::Succeed).await;
    }
    let snapshot = s.handle.snapshot();
    assert_eq!(snapshot.transitions.len(), 8, "of 18");
    let to: Vec<_> = snapshot.transitions.iter().map(|t| t.to).collect();
    assert_eq!(
        to[5..],
        [
            CircuitState::Open,
            CircuitState::HalfOpen,
            CircuitState::Closed
        ]
    );
    assert_eq!(snapshot.probes_in, None);
    s.times(1, Do::Fail).await;
    advance(4 * SECOND).await;
    assert_eq!(s.handle.snapshot().probes_in, Some(6 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_has_the_rates_of_every_window() {
    let rules = settings()
        .failure_rate(0.9, 10)
        .failure_rate_over(0.9, 60 * SECOND)
        .slow_after(SECOND)
        .slow_rate(0.9, 10)
        .min_calls(4);
    let s = subject(rules);
    let none = s.handle.snapshot().calls.expect("the rule is on");
    assert_eq!((none.failure_rate(), none.slow_rate()), (None, None));
    s.times(2, Do::Succeed).await;
    s.times(1, Do::Take(SECOND)).await;
    s.times(1, Do::Fail).await;
    let seen = s.handle.snapshot();
    assert_eq!(seen.calls.and_then(|t| t.failure_rate()), Some(0.25));
    assert_eq!(seen.slow_calls.and_then(|t| t.slow_rate()), Some(0.25));
    let time = seen.time.expect("the rule is on");
    assert_eq!(
        (time.failure_rate(), time.slow_rate()),
        (Some(0.25), Some(0.25))
    );
    assert_eq!(seen.failures_in_a_row, 1);
}

/// One failed call is no rate of 100 %.
#[tokio::test(start_paused = true)]
async fn a_rate_below_the_minimum_of_calls_is_none_and_says_so() {
    let rules = settings()
        .failure_rate(0.5, 100)
        .failure_rate_over(0.5, 60 * SECOND)
        .min_calls(20);
    let s = subject(rules);
    let gauge = |window: &str| {
        let mut found = None;
        s.handle
            .samples(&mut seawall_core::Samples::new(&mut |sample| {
                let of_window = sample.labels == [("window", window)];
                if sample.metric == "seawall_breaker_window_min_calls" && of_window {
                    found = Some(sample.value);
                }
            }));
        found
    };
    for expected in [1, 19] {
        s.times(expected - s.sent() as u32, Do::Fail).await;
        let snapshot = s.handle.snapshot();
        for window in [snapshot.calls, snapshot.time] {
            let window = window.expect("the rule is on");
            assert_eq!(
                (window.calls, window.failures),
                (expected.into(), expected.into())
            );
            assert_eq!((window.min_calls, window.minimum_reached), (20, false));
            assert_eq!(window.failure_rate(), None);
        }
    }
    assert_eq!(gauge("calls"), Some(Value::Gauge(20.0)));
    assert_eq!(gauge("time"), Some(Value::Gauge(20.0)));
    s.times(1, Do::Succeed).await;
    let calls = s.handle.snapshot().calls.expect("the rule is on");
    assert!(calls.minimum_reached);
    assert_eq!(calls.failure_rate(), Some(0.95));
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_the_state_from_the_start_and_back_to_zero() {
    let registry = Registry::new("desk");
    let s = subject(quick());
    registry.register(s.handle.clone()).expect("a new name");
    let gauge = || {
        let mut found = None;
        s.handle
            .samples(&mut seawall_core::Samples::new(&mut |sample| {
                if sample.metric == "seawall_breaker_state" {
                    found = Some(format!("{:?}", sample.value));
                }
            }));
        found.expect("the gauge is there")
    };
    assert!(gauge().contains('0'));
    let openings = || {
        let mut found = None;
        s.handle
            .samples(&mut seawall_core::Samples::new(&mut |sample| {
                let from_to = [("from", "closed"), ("to", "open")];
                if sample.metric == "seawall_breaker_transitions_total" && sample.labels == from_to
                {
                    found = Some(sample.value);
                }
            }));
        found
    };
    assert_eq!(openings(), Some(Value::Counter(0)), "before there was one");
    s.times(1, Do::Fail).await;
    assert_eq!(openings(), Some(Value::Counter(1)));
    assert!(gauge().contains('2'));
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert!(gauge().contains('0'));
}

// ---- shadow mode ----

#[tokio::test(start_paused = true)]
async fn shadow_mode_rejects_nothing_and_counts_and_reports_what_it_would() {
    let s = subject(quick().shadow(true));
    let registry = Registry::new("desk");
    let mut events = registry.events().subscribe();
    registry.register(s.handle.clone()).expect("a new name");
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open, "it would be open");
    s.times(5, Do::Fail).await;
    assert_eq!(s.sent(), 6, "but all calls pass");
    let snapshot = s.handle.snapshot();
    assert!(snapshot.shadow);
    assert_eq!((snapshot.counts.shadowed, snapshot.counts.rejected), (5, 0));
    // Those that would have been rejected do not vote.
    assert_eq!(snapshot.counts.unjudged, 5);
    let mut shadowed = 0;
    while let Some(Received::Event(event)) = events.try_next() {
        if let EventKind::Shadowed(rejected) = event.kind {
            assert_eq!(rejected.reason(), Reason::CircuitOpen);
            shadowed += 1;
        }
    }
    assert_eq!(shadowed, 5);
    // The probe votes, as it would.
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    // What was learned in shadow mode is in force when it ends.
    s.times(1, Do::Fail).await;
    s.handle.set_shadow(false);
    assert!(!s.passes(Do::Succeed).await);
}

#[tokio::test(start_paused = true)]
async fn a_forced_opening_rejects_in_shadow_too() {
    let s = subject(quick().shadow(true));
    s.handle.force_open();
    assert!(!s.passes(Do::Succeed).await);
}

// ---- without Tower ----

async fn fetch(well: bool) -> Result<u32, std::io::Error> {
    if well {
        Ok(7)
    } else {
        Err(std::io::Error::other("down"))
    }
}

#[tokio::test(start_paused = true)]
async fn any_future_can_be_guarded_in_one_line() {
    let breaker = handle(quick());
    assert_eq!(breaker.call(fetch(true)).await.expect("well"), 7);
    let failed = breaker.call(fetch(false)).await.expect_err("down");
    assert!(matches!(failed, Error::Inner(_)));
    let rejected = breaker.call(fetch(true)).await.expect_err("open");
    assert_eq!(
        rejected.rejection().expect("a rejection").reason(),
        Reason::CircuitOpen
    );
    advance(10 * SECOND).await;
    assert_eq!(breaker.call(fetch(true)).await.expect("the probe"), 7);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_future_is_never_polled_and_a_dropped_one_is_abandoned() {
    let breaker = handle(quick());
    breaker.force_open();
    let polled = async { panic!("polled") as Result<(), ()> };
    assert!(breaker.call(polled).await.is_err());
    breaker.reset();
    drop(breaker.call(std::future::pending::<Result<(), ()>>()));
    let call = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.call(std::future::pending::<Result<(), ()>>()).await }
    });
    tokio::task::yield_now().await;
    call.abort();
    let _ = call.await;
    assert_eq!(breaker.counts().abandoned, 1, "one was polled, one never");
}

#[tokio::test(start_paused = true)]
async fn an_async_function_can_be_wrapped() {
    let breaker = handle(quick());
    let guarded = breaker.wrap(fetch);
    assert_eq!(guarded(true).await.expect("well"), 7);
    assert!(guarded(false).await.is_err());
    assert_eq!(breaker.state(), CircuitState::Open);
    assert!(guarded(true).await.expect_err("open").rejection().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_admission_can_be_had_without_a_future() {
    let breaker = handle(quick());
    let permit = breaker.try_admit().expect("closed");
    permit.complete(Outcome::Unknown);
    let rejected = breaker.try_admit().expect_err("open");
    assert_eq!(rejected.retry_after(), Some(10 * SECOND));
    advance(10 * SECOND).await;
    let probe = breaker.admit().await.expect("a probe");
    assert!(probe.is_probe());
    drop(probe);
    let probe = breaker.admit().await.expect("its slot is free");
    probe.complete(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A service, a gate, a handle and a wrapped function: one circuit.
#[tokio::test(start_paused = true)]
async fn every_way_in_shares_one_circuit() {
    let s = subject(quick());
    let _ = s.handle.call(async { Err::<(), _>("down") }).await;
    assert!(!s.passes(Do::Succeed).await);
    assert_eq!(s.layer.clone().handle().state(), CircuitState::Open);
}

// ---- extremes ----

#[tokio::test(start_paused = true)]
async fn extremes_of_every_setting_work() {
    let (most, day) = (Duration::MAX, 86_400 * SECOND);
    let config = BreakerConfig::builder()
        .consecutive_failures(u32::MAX)
        .failure_rate(f64::MIN_POSITIVE, 1)
        .slow_after(most)
        .slow_rate(1.0, 10_000_000)
        .min_calls(1)
        .open_on_ban(most)
        .open_for(most)
        .open_growth(f64::MAX, most)
        .open_jitter(1.0)
        .open_decay(most)
        .probes(u32::MAX)
        .successes_to_close(u32::MAX)
        .probe_timeout(day)
        .ramp(16, day)
        .build()
        .expect("all of them are possible");
    let breaker = BreakerLayer::new("extreme", config).handle();
    let start = Instant::now();
    let _ = breaker
        .call(async {
            sleep(SECOND).await;
            Err::<(), _>(())
        })
        .await;
    assert_eq!(Instant::now() - start, SECOND);
    assert_eq!(breaker.state(), CircuitState::Open, "any failure is enough");
    advance(20 * 365 * 86_400 * SECOND).await;
    assert!(breaker.call(fetch(true)).await.is_err());
    breaker.force_open_for(most);
    breaker.automatic();
    assert!(breaker.call(fetch(true)).await.is_ok());
    breaker.reset();
    let shortest = Duration::from_nanos(1);
    let config = BreakerConfig::builder()
        .failure_rate_over(1.0, 10 * MS)
        .slow_after(shortest)
        .slow_rate_over(1.0, 10 * MS)
        .min_calls(1)
        .open_for(shortest)
        .open_growth(1.0, shortest)
        .open_decay(shortest)
        .probe_timeout(shortest)
        .ramp(1, shortest)
        .build()
        .expect("all of them are possible");
    breaker.configure(config).expect("valid");
    for _ in 0..100 {
        let _ = breaker
            .call(async {
                sleep(MS).await;
                Err::<(), _>(())
            })
            .await;
        advance(shortest).await;
    }
    for _ in 0..5 {
        let _ = breaker.call(fetch(true)).await;
        advance(shortest).await;
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}
