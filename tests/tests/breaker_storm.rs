//! What still reaches an upstream that has just failed, with a thousand queued calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall::{
    BreakerConfig, BreakerHandle, BreakerLayer, BulkheadConfig, BulkheadLayer, CircuitState, Error,
    Reason, Rejectable, WrapErrorLayer,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PERMITS: u32 = 10;
const QUEUED: u32 = 1_000;
const PROBES: u32 = 2;

/// An upstream that is healthy until `fails_at`, and from then on fails after 50 ms.
#[derive(Clone)]
struct Upstream {
    fails_at: Instant,
    recovers_at: Instant,
    /// Calls that it received while it failed.
    reached: Arc<AtomicU64>,
}

impl Upstream {
    async fn respond(self) -> Result<(), &'static str> {
        let failing = (self.fails_at..self.recovers_at).contains(&Instant::now());
        if failing {
            self.reached.fetch_add(1, Ordering::SeqCst);
        }
        sleep(50 * MS).await;
        if failing { Err("down") } else { Ok(()) }
    }
}

struct Results {
    succeeded: u32,
    failed: u32,
    rejected: u32,
    last: Instant,
}

async fn all<S>(service: &S, calls: u32) -> Results
where
    S: Service<(), Response = (), Error = Error<&'static str>> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut callers = JoinSet::new();
    for _ in 0..calls {
        let service = service.clone();
        callers.spawn(service.oneshot(()));
    }
    let mut results = Results {
        succeeded: 0,
        failed: 0,
        rejected: 0,
        last: Instant::now(),
    };
    while let Some(response) = callers.join_next().await {
        match response.expect("no caller panics") {
            Ok(()) => results.succeeded += 1,
            Err(Error::Inner(_)) => results.failed += 1,
            Err(error) => {
                let reason = error.rejection().expect("a rejection").reason();
                assert_eq!(reason, Reason::CircuitOpen);
                results.rejected += 1;
            }
        }
        results.last = Instant::now();
    }
    results
}

fn breaker(name: &'static str) -> (BreakerLayer, BreakerHandle) {
    let config = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(SECOND)
        .probes(PROBES)
        .successes_to_close(PROBES)
        .build()
        .expect("valid");
    let layer = BreakerLayer::new(name, config);
    let handle = layer.handle();
    (layer, handle)
}

fn queue() -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(PERMITS)
        .max_waiting(QUEUED)
        .max_wait(3_600 * SECOND);
    BulkheadLayer::new("queue", config.build().expect("valid"))
}

/// A thousand calls are queued for ten permits when the upstream goes down. Only the ten in flight
/// reach it, all others are rejected immediately; in the ten seconds after, only probes do; and the
/// circuit closes when the upstream has recovered.
#[tokio::test(start_paused = true)]
async fn after_a_trip_only_what_was_in_flight_and_the_probes_reach_the_upstream() {
    let upstream = Upstream {
        fails_at: Instant::now(),
        recovers_at: Instant::now() + 10 * SECOND,
        reached: Arc::default(),
    };
    let (layer, handle) = breaker("both");
    let leaf = upstream.clone();
    let service = ServiceBuilder::new()
        .layer(layer.gate())
        .layer(queue())
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(move |()| leaf.clone().respond()));

    let start = Instant::now();
    let results = all(&service, QUEUED + PERMITS).await;
    assert_eq!(upstream.reached.load(Ordering::SeqCst), u64::from(PERMITS));
    assert_eq!((results.failed, results.rejected), (PERMITS, QUEUED));
    // No call waits in the queue any longer.
    assert_eq!(results.last, start + 50 * MS);
    assert_eq!(handle.state(), CircuitState::Open);

    // A hundred calls come every 100 ms. In each second of the outage at most the probes pass.
    let mut failed = 0;
    for tick in 1..99 {
        sleep_until(start + 100 * MS * tick).await;
        failed += all(&service, 100).await.failed;
    }
    let probes = upstream.reached.load(Ordering::SeqCst) - u64::from(PERMITS);
    assert_eq!(u64::from(failed), probes);
    assert!((1..=10 * u64::from(PROBES)).contains(&probes), "{probes}");

    sleep_until(upstream.recovers_at + SECOND).await;
    all(&service, PROBES).await;
    assert_eq!(handle.state(), CircuitState::Closed);
    let results = all(&service, QUEUED).await;
    assert_eq!(results.succeeded, QUEUED);
}

/// The same queue with the breaker outside of it only, as most stacks have it: every queued call
/// is sent to the upstream that is down. This is what gate and breaker are for.
#[tokio::test(start_paused = true)]
async fn a_breaker_outside_of_the_queue_alone_sends_every_queued_call() {
    let upstream = Upstream {
        fails_at: Instant::now(),
        recovers_at: Instant::now() + 3_600 * SECOND,
        reached: Arc::default(),
    };
    let (layer, _) = breaker("outside");
    let leaf = upstream.clone();
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(queue())
        .layer(WrapErrorLayer)
        .service(service_fn(move |()| leaf.clone().respond()));
    all(&service, QUEUED + PERMITS).await;
    let reached = upstream.reached.load(Ordering::SeqCst);
    assert_eq!(reached, u64::from(QUEUED + PERMITS));
}
