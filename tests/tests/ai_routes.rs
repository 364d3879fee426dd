//! A router over stacks, keys and models of simulated AI APIs, over real sockets.

mod support;

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Legacy, Error as HyperError};
use hyper_util::rt::TokioExecutor;
use seawall::ai::route::{
    BudgetHandle, Deployment, Model, RouteState, RouteTrace, Router, RouterBuilder, RouterConfig,
};
use seawall::ai::stream::{Dialect, StreamConfig, StreamLayer};
use seawall::ai::{ErrorClass, ErrorTable};
use seawall::client::{AuthError, RequestBody};
use seawall::http_client::TransportError;
use seawall::{
    Budget, BudgetConfig, ConstMeta, Error, HttpService, Outcome, RateLimitConfig, Rejectable,
    Rejection, RequestMeta, RetryConfig,
};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::{AiApi, Handle, Limit};
use serde_json::{Value, json};
use support::{Body, HyperClient, hyper_client};
use tower::{Layer, Service, ServiceExt};

const HOUR: Duration = Duration::from_secs(3_600);

type Stack = HttpService<HyperClient>;
type Routes = Router<Stack, Body, ConstMeta>;

/// A key: a stack without attempts of its own, which grants so many requests an hour, and the request
/// sent to `api`.
fn key(name: &str, provider: &str, api: &Handle, per_hour: u32) -> Deployment<Stack, Body> {
    let rate = RateLimitConfig::builder()
        .rate(per_hour, HOUR)
        .burst(per_hour)
        .build()
        .expect("valid");
    let stack = seawall::ai_api(name)
        .retry(no_retry())
        .rate_limit(rate)
        .attempt_timeout(Duration::from_millis(500))
        .build()
        .expect("valid");
    let handles = stack.handles();
    let url = api.base_url();
    Deployment::new(name, provider, stack.layer(hyper_client()))
        .headroom(handles)
        .prepare(move |request: &mut Request<Body>| redirect(request, &url))
        .model(format!("{name}-model"))
}

fn no_retry() -> RetryConfig {
    let one = RetryConfig::builder().attempts(1);
    one.build().expect("valid")
}

/// To the address of a deployment.
fn redirect<B>(request: &mut Request<B>, url: &str) {
    let path = request.uri().path().to_owned();
    *request.uri_mut() = format!("{url}{path}").parse().expect("an address");
}

fn safe() -> ConstMeta {
    ConstMeta(RequestMeta::idempotent())
}

fn script(fault: &str) -> Incidents {
    Incidents::from_toml(&format!(
        "[[incident]]\nprovider = \"ai_api\"\nfrom = \"0s\"\nto = \"1h\"\n{fault}\n"
    ))
    .expect("a valid script")
}

async fn api() -> Handle {
    AiApi::open_ai()
        .unlimited()
        .start()
        .await
        .expect("a socket")
}

async fn failing(fault: &str) -> Handle {
    let api = AiApi::open_ai().unlimited().incidents(script(fault));
    api.start().await.expect("a socket")
}

fn ask(stream: bool) -> Request<Body> {
    let messages = json!([{ "role": "user", "content": "SPY: buy, sell or hold?" }]);
    let body = json!({ "model": "large", "stream": stream, "messages": messages });
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .expect("a request")
}

async fn call(router: &Routes) -> Response<impl http_body::Body<Data = bytes::Bytes> + use<>> {
    router
        .clone()
        .oneshot(ask(false))
        .await
        .expect("a response")
}

async fn model_of<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let body = response.into_body().collect().await;
    let body = body.unwrap_or_else(|_| panic!("a body")).to_bytes();
    let value: Value = serde_json::from_slice(&body).expect("JSON");
    value["model"].as_str().expect("a model").to_owned()
}

