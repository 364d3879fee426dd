//! What an adaptive bulkhead does in front of an upstream, and what its handle shows.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use seawall_adaptive::{
    AdaptiveBulkheadHandle, AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveConfigBuilder,
    AdaptiveLimit, Aimd, BulkheadConfig, BulkheadState, Error, Gradient, Knee, SampleKind, Vegas,
};
use seawall_bulkhead::BulkheadLayer;
use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall_core::{Command, InstanceHandle, Outcome, Registry};
use seawall_testkit::contract::{MockError, PolledFuture, mock};
use static_assertions::assert_impl_all;
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

assert_impl_all!(AdaptiveBulkheadLayer: Send, Sync, Clone);
assert_impl_all!(AdaptiveBulkheadHandle: Send, Sync, Clone, InstanceHandle);

/// Eight permits and a queue, 10 ms a call.
#[tokio::test(start_paused = true)]
async fn a_bulkhead_finds_how_many_calls_its_upstream_bears() {
    let permits = Arc::new(Semaphore::new(8));
    let upstream = service_fn(move |(): ()| {
        let permits = Arc::clone(&permits);
        async move {
            let _permit = permits.acquire().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Error<BoxError>>(())
        }
    });
    let config = BulkheadConfig::builder().max_waiting(100).build().unwrap();
    let adaptive = AdaptiveConfig::builder().initial(60).build().unwrap();
    let layer = AdaptiveBulkheadLayer::new("orders", config, adaptive);
    let (handle, service) = (layer.handle(), layer.layer(upstream));
    assert_eq!(handle.snapshot().limit, 60);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let mut service = service.clone();
            tokio::spawn(async move {
                loop {
                    let _ = service.ready().await.unwrap().call(()).await;
                }
            })
        })
        .collect();
    // The baseline is that of a full queue, until the second measurement or so.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let mut limits = Vec::new();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        limits.push(handle.snapshot().limit);
    }
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    let mean = limits.iter().sum::<u32>() / 50;
    assert!((7..=14).contains(&mean), "{limits:?}");
    let estimates = handle.snapshot().estimates;
    let (baseline, latency) = (estimates.baseline.unwrap(), estimates.latency.unwrap());
    assert!(baseline < Duration::from_millis(15), "{baseline:?}");
    assert!(latency < Duration::from_millis(30), "{latency:?}");
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    type Change = fn(AdaptiveConfigBuilder) -> AdaptiveConfigBuilder;
    let cases: [(&str, Change); 22] = [
        ("min", |b| b.min(0)),
        ("max", |b| b.min(5).max(4)),
        ("initial", |b| b.min(5).initial(4)),
        ("initial", |b| b.max(10).initial(11)),
        ("quantile", |b| b.quantile(1.0)),
        ("quantile", |b| b.quantile(0.0)),
        ("quantile", |b| b.quantile(1.1)),
        ("quantile", |b| b.quantile(f64::NAN)),
        ("min_window", |b| b.min_window(Duration::ZERO)),
        ("max_window", |b| b.max_window(Duration::from_millis(1))),
        ("min_samples", |b| b.min_samples(0)),
        ("aimd.backoff", |b| {
            b.algorithm(Aimd::default().backoff(1.0))
        }),
        ("aimd.slow", |b| {
            b.algorithm(Aimd::default().slow(Duration::ZERO))
        }),
        ("vegas.drift", |b| b.algorithm(Vegas::default().drift(1.0))),
        ("vegas.memory", |b| {
            b.algorithm(Vegas::default().memory(Duration::ZERO))
        }),
        ("gradient.tolerance", |b| {
            b.algorithm(Gradient::default().tolerance(0.9))
        }),
        ("gradient.backoff", |b| {
            b.algorithm(Gradient::default().backoff(0.0))
        }),
        ("gradient.drift", |b| {
            b.algorithm(Gradient::default().drift(f64::INFINITY))
        }),
        ("knee.tolerance", |b| {
            b.algorithm(Knee::default().tolerance(f64::NAN))
        }),
        ("knee.drops", |b| b.algorithm(Knee::default().drops(-0.1))),
        ("knee.probe", |b| {
            b.algorithm(Knee::default().probe(Duration::ZERO))
        }),
        ("knee.drift", |b| b.algorithm(Knee::default().drift(0.5))),
    ];
    for (field, change) in cases {
        let rejected = change(AdaptiveConfig::builder()).build().unwrap_err();
        assert_eq!(rejected.field(), field);
    }
    let outside = AdaptiveConfig::builder().max(10).initial(20).build();
    assert_eq!(
        outside.unwrap_err().to_string(),
        "`initial` is 20, accepted is a whole number from `min`, 1, to `max`, 10"
    );
    // The default that nobody has set gives way.
    let bounds = |min, max| AdaptiveConfig::builder().min(min).max(max).build();
    assert_eq!(bounds(1, 10).unwrap().initial(), 10);
    assert_eq!(bounds(30, 40).unwrap().initial(), 30);
    let extremes = AdaptiveConfig::builder()
        .max(u32::MAX)
        .initial(u32::MAX)
        .max_window(Duration::MAX)
        .build()
        .unwrap();
    let limit = AdaptiveLimit::new(&extremes);
    for now in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        limit.finished(now, u64::MAX, u32::MAX, SampleKind::Completed);
    }
    assert_eq!(limit.limit(), u32::MAX);
}

