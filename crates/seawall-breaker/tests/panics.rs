//! Panics of the inner service are failures, and those of its callers are not. Time is paused.

use std::borrow::Cow;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{
    BreakerConfig, BreakerConfigBuilder, BreakerHandle, BreakerLayer, BreakerRegistry,
    CircuitState, HalfOpenPolicy, KeyedBreakerLayer, PanicPolicy,
};
use seawall_testkit::contract::{BoxError, MockHandle, PolledFuture, Stage, mock};
use tokio::time::advance;
use tower::{Layer, Service};

const SECOND: Duration = Duration::from_secs(1);

fn rules(failures: u32) -> BreakerConfigBuilder {
    BreakerConfig::builder()
        .consecutive_failures(failures)
        .open_for(10 * SECOND)
}

/// Makes a call and polls it, and returns whether that panicked.
fn panics<S>(service: &mut S) -> bool
where
    S: Service<u32, Error = BoxError>,
{
    catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut call = Box::pin(service.call(1));
        let _ = call.as_mut().poll(&mut cx);
    }))
    .is_err()
}

fn subject(
    rules: BreakerConfigBuilder,
) -> (
    impl Service<u32, Response = u32, Error = BoxError>,
    BreakerHandle,
    MockHandle,
) {
    let layer = BreakerLayer::new("upstream", rules.build().expect("valid"));
    let (inner, mock) = mock();
    mock.respond_immediately();
    (layer.gate().layer(layer.layer(inner)), layer.handle(), mock)
}

#[tokio::test(start_paused = true)]
async fn three_panics_in_a_row_open_the_circuit_wherever_the_inner_service_panics() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut service, breaker, mock) = subject(rules(3));
        for _ in 0..3 {
            assert_eq!(breaker.state(), CircuitState::Closed);
            mock.panic_at(stage);
            assert!(panics(&mut service));
        }
        assert_eq!(breaker.state(), CircuitState::Open);
        let counts = breaker.counts();
        assert_eq!(
            (counts.panicked, counts.failure, counts.abandoned),
            (3, 3, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_opens_the_circuit_again() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut service, breaker, mock) = subject(rules(1));
        breaker.force_open();
        breaker.automatic();
        mock.panic_at(stage);
        assert!(panics(&mut service));
        assert_eq!(breaker.state(), CircuitState::Open);
        let snapshot = breaker.snapshot();
        assert_eq!(
            snapshot.last().map(|t| t.cause.as_str()),
            Some("probe_failed")
        );
        // No slot leaks: the next probe closes.
        advance(10 * SECOND).await;
        assert!(!panics(&mut service));
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn unless_they_count_as_abandoned() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut service, breaker, mock) = subject(rules(1).panic_policy(PanicPolicy::Abandoned));
        mock.panic_at(stage);
        assert!(panics(&mut service));
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.force_open();
        breaker.automatic();
        mock.panic_at(stage);
        assert!(panics(&mut service));
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert!(!panics(&mut service), "its slot is free");
        assert_eq!(breaker.state(), CircuitState::Closed);
        let counts = breaker.counts();
        assert_eq!(
            (counts.panicked, counts.failure, counts.abandoned),
            (2, 0, 2)
        );
    }
}

