//! Stacks that answer without the upstream: what their callers, their layers and their upstream see.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::cache::{
    CacheConfig, CacheLayer, CoalesceConfig, CoalesceLayer, Hooks, StoredOutcome,
};
use seawall::chaos::{ChaosConfig, ChaosLayer, Fault, InjectedError, StatusResponse};
use seawall::fallback::{FallbackConfig, FallbackLayer, Step};
use seawall::health::HealthScore;
use seawall::http_client::cache::{CacheBody, HttpCache, HttpCacheKey, HttpStored, StoreBody};
use seawall::http_client::chaos::HttpFaults;
use seawall::http_client::{DEGRADED, FreshOnly, HttpFresh, HttpMark, ReceivedBody};
use seawall::{
    BreakerConfig, ConstMeta, Policy, Reason, Registry, Rejectable, RequestMeta, RetryConfig,
    WrapErrorLayer,
};
use seawall_monitor::Monitor;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Body = Full<Bytes>;
type QuoteCache = CacheLayer<
    Policy,
    HttpCacheKey,
    StoredOutcome<HttpStored>,
    Hooks<HttpCache, StoreBody, HttpMark>,
>;

const PRICE: &str = "/v2/stocks/SPY/quotes/latest";

/// A vendor that can be down, and counts what it is sent.
#[derive(Clone, Default)]
struct Vendor {
    is_down: Arc<AtomicBool>,
    requests: Arc<AtomicU32>,
}

impl Vendor {
    fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + use<> {
        let vendor = self.clone();
        service_fn(move |_: Request<Body>| {
            vendor.requests.fetch_add(1, Relaxed);
            let (status, body) = match vendor.is_down.load(Relaxed) {
                true => (StatusCode::INTERNAL_SERVER_ERROR, "down"),
                false => (StatusCode::OK, "101.25"),
            };
            let response = Response::builder().status(status).body(Body::from(body));
            std::future::ready(Ok(response.expect("valid")))
        })
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::default()).expect("valid")
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let body = response
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

/// A price that the program has of elsewhere.
fn known_price<B: From<Bytes> + 'static>() -> Step<Request<Body>, Response<B>> {
    Step::value_with("known", |_| {
        Some(Response::new(Bytes::from("100.00").into()))
    })
}

type Fallback<B> = FallbackLayer<Policy, Request<Body>, Response<B>, HttpMark, HttpFresh>;

fn fallback(name: &'static str) -> Fallback<ReceivedBody<Body>> {
    known(name)
}

fn known<B: From<Bytes> + 'static>(name: &'static str) -> Fallback<B> {
    FallbackLayer::new(name, FallbackConfig::default(), [known_price()])
        .expect("valid")
        .mark(HttpMark)
        .fresh_only(HttpFresh)
}

#[tokio::test(start_paused = true)]
async fn what_all_attempts_failed_at_is_answered_and_marked() {
    let vendor = Vendor::default();
    vendor.is_down.store(true, Relaxed);
    let retry = RetryConfig::builder().attempts(2).build().expect("valid");
    let stack = seawall::market_data("feed")
        .retry(retry)
        .build()
        .expect("valid");
    let stack = stack.fallback(fallback("feed")).expect("valid");
    let handles = stack.handles();
    let mut client = stack.layer(vendor.service());

    let response = client
        .ready()
        .await
        .expect("ready")
        .call(get(PRICE))
        .await
        .expect("answered");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[DEGRADED], "server;source=known");
    assert_eq!(text(response).await, "100.00");

    assert_eq!(vendor.requests.load(Relaxed), 2, "both attempts were made");
    let counts = handles.counts();
    assert_eq!(counts.telemetry.calls.degraded, 1);
    assert_eq!(counts.telemetry.attempts.failure, 2);
    assert_eq!(counts.fallback.map(|fallback| fallback.answered), Some(1));
    assert_eq!(
        handles.bulkhead.in_flight(),
        0,
        "the failed call holds nothing"
    );
}

