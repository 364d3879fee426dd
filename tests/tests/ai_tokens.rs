//! Tokens and money of calls to an AI API, through complete stacks and over real sockets.

mod support;

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use seawall::{
    BulkheadConfig, KeyedRateLimitConfig, Limit, PartitionKey, RateLimitConfig, RateLimitHandle,
    Reason, Rejectable, Replay, RetryConfig, Unit,
};
use seawall_ai::NoteDeparture;
use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
use seawall_ai::spend::{
    Money, NoteUnbilledLayer, Price, Prices, SpendBudget, SpendConfig, SpendHandle, SpendLayer,
};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::AiApi;
use serde_json::json;
use support::{Body, hyper_client};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const HOUR: Duration = Duration::from_secs(3_600);

/// Input and output tokens of an hour, that no time gives back.
fn limits() -> RateLimitConfig {
    RateLimitConfig::builder()
        .limit(Limit::strict(100_000, HOUR).with_unit(Unit::InputTokens))
        .limit(Limit::strict(100_000, HOUR).with_unit(Unit::OutputTokens))
        .build()
        .expect("valid")
}

/// What is taken of both.
fn taken(handle: &RateLimitHandle) -> [f64; 2] {
    let limits = handle.snapshot().limits;
    [0, 1].map(|n: usize| 100_000.0 - limits[n].available)
}

