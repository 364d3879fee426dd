//! A stack describes a request once per call and classifies a result once per attempt, whatever
//! layers it has.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use seawall::http_client::deadline::{RequestDeadline, deadline_of};
use seawall::http_client::{HttpClassifier, Routes};
use seawall::{
    AdaptiveConfig, AdaptiveThrottleConfig, Classify, ConstMeta, Describe, Error, HealthConfig,
    HedgeConfig, KeyedRateLimitConfig, LearnedConfig, Outcome, Policy, RateLimitConfig,
    RequestMeta, StackBuilder, WrapErrorLayer,
};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

type Body = Full<Bytes>;

/// How often the parts of a policy were asked.
#[derive(Clone, Default)]
struct Asked {
    described: Arc<AtomicU32>,
    classified: Arc<AtomicU32>,
    sent: Arc<AtomicU32>,
}

impl Asked {
    fn counts(&self) -> [u32; 3] {
        [&self.described, &self.classified, &self.sent].map(|count| count.swap(0, Relaxed))
    }
}

impl<B> Describe<Request<B>> for Asked {
    fn describe(&self, request: &Request<B>) -> RequestMeta {
        self.described.fetch_add(1, Relaxed);
        Routes::reads_only().describe(request)
    }
}

impl<Res, E> Classify<Res, E> for Asked
where
    HttpClassifier: Classify<Res, E>,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self.classified.fetch_add(1, Relaxed);
        HttpClassifier::new().classify(result)
    }

    fn retry_after(&self, result: Result<&Res, &E>) -> Option<Duration> {
        HttpClassifier::new().retry_after(result)
    }
}

/// Responds with 500 so often, then with 200.
#[derive(Clone)]
struct Client {
    asked: Asked,
    failures: Arc<AtomicU32>,
}

impl Client {
    fn new(asked: &Asked) -> Self {
        Self {
            asked: asked.clone(),
            failures: Arc::default(),
        }
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(request.extensions().is_empty(), "nothing is inserted");
        self.asked.sent.fetch_add(1, Relaxed);
        let fails = self
            .failures
            .fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        let mut response = Response::new(Body::from("{}"));
        if fails.is_ok() {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        ready(Ok(response))
    }
}

fn builders() -> [StackBuilder; 3] {
    let wide = RateLimitConfig::builder()
        .rate(1_000_000, Duration::from_secs(1))
        .burst(1_000_000)
        .build()
        .expect("valid");
    [
        seawall::broker("described-broker"),
        seawall::market_data("described-data"),
        seawall::ai_api("described-ai"),
    ]
    .map(|builder| builder.rate_limit(wide.clone()))
}

fn by_path(request: &Request<Body>) -> Cow<'_, str> {
    Cow::Borrowed(request.uri().path())
}

/// One call that succeeds at once, and one that needs two attempts.
async fn check<S>(service: S, asked: &Asked, failures: &AtomicU32)
where
    S: Service<Request<Body>> + Clone,
    S::Error: std::fmt::Debug,
{
    let get = || {
        Request::get("/v2/positions")
            .body(Body::default())
            .expect("valid")
    };
    service.clone().oneshot(get()).await.expect("it succeeds");
    assert_eq!(asked.counts(), [1, 1, 1], "described, classified, sent");
    failures.store(1, Relaxed);
    service
        .clone()
        .oneshot(get())
        .await
        .expect("the retry succeeds");
    assert_eq!(asked.counts(), [1, 2, 2], "described, classified, sent");
}

#[tokio::test(start_paused = true)]
async fn http_stacks_describe_once_and_classify_each_attempt_once() {
    for builder in builders() {
        let asked = Asked::default();
        let client = Client::new(&asked);
        let failures = Arc::clone(&client.failures);
        let stack = builder.build().expect("valid");
        let stack = stack.classify(asked.clone()).describe(asked.clone());
        check(stack.layer(client), &asked, &failures).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_do_stacks_of_any_service() {
    for builder in builders() {
        let asked = Asked::default();
        let client = Client::new(&asked);
        let failures = Arc::clone(&client.failures);
        let policy = Policy::new()
            .classify(asked.clone())
            .describe(asked.clone());
        let service = ServiceBuilder::new()
            .layer(builder.build_generic(policy).expect("valid"))
            .layer(WrapErrorLayer)
            .service(client);
        check(service, &asked, &failures).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_do_stacks_with_every_option() {
    for builder in builders() {
        let asked = Asked::default();
        let client = Client::new(&asked);
        let failures = Arc::clone(&client.failures);
        let hedge = HedgeConfig::builder().delay(Duration::from_secs(1));
        let each = RateLimitConfig::builder()
            .rate(1_000, Duration::from_secs(1))
            .burst(1_000);
        let learned = LearnedConfig::builder()
            .initial(Duration::from_secs(2))
            .max(Duration::from_secs(4));
        let stack = builder
            .build()
            .expect("valid")
            .classify(asked.clone())
            .describe(asked.clone())
            .hedge(hedge.build().expect("valid"))
            .throttle(AdaptiveThrottleConfig::default())
            .health(HealthConfig::default())
            .rate_limit_per_key(KeyedRateLimitConfig::new(each).expect("valid"))
            .breaker_per_key(by_path)
            .adaptive_concurrency(AdaptiveConfig::builder().build().expect("valid"))
            .learned_attempt_timeout(learned.build().expect("valid"))
            .expect("shorter than the deadline")
            .on_departure(|_: &mut Request<Body>| Ok::<_, Error<Infallible>>(()));
        check(stack.layer(client), &asked, &failures).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_the_deadline_gets_it() {
    for builder in builders() {
        let deadline = builder.settings().expect("valid").deadline.timeout();
        let stack = builder.build().expect("valid").propagate_deadline();
        let expected = tokio::time::Instant::now() + deadline;
        let client = tower::service_fn(move |request: Request<Body>| {
            assert_eq!(deadline_of(&request), Some(expected));
            ready(Ok::<_, Infallible>(Response::new(Body::default())))
        });
        let request = Request::get("/").body(Body::default()).expect("valid");
        stack
            .layer(client)
            .oneshot(request)
            .await
            .expect("it succeeds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_a_request_brings_along_ends_the_call_whatever_describes_it() {
    for builder in builders() {
        let hangs = || {
            tower::service_fn(|_: Request<Body>| {
                std::future::pending::<Result<Response<Body>, Infallible>>()
            })
        };
        let stack = builder.build().expect("valid");
        let own = stack.clone().describe(ConstMeta(RequestMeta::idempotent()));
        for service in [
            BoxCloneService::new(stack.layer(hangs()).map_response(drop)),
            BoxCloneService::new(own.layer(hangs()).map_response(drop)),
        ] {
            let start = tokio::time::Instant::now();
            let soon = Duration::from_millis(250);
            let mut request = Request::get("/").body(Body::default()).expect("valid");
            request
                .extensions_mut()
                .insert(RequestDeadline(start + soon));
            service.oneshot(request).await.expect_err("too late");
            assert_eq!(tokio::time::Instant::now() - start, soon);
        }
    }
}
