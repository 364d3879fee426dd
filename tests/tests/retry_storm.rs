//! Two hundred clients and an upstream that is down for half a minute: what retries add to its
//! load, and whether it recovers.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall::{
    Budget, BudgetConfig, ConstMeta, ErrorIsFailure, Replay, RequestMeta, RetryConfig, RetryLayer,
    WrapErrorLayer,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const CLIENTS: u32 = 200;
/// The seconds in which the upstream is down.
const OUTAGE: Range<u32> = 5..35;
/// The seconds that are judged; the load continues for a while.
const END: u32 = 75;
const BEYOND: u32 = 10;
/// How long a client waits for the response to one attempt.
const TIMEOUT: Duration = SECOND;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Fails every request immediately while it is down, and one request of a hundred otherwise.
    Simple,
    /// Serves 300 requests per second, also for clients that have given up, and rejects a request
    /// immediately when its backlog is two seconds. It does no work while it is down.
    Queueing,
}

#[derive(Clone)]
struct Upstream {
    kind: Kind,
    zero: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Requests received, by second.
    received: Vec<u32>,
    number: u32,
    /// For how long it will have worked when its backlog is done.
    free: Duration,
}

impl Upstream {
    async fn respond(self) -> Result<(), &'static str> {
        let (healthy, after) = self.take();
        sleep(after).await;
        if healthy { Ok(()) } else { Err("down") }
    }

    fn take(&self) -> (bool, Duration) {
        let at = Instant::now() - self.zero;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.received[at.as_secs() as usize] += 1;
        state.number += 1;
        let occasional_failure = state.number.is_multiple_of(100);
        let (goes, comes) = (OUTAGE.start * SECOND, OUTAGE.end * SECOND);
        if self.kind == Kind::Simple {
            let healthy = !(goes..comes).contains(&at) && !occasional_failure;
            return (healthy, 20 * MS);
        }
        let worked = at.min(goes) + at.saturating_sub(comes);
        let begins = state.free.max(worked);
        if begins - worked > 2 * SECOND {
            return (false, 20 * MS);
        }
        state.free = begins + SECOND / 300;
        let stood = (comes - goes) * u32::from(state.free > goes);
        (!occasional_failure, state.free + stood - at + 20 * MS)
    }
}

struct Results {
    /// Requests that the upstream received, by second.
    received: Vec<u32>,
    /// Calls begun in that second that succeeded in the end.
    succeeded: Vec<u32>,
}

impl Results {
    fn in_outage(&self) -> u32 {
        self.received[OUTAGE.start as usize..OUTAGE.end as usize]
            .iter()
            .sum()
    }

    fn normal(&self, second: u32) -> bool {
        self.succeeded[second as usize] * 100 >= CLIENTS * 95
    }

    /// From so long after the outage on, every second's calls succeed.
    fn is_normal_within(&self, seconds: u32) -> bool {
        (OUTAGE.end + seconds..END).all(|second| self.normal(second))
    }
}

type Layer = RetryLayer<seawall::Policy<ErrorIsFailure, ConstMeta>>;

fn layer(seed: u32) -> Layer {
    RetryLayer::new("storm", RetryConfig::default())
        .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
        .seed(u64::from(seed))
}

/// Every client calls once per second, through its layer.
async fn storm(kind: Kind, layer_of: impl Fn(u32) -> Layer) -> Results {
    let zero = Instant::now();
    let seconds = (END + BEYOND) as usize;
    let received = vec![0; seconds + 60];
    let state = State {
        received,
        ..State::default()
    };
    let upstream = Upstream {
        kind,
        zero,
        state: Arc::new(Mutex::new(state)),
    };
    let leaf = upstream.clone();
    let leaf = service_fn(move |()| {
        let response = timeout(TIMEOUT, leaf.clone().respond());
        async move { response.await.unwrap_or(Err("too late")) }
    });
    let mut calls = JoinSet::new();
    for client in 0..CLIENTS {
        let service = ServiceBuilder::new()
            .layer(layer_of(client))
            .layer(WrapErrorLayer)
            .service(leaf.clone());
        for second in 0..END + BEYOND {
            let at = zero + second * SECOND + SECOND / CLIENTS * client;
            let service = service.clone();
            calls.spawn(async move {
                sleep_until(at).await;
                (second, service.oneshot(()).await.is_ok())
            });
        }
    }
    let mut succeeded = vec![0; seconds];
    while let Some(call) = calls.join_next().await {
        let (second, success) = call.expect("no call panics");
        succeeded[second as usize] += u32::from(success);
    }
    let mut state = upstream
        .state
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let received = std::mem::take(&mut state.received);
    Results {
        received,
        succeeded,
    }
}

