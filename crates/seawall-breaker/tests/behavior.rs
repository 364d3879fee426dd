//! What a user of the breaker sees, one behavior per test. Time is paused.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{
    Breaker, BreakerConfig, BreakerHandle, BreakerLayer, CircuitState, Gate, PanicPolicy,
    ResponseFuture,
};
use seawall_core::{
    Command, CompleteOnResponse, Error, ErrorIsFailure, EventKind, FailureKind, InstanceHandle,
    Outcome, Reason, Received, Registry, Rejectable, Rejection, Sent, Value,
};
use seawall_testkit::contract::{Mock, MockError, MockHandle, PolledFuture, Stage, mock};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn rate_of_ten() -> BreakerConfig {
    BreakerConfig::builder()
        .failure_rate(0.5, 10)
        .min_calls(10)
        .open_for(10 * SECOND)
        .build()
        .expect("valid")
}

fn in_a_row(failures: u32) -> BreakerConfig {
    BreakerConfig::builder()
        .consecutive_failures(failures)
        .open_for(10 * SECOND)
        .build()
        .expect("valid")
}

struct Subject {
    service: Breaker<Mock>,
    handle: BreakerHandle,
    mock: MockHandle,
}

fn subject(config: BreakerConfig) -> Subject {
    let layer = BreakerLayer::new("upstream", config);
    let (inner, mock) = mock();
    mock.respond_immediately();
    Subject {
        service: layer.layer(inner),
        handle: layer.handle(),
        mock,
    }
}

async fn ready<S: Service<u32>>(service: &mut S) -> Result<(), S::Error> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await
}

async fn send<S: Service<u32>>(service: &mut S) -> Result<S::Response, S::Error> {
    ready(service).await?;
    service.call(1).await
}

fn now<S: Service<u32>>(service: &mut S) -> S::Future {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))));
    service.call(1)
}

impl Subject {
    async fn outcomes(&mut self, outcomes: &str) {
        for outcome in outcomes.chars() {
            let failed = outcome == 'x';
            self.mock.script([if failed {
                Err(MockError::Failed(1))
            } else {
                Ok(())
            }]);
            assert_eq!(send(&mut self.service).await.is_err(), failed);
        }
    }

    async fn trip(&mut self) {
        self.outcomes("xxxxxxxxxx").await;
        assert_eq!(self.handle.state(), CircuitState::Open);
    }

