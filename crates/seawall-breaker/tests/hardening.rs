//! Changes of settings, hung calls and rules that panic, where they meet. Time is paused.

mod support;

use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{AbandonedPolicy, BreakerLayer, CircuitState, Permit, Rule, RuleContext};
use seawall_core::{Complete, Error, Outcome, Rejectable, TrackCompletion};
use support::{Do, Failed, MS, SECOND, settings, subject};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn a_window_made_longer_while_the_circuit_is_open_still_sees_successes_afterwards() {
    let rule = |window| settings().failure_rate_over(0.5, window).min_calls(4);
    let s = subject(rule(10 * SECOND).probes(1).successes_to_close(1));
    advance(3_600 * SECOND).await;
    s.times(4, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    let longer = rule(100 * SECOND).probes(1).successes_to_close(1);
    s.handle
        .configure(longer.build().expect("valid"))
        .expect("valid");
    advance(10 * SECOND).await;
    s.times(1, Do::Succeed).await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.times(20, Do::Succeed).await;
    assert_eq!(s.handle.snapshot().time.map(|t| t.calls), Some(20));
    s.times(4, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Closed, "4 of 24 failed");
}

#[tokio::test(start_paused = true)]
async fn a_window_made_longer_while_closed_keeps_old_successes_among_the_last_calls() {
    let rule = |window| {
        settings()
            .failure_rate(0.5, 100)
            .failure_rate_over(0.5, window)
            .min_calls(10)
    };
    let s = subject(rule(10 * SECOND));
    advance(3_600 * SECOND).await;
    s.handle.reset();
    s.times(1, Do::Succeed).await;
    s.handle
        .configure(rule(100 * SECOND).build().expect("valid"))
        .expect("valid");
    s.times(50, Do::Succeed).await;
    // Their slot is used again, and then once more.
    advance(100 * SECOND).await;
    s.times(1, Do::Succeed).await;
    s.times(1, Do::Fail).await;
    let calls = s.handle.snapshot().calls.map(|t| t.calls);
    assert_eq!(calls, Some(53));
}

#[derive(Debug)]
struct Panics;

impl Rule for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }
    fn trips(&self, _: &RuleContext, _: Instant) -> bool {
        panic!("a rule")
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_rule_that_panics_takes_no_result_away_and_aborts_nothing() {
    let builder = settings()
        .slow_after(SECOND)
        .slow_rate(1.0, 100)
        .abandoned_policy(AbandonedPolicy::FailureAfter(SECOND))
        .rule(Panics);
    let s = subject(builder);
    let result = s.send(Do::Fail).await;
    assert!(result.is_err_and(|e| e.rejection().is_none()));
    // Dropped while its task unwinds: a second panic would end the process.
    let task = tokio::spawn({
        let (service, handle) = (s.service.clone(), s.handle.clone());
        async move {
            let permit = handle.try_admit().expect("closed");
            advance(2 * SECOND).await;
            drop(service);
            let _held = permit;
            panic!("the caller");
        }
    });
    assert!(task.await.expect_err("panicked").is_panic());
    let counts = s.handle.counts();
    assert_eq!((counts.failure, counts.abandoned), (2, 1));
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_rejected_when_shadow_mode_ends() {
    let s = subject(settings().consecutive_failures(1).shadow(true));
    s.times(1, Do::Fail).await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    let stuck = Stuck(service_fn(|_: Do| async { Ok::<(), Error<Failed>>(()) }));
    let mut service = s.layer.layer(stuck);
    let waits = tokio::spawn(async move {
        let ready = service.ready().await.expect("ready to reject");
        ready.call(Do::Succeed).await
    });
    tokio::task::yield_now().await;
    s.handle.set_shadow(false);
    tokio::task::yield_now().await;
    assert!(waits.is_finished());
    let error = waits.await.expect("no panic").expect_err("rejected");
    assert!(error.rejection().is_some());
}

/// Never ready.
#[derive(Clone)]
struct Stuck<S>(S);

impl<S: Service<Do>> Service<Do> for Stuck<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Pending
    }
    fn call(&mut self, req: Do) -> S::Future {
        self.0.call(req)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_in_flight_from_its_first_pending_poll_with_the_age_of_its_start() {
    let mut s = subject(settings().slow_after(8 * SECOND).slow_rate(0.5, 10));
    let (never_polled, mut polled) = (s.call(Do::Hang), s.call(Do::Hang));
    advance(7 * SECOND).await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(&mut polled).poll(&mut cx).is_pending());
    assert_eq!(s.handle.snapshot().overdue, 0);
    advance(2 * SECOND).await;
    assert_eq!(s.handle.snapshot().overdue, 1, "9 s after it was made");
    // Polled again or no more, it is one call.
    assert!(pin!(&mut polled).poll(&mut cx).is_pending());
    assert_eq!(s.handle.snapshot().overdue, 1);
    drop((never_polled, polled));
    assert_eq!(s.handle.snapshot().overdue, 0);
    assert_eq!(s.handle.counts().abandoned, 2);
}

#[tokio::test(start_paused = true)]
async fn a_permit_and_a_response_with_one_in_it_are_in_flight_at_once() {
    #[derive(Clone)]
    struct InTheResponse;
    impl TrackCompletion<Permit, ()> for InTheResponse {
        type Response = Permit;
        fn track_completion(&self, permit: Permit, _: Outcome, (): ()) -> Permit {
            permit
        }
    }
    let config = settings()
        .slow_after(SECOND)
        .slow_rate(0.5, 100)
        .min_calls(50)
        .build();
    let layer =
        BreakerLayer::new("upstream", config.expect("valid")).track_completion(InTheResponse);
    let handle = layer.handle();
    let at_once = service_fn(|()| async { Ok::<(), Error<Failed>>(()) });
    let response = layer.layer(at_once).oneshot(()).await.expect("a response");
    let tried = handle.try_admit().expect("closed");
    let admitted = handle.admit().await.expect("closed");
    let mut guarded = Box::pin(handle.call(pending::<Result<(), Failed>>()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(guarded.as_mut().poll(&mut cx).is_pending());
    advance(2 * SECOND).await;
    assert_eq!(handle.snapshot().overdue, 4);
    response.complete(Outcome::Success);
    tried.complete(Outcome::Success);
    drop((admitted, guarded));
    assert_eq!(handle.snapshot().overdue, 0);
    assert_eq!(handle.counts().slow, 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_forever_stays_overdue_and_makes_no_other_one_so() {
    let s = subject(settings().slow_after(MS).slow_rate(0.5, 100).min_calls(50));
    let _hangs = s.spawn(Do::Hang).await;
    for minutes in [1, 10, 17, 20, 30, 60] {
        advance(60 * SECOND * minutes).await;
        assert_eq!(s.handle.snapshot().overdue, 1, "{minutes} min later");
    }
    let mut young = Vec::new();
    for _ in 0..20 {
        young.push(s.spawn(Do::Hang).await);
        assert!(s.handle.snapshot().overdue <= 1);
        advance(Duration::from_micros(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_can_be_waited_for() {
    let s = subject(settings().consecutive_failures(5));
    let mut changed = pin!(s.handle.state_change());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(changed.as_mut().poll(&mut cx).is_pending());
    s.handle.reset();
    let Poll::Ready(transition) = changed.as_mut().poll(&mut cx) else {
        panic!("a reset is a transition");
    };
    assert_eq!(transition.cause.as_str(), "operator");
}