/// No call of it fails, since its fallback answers each, and nothing reaches the vendor.
#[tokio::test(start_paused = true)]
async fn a_score_sees_that_the_fallback_answers() {
    let vendor = Vendor::default();
    let stack = seawall::market_data("feed").build().expect("valid");
    let stack = stack.fallback(fallback("feed")).expect("valid");
    let registry = Registry::new("desk");
    stack.handles().register(&registry).expect("new");
    let monitor = Monitor::builder("desk").registry(registry).build();
    let monitor = monitor.expect("valid");
    monitor.sample();
    let mut client = stack.layer(vendor.service());
    let mut second = async || {
        for _ in 0..20 {
            let client = client.ready().await.expect("ready");
            let response = client.call(get(PRICE)).await.expect("answered");
            assert_eq!(response.status(), 200);
            drop(response);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        monitor.sample();
    };
    let read = monitor.clone();
    let score = HealthScore::default().services(move || read.service_figures());
    second().await;
    // Calls that wait for the limit of the vendor cost a little.
    assert!(score.report().score.is_some_and(|score| score > 95.0));

    vendor.is_down.store(true, Relaxed);
    for _ in 0..65 {
        second().await;
    }
    let report = score.report();
    let words = &report.recommendations[0].words;
    assert!(
        words.starts_with("look at `feed`: 0.0 % of the calls fail, ")
            && words.contains("100.0 % were not answered by the upstream"),
        "{words}"
    );
    let half = report.score.expect("it was called");
    assert!(half <= 50.0 && half > 45.0, "{report:?}");
    let alerts = monitor.alerts();
    assert!(
        alerts.iter().any(|alert| alert.name == "DegradedAnswers"),
        "{alerts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn fresh_is_what_a_request_may_ask_for() {
    let vendor = Vendor::default();
    vendor.is_down.store(true, Relaxed);
    let stack = seawall::market_data("feed").build().expect("valid");
    let client = stack
        .fallback(fallback("feed"))
        .expect("valid")
        .layer(vendor.service());
    let mut request = get(PRICE);
    request.extensions_mut().insert(FreshOnly);
    let response = client.oneshot(request).await.expect("a response");
    assert_eq!(response.status(), 500);
    assert!(!response.headers().contains_key(DEGRADED));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_answered_until_it_has_recovered() {
    let vendor = Vendor::default();
    let breaker = BreakerConfig::builder()
        .consecutive_failures(3)
        .open_for(Duration::from_secs(5))
        .build()
        .expect("valid");
    let retry = RetryConfig::builder().attempts(1).build().expect("valid");
    let builder = seawall::market_data("feed").breaker(breaker).retry(retry);
    let stack = builder
        .build()
        .expect("valid")
        .fallback(fallback("feed"))
        .expect("valid");
    let mut client = stack.layer(vendor.service());

    let mut ask = async || {
        let response = client
            .ready()
            .await
            .expect("ready")
            .call(get(PRICE))
            .await
            .expect("one");
        response
            .headers()
            .get(DEGRADED)
            .map(|mark| mark.to_str().expect("text").to_owned())
    };
    assert_eq!(ask().await, None);
    vendor.is_down.store(true, Relaxed);
    for _ in 0..3 {
        assert_eq!(ask().await.as_deref(), Some("server;source=known"));
    }
    let sent = vendor.requests.load(Relaxed);
    for _ in 0..5 {
        assert_eq!(ask().await.as_deref(), Some("circuit_open;source=known"));
    }
    assert_eq!(
        vendor.requests.load(Relaxed),
        sent,
        "nothing is sent to an upstream that is down"
    );

    vendor.is_down.store(false, Relaxed);
    let mut fresh = 0;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fresh += u32::from(ask().await.is_none());
    }
    assert!(
        fresh > 400,
        "{fresh} of 600 calls of the minute after were answered by the vendor"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_is_never_answered_from_elsewhere() {
    let vendor = Vendor::default();
    vendor.is_down.store(true, Relaxed);
    let stack = seawall::broker("desk").build().expect("valid");
    let stack = stack.fallback(fallback("desk")).expect("valid");
    let handles = stack.handles();
    let client = stack.layer(vendor.service());
    let order = Request::post("/v2/orders")
        .body(Body::from("{}"))
        .expect("valid");
    let response = client.oneshot(order).await.expect("a response");
    assert_eq!(response.status(), 500);
    assert_eq!(handles.fallback.counts().answered, 0);
}

#[test]
fn a_layer_of_another_name_is_an_error() {
    let stack = seawall::market_data("feed").build().expect("valid");
    let error = stack.fallback(fallback("other")).expect_err("another name");
    assert_eq!(
        error.to_string(),
        "`name` is \"other\", accepted is \"feed\", the name of the stack",
    );
}

fn quotes(name: &'static str) -> QuoteCache {
    let config = CacheConfig::builder(Duration::from_secs(1))
        .stale_on_failure(Duration::from_secs(60))
        .build()
        .expect("valid");
    CacheLayer::new(name, config)
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark)
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_costs_no_permit_and_outlives_the_vendor() {
    let vendor = Vendor::default();
    let retry = RetryConfig::builder().attempts(1).build().expect("valid");
    let stack = seawall::market_data("feed")
        .retry(retry)
        .build()
        .expect("valid");
    let stack = stack.cache(quotes("feed")).expect("valid");
    let handles = stack.handles();
    let mut client = stack.layer(vendor.service());
    let mut ask = async || {
        let response = client
            .ready()
            .await
            .expect("ready")
            .call(get(PRICE))
            .await
            .expect("one");
        let mark = response.headers().get(DEGRADED).cloned();
        (response.status().as_u16(), mark, text(response).await)
    };

    assert_eq!(ask().await, (200, None, "101.25".to_owned()));
    assert_eq!(ask().await, (200, None, "101.25".to_owned()));
    assert_eq!(
        vendor.requests.load(Relaxed),
        1,
        "the second was answered by the cache"
    );
    assert_eq!(handles.bulkhead.counts().success, 1);

    vendor.is_down.store(true, Relaxed);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (status, mark, body) = ask().await;
    assert_eq!((status, body.as_str()), (200, "101.25"));
    assert_eq!(mark.expect("marked"), "server;age=30;source=feed");
    assert_eq!(handles.telemetry.counts().calls.degraded, 1);

    tokio::time::sleep(Duration::from_secs(31)).await;
    let (status, mark, body) = ask().await;
    assert_eq!(
        (status, mark, body.as_str()),
        (500, None, "down"),
        "older than it may be"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_where_the_cache_has_nothing() {
    let vendor = Vendor::default();
    vendor.is_down.store(true, Relaxed);
    let stack = seawall::market_data("feed").build().expect("valid");
    let stack = stack.cache(quotes("feed")).expect("valid");
    let stack = stack
        .fallback(known::<CacheBody<ReceivedBody<Body>>>("feed"))
        .expect("valid");
    let handles = stack.handles();
    let response = stack
        .layer(vendor.service())
        .oneshot(get(PRICE))
        .await
        .expect("answered");
    assert_eq!(response.headers()[DEGRADED], "server;source=known");
    let counts = handles.counts();
    assert_eq!(counts.fallback.map(|fallback| fallback.answered), Some(1));
    assert_eq!(counts.cache.map(|cache| cache.calls.miss), Some(1));
}

#[tokio::test(start_paused = true)]
async fn injected_faults_meet_every_layer_and_end_at_once() {
    let vendor = Vendor::default();
    let breaker = BreakerConfig::builder()
        .consecutive_failures(2)
        .build()
        .expect("valid");
    let retry = RetryConfig::builder().attempts(1).build().expect("valid");
    let stack = seawall::market_data("feed")
        .breaker(breaker)
        .retry(retry)
        .build()
        .expect("valid");
    let faults = ChaosLayer::new("feed", ChaosConfig::default())
        .faults(HttpFaults::new().errors(|_: InjectedError| std::io::Error::other("injected")));
    let stack = stack.chaos(faults).expect("valid");
    let handles = stack.handles();
    let failing = vendor
        .service()
        .map_err(|never: Infallible| -> std::io::Error { match never {} });
    let mut client = stack.layer(failing);

    let injection = handles
        .chaos
        .start(Fault::status(StatusResponse::new(503).expect("valid")));
    let injection = injection.expect("started");
    for _ in 0..2 {
        let response = client
            .ready()
            .await
            .expect("ready")
            .call(get(PRICE))
            .await
            .expect("one");
        assert_eq!(response.status(), 503);
    }
    assert_eq!(vendor.requests.load(Relaxed), 0);
    let error = client
        .ready()
        .await
        .expect("ready")
        .call(get(PRICE))
        .await
        .expect_err("open");
    assert_eq!(
        error.rejection().map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );

    injection.stop();
    handles.breaker.reset();
    let response = client
        .ready()
        .await
        .expect("ready")
        .call(get(PRICE))
        .await
        .expect("one");
    assert_eq!(response.status(), 200);
    let counts = handles.counts().chaos.expect("in the stack");
    assert_eq!(counts.injected(), 2, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_key_share_a_call_of_the_stack() {
    let reads = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
    let stack = seawall::market_data("feed")
        .build_generic(reads)
        .expect("valid");
    let coalesce = CoalesceLayer::new("feed", CoalesceConfig::default())
        .key(|symbol: &&'static str| Some(*symbol));
    let stack = stack.coalesce(coalesce).expect("valid");
    let handles = stack.handles();
    let feed = ServiceBuilder::new()
        .layer(stack)
        .layer(WrapErrorLayer)
        .service(service_fn(|symbol: &'static str| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<usize, std::io::Error>(symbol.len())
        }));
    let ask = |symbol| feed.clone().oneshot(symbol);
    let (one, other, another) = tokio::join!(ask("SPY"), ask("SPY"), ask("QQQQ"));
    assert_eq!(
        (one.ok(), other.ok(), another.ok()),
        (Some(3), Some(3), Some(4))
    );
    let counts = handles.counts().coalesce.expect("in the stack");
    assert_eq!((counts.led, counts.joined), (2, 1));
    assert_eq!(handles.telemetry.counts().attempts.success, 2);
}

/// By any method: a cancel that is answered "done" from elsewhere has not happened.
#[tokio::test(start_paused = true)]
async fn a_cancel_is_never_answered_from_elsewhere() {
    let cancels = [
        ("alpaca", "DELETE", "/v2/orders/7"),
        ("binance", "DELETE", "/api/v3/order"),
        ("coinbase", "POST", "/api/v3/brokerage/orders/batch_cancel"),
        ("kraken", "POST", "/0/private/CancelOrder"),
        ("oanda", "PUT", "/v3/accounts/1/orders/7/cancel"),
    ];
    for (provider, method, path) in cancels {
        let vendor = Vendor::default();
        let by_path = CacheConfig::new(Duration::from_secs(60)).expect("valid");
        let by_path = CacheLayer::new(provider, by_path)
            .key(|request: &Request<Body>| Some(request.uri().path().to_owned()))
            .store(StoreBody::new());
        let stack = seawall::provider(provider)
            .expect("known")
            .build()
            .expect("valid");
        let stack = stack.cache(by_path).expect("valid");
        let elsewhere = FallbackLayer::new(provider, FallbackConfig::default(), [known_price()]);
        let stack = stack.fallback(elsewhere.expect("valid")).expect("valid");
        let handles = stack.handles();
        let mut client = stack.layer(vendor.service());
        let mut cancel = async || {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(Body::default());
            let client = client.ready().await.expect("ready");
            client
                .call(request.expect("valid"))
                .await
                .expect("a response")
                .status()
        };
        assert_eq!(
            (cancel().await, cancel().await),
            (StatusCode::OK, StatusCode::OK)
        );
        assert_eq!(
            vendor.requests.load(Relaxed),
            2,
            "{provider}: each was sent"
        );
        vendor.is_down.store(true, Relaxed);
        assert_eq!(
            cancel().await,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{provider}"
        );
        assert_eq!(handles.fallback.counts().answered, 0, "{provider}");
    }
}