/// Halves at drops, so that a test can move the limit.
fn halving() -> AdaptiveConfigBuilder {
    AdaptiveConfig::builder()
        .initial(8)
        .algorithm(Aimd::default().backoff(0.5))
}

fn layer() -> AdaptiveBulkheadLayer {
    let adaptive = halving().build().expect("valid settings");
    AdaptiveBulkheadLayer::new("orders", BulkheadConfig::default(), adaptive)
}

#[tokio::test(start_paused = true)]
async fn a_handle_configures_a_bulkhead_whose_services_are_made_already() {
    let layer = layer();
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|(): ()| async { Ok::<_, Error<BoxError>>(()) }));
    assert_eq!(handle.config(), halving().build().unwrap());
    let tight = halving().min(2).max(5).initial(5).build().unwrap();
    handle.configure(tight).unwrap();
    assert_eq!(handle.config(), tight);
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.limit, snapshot.min, snapshot.max), (5, 2, 5));
    // The algorithm keeps its limit when the bulkhead has other settings.
    let bulkhead = BulkheadConfig::builder().max_concurrent(40).max_waiting(7);
    handle
        .bulkhead()
        .configure(bulkhead.build().unwrap())
        .unwrap();
    assert_eq!(handle.snapshot().limit, 5);
    assert_eq!(handle.bulkhead().config().max_waiting(), 7);
    service.ready().await.unwrap().call(()).await.unwrap();
    assert_eq!((handle.snapshot().limit, handle.counts().success), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_learned_and_every_command() {
    let layer = layer().classify(|result: Result<&(), &Error<BoxError>>| match result {
        Ok(()) => Outcome::Unknown,
        Err(_) => Outcome::Ignored,
    });
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|(): ()| async { Ok::<_, Error<BoxError>>(()) }));
    for _ in 0..100 {
        service.ready().await.unwrap().call(()).await.unwrap();
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    let snapshot = handle.snapshot();
    assert!(
        snapshot.limit < 8 && snapshot.estimates.drops > 0,
        "{snapshot:?}"
    );
    handle.bulkhead().pause();
    assert_eq!(handle.snapshot().state, BulkheadState::Paused);
    handle.reset();
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.limit, snapshot.state), (8, BulkheadState::Ok));
    assert_eq!(snapshot.estimates, seawall_adaptive::Estimates::default());
    assert_eq!(snapshot.counts.ignored + snapshot.counts.failure, 100);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_or_kept_moves_nothing_and_releases_its_permit() {
    let layer = layer();
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|(): ()| {
        std::future::pending::<Result<(), Error<BoxError>>>()
    }));
    let kept = service.call(());
    drop(service.call(()));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 0));
    drop(kept);
    assert_eq!((handle.in_flight(), handle.counts().abandoned), (0, 2));
    assert_eq!(
        handle.snapshot().estimates,
        seawall_adaptive::Estimates::default()
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_goes_on_from_a_number_that_it_had_before() {
    type MockedError = seawall_testkit::contract::BoxError;
    let (inner, mock) = mock();
    mock.hold_responses();
    let queue = BulkheadConfig::builder().max_waiting(64).build().unwrap();
    let adaptive = AdaptiveConfig::builder().algorithm(Aimd::default());
    let layer = AdaptiveBulkheadLayer::new("orders", queue, adaptive.build().unwrap()).classify(
        |result: Result<&u32, &MockedError>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Unknown,
        },
    );
    let (mut svc, handle) = (layer.layer(inner), layer.handle().bulkhead().clone());
    let mut running = |n| {
        let calls = (0..n).map(|n| {
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(svc.poll_ready(cx).is_ready());
            PolledFuture::new(svc.call(n))
        });
        let mut calls: Vec<_> = calls.collect();
        calls
            .iter_mut()
            .for_each(|call| assert!(call.poll().is_pending()));
        calls
    };
    // Dropped by the upstream until the limit falls.
    for _ in 0..200 {
        if handle.limit() < 20 {
            break;
        }
        let mut calls = running(10);
        tokio::time::advance(Duration::from_secs(1)).await;
        for (n, call) in calls.iter_mut().enumerate() {
            mock.respond(mock.calls() - 10 + n, Err(MockError::Failed(1)));
            assert!(call.poll().is_ready());
        }
    }
    assert!(handle.limit() < 20);
    // By hand, back to what it was.
    handle.set_limit(20).unwrap();
    let mut last = 20;
    for _ in 0..3 {
        let mut calls = running(20);
        tokio::time::advance(Duration::from_secs(1)).await;
        mock.respond_to_all();
        calls
            .iter_mut()
            .for_each(|call| assert!(call.poll().is_ready()));
        assert!(handle.limit() >= last, "from {last} to {}", handle.limit());
        last = handle.limit();
    }
}