fn two_models(one: &Handle, other: &Handle) -> RouterBuilder<Stack, Body, ConstMeta> {
    let large = Model::new("large").deployment(key("key-1", "alpha", one, 10_000));
    let small = Model::new("small").deployment(key("other", "beta", other, 10_000));
    Router::builder("assistant", large)
        .fallback(small)
        .describe(safe())
}

#[tokio::test]
async fn keys_are_used_up_evenly_and_then_the_fallback_answers() {
    let limit = Limit::new(12, HOUR).expect("valid");
    let limited = || AiApi::open_ai().limit(limit).start();
    let (one, two) = (
        limited().await.expect("a socket"),
        limited().await.expect("a socket"),
    );
    let other = api().await;
    let large = Model::new("large")
        .deployment(key("key-1", "alpha", &one, 12))
        .deployment(key("key-2", "alpha", &two, 12));
    let small = Model::new("small").deployment(key("other", "beta", &other, 10_000));
    let router = Router::builder("assistant", large)
        .fallback(small)
        .describe(safe())
        .build()
        .expect("valid");
    let mut answered = std::collections::BTreeMap::new();
    for _ in 0..30 {
        let response = call(&router).await;
        assert_eq!(response.status(), StatusCode::OK);
        *answered.entry(model_of(response).await).or_insert(0) += 1;
        // While there is a key with more left, it is chosen.
        let (one, two) = (one.stats().received, two.stats().received);
        assert!(one.abs_diff(two) <= 3, "{one}, {two}");
    }
    let expected = [("key-1-model", 12), ("key-2-model", 12), ("other-model", 6)];
    assert_eq!(
        answered,
        expected
            .map(|(name, calls)| (name.to_owned(), calls))
            .into()
    );
    assert_eq!(one.stats().violations + two.stats().violations, 0);
    let counts = router.handle().counts();
    assert_eq!(
        (counts.success, counts.rerouted),
        (30, 0),
        "nothing was sent to find that out"
    );
}

