//! Cancels while orders use up the limit that both share: in paused time, and over real sockets.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use seawall::bulkhead::BulkheadConfig;
use seawall::orders::OrderConfig;
use seawall::orders::journal::MemoryJournal;
use seawall::ratelimit::{Limit, RateLimitConfig};
use seawall::trading::OrderStackBuilder;
use seawall::{PartitionKey, Ratio, Rejectable, Sent, StackBuilder};
use seawall_sim::provider::{Broker, Fills, Limit as Allowed};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);
/// What the broker allows in each period.
const ALLOWED: u32 = 80;
const PERIOD: Duration = Duration::from_secs(4);

/// As many orders wait for the limit of the broker as there are permits.
fn limited(stack: StackBuilder) -> StackBuilder {
    let limit =
        RateLimitConfig::builder().limit(Limit::quota(ALLOWED, PERIOD).utilization(Ratio::HALF));
    let permits = BulkheadConfig::builder()
        .max_concurrent(16)
        .max_waiting(200);
    stack
        .rate_limit(limit.max_wait(LONG).build().expect("valid"))
        .bulkhead(permits.max_wait(LONG).build().expect("valid"))
        .deadline(LONG)
}

fn orders() -> OrderStackBuilder {
    let tier = seawall::alpaca()
        .expect("valid")
        .tier("standard")
        .expect("valid");
    let orders = tier.order_stack_with(MemoryJournal::default(), limited);
    let config = OrderConfig::builder().deadline(LONG).without_comparison();
    orders
        .expect("valid")
        .config(config.build().expect("valid"))
}

fn order(id: &str) -> Value {
    json!({ "symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1",
        "time_in_force": "day", "client_order_id": id })
}

/// A broker that has every order open, and writes down when what came.
async fn open(
    request: Request<Full<Bytes>>,
    log: Arc<Mutex<Vec<(Method, Instant)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    log.lock()
        .expect("valid")
        .push((request.method().clone(), Instant::now()));
    if request.method() == Method::DELETE {
        let gone = Response::builder().status(204);
        return Ok(gone.body(Full::default()).expect("valid"));
    }
    let body = request
        .into_body()
        .collect()
        .await
        .expect("valid")
        .to_bytes();
    let mut order: Value = serde_json::from_slice(&body).expect("valid");
    order["id"] = format!("b-{}", order["client_order_id"].as_str().expect("valid")).into();
    order["status"] = "new".into();
    order["filled_qty"] = "0".into();
    Ok(Response::new(Full::from(order.to_string())))
}

