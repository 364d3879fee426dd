//! Pools and connections beside many waiters whose futures are polled once and never again. The clock
//! of a pool cannot be paused, so all of them run in real time here.
#![cfg(feature = "isolated")]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall_core::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

type Fails = Error<io::Error>;
type Subject = BoxCloneSyncService<(), (), Fails>;
type Waits = Pin<Box<dyn Future<Output = Result<(), Fails>> + Send>>;

const CALLERS: u32 = 2_000;
const PERMITS: u32 = 50;
const HOUR: Duration = Duration::from_secs(3_600);
/// How long a call takes.
const HOLD: Duration = Duration::from_millis(150);

fn boxed<S>(service: S) -> Subject
where
    S: Service<(), Response = (), Error = Fails> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

fn isolated() -> Subject {
    let config = IsolatedConfig::builder()
        .threads(2)
        .max_concurrent(PERMITS)
        .max_waiting(CALLERS)
        .max_wait(HOUR)
        .build();
    let layer = IsolatedLayer::new("waits", config.expect("valid settings")).expect("a runtime");
    boxed(layer.layer(service_fn(|()| async {
        sleep(HOLD).await;
        Ok::<_, Fails>(())
    })))
}

fn blocking() -> Subject {
    let config = BlockingConfig::builder()
        .threads(PERMITS)
        .max_waiting(CALLERS)
        .max_wait(HOUR)
        .build();
    let layer = BlockingLayer::new("waits", config.expect("valid settings")).expect("a runtime");
    boxed(layer.layer(|()| {
        // Blocks its thread.
        let (_open, never) = std::sync::mpsc::channel::<()>();
        assert!(never.recv_timeout(HOLD).is_err());
        Ok::<_, io::Error>(())
    }))
}

/// A connection is used for as long as a call of the others takes.
fn connections() -> Subject {
    let config = ConnectionLimitConfig::builder()
        .max_connections(PERMITS)
        .max_waiting(CALLERS)
        .max_wait(HOUR)
        .build();
    let layer = ConnectionLimitLayer::new("waits", config.expect("valid settings"));
    let connect = layer.layer(service_fn(|()| async { Ok::<_, Fails>(()) }));
    boxed(connect.and_then(|connection| async move {
        sleep(HOLD).await;
        drop(connection);
        Ok(())
    }))
}

/// Of all callers a random third is polled once and never again. How long the others took, and how
/// long they would have by the permits alone.
async fn others(subject: &Subject) -> (Duration, Duration) {
    let (mut kept, mut live): (Vec<Waits>, _) = (Vec::new(), JoinSet::new());
    let (mut random, start) = (7_u32, Instant::now());
    // All permits are taken, so that each call waits.
    for _ in 0..PERMITS {
        live.spawn(subject.clone().oneshot(()));
    }
    sleep_until(start + HOLD / 10).await;
    for _ in 0..CALLERS {
        // A linear congruential generator: any will do.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (random >> 16).is_multiple_of(3) {
            let mut call: Waits = Box::pin(subject.clone().oneshot(()));
            let cx = &mut Context::from_waker(Waker::noop());
            if call.as_mut().poll(cx).is_pending() {
                kept.push(call);
            }
        } else {
            live.spawn(subject.clone().oneshot(()));
        }
        // In the order of the queue.
        tokio::task::yield_now().await;
    }
    assert!(kept.len() > 600, "{}", kept.len());
    let rounds = (live.len() as u32).div_ceil(PERMITS);
    while let Some(result) = live.join_next().await {
        assert!(result.expect("nothing panics").is_ok());
    }
    (Instant::now() - start, HOLD * rounds)
}

/// At most a twentieth longer than by the permits alone. The best of five runs: a machine that does
/// something else meanwhile is not the fault of the queue.
async fn a_third_costs_the_others_little(subject: fn() -> Subject) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let (took, ideal) = others(&subject()).await;
        best = best.min(took.as_secs_f64() / ideal.as_secs_f64());
        if best < 1.05 {
            return;
        }
    }
    panic!("{best} of the ideal time");
}

#[tokio::test]
async fn a_third_that_is_not_polled_costs_an_isolated_pool_at_most_a_twentieth_of_its_rate() {
    a_third_costs_the_others_little(isolated).await;
}

#[tokio::test]
async fn a_third_that_is_not_polled_costs_a_blocking_pool_at_most_a_twentieth_of_its_rate() {
    a_third_costs_the_others_little(blocking).await;
}

#[tokio::test]
async fn a_third_that_is_not_polled_costs_connections_at_most_a_twentieth_of_their_rate() {
    a_third_costs_the_others_little(connections).await;
}
