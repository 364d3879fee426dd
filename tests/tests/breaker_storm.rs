//! What still reaches an upstream that has just failed, with a thousand calls in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall::{
    BreakerConfig, BreakerHandle, BreakerLayer, BulkheadConfig, BulkheadLayer, Error, Reason,
    Rejectable, State, WrapErrorLayer,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PLACES: u32 = 10;
const QUEUED: u32 = 1_000;
const PROBES: u32 = 2;

/// An upstream that is well until `fails_from`, and from then on fails after 50 ms.
#[derive(Clone)]
struct Upstream {
    fails_from: Instant,
    well_from: Instant,
    /// Calls that came while it failed.
    reached: Arc<AtomicU64>,
}

impl Upstream {
    async fn answer(self) -> Result<(), &'static str> {
        let failing = (self.fails_from..self.well_from).contains(&Instant::now());
        if failing {
            self.reached.fetch_add(1, Ordering::SeqCst);
        }
        sleep(50 * MS).await;
        if failing { Err("down") } else { Ok(()) }
    }
}

struct Told {
    answered: u32,
    failed: u32,
    rejected: u32,
    last: Instant,
}

async fn all<S>(service: &S, calls: u32) -> Told
where
    S: Service<(), Response = (), Error = Error<&'static str>> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut callers = JoinSet::new();
    for _ in 0..calls {
        let service = service.clone();
        callers.spawn(service.oneshot(()));
    }
    let mut told = Told {
        answered: 0,
        failed: 0,
        rejected: 0,
        last: Instant::now(),
    };
    while let Some(answer) = callers.join_next().await {
        match answer.expect("no caller panics") {
            Ok(()) => told.answered += 1,
            Err(Error::Inner(_)) => told.failed += 1,
            Err(error) => {
                let reason = error.rejection().expect("a rejection").reason();
                assert_eq!(reason, Reason::CircuitOpen);
                told.rejected += 1;
            }
        }
        told.last = Instant::now();
    }
    told
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
        .max_concurrent(PLACES)
        .max_waiting(QUEUED)
        .max_wait(3_600 * SECOND);
    BulkheadLayer::new("queue", config.build().expect("valid"))
}

/// A thousand calls stand in the queue of ten places when the upstream goes down. Only the ten
/// that were on their way reach it, all others are told at once; in the ten seconds after, only
/// probes do; and the circuit closes when the upstream is well.
#[tokio::test(start_paused = true)]
async fn after_a_trip_only_what_was_in_flight_and_the_probes_reach_the_upstream() {
    let upstream = Upstream {
        fails_from: Instant::now(),
        well_from: Instant::now() + 10 * SECOND,
        reached: Arc::default(),
    };
    let (layer, handle) = breaker("both");
    let leaf = upstream.clone();
    let service = ServiceBuilder::new()
        .layer(layer.gate())
        .layer(queue())
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(move |()| leaf.clone().answer()));

    let start = Instant::now();
    let told = all(&service, QUEUED + PLACES).await;
    assert_eq!(upstream.reached.load(Ordering::SeqCst), u64::from(PLACES));
    assert_eq!((told.failed, told.rejected), (PLACES, QUEUED));
    // Nobody waits for a turn that is of no use any more.
    assert_eq!(told.last, start + 50 * MS);
    assert_eq!(handle.state(), State::Open);

    // The herd comes again every 100 ms. Each second of the outage lets out at most the probes.
    let mut failed = 0;
    for tick in 1..99 {
        sleep_until(start + 100 * MS * tick).await;
        failed += all(&service, 100).await.failed;
    }
    let probes = upstream.reached.load(Ordering::SeqCst) - u64::from(PLACES);
    assert_eq!(u64::from(failed), probes);
    assert!((1..=10 * u64::from(PROBES)).contains(&probes), "{probes}");

    sleep_until(upstream.well_from + SECOND).await;
    all(&service, PROBES).await;
    assert_eq!(handle.state(), State::Closed);
    let told = all(&service, QUEUED).await;
    assert_eq!(told.answered, QUEUED);
}

/// The same queue with the breaker outside of it only, as most stacks have it: every queued call
/// goes out to the upstream that is down. It is what the two halves are for.
#[tokio::test(start_paused = true)]
async fn a_breaker_outside_of_the_queue_only_lets_the_whole_queue_out() {
    let upstream = Upstream {
        fails_from: Instant::now(),
        well_from: Instant::now() + 3_600 * SECOND,
        reached: Arc::default(),
    };
    let (layer, _) = breaker("outside");
    let leaf = upstream.clone();
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(queue())
        .layer(WrapErrorLayer)
        .service(service_fn(move |()| leaf.clone().answer()));
    all(&service, QUEUED + PLACES).await;
    let reached = upstream.reached.load(Ordering::SeqCst);
    assert_eq!(reached, u64::from(QUEUED + PLACES));
}