#[test]
fn a_layer_that_has_an_algorithm_keeps_it() {
    let scaling = ScalingConfig::builder().min(4).max(8).build().unwrap();
    let adaptive = AdaptiveConfig::builder().initial(100).build().unwrap();
    let bulkhead = BulkheadConfig::builder().max_concurrent(6).build().unwrap();
    let scaled = ScalingBulkheadLayer::new("orders", bulkhead, scaling);
    assert_eq!(scaled.handle().bulkhead().limit(), 6);
    let plain = BulkheadLayer::new("orders", bulkhead);
    let wrapped = AdaptiveBulkheadLayer::wrap(plain, adaptive);
    assert_eq!(wrapped.handle().bulkhead().limit(), 100);
    let twice = BulkheadLayer::new("orders", bulkhead)
        .limit_algorithm(AdaptiveLimit::new(&adaptive))
        .limit_algorithm(AdaptiveLimit::default());
    assert_eq!(twice.handle().limit(), 100);
}

#[test]
fn a_registry_reads_and_commands_it() {
    let handle = layer().handle();
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("bulkhead", "ok"));
    let settings: Vec<String> = snapshot
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    // Words and figures, and nothing of how they are kept.
    assert!(
        settings.iter().all(|row| !row.contains('{')),
        "{settings:?}"
    );
    for row in [
        "adaptive.initial 8",
        "adaptive.algorithm aimd",
        "aimd.backoff 0.5",
        "aimd.slow 5s",
    ] {
        assert!(settings.iter().any(|there| there == row), "{settings:?}");
    }
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.state(), "paused");
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.state(), "ok");
}

#[cfg(feature = "serde")]
#[test]
fn a_snapshot_is_written_as_json() {
    let snapshot: seawall_adaptive::AdaptiveSnapshot = layer().handle().snapshot();
    let json = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(
        (&json["name"], &json["state"]),
        (&"orders".into(), &"ok".into())
    );
    assert_eq!(
        (&json["algorithm"], &json["limit"]),
        (&"aimd".into(), &8.into())
    );
    assert_eq!(json["estimates"]["baseline"], serde_json::Value::Null);
    assert_eq!(json["counts"]["success"], 0);
}

/// Whatever becomes of the calls, in whichever order, on eight threads: no permit is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn under_eight_threads_of_mixed_calls_the_bulkhead_comes_back_to_idle() {
    const MS: Duration = Duration::from_millis(1);
    let bulkhead = BulkheadConfig::builder()
        .max_waiting(1_000)
        .max_wait(200 * MS)
        .build()
        .unwrap();
    let adaptive = AdaptiveConfig::builder().initial(10).max(40);
    let layer = AdaptiveBulkheadLayer::new("mixed", bulkhead, adaptive.build().unwrap());
    let handle = layer.handle();
    let service = layer.layer(service_fn(|n: u32| async move {
        match n % 9 {
            0 => tokio::time::sleep(n % 30 * MS).await,
            1 => panic!("inner"),
            2 => return Err(Error::Inner(BoxError::from("inner"))),
            3 => std::future::pending().await,
            _ => tokio::task::yield_now().await,
        }
        Ok(n)
    }));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..20_000 {
        let call = service.clone().oneshot(n);
        calls.spawn(tokio::time::timeout(n * 37 % 100 * MS, call));
    }
    while calls.join_next().await.is_some() {}
    let idle = || handle.bulkhead().in_flight() == 0 && handle.bulkhead().queue_depth() == 0;
    tokio::time::timeout(10_000 * MS, async {
        while !idle() {
            tokio::time::sleep(MS).await;
        }
    })
    .await
    .expect("every permit comes back");
    assert!((1..=40).contains(&handle.snapshot().limit));
    for n in 0..100 {
        assert!(service.clone().oneshot(9 * n + 4).await.is_ok());
    }
}