#[tokio::test]
async fn the_fallback_answers_for_every_fault_before_the_first_byte() {
    for (fault, class) in [
        ("fault = \"status\"\ncode = 500", Some(ErrorClass::Server)),
        ("fault = \"status\"\ncode = 503", Some(ErrorClass::Overload)),
        ("fault = \"status\"\ncode = 529", Some(ErrorClass::Overload)),
        (
            "fault = \"status\"\ncode = 401",
            Some(ErrorClass::Credential),
        ),
        (
            "fault = \"throttle\"\nretry_after = \"2s\"",
            Some(ErrorClass::RateLimit),
        ),
        (
            "fault = \"throttle\"\nretry_after = \"2s\"\nretry_after_form = \"date\"",
            Some(ErrorClass::RateLimit),
        ),
        ("fault = \"quota_exhausted\"", None),
        ("fault = \"stall\"", Some(ErrorClass::Network)),
        ("fault = \"reset_before_read\"", Some(ErrorClass::Network)),
        ("fault = \"outage\"", Some(ErrorClass::Network)),
        (
            "fault = \"outage\"\nmode = \"reset\"",
            Some(ErrorClass::Network),
        ),
    ] {
        let (one, other) = (failing(fault).await, api().await);
        let router = two_models(&one, &other).build().expect("valid");
        let response = call(&router).await;
        assert_eq!(response.status(), StatusCode::OK, "{fault}");
        let trace = response.extensions().get::<RouteTrace>().cloned();
        let trace = trace.unwrap_or_default();
        let tried: Vec<_> = trace
            .attempts()
            .iter()
            .map(|a| a.deployment.as_str())
            .collect();
        assert_eq!(tried, ["key-1", "other"], "{fault}");
        assert_eq!(model_of(response).await, "other-model", "{fault}");
        if let Some(class) = class {
            let counts = router.handle().snapshot().deployments[0].counts;
            let of = |(label, _): &&(&str, u64)| *label == class.as_str();
            let by_label = counts.by_label();
            assert_eq!(
                by_label.iter().find(of).map(|(_, n)| *n),
                Some(1),
                "{fault}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_elsewhere_once_the_head_of_a_response_is_there() {
    for fault in ["fault = \"reset_during_body\"", "fault = \"truncate_body\""] {
        let (one, other) = (failing(fault).await, api().await);
        let router = two_models(&one, &other).build().expect("valid");
        let response = router.clone().oneshot(ask(true)).await.expect("a head");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.into_body().collect().await.is_err(), "{fault}");
        assert_eq!(
            (one.stats().executed, other.stats().received),
            (1, 0),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn what_may_have_been_executed_is_sent_once() {
    let never = || ConstMeta(RequestMeta::non_idempotent());
    for (fault, executed) in [
        ("fault = \"reset_after_execute\"", 1),
        ("fault = \"status\"\ncode = 500\nexecute = true", 1),
        ("fault = \"status\"\ncode = 503\nexecute = true", 1),
        ("fault = \"stall\"\nexecute = true", 1),
    ] {
        let (one, other) = (failing(fault).await, api().await);
        let router = two_models(&one, &other)
            .describe(never())
            .build()
            .expect("valid");
        let _ = router.clone().oneshot(ask(false)).await;
        assert_eq!(
            (one.stats().executed, other.stats().received),
            (executed, 0),
            "{fault}"
        );
    }
    // What was certainly not executed goes on.
    for fault in [
        "fault = \"outage\"",
        "fault = \"throttle\"",
        "fault = \"status\"\ncode = 529",
    ] {
        let (one, other) = (failing(fault).await, api().await);
        let router = two_models(&one, &other)
            .describe(never())
            .build()
            .expect("valid");
        assert_eq!(call(&router).await.status(), StatusCode::OK, "{fault}");
        assert_eq!(
            (one.stats().executed, other.stats().executed),
            (0, 1),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn in_an_outage_of_all_the_providers_see_no_more_than_the_budget_pays_for() {
    let down = "fault = \"status\"\ncode = 500";
    let (one, other) = (failing(down).await, failing(down).await);
    let budget = Budget::new(BudgetConfig::new(0.0, 0.0, 5).expect("valid"));
    let config = RouterConfig::builder().max_wait(Duration::ZERO);
    let router = two_models(&one, &other)
        .config(config.build().expect("valid"))
        .budget(BudgetHandle::filled(budget))
        .build()
        .expect("valid");
    let calls = (0..60).map(|_| {
        let router = router.clone();
        tokio::spawn(async move { router.oneshot(ask(false)).await.map(|r| r.status()) })
    });
    for call in calls.collect::<Vec<_>>() {
        if let Ok(status) = call.await.expect("no panic") {
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
    let seen = one.stats().received + other.stats().received;
    assert!(seen <= 60 + 5, "{seen}");
    let handle = router.handle();
    assert_eq!(
        handle.snapshot().provider("alpha").map(|p| p.state),
        Some(RouteState::Cooling)
    );
    let counts = handle.counts();
    let ended = counts.failure + counts.rejected + counts.rejected_below;
    assert_eq!((ended, counts.success, counts.abandoned), (60, 0, 0));
}

/// A stack with a layer of streams around its client.
fn streaming(name: &str, api: &Handle) -> Deployment<impl Streams, Body> {
    let config = StreamConfig::builder()
        .dialect(Dialect::OpenAiChat)
        .errors(ErrorTable::openai())
        .first_content(Duration::from_millis(400))
        .build()
        .expect("valid");
    let client = StreamLayer::new(name, config).layer(hyper_client());
    let stack = seawall::ai_api(name)
        .retry(no_retry())
        .build()
        .expect("valid");
    let url = api.base_url();
    Deployment::new(name, name, stack.layer(client))
        .classify(ErrorTable::openai())
        .prepare(move |request: &mut Request<Body>| redirect(request, &url))
}

/// A service of streams, whatever its type.
trait Streams:
    Service<Request<Body>, Response = Response<Self::Stream>, Error = Self::Failure, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
    type Stream: http_body::Body<Data = bytes::Bytes, Error: std::fmt::Debug> + From<bytes::Bytes>;
    type Failure: Rejectable + TransportError + std::fmt::Debug;
}

impl<S, B, E> Streams for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = E, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: std::fmt::Debug> + From<bytes::Bytes>,
    E: Rejectable + TransportError + std::fmt::Debug,
{
    type Stream = B;
    type Failure = E;
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_content_goes_elsewhere_unseen() {
    for (fault, answered) in [
        ("fault = \"hidden_throttle\"", true),
        ("fault = \"truncate_body\"\nshare = 0.01", true),
        ("fault = \"stall\"", true),
        // Some of the text is there.
        ("fault = \"truncate_body\"\nshare = 0.7", false),
    ] {
        let (one, other) = (failing(fault).await, api().await);
        let large = Model::new("large").deployment(streaming("one", &one));
        let small = Model::new("small").deployment(streaming("other", &other));
        let router = Router::builder("assistant", large)
            .fallback(small)
            .describe(safe())
            .build()
            .expect("valid");
        let response = router.clone().oneshot(ask(true)).await.expect("a head");
        assert_eq!(response.status(), StatusCode::OK, "{fault}");
        let text = response.into_body().collect().await;
        assert_eq!(text.is_ok(), answered, "{fault}");
        if let Ok(text) = text {
            assert!(text.to_bytes().ends_with(b"data: [DONE]\n\n"), "{fault}");
        }
        let sent = (one.stats().received, other.stats().received);
        assert_eq!(sent, (1, u64::from(answered)), "{fault}");
    }
}

/// The error of a client around routes.
#[derive(Debug)]
enum RouteError {
    Rejected(Rejection),
    Auth(AuthError),
    Stack(Error<HyperError>),
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Auth(error) => error.fmt(f),
            Self::Stack(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RouteError {}

impl From<Rejection> for RouteError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<AuthError> for RouteError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl Rejectable for RouteError {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Auth(_) => None,
            Self::Stack(error) => error.rejection(),
        }
    }
}

impl TransportError for RouteError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected(rejection) => rejection.outcome(),
            Self::Auth(_) => Outcome::Ignored,
            Self::Stack(error) => error.outcome(),
        }
    }
}

#[tokio::test]
async fn a_client_sends_through_routes() {
    let failed = failing("fault = \"status\"\ncode = 500").await;
    let (one, other) = (failed, api().await);
    let deployment = |name: &str, api: &Handle| {
        let stack = seawall::ai_api(name)
            .retry(no_retry())
            .build()
            .expect("valid");
        let client: Legacy<HttpConnector, RequestBody> =
            Legacy::builder(TokioExecutor::new()).build_http();
        let client = stack.layer(client).map_err(RouteError::Stack as fn(_) -> _);
        let url = api.base_url();
        Deployment::new(name, name, client)
            .prepare(move |request: &mut Request<RequestBody>| redirect(request, &url))
            .model(format!("{name}-model"))
    };
    let large = Model::new("large").deployment(deployment("one", &one));
    let small = Model::new("small").deployment(deployment("other", &other));
    let router = Router::builder("assistant", large)
        .fallback(small)
        .describe(safe())
        .build()
        .expect("valid");
    let stack = seawall::ai_api("assistant").build().expect("valid");
    let client = seawall::Client::builder(stack)
        .base_url("http://models.invalid")
        .build_around(router.clone())
        .expect("valid");
    let messages = json!([{ "role": "user", "content": "SPY?" }]);
    let reply = client
        .post("/v1/chat/completions")
        .json(&json!({ "model": "large", "messages": messages }))
        .send()
        .await
        .expect("a response");
    let value: Value = reply.json().await.expect("JSON");
    assert_eq!(value["model"], "other-model");
    assert_eq!(router.handle().counts().rerouted, 1);
}
