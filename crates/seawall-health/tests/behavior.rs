//! How the observing layer behaves, beside the contract.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{
    Classify, Command, Complete, Error, FailureKind, InstanceHandle, Outcome, Policy, Reason,
    Registry, Rejection, TrackCompletion, Value,
};
use seawall_health::{
    Health, HealthConfig, HealthHandle, HealthLayer, Observation, ResponseFuture, Status,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

type Classifier = fn(Result<&(), &Error<Infallible>>) -> Outcome;
type Response = Result<(), Error<Infallible>>;

/// What the next call does.
#[derive(Clone, Copy)]
enum Do {
    Succeed,
    Fail,
    Reject,
    Take(Duration),
    Panic,
}

type Layered = HealthLayer<Policy<Classifier>>;

fn layer(min_calls: u32) -> Layered {
    let config = HealthConfig::builder()
        .min_calls(min_calls)
        .build()
        .unwrap();
    HealthLayer::new("behavior", config).classify(|_| Outcome::Success)
}

async fn upstream(what: Do) -> Response {
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

async fn calls(layer: &Layered, what: &[Do]) {
    let mut service = layer.layer(service_fn(upstream));
    for what in what {
        let _ = service.ready().await.unwrap().call(*what).await;
    }
}

fn counts(handle: &HealthHandle) -> (u64, u64, u64) {
    let window = handle.passive_stats();
    (window.calls, window.failures, window.slow)
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
async fn slow_responses_degrade() {
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
    let mut service = layer.layer(service_fn(|_: ()| pending::<Response>()));
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

/// Keeps the observation in the response.
#[derive(Clone, Copy)]
struct InResponse;

impl<T> TrackCompletion<Observation, T> for InResponse {
    type Response = Observation;
    fn track_completion(&self, call: Observation, _: Outcome, _: T) -> Observation {
        call
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_counted_when_its_completion_is_over() {
    let layer = layer(1).track_completion(InResponse);
    let handle = layer.handle();
    let call = layer
        .layer(service_fn(upstream))
        .oneshot(Do::Succeed)
        .await
        .unwrap();
    assert_eq!(counts(&handle), (0, 0, 0));
    call.complete(Outcome::Failure(FailureKind::Body));
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
    let component = registry.get("health", "behavior").unwrap();
    component.control(Command::Reset).unwrap();
    assert_eq!(component.state(), "unknown");
    assert!(component.control(Command::Block).is_err());
    assert_eq!(layer.handle().counts().failure, 1, "counts stay");
}

#[tokio::test(start_paused = true)]
async fn settings_change_live_and_keep_the_window() {
    let layer = layer(1);
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(upstream));
    calls(&layer, &[Do::Succeed, Do::Succeed, Do::Fail]).await;
    assert_eq!(handle.status(), Status::Unhealthy);
    let tolerant = HealthConfig::builder()
        .max_error_rate(0.5)
        .slow_after(Duration::from_millis(10))
        .min_calls(4)
        .build()
        .unwrap();
    handle.configure(tolerant).unwrap();
    assert_eq!(
        (handle.config(), handle.status()),
        (tolerant, Status::Unknown)
    );
    assert_eq!(counts(&handle), (3, 1, 0));
    // For a service that was made before.
    let slow = Do::Take(Duration::from_millis(20));
    service.ready().await.unwrap().call(slow).await.unwrap();
    assert_eq!(counts(&handle), (4, 1, 1));
    assert_eq!(handle.status(), Status::Degraded);
    let rejected = HealthConfig::builder()
        .max_error_rate(1.5)
        .max_slow_rate(-1.0)
        .build();
    assert_eq!(rejected.unwrap_err().field(), "max_error_rate", "the first");
}

#[tokio::test(start_paused = true)]
async fn another_window_keeps_its_calls_and_counts_further_ones() {
    let layer = layer(1);
    let handle = layer.handle();
    let window = |secs| {
        let config = HealthConfig::builder().window(Duration::from_secs(secs));
        handle
            .configure(config.min_calls(1).build().unwrap())
            .unwrap();
    };
    advance(Duration::from_secs(100)).await;
    calls(&layer, &[Do::Succeed; 2]).await;
    window(3_600);
    calls(&layer, &[Do::Fail]).await;
    assert_eq!(counts(&handle), (3, 1, 0));
    advance(Duration::from_secs(1_800)).await;
    assert_eq!(
        counts(&handle),
        (3, 1, 0),
        "half of the new window has passed"
    );
    window(10);
    calls(&layer, &[Do::Succeed]).await;
    assert_eq!(counts(&handle).0, 4);
    advance(Duration::from_secs(11)).await;
    assert_eq!(counts(&handle), (0, 0, 0));
    calls(&layer, &[Do::Succeed]).await;
    assert_eq!(counts(&handle), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_judged_by_the_settings_at_its_end() {
    let layer = layer(1);
    let handle = layer.handle();
    let service = layer.layer(service_fn(upstream));
    let call = tokio::spawn(service.oneshot(Do::Take(Duration::from_secs(1))));
    tokio::task::yield_now().await;
    let config = HealthConfig::builder().slow_after(Duration::from_millis(500));
    handle
        .configure(config.min_calls(1).build().unwrap())
        .unwrap();
    call.await.unwrap().unwrap();
    assert_eq!(counts(&handle), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_name_state_window_and_counts() {
    let layer = layer(1);
    let handle = layer.handle();
    calls(&layer, &[Do::Fail]).await;
    handle.reset();
    calls(&layer, &[Do::Succeed]).await;
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.name.as_str(), "behavior");
    assert_eq!(
        (snapshot.state, snapshot.window.calls),
        (Status::Healthy, 1)
    );
    assert_eq!(snapshot.counts.failure, 1);
    assert_eq!(snapshot.counts, handle.counts());
    #[cfg(feature = "serde")]
    assert_eq!(
        serde_json::to_string(&snapshot).unwrap(),
        r#"{"name":"behavior","state":"healthy","window":{"status":"healthy","calls":1,"failures":0,"slow":0,"degraded":0},"counts":{"failure":1,"slow":0,"abandoned":0}}"#
    );
}

#[test]
fn the_happy_path_allocates_nothing() {
    let layer = layer(1);
    let mut service = layer.layer(service_fn(|_: ()| ready::<Response>(Ok(()))));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut call = || {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut response = std::pin::pin!(service.call(()));
        assert!(response.as_mut().poll(&mut cx).is_ready());
    };
    call();
    let counted = seawall_testkit::alloc::count(|| (0..100).for_each(|_| call()));
    assert_eq!((counted.allocations, counted.left), (0, 0));
    assert_eq!(counts(&layer.handle()).0, 101);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it has completed")]
async fn a_future_that_has_completed_is_not_polled_again() {
    let mut call = Box::pin(layer(1).layer(service_fn(upstream)).oneshot(Do::Succeed));
    let _ = call.as_mut().await;
    let mut service = layer(1).layer(service_fn(upstream));
    let mut response = Box::pin(service.ready().await.unwrap().call(Do::Succeed));
    response.as_mut().await.unwrap();
    let _ = response.as_mut().await;
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
    fn track_completion(&self, call: Observation, outcome: Outcome, response: T) -> T {
        call.complete(outcome);
        response
    }
}

/// A finished future may be kept, in a set of futures for instance. What the policy owns, such as a
/// handle or a channel, would have stayed open for as long.
#[tokio::test(start_paused = true)]
async fn a_future_that_has_completed_holds_nothing() {
    let (classifier, completion) = (Counted(Arc::default()), Counted(Arc::default()));
    let layer = HealthLayer::new("counted", HealthConfig::default())
        .classify(classifier.clone())
        .track_completion(completion.clone());
    let mut service = layer.layer(service_fn(upstream));
    let copies = || {
        (
            Arc::strong_count(&classifier.0),
            Arc::strong_count(&completion.0),
        )
    };
    let before = copies();
    let mut response = Box::pin(service.ready().await.unwrap().call(Do::Succeed));
    assert_eq!(copies(), (before.0 + 1, before.1 + 1));
    response.as_mut().await.unwrap();
    assert_eq!(copies(), before);
}

type Future_ = ResponseFuture<std::future::Ready<Response>, (), ()>;
type Local = ResponseFuture<std::future::Ready<Rc<()>>, (), ()>;
assert_impl_all!(Health<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(HealthLayer: Send, Sync, Clone);
assert_impl_all!(HealthHandle: Send, Sync, Clone);
assert_impl_all!(Future_: Send, Sync, Unpin);
assert_impl_all!(Local: Unpin);
assert_not_impl_any!(Local: Send, Sync);
assert_not_impl_any!(Health<Rc<()>>: Send, Sync);
