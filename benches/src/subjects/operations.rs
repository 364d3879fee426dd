//! What it costs to watch a program, and how late an event comes.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{EventFilter, EventKind, EventSource, Events, Received, Registry, WrapError};
use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
use seawall_retry::{RetryConfig, RetryLayer};
use tokio::runtime::Builder;
use tokio::time::Instant;
use tower_layer::Layer;

use super::seawall;
use crate::harness::nanoseconds;
use crate::leaf::{Leaf, call_once};

/// How many names there are, with four components each.
const NAMES: usize = 250;

/// 1,000 components: breakers, bulkheads, rate limits and retries.
pub(super) fn registry() -> Result<Registry, String> {
    let registry = Registry::new("desk");
    for index in 0..NAMES {
        let name = format!("upstream-{index}");
        let breaker = BreakerLayer::new(&*name, BreakerConfig::default());
        let bulkhead = BulkheadLayer::new(&*name, BulkheadConfig::default());
        let limit = RateLimitConfig::builder().rate(10, Duration::from_secs(1));
        let limit = RateLimitLayer::new(&*name, limit.build().map_err(|e| e.to_string())?);
        let retry = RetryLayer::new(&*name, RetryConfig::default());
        registry
            .register(breaker.handle())
            .and_then(|()| registry.register(bulkhead.handle()))
            .and_then(|()| registry.register(limit.handle()))
            .and_then(|()| registry.register(retry.handle()))
            .map_err(|e| e.to_string())?;
    }
    Ok(registry)
}

/// The shortest of several runs in nanoseconds, which hardly depends on what else the machine does.
fn shortest(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        nanoseconds(start, Instant::now())
    };
    (0..50).map(time).fold(f64::INFINITY, f64::min)
}

/// A snapshot of 1,000 components, in nanoseconds.
pub(super) fn snapshot() -> Result<f64, String> {
    let registry = registry()?;
    Ok(shortest(|| {
        black_box(registry.snapshot());
    }))
}

/// 1,000 components published and rendered for Prometheus, in nanoseconds.
pub(super) fn scrape() -> Result<f64, String> {
    let registry = registry()?;
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    Ok(shortest(|| {
        metrics::with_local_recorder(&recorder, || registry.publish());
        black_box(handle.render());
    }))
}

/// The time from a change to its subscriber, in nanoseconds and sorted, while two threads call a
/// breaker as fast as they can.
pub(super) fn event_latency() -> Result<Vec<f64>, String> {
    const CHANGES: usize = 2_000;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|e| format!("no Tokio runtime: {e}"))?;
    let events = Events::default();
    let source = EventSource::new("breaker", "latency");
    source.attach(&events);
    let mut changes = events.subscribe_to(EventFilter::changes());
    let over = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let breaker = seawall::breaker();
        for _ in 0..2 {
            let (over, mut service) = (Arc::clone(&over), breaker.layer(WrapError::new(Leaf)));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    for call in 0..64 {
                        black_box(call_once(&mut service, call).is_ok());
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        tokio::spawn(async move {
            for _ in 0..CHANGES {
                tokio::time::sleep(Duration::from_millis(1)).await;
                source.emit(|| EventKind::FileNotWritten);
            }
        });
        let receive = tokio::spawn(async move {
            let mut all = Vec::with_capacity(CHANGES);
            while all.len() < CHANGES {
                if let Some(Received::Event(event)) = changes.next().await {
                    all.push(nanoseconds(event.at, Instant::now()));
                }
            }
            all
        });
        let all = receive.await;
        over.store(true, Ordering::Relaxed);
        let mut all = all.map_err(|e| e.to_string())?;
        all.sort_by(f64::total_cmp);
        Ok(all)
    })
}