/// The caller polls two things, and the other one panics: the call has not.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_its_caller_panics_is_abandoned() {
    let (mut service, breaker, mock) = subject(rules(1));
    mock.hold_responses();
    let caller = catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut call = Box::pin(service.call(1));
        assert!(call.as_mut().poll(&mut cx).is_pending());
        panic!("of the caller");
    }));
    assert!(caller.is_err());
    let guarded = tokio::spawn({
        let breaker = breaker.clone();
        async move {
            let call = breaker.call(pending::<Result<(), ()>>());
            let bug = async {
                tokio::task::yield_now().await;
                panic!("of the caller")
            };
            tokio::join!(call, bug).0
        }
    });
    assert!(guarded.await.expect_err("a panic").is_panic());
    let counts = breaker.counts();
    assert_eq!(
        (counts.panicked, counts.failure, counts.abandoned),
        (0, 0, 2)
    );
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A call that is dropped by a destructor which runs while its thread unwinds, and is polled there.
#[tokio::test(start_paused = true)]
async fn a_call_that_ends_while_its_thread_unwinds_counts_by_its_result() {
    struct CallsOnDrop(BreakerHandle);
    impl Drop for CallsOnDrop {
        fn drop(&mut self) {
            let mut call = PolledFuture::new(self.0.call(async { Ok::<_, ()>(()) }));
            assert!(call.poll().is_ready());
        }
    }
    let breaker = BreakerLayer::new("upstream", rules(1).build().expect("valid")).handle();
    let unwinding = catch_unwind(AssertUnwindSafe(|| {
        let _calls = CallsOnDrop(breaker.clone());
        panic!("elsewhere");
    }));
    assert!(unwinding.is_err());
    let counts = breaker.counts();
    assert_eq!((counts.success, counts.panicked), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_guarded_future_that_panics_is_a_failure() {
    let breaker = BreakerLayer::new("upstream", rules(3).build().expect("valid")).handle();
    for _ in 0..3 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        let call = breaker.call(async { panic!("a bug") as Result<(), ()> });
        assert!(tokio::spawn(call).await.expect_err("a panic").is_panic());
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.counts().panicked, 3);
}

/// Polled once more after a panic was caught, as only a careless caller does.
#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_again_after_its_panic_counts_once() {
    let breaker = BreakerLayer::new("upstream", rules(5).build().expect("valid")).handle();
    let mut polls = 0;
    let mut call = Box::pin(breaker.call(poll_fn(move |_| {
        polls += 1;
        assert!(polls > 1, "at first");
        Poll::Ready(Ok::<_, ()>(()))
    })));
    let mut poll = || {
        let mut cx = Context::from_waker(Waker::noop());
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)))
    };
    assert!(poll().is_err());
    assert!(matches!(poll(), Ok(Poll::Ready(Ok(())))));
    drop(call);
    let counts = breaker.counts();
    assert_eq!((counts.panicked, counts.failure, counts.success), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_key_that_panics_is_a_failure_of_that_key() {
    for stage in [Stage::Call, Stage::Poll] {
        let config = rules(2).build().expect("valid");
        let layer = KeyedBreakerLayer::new("keyed", config, |key: &u32| Cow::<u32>::Owned(*key));
        let keys = layer.handle();
        let (inner, mock) = mock();
        mock.respond_immediately();
        let mut service = layer.layer(inner);
        for _ in 0..2 {
            mock.panic_at(stage);
            assert!(panics(&mut service));
        }
        assert_eq!(keys.open_keys(), [(1, CircuitState::Open)]);
        assert_eq!(keys.counts().panicked, 2);
        // The probe, too.
        advance(10 * SECOND).await;
        mock.panic_at(stage);
        assert!(panics(&mut service));
        assert_eq!(keys.open_keys(), [(1, CircuitState::Open)]);
        advance(10 * SECOND).await;
        assert!(!panics(&mut service));
        assert!(keys.open_keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_key_that_waited_for_a_probe_and_panics_gives_the_slot_back() {
    let wait = HalfOpenPolicy::Wait {
        max_wait: 60 * SECOND,
    };
    let config = rules(1).half_open_policy(wait).build().expect("valid");
    let layer = KeyedBreakerLayer::new("keyed", config, |key: &u32| Cow::<u32>::Owned(*key));
    let keys: BreakerRegistry<u32> = layer.handle();
    let (inner, mock) = mock();
    mock.respond_immediately();
    let mut service = layer.layer(inner);
    keys.circuit(&1).force_open();
    keys.circuit(&1).automatic();
    let probe = keys.circuit(&1).try_admit().expect("the probe");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut call = Box::pin(service.call(1));
    assert!(call.as_mut().poll(&mut cx).is_pending());
    drop(probe);
    mock.panic_at(Stage::Call);
    let panicked = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
    assert!(panicked.is_err());
    assert_eq!(keys.circuit(&1).state(), CircuitState::Open);
    assert_eq!(keys.counts().panicked, 1);
}

/// A permit that is held by hand is dropped by whichever panic: it is abandoned.
#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_by_a_panic_is_abandoned() {
    let breaker = BreakerLayer::new("upstream", rules(1).build().expect("valid")).handle();
    let unwinding = catch_unwind(AssertUnwindSafe(|| {
        let _permit = breaker.try_admit().expect("closed");
        panic!("between");
    }));
    assert!(unwinding.is_err());
    let counts = breaker.counts();
    assert_eq!(
        (counts.panicked, counts.abandoned, counts.failure),
        (0, 1, 0)
    );
}