    async fn rejection(&mut self) -> Rejection {
        let error = send(&mut self.service).await.expect_err("rejected");
        *error.rejection().expect("a rejection, not the inner error")
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_and_one_success_ends_the_run() {
    let mut s = subject(in_a_row(3));
    s.outcomes("xx.xx").await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.outcomes("x").await;
    let snapshot = s.handle.snapshot();
    assert_eq!(snapshot.state, CircuitState::Open);
    assert_eq!(
        snapshot.last().map(|t| t.cause.as_str()),
        Some("consecutive_failures")
    );
    assert_eq!(snapshot.probes_in, Some(10 * SECOND));
}

/// A count window that does not slide (seen in a public breaker) needs as many failures in a row
/// as there were successes before.
#[tokio::test(start_paused = true)]
async fn the_window_slides_however_many_successes_came_before() {
    for successes in [0, 10, 1_000, 100_000] {
        let mut s = subject(rate_of_ten());
        for _ in 0..successes {
            send(&mut s.service).await.expect("well");
        }
        let mut failures = 0;
        while s.handle.state() == CircuitState::Closed {
            s.outcomes("x").await;
            failures += 1;
        }
        // Without a past the minimum of ten calls decides.
        assert_eq!(failures, if successes == 0 { 10 } else { 5 });
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_not_evaluated_before_the_minimum() {
    let mut s = subject(rate_of_ten());
    s.outcomes("xxxxxxxxx").await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    s.outcomes("x").await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_an_open_circuit_has_its_end_and_nothing_is_sent() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    let sent = s.mock.calls();
    tokio::time::advance(3 * SECOND).await;
    let rejected = s.rejection().await;
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    assert_eq!(rejected.name().as_str(), "upstream");
    assert_eq!(rejected.retry_after(), Some(7 * SECOND));
    assert_eq!(rejected.sent(), Sent::No);
    assert_eq!(s.mock.calls(), sent);
    assert_eq!(s.handle.counts().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_succeeds_closes_and_one_that_fails_opens_again() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    tokio::time::advance(10 * SECOND).await;
    s.outcomes("x").await;
    assert_eq!(s.handle.state(), CircuitState::Open);
    assert_eq!(
        s.handle.snapshot().last().map(|t| t.cause.as_str()),
        Some("probe_failed")
    );
    assert_eq!(s.rejection().await.retry_after(), Some(10 * SECOND));
    tokio::time::advance(10 * SECOND).await;
    s.outcomes(".").await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    let counts = s.handle.counts();
    assert_eq!(
        (counts.opened, counts.half_opened, counts.closed),
        (2, 2, 1)
    );
    // The closed circuit starts with an empty window.
    s.outcomes("xxxxxxxxx").await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_no_more_calls_through_than_there_are_probes() {
    let config = BreakerConfig::builder()
        .consecutive_failures(10)
        .open_for(10 * SECOND)
        .probes(3)
        .build()
        .expect("valid");
    let mut s = subject(config);
    s.trip().await;
    tokio::time::advance(10 * SECOND).await;
    s.mock.hold_responses();
    let before = s.mock.calls();
    let mut clones: Vec<_> = (0..20).map(|_| s.service.clone()).collect();
    // All of them are ready at once; only the admission in `call` counts.
    for clone in &mut clones {
        ready(clone).await.expect("ready");
    }
    let mut futures: Vec<_> = clones
        .iter_mut()
        .map(|c| PolledFuture::new(c.call(1)))
        .collect();
    let rejected = futures
        .iter_mut()
        .map(|f| matches!(f.poll(), Poll::Ready(Err(_))))
        .filter(|rejected| *rejected)
        .count();
    assert_eq!(rejected, 17);
    assert_eq!(s.mock.calls() - before, 3);
    s.mock.respond_to_all();
    assert!(
        futures
            .iter_mut()
            .take(3)
            .all(|f| matches!(f.poll(), Poll::Ready(Ok(_))))
    );
    assert_eq!(s.handle.state(), CircuitState::Closed);
}

/// B13: a probe that is cancelled must not keep the circuit half-open forever.
#[tokio::test(start_paused = true)]
async fn a_cancelled_probe_gives_its_slot_back() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    tokio::time::advance(10 * SECOND).await;
    // Dropped before its first poll, then while it waits.
    drop(now(&mut s.service));
    s.mock.hold_responses();
    let mut waiting = PolledFuture::new(now(&mut s.service));
    assert!(waiting.poll().is_pending());
    let rejected = s.rejection().await;
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        (Reason::CircuitOpen, None)
    );
    drop(waiting);
    s.mock.respond_immediately();
    s.outcomes(".").await;
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().abandoned, 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_given_up_and_its_late_result_does_not_vote() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    tokio::time::advance(10 * SECOND).await;
    s.mock.hold_responses();
    let mut hung = PolledFuture::new(now(&mut s.service));
    assert!(hung.poll().is_pending());
    tokio::time::advance(9 * SECOND).await;
    assert_eq!(s.rejection().await.reason(), Reason::CircuitOpen);
    tokio::time::advance(SECOND).await;
    let mut second = PolledFuture::new(now(&mut s.service));
    assert!(second.poll().is_pending());
    assert_eq!(
        s.handle.snapshot().last().map(|t| t.cause.as_str()),
        Some("probes_lost")
    );
    // The first one comes back with bad news from another time.
    let late = s.mock.calls() - 2;
    s.mock.respond(late, Err(MockError::Failed(1)));
    assert!(matches!(hung.poll(), Poll::Ready(Err(_))));
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    s.mock.respond_to_all();
    assert!(matches!(second.poll(), Poll::Ready(Ok(_))));
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().late, 1);
}

/// B14: the result of a call from before the trip decided the half-open state elsewhere.
#[tokio::test(start_paused = true)]
async fn a_straggler_from_before_the_trip_never_votes() {
    let mut s = subject(in_a_row(10));
    s.mock.hold_responses();
    let mut old = s.service.clone();
    let mut straggler = PolledFuture::new(now(&mut old));
    assert!(straggler.poll().is_pending());
    s.mock.respond_immediately();
    s.trip().await;
    tokio::time::advance(10 * SECOND).await;
    s.mock.hold_responses();
    let mut probe = PolledFuture::new(now(&mut s.service));
    assert!(probe.poll().is_pending());
    s.mock.respond(0, Ok(()));
    assert!(matches!(straggler.poll(), Poll::Ready(Ok(_))));
    assert_eq!(s.handle.state(), CircuitState::HalfOpen);
    assert_eq!(s.handle.counts().late, 1);
}

#[tokio::test(start_paused = true)]
async fn every_admission_is_counted_exactly_once() {
    let mut s = subject(rate_of_ten());
    s.outcomes(".x.").await;
    drop(now(&mut s.service));
    s.mock.hold_responses();
    let mut waiting = PolledFuture::new(now(&mut s.service));
    assert!(waiting.poll().is_pending());
    drop(waiting);
    s.mock.respond_immediately();
    let mut completed = PolledFuture::new(now(&mut s.service));
    assert!(completed.poll().is_ready());
    drop(completed);
    let counts = s.handle.counts();
    assert_eq!(
        (
            counts.success,
            counts.failure,
            counts.abandoned,
            counts.late
        ),
        (3, 1, 2, 0)
    );
}

/// B15: a call that could be rejected waited for an inner service that was stuck.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_rejects_while_the_inner_service_hangs() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    s.mock.set_pending();
    let polls = s.mock.readiness_polls();
    assert_eq!(s.rejection().await.reason(), Reason::CircuitOpen);
    assert_eq!(s.mock.readiness_polls(), polls);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_seen_by_readiness_stays_one_but_not_with_an_old_wait() {
    let mut s = subject(in_a_row(10));
    s.trip().await;
    ready(&mut s.service)
        .await
        .expect("rejections come from call");
    s.handle.reset();
    let sent = s.mock.calls();
    let error = s
        .service
        .call(1)
        .await
        .expect_err("the inner service was not polled");
    let rejected = error.rejection().expect("a rejection");
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        (Reason::NotReady, None)
    );
    assert_eq!(s.mock.calls(), sent);
    send(&mut s.service).await.expect("closed");
}

#[tokio::test(start_paused = true)]
async fn commands_hold_until_reset_and_wake_waiters() {
    let mut s = subject(in_a_row(2));
    s.mock.set_pending();
    let mut parked = s.service.clone();
    let mut waiting = PolledFuture::new(async move {
        send(&mut parked)
            .await
            .map_err(|e| *e.rejection().expect("rejected"))
    });
    for _ in 0..5 {
        assert!(waiting.poll().is_pending());
    }
    s.handle.force_open();
    assert_eq!(waiting.wakes(), 1);
    let Poll::Ready(Err(rejected)) = waiting.poll() else {
        panic!("woken, but not rejected");
    };
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    s.mock.set_ready();
    tokio::time::advance(3600 * SECOND).await;
    assert_eq!(s.rejection().await.retry_after(), None);

    s.handle.force_closed();
    s.outcomes("xxxxxx").await;
    assert_eq!(s.handle.state(), CircuitState::ForcedClosed);
    s.handle.reset();
    s.outcomes("x").await;
    assert_eq!(
        s.handle.state(),
        CircuitState::Closed,
        "the run starts again"
    );
    s.outcomes("x").await;
    assert_eq!(s.handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn local_rejections_below_do_not_count_and_timeouts_do() {
    let layer = BreakerLayer::new("upstream", in_a_row(1));
    let handle = layer.handle();
    let rejecting = |reason| {
        layer.layer(tower::service_fn(move |_: u32| async move {
            Err::<u32, _>(Error::<()>::from(Rejection::new(reason, "below")))
        }))
    };
    for reason in [
        Reason::RateLimited,
        Reason::BulkheadFull,
        Reason::DeadlineExceeded,
        Reason::InvalidRequest,
        Reason::NotExecuted,
        Reason::TradingMode,
        Reason::Guarded,
    ] {
        assert!(send(&mut rejecting(reason)).await.is_err());
        assert_eq!(handle.state(), CircuitState::Closed, "{reason:?}");
    }
    assert!(send(&mut rejecting(Reason::AttemptTimeout)).await.is_err());
    assert_eq!(handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_decides_what_fails() {
    fn odd_fails(result: Result<&u32, &seawall_testkit::contract::BoxError>) -> Outcome {
        match result {
            Ok(n) if n % 2 == 1 => Outcome::Failure(FailureKind::Server),
            _ => Outcome::Ignored,
        }
    }
    let layer = BreakerLayer::new("upstream", in_a_row(1)).classify(odd_fails);
    let (inner, mock) = mock();
    mock.respond_immediately();
    let mut service = layer.layer(inner);
    ready(&mut service).await.expect("ready");
    assert_eq!(service.call(2).await.expect("even"), 2);
    assert_eq!(layer.handle().state(), CircuitState::Closed);
    ready(&mut service).await.expect("ready");
    assert_eq!(service.call(3).await.expect("odd, but a response"), 3);
    assert_eq!(layer.handle().state(), CircuitState::Open);
    assert_eq!(layer.handle().counts().abstained, 1);
}

#[tokio::test(start_paused = true)]
async fn panics_leak_no_probe_and_poison_nothing() {
    for stage in [Stage::Call, Stage::Poll] {
        let config = BreakerConfig::builder()
            .consecutive_failures(10)
            .open_for(10 * SECOND)
            .panic_policy(PanicPolicy::Abandoned);
        let mut s = subject(config.build().expect("valid"));
        s.trip().await;
        tokio::time::advance(10 * SECOND).await;
        s.mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut call = Box::pin(now(&mut s.service));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        assert!(panicked.is_err());
        // The only probe is free again.
        s.outcomes(".").await;
        assert_eq!(s.handle.state(), CircuitState::Closed);
        assert_eq!(s.handle.counts().abandoned, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn panics_of_the_classifier_and_of_a_listener_leak_nothing() {
    let bomb = Arc::new(Mutex::new(true));
    let armed = Arc::clone(&bomb);
    let layer = BreakerLayer::new("upstream", in_a_row(1)).classify(
        move |r: Result<&u32, &seawall_testkit::contract::BoxError>| {
            let armed = *armed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            assert!(!armed, "classifier");
            match r {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::Failure(FailureKind::Other),
            }
        },
    );
    let registry = Registry::new("svc");
    registry.register(layer.handle()).expect("first");
    let _listener = registry.events().listen(|_| panic!("listener"));
    let (inner, mock) = mock();
    mock.respond_immediately();
    let mut service = layer.layer(inner);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut call = Box::pin(now(&mut service));
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(panicked.is_err());
    *bomb.lock().expect("not poisoned") = false;
    mock.script([Err(MockError::Failed(1))]);
    assert!(send(&mut service).await.is_err());
    assert_eq!(layer.handle().state(), CircuitState::Open);
    assert!(registry.events().listener_panics() >= 1);
    assert_eq!(layer.handle().counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn the_gate_rejects_calls_before_they_queue_for_probes() {
    let config = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND)
        .probes(2)
        .build()
        .expect("valid");
    let layer = BreakerLayer::new("upstream", config);
    let (inner, mock) = mock();
    mock.respond_immediately();
    // What waits is between the two: here, anything that counts what reaches it.
    let mut service = layer.gate().layer(layer.layer(inner));
    mock.script([Err(MockError::Failed(1))]);
    assert!(send(&mut service).await.is_err());
    assert!(send(&mut service).await.is_err());
    assert_eq!(layer.handle().counts().gate_rejected, 1);
    assert_eq!(layer.handle().counts().rejected, 0);

    tokio::time::advance(10 * SECOND).await;
    mock.hold_responses();
    let mut calls: Vec<_> = (0..10)
        .map(|_| PolledFuture::new(now(&mut service.clone())))
        .collect();
    let rejected = calls
        .iter_mut()
        .map(|f| f.poll().is_ready())
        .filter(|r| *r)
        .count();
    assert_eq!(rejected, 8);
    let counts = layer.handle().counts();
    assert_eq!((counts.gate_rejected, counts.rejected), (9, 0));
    assert_eq!(counts.half_opened, 1, "the gate turned it half-open, once");
    // The slots of the probe queue come back with their futures.
    drop(calls);
    let mut again = PolledFuture::new(now(&mut service));
    assert!(again.poll().is_pending());
    mock.respond_to_all();
    assert!(again.poll().is_ready());
}

/// Calls that already queued when the circuit opened must not be sent all the same.
#[tokio::test(start_paused = true)]
async fn calls_that_queued_before_the_trip_are_rejected_at_departure() {
    let layer = BreakerLayer::new("upstream", in_a_row(1));
    let (inner, mock) = mock();
    mock.respond_immediately();
    mock.script((0..20).map(|_| Err(MockError::Failed(1))));
    let queue = tower::limit::ConcurrencyLimitLayer::new(1);
    let service = layer.gate().layer(queue.layer(layer.layer(inner)));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut service = service.clone();
            tokio::spawn(async move { send(&mut service).await.is_err() })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic"));
    }
    assert_eq!(mock.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_registry_reads_controls_and_reports() {
    let mut s = subject(in_a_row(1));
    let registry = Registry::new("svc");
    registry.register(s.handle.clone()).expect("first");
    let mut events = registry.events().subscribe();
    s.outcomes("x").await;
    let rejected = s.rejection().await;

    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = events.try_next() {
        seen.push(event.kind);
    }
    assert_eq!(
        seen,
        [
            EventKind::Transition {
                from: "closed",
                to: "open",
                reason: "consecutive_failures"
            },
            EventKind::Rejected(rejected),
        ]
    );
    let snapshot = &registry.snapshot()[0];
    assert_eq!((snapshot.pattern, snapshot.state), ("breaker", "open"));
    let state = snapshot
        .samples
        .iter()
        .find(|r| r.metric == "seawall_breaker_state");
    assert_eq!(state.map(|r| r.value.clone()), Some(Value::Gauge(2.0)));
    assert!(
        snapshot
            .settings
            .contains(&("consecutive_failures", "1".to_owned()))
    );

    let breaker = registry.get("breaker", "upstream").expect("registered");
    breaker.control(Command::Reset).expect("known");
    assert_eq!(s.handle.state(), CircuitState::Closed);
    breaker.control(Command::Block).expect("known");
    assert_eq!(InstanceHandle::state(&s.handle), "forced_open");
    breaker.control(Command::Bypass).expect("known");
    assert_eq!(InstanceHandle::state(&s.handle), "forced_closed");
}

#[tokio::test(start_paused = true)]
async fn extreme_durations_work() {
    let config = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(Duration::MAX)
        .probe_timeout(Duration::from_nanos(1))
        .build()
        .expect("valid");
    let mut s = subject(config);
    s.outcomes("x").await;
    tokio::time::advance(Duration::from_secs(10_000_000)).await;
    assert_eq!(s.rejection().await.retry_after(), None, "it never probes");
}

#[test]
fn the_happy_path_allocates_nothing() {
    #[derive(Clone)]
    struct Leaf;
    impl Service<u32> for Leaf {
        type Response = u32;
        type Error = Error<()>;
        type Future = std::future::Ready<Result<u32, Error<()>>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: u32) -> Self::Future {
            std::future::ready(if req == 0 {
                Err(Error::Inner(()))
            } else {
                Ok(req)
            })
        }
    }
    let layer = BreakerLayer::new("upstream", rate_of_ten());
    let mut service = layer.gate().layer(layer.layer(Leaf));
    let responds = |service: &mut Gate<Breaker<Leaf>>, req| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let call = std::pin::pin!(service.call(req));
        matches!(call.poll(&mut cx), Poll::Ready(Ok(_)))
    };
    assert!(responds(&mut service, 1));
    // The first transition of a circuit makes the log of them.
    layer.handle().reset();
    let counts = seawall_testkit::alloc::count(|| {
        for _ in 0..1_000 {
            assert!(responds(&mut service.clone(), 1));
        }
        // Nor does a failure, the trip, or a rejection.
        for _ in 0..20 {
            assert!(!responds(&mut service, 0));
        }
    });
    assert_eq!(counts.allocations, 0);
    assert_eq!(layer.handle().state(), CircuitState::Open);
}

#[test]
fn threads_lose_no_outcome() {
    let layer = BreakerLayer::new(
        "upstream",
        BreakerConfig::builder()
            .failure_rate(1.0, 1_000)
            .min_calls(1_000)
            .build()
            .expect("valid"),
    );
    let service = layer.layer(tower::service_fn(|req: u32| {
        std::future::ready(if req == 0 {
            Err(Error::Inner(()))
        } else {
            Ok(req)
        })
    }));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let mut service = service.clone();
            scope.spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                for call in 0..20_000_u32 {
                    assert!(service.poll_ready(&mut cx).is_ready());
                    let call = std::pin::pin!(service.call((call + thread) % 10));
                    assert!(call.poll(&mut cx).is_ready());
                }
            });
        }
    });
    let snapshot = layer.handle().snapshot();
    let counts = snapshot.counts;
    assert_eq!((counts.success, counts.failure), (72_000, 8_000));
    assert_eq!(counts.late, 0);
    assert_eq!(snapshot.calls.map(|t| t.calls), Some(1_000));
}

#[derive(Clone)]
struct NotSend(#[allow(dead_code, reason = "only its type matters")] Rc<()>);

type Fut<F> = ResponseFuture<F, ErrorIsFailure, CompleteOnResponse>;

assert_impl_all!(Breaker<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(Gate<()>: Send, Sync, Clone, Unpin);
assert_not_impl_any!(Breaker<NotSend>: Send, Sync);
assert_impl_all!(Fut<std::future::Ready<()>>: Send, Sync, Unpin);
assert_not_impl_any!(Fut<Pin<Rc<()>>>: Send);

/// A probe that started after a quiet time counted as lost at the next call, its success did not
/// vote, and the circuit stayed half-open forever.
#[tokio::test(start_paused = true)]
async fn rare_calls_that_all_succeed_close_the_circuit() {
    let config = BreakerConfig::builder()
        .consecutive_failures(10)
        .open_for(10 * SECOND)
        .successes_to_close(2)
        .probe_timeout(60 * SECOND)
        .build()
        .expect("valid");
    let mut s = subject(config);
    s.trip().await;
    for _ in 0..2 {
        tokio::time::advance(61 * SECOND).await;
        s.mock.hold_responses();
        let mut probe = PolledFuture::new(now(&mut s.service.clone()));
        assert!(probe.poll().is_pending());
        assert_eq!(
            s.rejection().await.reason(),
            Reason::CircuitOpen,
            "one probe at once"
        );
        s.mock.respond_to_all();
        assert!(matches!(probe.poll(), Poll::Ready(Ok(_))));
    }
    assert_eq!(s.handle.state(), CircuitState::Closed);
    assert_eq!(s.handle.counts().late, 0);
}

/// A waker that owned the task of another parked instance was dropped under the lock that the
/// other one needs to leave.
#[test]
fn a_waker_that_owns_another_parked_task_can_be_dropped_here() {
    struct Owner(#[allow(dead_code, reason = "owned to be dropped")] Mutex<Breaker<Mock>>);
    impl std::task::Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let layer = BreakerLayer::new("upstream", in_a_row(1));
    // The waker is dropped when its instance goes, and when it is polled with another one.
    for polled_again in [false, true] {
        let (inner, mock) = mock();
        mock.set_pending();
        let mut cx = Context::from_waker(Waker::noop());
        let mut owned = layer.layer(inner.clone());
        assert!(owned.poll_ready(&mut cx).is_pending());
        let owner = Waker::from(Arc::new(Owner(Mutex::new(owned))));
        let mut parked = layer.layer(inner);
        assert!(
            parked
                .poll_ready(&mut Context::from_waker(&owner))
                .is_pending()
        );
        // The mock holds the waker too.
        drop(owner);
        mock.set_ready();
        if polled_again {
            mock.set_pending();
            assert!(parked.poll_ready(&mut cx).is_pending());
        }
        drop(parked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_no_other_task_asleep() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }
    let s = subject(in_a_row(1));
    s.mock.set_pending();
    let mut first = s.service.clone();
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(
        first
            .poll_ready(&mut Context::from_waker(&bomb))
            .is_pending()
    );
    let mut second = s.service.clone();
    let mut waiting = PolledFuture::new(async move { send(&mut second).await.is_err() });
    assert!(waiting.poll().is_pending());
    s.handle.force_open();
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(true));
}

#[tokio::test(start_paused = true)]
async fn a_command_given_twice_is_carried_out_once() {
    let s = subject(in_a_row(1));
    for _ in 0..3 {
        s.handle.force_open();
    }
    assert_eq!(s.handle.counts().opened, 1);
}

#[test]
fn debug_output_is_short_and_takes_no_lock() {
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 10_000_000)
        .build()
        .expect("valid");
    let layer = BreakerLayer::new("upstream", config);
    for text in [
        format!("{layer:#?}"),
        format!("{:#?}", layer.handle()),
        format!("{:#?}", layer.gate()),
    ] {
        assert!(text.len() < 1_000, "{}", text.len());
    }
}
