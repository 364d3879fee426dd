//! What the observing layer promises beside the contract.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{
    Classify, Command, Complete, Error, FailureKind, InstanceHandle, Outcome, Reason, Registry,
    Rejection, TrackCompletion, Value,
};
use seawall_health::{
    Health, HealthConfig, HealthHandle, HealthLayer, Observation, ResponseFuture, Status,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

type Classifier = fn(Result<&(), &Error<Infallible>>) -> Outcome;
type Answer = Result<(), Error<Infallible>>;

/// What the next call does.
#[derive(Clone, Copy)]
enum Do {
    Succeed,
    Fail,
    Reject,
    Take(Duration),
    Panic,
}

fn layer(min_calls: u32) -> HealthLayer<Classifier> {
    let config = HealthConfig::builder()
        .min_calls(min_calls)
        .build()
        .unwrap();
    HealthLayer::new("laws", config).classify(|_| Outcome::Success)
}

async fn upstream(what: Do) -> Answer {
    match what {
        Do::Succeed => Ok(()),
        Do::Fail => Err(Rejection::new(Reason::AttemptTimeout, "inner").into()),
        Do::Reject => Err(Rejection::new(Reason::RateLimited, "inner").into()),
        Do::Take(time) => {
            sleep(time).await;
            Ok(())
        }
        Do::Panic => panic!("upstream"),
    }
}

async fn calls(layer: &HealthLayer<Classifier>, what: &[Do]) {
    let mut service = layer.layer(service_fn(upstream));
    for what in what {
        let _ = service.ready().await.unwrap().call(*what).await;
    }
}

fn counts(handle: &HealthHandle) -> (u64, u64, u64) {
    let seen = handle.passive_stats();
    (seen.calls, seen.failures, seen.slow)
}

fn total(handle: &HealthHandle, metric: &str) -> u64 {
    let mut found = None;
    handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
        if sample.metric == metric
            && let Value::Counter(n) = sample.value
        {
            found = Some(n);
        }
    }));
    found.unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_is_unhealthy_above_the_error_rate_and_not_at_it() {
    let layer = layer(10);
    let handle = layer.handle();
    assert_eq!(handle.status(), Status::Unknown);
    calls(&layer, &[Do::Succeed; 9]).await;
    assert_eq!(handle.status(), Status::Unknown, "too few to judge by");
    calls(&layer, &[Do::Fail]).await;
    assert_eq!(handle.status(), Status::Healthy, "10 % is not above 10 %");
    calls(&layer, &[Do::Fail]).await;
    assert_eq!(handle.status(), Status::Unhealthy);
    advance(Duration::from_secs(61)).await;
    assert_eq!(handle.status(), Status::Unknown, "all of it is too old");
    assert_eq!(total(&handle, "seawall_health_failures_total"), 2);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_degrade() {
    let layer = layer(2);
    let handle = layer.handle();
    let limit = Duration::from_secs(5);
    calls(&layer, &[Do::Take(limit), Do::Take(limit / 2)]).await;
    assert_eq!(handle.status(), Status::Healthy, "5 s is not above 5 s");
    calls(&layer, &[Do::Take(limit + Duration::from_millis(2))]).await;
    assert_eq!(counts(&handle), (3, 0, 1));
    assert_eq!(handle.status(), Status::Degraded);
}

#[tokio::test(start_paused = true)]
async fn local_rejections_say_nothing_about_the_upstream() {
    let layer = layer(1);
    calls(&layer, &[Do::Reject; 5]).await;
    assert_eq!(counts(&layer.handle()), (0, 0, 0));
    assert_eq!(total(&layer.handle(), "seawall_health_abandoned_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_calls_are_abandoned_and_no_failures() {
    let layer = layer(1);
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|_: ()| pending::<Answer>()));
    // Never polled.
    drop(service.ready().await.unwrap().call(()));
    assert_eq!(total(&handle, "seawall_health_abandoned_total"), 1);
    // In the middle.
    let call = service.ready().await.unwrap().call(());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), call)
            .await
            .is_err()
    );
    assert_eq!(total(&handle, "seawall_health_abandoned_total"), 2);
    // After its end.
    calls(&layer, &[Do::Succeed]).await;
    assert_eq!(total(&handle, "seawall_health_abandoned_total"), 2);
    assert_eq!(counts(&handle), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn all_services_and_clones_of_one_layer_count_into_one_window() {
    let layer = layer(1);
    let first = layer.layer(service_fn(upstream));
    let second = layer.clone().layer(service_fn(upstream));
    for service in [first.clone(), first, second.clone(), second] {
        service.oneshot(Do::Succeed).await.unwrap();
    }
    assert_eq!(counts(&layer.handle()), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_or_in_the_classifier_poisons_nothing() {
    let classifier: Classifier = |_| panic!("classifier");
    let config = HealthConfig::builder().min_calls(1).build().unwrap();
    let bad = HealthLayer::new("bad classifier", config).classify(classifier);
    for (layer, what) in [(layer(1), Do::Panic), (bad, Do::Succeed)] {
        let handle = layer.handle();
        let service = layer.layer(service_fn(upstream));
        let call = tokio::spawn(service.clone().oneshot(what));
        assert!(call.await.unwrap_err().is_panic());
        assert_eq!(total(&handle, "seawall_health_abandoned_total"), 1);
        assert_eq!(counts(&handle), (0, 0, 0));
        assert!(service.oneshot(Do::Reject).await.is_err());
    }
}

/// Keeps the ticket in the answer.
#[derive(Clone, Copy)]
struct InAnswer;

impl<T> TrackCompletion<Observation, T> for InAnswer {
    type Response = Observation;
    fn track_completion(&self, ticket: Observation, _: Outcome, _: T) -> Observation {
        ticket
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_call_is_counted_when_the_hold_ends() {
    let layer = layer(1).track_completion(InAnswer);
    let handle = layer.handle();
    let ticket = layer
        .layer(service_fn(upstream))
        .oneshot(Do::Succeed)
        .await
        .unwrap();
    assert_eq!(counts(&handle), (0, 0, 0));
    ticket.complete(Outcome::Failure(FailureKind::Body));
    assert_eq!(counts(&handle), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_registry_reads_and_resets_it() {
    let layer = layer(1);
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    calls(&layer, &[Do::Fail]).await;
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("health", "unhealthy"));
    assert!(
        snapshot
            .settings
            .contains(&("max_error_rate", "0.1".to_owned()))
    );
    let component = registry.get("health", "laws").unwrap();
    component.control(Command::Reset).unwrap();
    assert_eq!(component.state(), "unknown");
    assert!(component.control(Command::Block).is_err());
}

#[test]
fn the_happy_path_allocates_nothing() {
    let layer = layer(1);
    let mut service = layer.layer(service_fn(|_: ()| ready::<Answer>(Ok(()))));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut call = || {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut answer = std::pin::pin!(service.call(()));
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    };
    call();
    let counted = seawall_testkit::alloc::count(|| (0..100).for_each(|_| call()));
    assert_eq!((counted.allocations, counted.left), (0, 0));
    assert_eq!(counts(&layer.handle()).0, 101);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it has answered")]
async fn a_future_that_has_answered_is_not_polled_again() {
    let mut call = Box::pin(layer(1).layer(service_fn(upstream)).oneshot(Do::Succeed));
    let _ = call.as_mut().await;
    let mut service = layer(1).layer(service_fn(upstream));
    let mut answer = Box::pin(service.ready().await.unwrap().call(Do::Succeed));
    answer.as_mut().await.unwrap();
    let _ = answer.as_mut().await;
}

/// Counts how many copies of it there are.
#[derive(Clone)]
struct Counted(Arc<()>);

impl<T, E> Classify<T, E> for Counted {
    fn classify(&self, _: Result<&T, &E>) -> Outcome {
        Outcome::Success
    }
}

impl<T> TrackCompletion<Observation, T> for Counted {
    type Response = T;
    fn track_completion(&self, ticket: Observation, outcome: Outcome, response: T) -> T {
        ticket.complete(outcome);
        response
    }
}

/// A finished future may be kept, in a set of futures for instance. What the hooks own, such as a
/// handle or a channel, would have stayed open for as long.
#[tokio::test(start_paused = true)]
async fn a_future_that_has_answered_holds_nothing() {
    let (classify, hold) = (Counted(Arc::default()), Counted(Arc::default()));
    let layer = HealthLayer::new("holds", HealthConfig::default())
        .classify(classify.clone())
        .track_completion(hold.clone());
    let mut service = layer.layer(service_fn(upstream));
    let copies = || (Arc::strong_count(&classify.0), Arc::strong_count(&hold.0));
    let before = copies();
    let mut answer = Box::pin(service.ready().await.unwrap().call(Do::Succeed));
    assert_eq!(copies(), (before.0 + 1, before.1 + 1));
    answer.as_mut().await.unwrap();
    assert_eq!(copies(), before);
}

type Future_ = ResponseFuture<std::future::Ready<Answer>, (), ()>;
type Local = ResponseFuture<std::future::Ready<Rc<()>>, (), ()>;
assert_impl_all!(Health<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(HealthLayer: Send, Sync, Clone);
assert_impl_all!(HealthHandle: Send, Sync, Clone);
assert_impl_all!(Future_: Send, Sync, Unpin);
assert_impl_all!(Local: Unpin);
assert_not_impl_any!(Local: Send, Sync);
assert_not_impl_any!(Health<Rc<()>>: Send, Sync);
