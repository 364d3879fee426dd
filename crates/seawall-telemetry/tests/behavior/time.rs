//! How long calls take.

use std::time::Duration;

use seawall_core::{InstanceHandle, Samples, Value};
use seawall_telemetry::TelemetryConfig;
use tower::{Layer, ServiceExt, service_fn};

use super::{Request, latency, layer, request, serve};

#[tokio::test(start_paused = true)]
async fn a_call_takes_as_long_as_it_waits_and_one_that_is_ready_at_once_no_time() {
    let layer = layer();
    let handle = layer.handle();
    let service = layer.layer(service_fn(serve));
    for ms in 1..=100 {
        let takes = Duration::from_millis(ms);
        let request = Request {
            takes,
            ..request(Ok(1))
        };
        service.clone().oneshot(request).await.unwrap();
    }
    let latency = latency(&handle, "other", "success");
    assert_eq!(latency.sum(), Duration::from_millis(5_050));
    assert_eq!(latency.max(), Duration::from_millis(100));
    let p90 = latency.quantile(0.9).unwrap();
    assert!((90..=96).contains(&p90.as_millis()), "{p90:?}");

    let ready = layer.layer(service_fn(|()| {
        std::future::ready(Ok::<_, super::Failure>(1))
    }));
    ready.oneshot(()).await.unwrap();
    assert_eq!(
        super::latency(&handle, "other", "success").sum(),
        latency.sum()
    );
    assert_eq!(handle.counts().calls.success, 101);
}

#[tokio::test(start_paused = true)]
async fn attempts_have_times_of_their_own() {
    let layer = layer();
    let handle = layer.handle();
    let attempts = layer.attempts().layer(service_fn(serve));
    // Two attempts, with a second between them.
    let calls = layer.layer(service_fn(move |one: Request| {
        let attempts = attempts.clone();
        async move {
            let failed = attempts.clone().oneshot(Request {
                answer: Err(seawall_telemetry::Error::Inner("lost")),
                ..one
            });
            assert!(failed.await.is_err());
            tokio::time::sleep(Duration::from_secs(1)).await;
            attempts.oneshot(one).await
        }
    }));
    calls.oneshot(request(Ok(1))).await.unwrap();
    let counts = handle.counts();
    assert_eq!((counts.calls.success, counts.calls.failure), (1, 0));
    assert_eq!((counts.attempts.success, counts.attempts.failure), (1, 1));
    let snapshot = handle.snapshot();
    let took = |of: &seawall_telemetry::Latencies| of.latency.max().as_millis();
    assert_eq!(
        snapshot.operations[0]
            .attempts
            .iter()
            .map(took)
            .collect::<Vec<_>>(),
        [20, 20]
    );
    assert_eq!(
        snapshot.operations[0]
            .calls
            .iter()
            .map(took)
            .collect::<Vec<_>>(),
        [1_040]
    );
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_those_that_succeed_later_than_they_may() {
    let layer = layer();
    let handle = layer.handle();
    let slow = TelemetryConfig::builder()
        .slow_after(Duration::from_millis(30))
        .build()
        .unwrap();
    handle.configure(slow).unwrap();
    let service = layer.layer(service_fn(serve));
    for ms in [20, 30, 31, 40] {
        let request = Request {
            takes: Duration::from_millis(ms),
            ..request(Ok(1))
        };
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(handle.counts().slow, 2);
}

#[tokio::test]
async fn a_call_in_real_time_takes_at_least_as_long_as_its_timer() {
    let layer = layer();
    let handle = layer.handle();
    layer
        .layer(service_fn(serve))
        .oneshot(request(Ok(1)))
        .await
        .unwrap();
    let took = latency(&handle, "other", "success").max();
    // From when it first had to wait: the timer was made just before.
    assert!(took >= Duration::from_millis(19), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn samples_have_the_labels_of_the_conventions() {
    let layer = layer();
    let handle = layer.handle();
    layer
        .layer(service_fn(serve))
        .oneshot(request(Ok(1)))
        .await
        .unwrap();
    let mut seen = Vec::new();
    handle.samples(&mut Samples::new(&mut |sample| {
        let labels: Vec<_> = sample
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let kind = match sample.value {
            Value::Histogram(of) => format!("{:?}", of.sum()),
            other => format!("{other:?}"),
        };
        seen.push(format!("{}{{{}}} {kind}", sample.metric, labels.join(",")));
    }));
    assert_eq!(
        seen,
        [
            "seawall_calls_total{layer=telemetry,operation=other,outcome=success} Counter(1)",
            "seawall_call_duration_seconds{operation=other,outcome=success} 20ms",
            "seawall_slow_calls_total{operation=other} Counter(0)",
            "seawall_overhead_seconds{} Gauge(0.0)",
            "seawall_overhead_samples_total{} Counter(0)",
        ]
    );
}
