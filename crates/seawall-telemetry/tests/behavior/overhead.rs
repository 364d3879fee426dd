//! What the layers cost.

use std::time::Duration;

use seawall_telemetry::{ClientProbeLayer, Overhead, TelemetryConfig, TelemetryLayer};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

fn always() -> TelemetryLayer {
    let config = TelemetryConfig::builder().overhead_every(1).build();
    TelemetryLayer::new("desk", config.expect("valid settings"))
}

/// Time passes within a poll, as if the processor were busy.
async fn busy(ms: u64) {
    advance(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_and_the_client_are_no_overhead() {
    let telemetry = always();
    let handle = telemetry.handle();
    let client = ClientProbeLayer::new().layer(service_fn(|()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, super::Failure>(())
    }));
    let stack = telemetry.layer(service_fn(move |()| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.oneshot(()).await
    }));
    for _ in 0..3 {
        stack.clone().oneshot(()).await.unwrap();
    }
    let overhead = handle.snapshot().overhead;
    assert_eq!((overhead.samples, overhead.sum), (3, Duration::ZERO));
    assert_eq!(overhead.mean(), Some(Duration::ZERO));
}

/// A client and a layer that each spend time on the processor, in real time.
#[tokio::test]
async fn what_the_layers_compute_is_overhead_and_what_the_client_computes_is_not() {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    fn spin(ms: u64) {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(ms) {
            std::hint::spin_loop();
        }
    }
    async fn measured() -> Overhead {
        let telemetry = always();
        let handle = telemetry.handle();
        let client = ClientProbeLayer::new().layer(service_fn(|()| async {
            spin(30);
            tokio::task::yield_now().await;
            spin(30);
            Ok::<_, super::Failure>(())
        }));
        let stack = telemetry.layer(service_fn(move |()| {
            spin(2);
            async move {
                spin(2);
                client.oneshot(()).await
            }
        }));
        stack.oneshot(()).await.unwrap();
        handle.snapshot().overhead
    }
    // A machine under load may take the processor away meanwhile, though not each time.
    let mut last = None;
    for _ in 0..20 {
        let overhead = measured().await;
        assert_eq!(overhead.samples, 1);
        assert!(overhead.sum >= Duration::from_millis(4), "{overhead:?}");
        // Less than the client computes.
        if overhead.sum < Duration::from_millis(60) {
            return;
        }
        last = Some(overhead);
    }
    panic!("{last:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_probe_or_without_samples_no_overhead_is_reported() {
    let telemetry = always();
    let handle = telemetry.handle();
    let stack = telemetry.layer(service_fn(|()| async {
        busy(10).await;
        Ok::<_, super::Failure>(())
    }));
    stack.oneshot(()).await.unwrap();
    assert_eq!(handle.snapshot().overhead.mean(), None);
    let never = TelemetryConfig::builder()
        .overhead_every(0)
        .build()
        .unwrap();
    let telemetry = TelemetryLayer::new("desk", never);
    let handle = telemetry.handle();
    let client =
        ClientProbeLayer::new().layer(service_fn(|()| async { Ok::<_, super::Failure>(()) }));
    let stack = telemetry.layer(client);
    for _ in 0..2_000 {
        stack.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(handle.snapshot().overhead.samples, 0);
}

#[tokio::test(start_paused = true)]
async fn of_one_call_in_some_it_is_measured() {
    let every = TelemetryConfig::builder()
        .overhead_every(10)
        .build()
        .unwrap();
    let telemetry = TelemetryLayer::new("desk", every);
    let handle = telemetry.handle();
    let client =
        ClientProbeLayer::new().layer(service_fn(|()| async { Ok::<_, super::Failure>(()) }));
    let stack = telemetry.layer(client);
    for _ in 0..1_000 {
        stack.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(handle.snapshot().overhead.samples, 100);
}
