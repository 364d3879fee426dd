//! Callers that do not poll their calls for a while: what they cost all others of a server.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use seawall::{BulkheadConfig, BulkheadLayer, Error};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

type Fails = Error<io::Error>;
type Client = BoxCloneSyncService<u64, u64, Fails>;

const SECOND: Duration = Duration::from_secs(1);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A request takes so many milliseconds.
fn upstream() -> Client {
    BoxCloneSyncService::new(service_fn(|n: u64| async move {
        sleep(ms(n)).await;
        Ok::<_, Fails>(n)
    }))
}

/// Ten permits, by a bulkhead and by tokio's semaphore, which has no bound for its waiters.
fn clients() -> [(&'static str, Client); 2] {
    let config = BulkheadConfig::builder()
        .max_concurrent(10)
        .max_waiting(20)
        .max_wait(10 * SECOND);
    let bulkhead = BulkheadLayer::new("broker", config.build().expect("valid"));
    let permits = Arc::new(Semaphore::new(10));
    let semaphore = service_fn(move |n: u64| {
        let permits = Arc::clone(&permits);
        async move {
            let _permit = permits.acquire().await.expect("it is never closed");
            upstream().oneshot(n).await
        }
    });
    [
        (
            "bulkhead",
            BoxCloneSyncService::new(bulkhead.layer(upstream())),
        ),
        ("semaphore", BoxCloneSyncService::new(semaphore)),
    ]
}

async fn occupy(client: &Client, permits: u32) {
    for _ in 0..permits {
        tokio::spawn(client.clone().oneshot(50));
    }
    sleep(ms(1)).await;
}

#[derive(Debug, Default)]
struct OtherCalls {
    rejected: usize,
    worst: Duration,
}

/// Other tasks call once every 10 ms.
async fn others<F>(during: Duration, call: impl Fn() -> F) -> OtherCalls
where
    F: Future<Output = bool> + Send + 'static,
{
    let end = Instant::now() + during;
    let mut tasks = Vec::new();
    while Instant::now() < end {
        let call = call();
        tasks.push(tokio::spawn(async move {
            let start = Instant::now();
            (call.await, Instant::now() - start)
        }));
        sleep(ms(10)).await;
    }
    let mut seen = OtherCalls::default();
    for task in tasks {
        let (served, took) = task.await.expect("nothing panics");
        seen.rejected += usize::from(!served);
        seen.worst = seen.worst.max(took);
    }
    seen
}

/// `buffer_unordered`, and a consumer that works on each result for three seconds.
#[tokio::test(start_paused = true)]
async fn a_buffered_stream_whose_consumer_works_costs_its_own_permits() {
    for (kind, client) in clients() {
        occupy(&client, 8).await;
        let mine = client.clone();
        let consumer = tokio::spawn(async move {
            // Two run, one waits.
            let calls = futures_util::stream::iter([20_u64, 900, 30]);
            let calls = calls.map(|n| mine.clone().oneshot(n));
            let mut calls = pin!(calls.buffer_unordered(3));
            let mut results = 0;
            while let Some(result) = calls.next().await {
                result.expect("it is served");
                results += 1;
                sleep(3 * SECOND).await;
            }
            results
        });
        sleep(ms(60)).await;
        let seen = others(ms(2_900), || {
            let call = client.clone().oneshot(4);
            async { call.await.is_ok() }
        })
        .await;
        assert_eq!(seen.rejected, 0, "{kind}: {seen:?}");
        assert!(seen.worst < ms(20), "{kind}: {seen:?}");
        assert_eq!(consumer.await.expect("nothing panics"), 3, "{kind}");
    }
}

async fn looped(State(client): State<Client>) -> StatusCode {
    let mut call = pin!(client.oneshot(4));
    let mut tick = pin!(sleep(ms(10)));
    let mut ticked = false;
    loop {
        tokio::select! {
            result = &mut call => return status(result.is_ok()),
            () = &mut tick, if !ticked => {
                ticked = true;
                sleep(5 * SECOND).await;
            }
        }
    }
}

async fn plain(State(client): State<Client>) -> StatusCode {
    status(client.oneshot(4).await.is_ok())
}

const fn status(served: bool) -> StatusCode {
    if served {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// The handler of one request loops over a `select!`; all others share its bulkhead.
#[tokio::test(start_paused = true)]
async fn a_handler_of_axum_that_is_busy_elsewhere_harms_no_other_request() {
    for (kind, client) in clients() {
        let app = Router::new()
            .route("/loop", get(looped))
            .route("/plain", get(plain))
            .with_state(client.clone());
        let ask = |path: &'static str| {
            let app: Router = app.clone();
            let request = Request::get(path).body(Body::empty()).expect("a request");
            async move { app.oneshot(request).await.expect("never fails").status() == 200 }
        };
        occupy(&client, 10).await;
        let looper = tokio::spawn(ask("/loop"));
        sleep(ms(60)).await;
        let seen = others(ms(4_900), || ask("/plain")).await;
        assert_eq!(seen.rejected, 0, "{kind}: {seen:?}");
        assert!(seen.worst < ms(20), "{kind}: {seen:?}");
        assert!(looper.await.expect("nothing panics"), "{kind}");
    }
}
