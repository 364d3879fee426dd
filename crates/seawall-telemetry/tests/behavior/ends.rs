//! How calls end.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_core::{InstanceHandle, Samples, Sent, metric};
use seawall_telemetry::{Error, Reason, Rejection, TelemetryConfig, TelemetryState};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Request, by_status, describe, latency, layer, request, serve};

#[tokio::test(start_paused = true)]
async fn calls_count_by_outcome_operation_and_type_of_error() {
    let layer = layer().classify(by_status).describe(describe);
    let handle = layer.handle();
    let service = layer.layer(service_fn(serve));
    let rejected = Rejection::new(Reason::CircuitOpen, "desk").with_pattern("breaker");
    for (answer, operation) in [
        (Ok(200), "quotes"),
        (Ok(500), "quotes"),
        (Ok(404), "quotes"),
        (Err(Error::Inner("lost")), "orders"),
        (Err(Error::Rejected(rejected)), "orders"),
    ] {
        let request = Request {
            operation,
            ..request(answer)
        };
        assert_eq!(service.clone().oneshot(request).await, answer);
    }
    let snapshot = handle.snapshot();
    let [quotes, orders] = &snapshot.operations[..] else {
        panic!("two operations: {snapshot:?}");
    };
    assert_eq!((quotes.operation, orders.operation), ("quotes", "orders"));
    assert_eq!(quotes.errors, [("server", 1), ("ignored", 1)]);
    assert_eq!(orders.errors, [("failure", 1), ("circuit_open", 1)]);
    let calls = handle.counts().calls;
    assert_eq!(
        (calls.success, calls.failure, calls.ignored, calls.rejected),
        (1, 2, 1, 1)
    );
    tokio::time::advance(Duration::from_secs(7)).await;
    let last = handle.last_rejection().expect("there was one");
    assert_eq!(
        (last.rejection, last.ago),
        (rejected, Duration::from_secs(7))
    );
    let instance: &dyn InstanceHandle = &handle;
    assert_eq!(instance.last_rejection(), Some(last), "in a registry, too");
    handle.reset();
    assert_eq!(handle.last_rejection(), None);
    assert_eq!(handle.counts().calls, calls, "counts stay");
    let mut described = 0;
    handle.samples(&mut Samples::new(&mut |sample| {
        let metric = metric(sample.metric);
        let is_described = metric.is_some_and(|metric| metric.describes(&sample));
        assert!(is_described, "{sample:?} is not as in {metric:?}");
        described += 1;
    }));
    assert!(described > 10, "{described}");
}

/// An attempt got no answer, and the next one found the circuit open: the upstream has failed the caller.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_and_then_rejected_has_failed() {
    let layer = layer();
    let handle = layer.handle();
    let service = layer.layer(service_fn(serve));
    let rejected = Rejection::new(Reason::CircuitOpen, "desk").with_pattern("breaker");
    for sent in [Sent::Maybe, Sent::No] {
        let error = Error::Rejected(rejected.with_sent(sent));
        let call = service.clone().oneshot(request(Err(error)));
        assert_eq!(call.await, Err(error));
    }
    let calls = handle.counts().calls;
    assert_eq!((calls.unknown, calls.rejected, calls.total()), (1, 1, 2));
    assert_eq!(latency(&handle, "other", "unknown").count(), 1);
    let errors = handle.snapshot().operations[0].errors.clone();
    assert_eq!(errors, [("circuit_open", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_abandoned_polled_or_not() {
    let layer = layer();
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(serve));
    drop(service.ready().await.unwrap().call(request(Ok(1))));
    assert_eq!(handle.counts().abandoned, 1);
    let call = service.ready().await.unwrap().call(request(Ok(1)));
    let late = tokio::time::timeout(Duration::from_millis(5), call).await;
    assert!(late.is_err());
    assert_eq!(handle.counts().abandoned, 2);
    assert_eq!(
        latency(&handle, "other", "abandoned").max(),
        Duration::from_millis(5)
    );
    // Polled no more: nothing is known until it is dropped.
    let mut call = Box::pin(service.ready().await.unwrap().call(request(Ok(1))));
    assert!(futures_poll(&mut call).await);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(handle.counts().abandoned, 2);
    drop(call);
    assert_eq!(handle.counts().abandoned, 3);
    assert_eq!(
        latency(&handle, "other", "abandoned").max(),
        Duration::from_secs(60)
    );
    assert_eq!(handle.counts().calls.total(), 0);
}

/// Polls once: whether it is pending.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        let pending = std::pin::Pin::new(&mut *future).poll(cx).is_pending();
        Poll::Ready(pending)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn further_operations_than_fifteen_are_other() {
    const NAMES: [&str; 20] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t",
    ];
    let layer = layer().describe(describe);
    let handle = layer.handle();
    let service = layer.layer(service_fn(serve));
    for operation in NAMES.iter().chain(&NAMES) {
        let request = Request {
            operation,
            ..request(Ok(1))
        };
        service.clone().oneshot(request).await.unwrap();
    }
    let operations = handle.snapshot().operations;
    assert_eq!(operations.len(), 16);
    assert_eq!(operations[0].operation, "other");
    assert_eq!(operations[0].calls[0].latency.count(), 10);
    assert_eq!(operations[15].calls[0].latency.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_measured_while_it_is_off_and_what_was_measured_stays() {
    use seawall_core::{Command, InstanceHandle};
    let layer = layer();
    let handle = layer.handle();
    let service = layer.layer(service_fn(serve));
    let call = async || service.clone().oneshot(request(Ok(1))).await.unwrap();
    call().await;
    let off = TelemetryConfig::builder().enabled(false).build().unwrap();
    handle.configure(off).unwrap();
    assert_eq!(handle.snapshot().state, TelemetryState::Off);
    call().await;
    handle.configure(TelemetryConfig::default()).unwrap();
    call().await;
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.snapshot().state, TelemetryState::Bypassed);
    call().await;
    assert_eq!(handle.counts().calls.success, 2);
    handle.control(Command::Reset).unwrap();
    call().await;
    assert_eq!(handle.counts().calls.success, 3);
}

#[test]
fn a_thread_allocates_for_the_first_call_of_an_outcome_alone() {
    let layer = layer();
    let attempts = layer.attempts().layer(service_fn(|()| {
        std::future::ready(Ok::<_, super::Failure>(1))
    }));
    let mut service = layer.layer(attempts);
    let mut call = || {
        let future = std::pin::pin!(service.call(()));
        let done = future.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(done, Poll::Ready(Ok(1)));
    };
    call();
    let counts = seawall_testkit::alloc::count(|| (0..1_000).for_each(|_| call()));
    assert_eq!(counts.allocations, 0);
}

#[test]
fn a_panic_of_the_client_is_an_abandoned_call() {
    let layer = layer();
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|_: ()| {
        if true {
            panic!("in `call`");
        }
        async { Ok::<_, super::Failure>(()) }
    }));
    let call = std::panic::AssertUnwindSafe(|| drop(service.call(())));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(handle.counts().abandoned, 1);
}