#[tokio::test(start_paused = true)]
async fn every_cancel_departs_at_once_while_orders_wait_and_none_above_the_limit() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let client = {
        let log = Arc::clone(&log);
        service_fn(move |request| open(request, Arc::clone(&log)))
    };
    let stack = orders().build().unwrap();
    let handles = stack.handles();
    let service = stack.layer(client);
    handles.orders.started().await;
    let post = |id: String| {
        let request = Request::post("http://broker/v2/orders");
        let request = request.body(Full::from(order(&id).to_string())).unwrap();
        service.clone().oneshot(request)
    };
    let all: Vec<_> = (0..200)
        .map(|n| tokio::spawn(post(format!("o-{n}"))))
        .collect();
    let mut cancels = Vec::new();
    for n in 0..8 {
        tokio::time::sleep(SECOND / 2).await;
        let asked = Instant::now();
        let request = Request::delete(format!("http://broker/v2/orders/b-o-{n}"));
        let request = request.body(Full::default()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 204);
        cancels.push(Instant::now() - asked);
    }
    assert_eq!(cancels, [Duration::ZERO; 8]);
    for order in all {
        assert!(order.await.unwrap().unwrap().status().is_success());
    }
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 208);
    for (nth, (_, first)) in log.iter().enumerate() {
        let within = log[nth..].iter().filter(|(_, at)| *at - *first < PERIOD);
        assert!(within.count() <= ALLOWED as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_needs_neither_the_permits_nor_the_circuit_of_orders() {
    // Orders are never answered.
    let client = service_fn(|request: Request<Full<Bytes>>| async move {
        if request.method() == Method::POST {
            std::future::pending::<()>().await;
        }
        let gone = Response::builder().status(204);
        Ok::<_, Infallible>(gone.body(Full::<Bytes>::default()).unwrap())
    });
    let stack = orders().build().unwrap();
    let handles = stack.handles();
    let service = stack.layer(client);
    handles.orders.started().await;
    let send = |method: Method, path: &str, body: String| {
        let request = Request::builder().method(method);
        let request = request.uri(format!("http://broker/v2/orders{path}"));
        service
            .clone()
            .oneshot(request.body(Full::from(body)).unwrap())
    };
    let hung: Vec<_> = (0..20)
        .map(|n| tokio::spawn(send(Method::POST, "", order(&format!("o-{n}")).to_string())))
        .collect();
    while handles.stack.bulkhead.snapshot().queue_depth < 4 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    let cancelled = send(Method::DELETE, "/b-1", String::new()).await.unwrap();
    assert_eq!(cancelled.status(), 204);
    handles.stack.breaker.force_open();
    let cancelled = send(Method::DELETE, "/b-2", String::new()).await.unwrap();
    assert_eq!(cancelled.status(), 204);
    let rejected = send(Method::POST, "", order("late").to_string()).await;
    assert_eq!(rejected.unwrap_err().rejection().unwrap().sent(), Sent::No);
    assert_eq!(Instant::now(), asked);
    hung.into_iter().for_each(|order| order.abort());
}

/// How long each cancel took while orders came without end, and each order; over real sockets.
async fn saturated(orders: OrderStackBuilder) -> (Vec<Duration>, Vec<Duration>) {
    let broker = Broker::alpaca()
        .limit(Allowed::new(ALLOWED, PERIOD).expect("it works"))
        .fills(
            Fills::new(SECOND, 1)
                .expect("it works")
                .resting(1.0)
                .expect("it works"),
        );
    let broker = broker.start().await.expect("it works");
    let client = orders
        .client()
        .expect("it works")
        .base_url(broker.base_url());
    let client = client.build().expect("it works");
    client.stack().handles().orders.started().await;
    let (open, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let place = async |worker: usize| {
        let mut took = Vec::new();
        for n in 0.. {
            if is_over.load(Relaxed) {
                break;
            }
            let asked = Instant::now();
            let request = client
                .post("/v2/orders")
                .json(&order(&format!("o-{worker}-{n}")));
            let response = request
                .send()
                .await
                .expect("it works")
                .error_for_status()
                .await
                .expect("it works");
            took.push(Instant::now() - asked);
            let order: Value = response.json().await.expect("it works");
            open.lock()
                .expect("it works")
                .push(order["id"].as_str().expect("it works").to_owned());
        }
        took
    };
    let cancel = async {
        tokio::time::sleep(2 * SECOND).await;
        let mut took = Vec::new();
        for _ in 0..4 {
            let id = open.lock().expect("it works").pop().expect("it works");
            let asked = Instant::now();
            let request = client.delete(format!("/v2/orders/{id}"));
            request
                .send()
                .await
                .expect("it works")
                .error_for_status()
                .await
                .expect("it works");
            took.push(Instant::now() - asked);
            tokio::time::sleep(SECOND / 2).await;
        }
        is_over.store(true, Relaxed);
        took
    };
    let (placed, cancelled) = tokio::join!(join_all((0..24).map(place)), cancel);
    let stats = broker.stats();
    assert_eq!(
        (stats.violations, stats.throttled, stats.duplicate_ids),
        (0, 0, 0)
    );
    broker.shutdown().await;
    (cancelled, placed.into_iter().flatten().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_get_through_at_a_broker_whose_limit_orders_have_used_up() {
    // Eight of the burst of forty.
    let with = saturated(orders().reserved_share(Ratio::new(0.2).unwrap()));
    let without = saturated(orders().reserved_share(None));
    let ((cancels, placed), (waiting, _)) = tokio::join!(with, without);
    // The first orders found tokens; those that came then waited for those before them.
    let usual = placed.iter().filter(|took| **took > SECOND).count();
    assert!(
        usual * 2 > placed.len(),
        "orders are not saturated: {placed:?}"
    );
    let [worst, least] = [cancels.iter().max(), waiting.iter().min()].map(Option::unwrap);
    assert!(
        *worst * 3 < *least,
        "cancels took {cancels:?}, without a share {waiting:?}"
    );
}

#[tokio::test]
async fn the_share_is_that_of_the_builder_or_of_the_settings_or_a_tenth() {
    let share = |share: f64| Some(Ratio::new(share).unwrap());
    let shares = |orders: OrderStackBuilder| {
        let limits = orders
            .build::<Full<Bytes>>()
            .unwrap()
            .handles()
            .stack
            .rate_limit;
        (
            limits
                .account()
                .map(|account| account.config().reserved_share()),
            limits.config(),
        )
    };
    let of = |broker: &str| {
        let provider = seawall::provider(broker).unwrap();
        provider.order_stack(MemoryJournal::default()).unwrap()
    };
    // Orders of Kite have a class of their own, which no cancel counts against.
    let (account, classes) = shares(of("kite"));
    assert_eq!(account, Some(share(0.1)));
    let class = |name: &str| classes.of_key(PartitionKey::of(name)).reserved_share();
    assert_eq!((class("orders"), class("other")), (None, share(0.1)));
    // A cancel of Kraken costs eight of the 48 of its class: a tenth would let none through.
    let (_, classes) = shares(of("kraken"));
    let orders = classes.of_key(PartitionKey::of("orders"));
    let reserved = orders.reserved_share().map(Ratio::get);
    assert_eq!(
        (orders.limits()[0].capacity(), reserved),
        (48, Some(8.5 / 48.0))
    );
    let (_, all) = shares(of("alpaca").reserved_share(share(0.3)));
    assert_eq!(all.per_key().reserved_share(), share(0.3));
    let (_, none) = shares(of("alpaca").reserved_share(None));
    assert_eq!(none.per_key().reserved_share(), None);
    let tier = seawall::alpaca().unwrap().tier("standard").unwrap();
    for set in [share(0.25), None] {
        let orders = tier.order_stack_with(MemoryJournal::default(), |stack| {
            let limit = RateLimitConfig::builder()
                .rate(100, SECOND)
                .reserved_share(set);
            stack.rate_limit(limit.build().unwrap())
        });
        let (_, own) = shares(orders.unwrap());
        assert_eq!(own.per_key().reserved_share(), set);
    }
    let wrong = of("alpaca")
        .reserved_share(Ratio::ONE)
        .build::<Full<Bytes>>();
    let accepted = "accepted is a share above 0 and below 1, or none";
    assert_eq!(
        wrong.unwrap_err().to_string(),
        format!("`reserved_share` is 1, {accepted}")
    );
}
