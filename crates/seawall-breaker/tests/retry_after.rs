//! A failure with `Retry-After` keeps the circuit open for as long. Time is paused, but for the last
//! test.

use std::time::Duration;

use seawall_breaker::{
    BreakerConfig, BreakerConfigBuilder, BreakerHandle, BreakerLayer, BreakerRegistry,
    CircuitCause, CircuitState, Classify, Complete, Error, FailureKind, Outcome, Reason,
    Rejectable, WrapErrorLayer,
};
use seawall_core::{EventKind, Events, InstanceHandle, Received};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Outcome = Outcome::Failure(FailureKind::Overloaded);

fn rules() -> BreakerConfigBuilder {
    BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND)
}

fn handle(rules: BreakerConfigBuilder) -> BreakerHandle {
    BreakerLayer::new("upstream", rules.build().expect("valid")).handle()
}

fn fail(breaker: &BreakerHandle, wait: Option<Duration>) {
    let mut permit = breaker.try_admit().expect("admitted");
    if let Some(wait) = wait {
        permit.delay_probe(wait);
    }
    permit.complete(FAILED);
}

fn probes_in(breaker: &BreakerHandle) -> u64 {
    let left = breaker.snapshot().probes_in.expect("open, with an end");
    left.as_secs()
}

/// A 503, with the wait that it names; in the response or in the error.
#[derive(Clone, Copy, Debug)]
struct Answer(u16, Option<Duration>);

#[derive(Clone, Copy)]
struct ByStatus;

impl ByStatus {
    fn judge(answer: Answer) -> Outcome {
        match answer.0 {
            500.. => FAILED,
            429 => Outcome::Throttled {
                retry_after: answer.1,
                scope: seawall_breaker::Scope::Upstream,
            },
            _ => Outcome::Success,
        }
    }
}

impl Classify<Answer, Error<Answer>> for ByStatus {
    fn classify(&self, result: Result<&Answer, &Error<Answer>>) -> Outcome {
        match result {
            Ok(answer) | Err(Error::Inner(answer)) => Self::judge(*answer),
            Err(_) => Outcome::Ignored,
        }
    }