/// Four hundred bytes of text are a hundred tokens for the simulated model.
fn ask(url: &str, path: &str, model: &str, stream: bool) -> Request<Body> {
    let body = json!({
        "model": model, "max_tokens": 2_000, "stream": stream,
        "messages": [{"role": "user", "content": "four".repeat(100)}],
    });
    Request::post(format!("{url}{path}"))
        .header("x-api-key", "k")
        // A completion may be asked for again; it costs again.
        .extension(Replay::Safe)
        .header("anthropic-version", "2023-06-01")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

fn stack(name: &'static str) -> seawall::StackBuilder {
    let wide = BulkheadConfig::builder().max_concurrent(64);
    seawall::ai_api(name).bulkhead(wide.build().expect("valid"))
}

#[tokio::test]
async fn estimates_are_settled_in_the_limits_of_a_stack_and_learned() {
    let api = AiApi::anthropic().unlimited().completion_tokens(40);
    let api = api.start().await.expect("a socket");
    let stack = stack("settled").rate_limit(limits());
    let stack = stack.build().expect("valid").count_tokens(1 << 20);
    let stack = stack.on_departure(NoteDeparture);
    let limit = stack.handles().rate_limit;
    let estimates = EstimateLayer::new("settled", EstimateConfig::default());
    let handle = estimates.handle();
    let mut client = ServiceBuilder::new()
        .layer(estimates)
        .layer(stack)
        .service(hyper_client());
    let url = api.base_url();

    // While the head of a stream is there and its end is not, the maximum is taken.
    let request = ask(&url, "/v1/messages", "claude-a", true);
    let stream = client.ready().await.expect("ready").call(request).await;
    let stream = stream.expect("a head");
    assert_eq!(taken(&limit), [139.0, 2_000.0]);
    let body = stream.into_body().collect().await.expect("a stream");
    assert!(body.to_bytes().starts_with(b"event: message_start"));
    assert_eq!(taken(&limit), [100.0, 40.0]);

    // A response that is no stream.
    let request = ask(&url, "/v1/messages", "claude-a", false);
    let response = client.ready().await.expect("ready").call(request).await;
    response
        .expect("a head")
        .into_body()
        .collect()
        .await
        .expect("a body");
    assert_eq!(taken(&limit), [200.0, 80.0]);
    assert_eq!(handle.counts().settled, 2);

    // A stream that is dropped in the middle: what the model goes on writing is not known.
    let request = ask(&url, "/v1/messages", "claude-a", true);
    let stream = client.ready().await.expect("ready").call(request).await;
    let mut body = stream.expect("a head").into_body();
    body.frame().await.expect("not empty").expect("an event");
    drop(body);
    let [input, output] = taken(&limit);
    assert_eq!((input, output), (300.0, 80.0 + 2_000.0));
    assert_eq!(handle.counts().broken_off, 1);

    // A request that the provider rejects: the estimate stays, and nothing is learned.
    let request = ask(&url, "/v1/nothing", "claude-a", false);
    let response = client.ready().await.expect("ready").call(request).await;
    assert_eq!(response.expect("a response").status(), 404);
    assert_eq!(handle.counts().failed, 1);
    let models = handle.snapshot().models;
    assert_eq!((models[0].responses, models[0].in_flight), (2, 0));
    api.shutdown().await;
}

#[tokio::test]
async fn a_chat_stream_without_usage_counts_what_it_delivered() {
    let api = AiApi::open_ai().unlimited().completion_tokens(40);
    let api = api.start().await.expect("a socket");
    let stack = stack("chat").rate_limit(limits()).build().expect("valid");
    let stack = stack.on_departure(NoteDeparture);
    let limit = stack.handles().rate_limit;
    let estimates = EstimateLayer::new("chat", EstimateConfig::default());
    let handle = estimates.handle();
    let client = estimates.layer(stack.layer(hyper_client()));
    let request = ask(&api.base_url(), "/v1/chat/completions", "gpt-a", true);
    let stream = client.oneshot(request).await.expect("a head");
    stream.into_body().collect().await.expect("a stream");
    assert_eq!(handle.counts().delivered, 1);
    let [input, output] = taken(&limit);
    assert_eq!(input, 139.0);
    // Forty words, of two bytes and more.
    assert!((40.0..100.0).contains(&output), "{output}");
    api.shutdown().await;
}

#[tokio::test]
async fn models_of_one_group_share_a_limit_and_others_have_their_own() {
    let api = AiApi::open_ai().unlimited().completion_tokens(40);
    let api = api.start().await.expect("a socket");
    // Two calls at their maximum, and no time to wait for more.
    let each = RateLimitConfig::builder()
        .limit(Limit::strict(4_500, HOUR).with_unit(Unit::Tokens))
        .max_wait(Duration::ZERO);
    let retry = RetryConfig::builder().attempts(1);
    let stack = stack("groups")
        .rate_limit(limits())
        .retry(retry.build().expect("valid"))
        .build()
        .expect("valid")
        .count_tokens(1 << 20)
        .on_departure(NoteDeparture)
        .rate_limit_per_key(KeyedRateLimitConfig::new(each).expect("valid"));
    let limit = stack.handles().rate_limit;
    let family = |model: &str| PartitionKey::of(&model[..5]);
    let estimates = EstimateLayer::new("groups", EstimateConfig::default()).group(family);
    let client = estimates.layer(stack.layer(hyper_client()));
    let url = api.base_url();
    let ask = |model| {
        client
            .clone()
            .oneshot(ask(&url, "/v1/chat/completions", model, true))
    };

    let streams = (ask("gpt-a-1").await, ask("gpt-a-2").await);
    assert_eq!(limit.tokens(family("gpt-a")), 4_500.0 - 2.0 * 2_139.0);
    let error = ask("gpt-a-3")
        .await
        .expect_err("the group has nothing left");
    assert_eq!(
        error.rejection().expect("ours").reason(),
        Reason::QuotaExhausted
    );
    ask("gpt-b-1").await.expect("another group");
    // What the streams have not used is there again.
    for stream in [streams.0, streams.1] {
        let body = stream.expect("a head").into_body();
        body.collect().await.expect("a stream");
    }
    ask("gpt-a-3").await.expect("settled");
    api.shutdown().await;
}

fn budget(most: u64) -> SpendBudget {
    let config = SpendConfig::builder().per_day(Money::whole(most));
    SpendBudget::new("spend", config.build().expect("valid"))
}

/// A unit of the currency for a token.
fn spend_layer(budget: &SpendBudget) -> SpendLayer {
    let million = Money::whole(1_000_000);
    let prices = Prices::new(Price::per_million(million, million).expect("valid"));
    SpendLayer::new(prices).budget(budget.clone())
}

fn spent(handle: &SpendHandle) -> (String, String) {
    let snapshot = handle.snapshot();
    let spent = snapshot.periods[0].spent;
    (spent.to_string(), snapshot.reserved.to_string())
}

fn of(spent: u64, reserved: u64) -> (String, String) {
    (spent.to_string(), reserved.to_string())
}

#[tokio::test]
async fn money_is_reserved_and_settled_by_usage_through_a_stack_that_retries() {
    const OUTAGE: &str = r#"
        [[incident]]
        provider = "ai_api"
        from = "0s"
        to = "250ms"
        fault = "status"
        code = 503
    "#;
    let incidents = Incidents::from_toml(OUTAGE).expect("valid");
    let api = AiApi::anthropic()
        .unlimited()
        .completion_tokens(40)
        .hold_clock()
        .incidents(incidents);
    let api = api.start().await.expect("a socket");
    let backoff = seawall::Backoff::constant(Duration::from_millis(100)).expect("valid");
    let retry = RetryConfig::builder().attempts(8).backoff(backoff);
    let stack = stack("paid")
        .rate_limit(limits())
        .retry(retry.build().expect("valid"))
        .build()
        .expect("valid")
        .count_tokens(1 << 20)
        .on_departure(NoteDeparture);
    let attempts = stack.handles().retry;
    let budget = budget(10_000);
    let handle = budget.handle();
    let client = ServiceBuilder::new()
        .layer(spend_layer(&budget))
        .layer(stack)
        .layer(NoteUnbilledLayer)
        .service(hyper_client());
    let url = api.base_url();
    let ask = |stream| {
        client
            .clone()
            .oneshot(ask(&url, "/v1/messages", "claude-a", stream))
    };

    api.start_clock();
    // Answered with 503 first: not billed, and nothing more is reserved for the next attempt.
    let response = ask(false).await.expect("a head");
    assert_eq!(response.status(), 200);
    assert!(attempts.counts().attempts.total() > 1);
    response.into_body().collect().await.expect("a body");
    assert_eq!(spent(&handle), of(140, 0));
    let stream = ask(true).await.expect("a head");
    assert_eq!(spent(&handle), of(140, 2_139));
    stream.into_body().collect().await.expect("a stream");
    assert_eq!(spent(&handle), of(280, 0));
    // Dropped: it may have been written to its end.
    drop(ask(true).await.expect("a head"));
    assert_eq!(spent(&handle), of(280 + 2_139, 0));
    api.shutdown().await;
}

#[tokio::test]
async fn callers_at_once_spend_no_more_than_there_is() {
    let api = AiApi::open_ai().unlimited().completion_tokens(40);
    let api = api.start().await.expect("a socket");
    let stack = stack("crowd").rate_limit(limits());
    let stack = stack.build().expect("valid").count_tokens(1 << 20);
    let stack = stack.on_departure(NoteDeparture);
    let budget = budget(5_000);
    let handle = budget.handle();
    let client = spend_layer(&budget).layer(stack.layer(hyper_client()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = ask(&api.base_url(), "/v1/chat/completions", "gpt-a", false);
        let call = client.clone().oneshot(request);
        calls.spawn(async move {
            let body = call.await.ok()?.into_body();
            body.collect().await.ok()
        });
    }
    let mut answered = 0;
    while let Some(result) = calls.join_next().await {
        answered += u64::from(result.expect("no panic").is_some());
        let snapshot = handle.snapshot();
        let period = snapshot.periods[0];
        assert!(period.spent.plus(snapshot.reserved) <= period.limit);
    }
    assert_eq!(spent(&handle), of(140 * answered, 0));
    assert_eq!(handle.counts().rejected, 20 - answered);
    assert!((2..20).contains(&answered), "{answered}");
    api.shutdown().await;
}