fn calls_in_outage() -> u32 {
    OUTAGE.len() as u32 * CLIENTS
}

/// What the calls of the outage and the default budget make together.
fn bound() -> u32 {
    let budget = BudgetConfig::default();
    let earned = budget.floor_per_second() * f64::from(OUTAGE.len() as u32);
    // A call of the last second before may have its extra attempt in the outage.
    let before = CLIENTS / 100;
    calls_in_outage() + budget.capacity() + earned.ceil() as u32 + before
}

fn assert_bounded(results: &Results) {
    let sent = results.in_outage();
    assert!(sent <= bound(), "{sent} requests, {} at most", bound());
    assert!(sent > calls_in_outage(), "the budget was spent");
    // In each second, not on average only.
    let most = OUTAGE.map(|second| results.received[second as usize]).max();
    let most = most.unwrap_or_default();
    let capacity = BudgetConfig::default().capacity();
    assert!(most <= CLIENTS + capacity + 5, "{most} in a second");
}

#[tokio::test(start_paused = true)]
async fn a_shared_budget_bounds_the_load_of_an_outage_and_all_is_normal_right_after_it() {
    let shared = layer(1);
    let results = storm(Kind::Simple, |_| shared.clone()).await;
    assert_bounded(&results);
    for second in (0..OUTAGE.start - 1).chain(OUTAGE.end..END) {
        // Occasional failures are retried successfully.
        assert_eq!(
            results.succeeded[second as usize], CLIENTS,
            "second {second}"
        );
    }
    assert!(results.is_normal_within(0));
}

/// The backlog of 2 s falls by a third of a second per second; at less than 1 s calls succeed again.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_queues_is_normal_five_seconds_after_an_outage_with_a_shared_budget() {
    let shared = layer(2);
    let results = storm(Kind::Queueing, |_| shared.clone()).await;
    assert_bounded(&results);
    assert!(
        !results.normal(OUTAGE.end),
        "its backlog is not gone immediately"
    );
    assert!(results.is_normal_within(5), "{:?}", results.succeeded);
}

/// The control: the same clients and the same upstream, whose outage is long over, and yet it
/// works for callers that have given up.
#[tokio::test(start_paused = true)]
async fn without_a_budget_an_upstream_that_queues_stays_down_when_its_outage_is_over() {
    let shared = layer(3).without_budget();
    let results = storm(Kind::Queueing, |_| shared.clone()).await;
    let sent = results.in_outage();
    assert!(sent > bound() * 2, "{sent} requests");
    for second in OUTAGE.end..END {
        assert!(!results.normal(second), "second {second}");
    }
    let end = (END - 10) as usize..END as usize;
    assert_eq!(results.succeeded[end].iter().sum::<u32>(), 0);
}

/// Twenty tokens of each of two hundred clients are four thousand, and one per second of each is
/// twice the load.
#[tokio::test(start_paused = true)]
async fn with_a_budget_for_each_client_an_upstream_that_queues_stays_down_as_well() {
    let results = storm(Kind::Queueing, layer).await;
    let sent = results.in_outage();
    assert!(sent > bound() * 2, "{sent} requests");
    for second in OUTAGE.end..END {
        assert!(!results.normal(second), "second {second}");
    }
}

/// One budget in the layers of all clients is as good as one layer.
#[tokio::test(start_paused = true)]
async fn one_budget_in_many_layers_bounds_the_load_of_all() {
    let budget = Budget::default();
    let results = storm(Kind::Queueing, |client| {
        layer(client).budget(budget.clone())
    })
    .await;
    assert_bounded(&results);
    assert!(results.is_normal_within(5), "{:?}", results.succeeded);
}