    fn retry_after(&self, result: Result<&Answer, &Error<Answer>>) -> Option<Duration> {
        match result {
            Ok(answer) | Err(Error::Inner(answer)) => answer.1,
            Err(_) => panic!("never of a local rejection"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_with_retry_after_delays_the_probe_in_a_response_as_in_an_error() {
    for in_error in [false, true] {
        let layer = BreakerLayer::new("upstream", rules().build().expect("valid"));
        let breaker = layer.handle();
        let mut service = layer
            .classify(ByStatus)
            .layer(
                WrapErrorLayer.layer(service_fn(move |answer: Answer| async move {
                    if in_error && answer.0 != 200 {
                        Err(answer)
                    } else {
                        Ok(answer)
                    }
                })),
            );
        let answer = Answer(503, Some(120 * SECOND));
        let _ = service.ready().await.expect("ready").call(answer).await;
        assert_eq!(probes_in(&breaker), 120);
        advance(119 * SECOND).await;
        let rejected = service.ready().await.expect("ready").call(answer).await;
        let rejected = rejected.expect_err("still open");
        let rejection = rejected.rejection().expect("by the circuit");
        assert_eq!(rejection.reason(), Reason::CircuitOpen);
        assert_eq!(rejection.retry_after(), Some(SECOND));
        advance(SECOND).await;
        let well = service
            .ready()
            .await
            .expect("ready")
            .call(Answer(200, None));
        well.await.expect("the probe");
        assert_eq!(breaker.state(), CircuitState::Closed);
        assert_eq!(breaker.counts().delayed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_in_the_cause_and_in_the_explanation() {
    let breaker = handle(rules());
    fail(&breaker, Some(120 * SECOND));
    let snapshot = breaker.snapshot();
    let last = snapshot.last().expect("it opened");
    assert_eq!(last.cause, CircuitCause::ConsecutiveFailures(1));
    assert!(last.by_retry_after);
    assert_eq!(last.open_for, Some(120 * SECOND));
    assert_eq!(
        last.to_string(),
        "closed -> open: 1 calls in a row failed, limit 1; open for 120s by Retry-After"
    );
    advance(20 * SECOND).await;
    assert_eq!(
        breaker.explain().to_string(),
        "open: 1 calls in a row failed, limit 1; for another 100s by Retry-After"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shorter_one_than_the_open_time_changes_nothing() {
    let breaker = handle(rules());
    fail(&breaker, Some(9 * SECOND));
    assert_eq!(probes_in(&breaker), 10);
    assert!(!breaker.snapshot().last().expect("it opened").by_retry_after);
    assert_eq!(breaker.counts().delayed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_longer_one_than_is_accepted_is_cut_and_counted() {
    let breaker = handle(rules());
    fail(&breaker, Some(Duration::from_secs(1_764_386_400)));
    assert_eq!(probes_in(&breaker), 15 * 60, "the default");
    assert_eq!(breaker.counts().retry_after_capped, 1);
    let breaker = handle(rules().max_retry_after(60 * SECOND));
    fail(&breaker, Some(61 * SECOND));
    assert_eq!(probes_in(&breaker), 60);
    assert_eq!(breaker.counts().retry_after_capped, 1);
    assert_eq!(breaker.counts().delayed, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_is_emitted() {
    let events = Events::new(16);
    let mut seen = events.subscribe();
    let breaker = handle(rules().max_retry_after(60 * SECOND).consecutive_failures(3));
    breaker.attach(&events);
    fail(&breaker, Some(60 * SECOND));
    fail(&breaker, Some(Duration::MAX));
    assert_eq!(seen.try_next(), None, "within the bound, or no time at all");
    fail(&breaker, Some(61 * SECOND));
    let Some(Received::Event(event)) = seen.try_next() else {
        panic!("no event");
    };
    let cut = EventKind::Bounded {
        what: "wait_ms",
        reported: 61_000,
        applied: 60_000,
    };
    let emitted = (event.pattern, event.name.as_str(), event.kind);
    assert_eq!(emitted, ("breaker", "upstream", cut));
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_has_no_effect() {
    let breaker = handle(rules().without_retry_after());
    fail(&breaker, Some(120 * SECOND));
    assert_eq!(probes_in(&breaker), 10);
    assert_eq!(
        (
            breaker.counts().delayed,
            breaker.counts().retry_after_capped
        ),
        (0, 0)
    );
}

/// `x-should-retry: false` is handed on so: it says nothing of when the upstream is back.
#[tokio::test(start_paused = true)]
async fn the_longest_time_of_all_names_no_time() {
    let breaker = handle(rules());
    fail(&breaker, Some(Duration::MAX));
    assert_eq!(probes_in(&breaker), 10);
    assert_eq!(breaker.counts().retry_after_capped, 0);
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_the_latest_end_counts() {
    let breaker = handle(rules().consecutive_failures(3));
    fail(&breaker, Some(120 * SECOND));
    advance(30 * SECOND).await;
    fail(&breaker, Some(20 * SECOND));
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 90);
}

#[tokio::test(start_paused = true)]
async fn a_success_takes_back_what_was_asked_for_before_it() {
    let breaker = handle(rules().consecutive_failures(2));
    fail(&breaker, Some(600 * SECOND));
    breaker
        .try_admit()
        .expect("closed")
        .complete(Outcome::Success);
    fail(&breaker, None);
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10);
}

/// As with HTTP, whose body is still to come when the head is classified.
#[tokio::test(start_paused = true)]
async fn a_success_between_the_head_and_the_end_of_a_failure_takes_nothing_back() {
    let breaker = handle(rules());
    let mut failing = breaker.try_admit().expect("closed");
    failing.delay_probe(120 * SECOND);
    advance(SECOND).await;
    for _ in 0..10 {
        breaker
            .try_admit()
            .expect("closed")
            .complete(Outcome::Success);
    }
    failing.complete(FAILED);
    assert_eq!(probes_in(&breaker), 119, "from its head on");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_no_failure_in_the_end_asks_for_nothing() {
    let breaker = handle(rules().consecutive_failures(2));
    fail(&breaker, None);
    let mut permit = breaker.try_admit().expect("closed");
    permit.delay_probe(120 * SECOND);
    permit.complete(Outcome::Ignored);
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_with_retry_after_keeps_the_circuit_open_for_as_long() {
    let breaker = handle(rules());
    fail(&breaker, None);
    advance(10 * SECOND).await;
    fail(&breaker, Some(300 * SECOND));
    assert_eq!(probes_in(&breaker), 300);
    let snapshot = breaker.snapshot();
    let last = snapshot.last().expect("it opened");
    assert_eq!(last.cause, CircuitCause::ProbeFailed);
    assert!(last.by_retry_after);
    // The next one does not: nothing is remembered of it.
    advance(300 * SECOND).await;
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10);
}

#[tokio::test(start_paused = true)]
async fn a_failure_on_the_ramp_with_retry_after_keeps_the_circuit_open_for_as_long() {
    let breaker = handle(rules().ramp(1, 60 * SECOND));
    fail(&breaker, None);
    advance(10 * SECOND).await;
    breaker
        .try_admit()
        .expect("the probe")
        .complete(Outcome::Success);
    fail(&breaker, Some(40 * SECOND));
    assert_eq!(
        (breaker.state(), probes_in(&breaker)),
        (CircuitState::Open, 40)
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_with_retry_after_prolongs_an_open_circuit() {
    let breaker = handle(rules());
    let mut late = breaker.try_admit().expect("closed");
    let mut later = breaker.try_admit().expect("closed");
    fail(&breaker, None);
    advance(4 * SECOND).await;
    late.delay_probe(120 * SECOND);
    late.complete(FAILED);
    assert_eq!(probes_in(&breaker), 120);
    assert_eq!((breaker.counts().late, breaker.counts().delayed), (1, 1));
    let snapshot = breaker.snapshot();
    let last = snapshot.last().expect("it opened");
    assert!(last.by_retry_after);
    assert_eq!(last.open_for, Some(124 * SECOND));
    // One that ends earlier shortens nothing.
    later.delay_probe(60 * SECOND);
    later.complete(FAILED);
    assert_eq!(probes_in(&breaker), 120);
    // The rejection without a lock knows it, too.
    let rejected = breaker.try_admit().expect_err("open");
    assert_eq!(rejected.retry_after(), Some(120 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_says_nothing_to_a_circuit_that_has_closed_again() {
    let breaker = handle(rules());
    let mut late = breaker.try_admit().expect("closed");
    fail(&breaker, None);
    advance(10 * SECOND).await;
    breaker
        .try_admit()
        .expect("the probe")
        .complete(Outcome::Success);
    late.delay_probe(120 * SECOND);
    late.complete(FAILED);
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10);
}

#[tokio::test(start_paused = true)]
async fn an_operator_resets_or_forces_all_the_same() {
    let breaker = handle(rules());
    fail(&breaker, Some(600 * SECOND));
    breaker.reset();
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10, "forgotten");
    breaker.force_open_for(20 * SECOND);
    assert_eq!(probes_in(&breaker), 20);
}

#[tokio::test(start_paused = true)]
async fn the_open_time_is_jittered_on_top_so_that_clients_do_not_come_back_together() {
    let breaker = handle(rules().open_jitter(0.5).seed(7));
    fail(&breaker, Some(100 * SECOND));
    assert!(
        (101..=150).contains(&probes_in(&breaker)),
        "{}",
        probes_in(&breaker)
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_no_failure_and_delays_nothing() {
    let breaker = handle(rules());
    let answer = Answer(429, Some(600 * SECOND));
    let throttled = async { Ok::<_, Error<Answer>>(answer) };
    let _ = breaker.call_with(ByRef, throttled).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, None);
    assert_eq!(probes_in(&breaker), 10);
}

/// For guarded futures.
struct ByRef;

impl Classify<Answer, Error<Answer>> for ByRef {
    fn classify(&self, result: Result<&Answer, &Error<Answer>>) -> Outcome {
        ByStatus.classify(result)
    }

    fn retry_after(&self, result: Result<&Answer, &Error<Answer>>) -> Option<Duration> {
        ByStatus.retry_after(result)
    }
}

#[tokio::test(start_paused = true)]
async fn a_guarded_future_is_heard_too_and_each_key_by_itself() {
    let config = rules().build().expect("valid");
    let keys: BreakerRegistry = BreakerRegistry::new("hosts", config);
    for key in ["down", "busy"] {
        let asked = async move {
            Ok::<_, Error<Answer>>(Answer(503, (key == "busy").then_some(120 * SECOND)))
        };
        let _ = keys.circuit(key).call_with(ByRef, asked).await;
    }
    assert_eq!(keys.circuit("down").snapshot().probes_in, Some(10 * SECOND));
    assert_eq!(
        keys.circuit("busy").snapshot().probes_in,
        Some(120 * SECOND)
    );
    assert_eq!(keys.counts().delayed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_in_shadow_mode_is_open_for_as_long_and_rejects_nothing() {
    let breaker = handle(rules().shadow(true));
    fail(&breaker, Some(120 * SECOND));
    advance(119 * SECOND).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    breaker
        .try_admit()
        .expect("nothing is rejected")
        .complete(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.counts().shadowed, 1);
}

#[tokio::test]
async fn the_probe_comes_when_the_upstream_asked_for_it_in_real_time() {
    let ms = Duration::from_millis;
    let breaker = handle(rules().open_for(ms(1)));
    fail(&breaker, Some(ms(80)));
    sleep(ms(20)).await;
    assert!(breaker.try_admit().is_err());
    sleep(ms(80)).await;
    breaker
        .try_admit()
        .expect("the probe")
        .complete(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}
