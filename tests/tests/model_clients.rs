//! Clients of models: from a tier of the catalogue to text, over sockets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use seawall::ai::ErrorClass;
use seawall::ai::route::{Model, RouteOutcome, RouteTrace, Router};
use seawall::ai::spend::{
    Money, NoteUnbilled, Price, Prices, SpendBudget, SpendConfig, SpendLayer,
};
use seawall::ai::stream::StreamService;
use seawall::client::{ClientError, HttpTransport, RequestBody, StackOf};
use seawall::config::Config;
use seawall::model::{ClientService, ModelClient, ModelStack, RoutedClient};
use seawall::{
    Backoff, ConstMeta, Limit, RateLimitConfig, Reason, Registry, RequestMeta, RetryConfig, Sent,
    StackBuilder, Unit,
};
use serde_json::{Value, json};
use support::ai_server::{AiServer, JSON, Script, Wire, chunk, events, response, stream};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"BUY\"}}],\"usage\":null}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USED: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":31}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str =
    "data: {\"error\":{\"message\":\"oh\",\"type\":\"server_error\",\"code\":null}}\n\n";

fn answer(model: &str) -> Script {
    let body = format!(
        r#"{{"model":"{model}","choices":[{{"message":{{"content":"BUY"}}}}],"usage":{{"prompt_tokens":9,"completion_tokens":31}}}}"#
    );
    response("200 OK", &[JSON], &body)
}

fn error(status: &str, code: &str) -> Script {
    let body = format!(r#"{{"error":{{"message":"no","type":"{code}","code":"{code}"}}}}"#);
    response(status, &[JSON], &body)
}

fn attempts(stack: StackBuilder, attempts: u32) -> StackBuilder {
    let retry = RetryConfig::builder()
        .attempts(attempts)
        .backoff(Backoff::constant(MS).unwrap());
    stack.retry(retry.build().unwrap())
}

/// A client of the second tier, whose limits no test reaches.
fn client(name: &'static str, url: &str, most: u32) -> ModelClient {
    let tier = seawall::openai()
        .unwrap()
        .tier("tier-2")
        .unwrap()
        .named(name);
    let client = tier
        .model_client_with(|stack| attempts(stack, most))
        .unwrap();
    let client = client.base_url(url).header("authorization", "Bearer key");
    client.build().unwrap()
}

fn ask(is_stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "SPY: buy, sell or hold?"}]);
    json!({"model": "gpt-5", "stream": is_stream, "max_tokens": 400, "messages": messages})
}

const CHAT: &str = "/v1/chat/completions";

/// The data of all events, or the error.
async fn text(client: &ModelClient) -> Result<String, ClientError> {
    let response = client.post(CHAT).json(&ask(true)).send().await?;
    let mut events = response.error_for_status().await?.events();
    let mut text = String::new();
    while let Some(event) = events.next().await.transpose()? {
        let chunk: Value = serde_json::from_str(&event.data).unwrap_or_default();
        text += chunk["choices"][0]["delta"]["content"]
            .as_str()
            .unwrap_or_default();
    }
    Ok(text)
}

#[tokio::test]
async fn a_stream_holds_its_permit_to_its_end_and_settles_its_tokens() {
    let paced = vec![
        stream(),
        chunk(ROLE),
        chunk(WORD),
        Wire::Wait(100 * MS),
        chunk(&[STOP, USED, DONE].concat()),
        support::ai_server::end(),
    ];
    let server = AiServer::start([paced]).await;
    let client = client("model", &server.url(), 1);
    let handles = client.stack().handles();
    let response = client.post(CHAT).json(&ask(true)).send().await.unwrap();
    assert_eq!(handles.stack.bulkhead.snapshot().in_flight, 1);
    assert_eq!(handles.estimates.counts().settled, 0, "it is not over");
    let mut events = response.events();
    while let Some(event) = events.next().await {
        event.unwrap();
    }
    assert_eq!(handles.stack.bulkhead.snapshot().in_flight, 0);
    assert_eq!(handles.estimates.counts().settled, 1);
    let learned = handles.estimates.snapshot();
    assert_eq!(learned.models[0].model, "gpt-5");
    assert_eq!(learned.models[0].responses, 1);
    let counts = handles.streams.counts();
    assert_eq!((counts.streams, counts.completed), (1, 1));
}

#[tokio::test]
async fn what_fails_before_the_first_content_is_tried_again_unseen() {
    let late = vec![stream(), chunk(ROLE), chunk(ERROR)];
    let cut = vec![stream(), chunk(ROLE), Wire::Close];
    let good = events(&[ROLE, WORD, STOP, DONE]);
    let server = AiServer::start([late, cut, good]).await;
    let client = client("model", &server.url(), 3);
    assert_eq!(text(&client).await.unwrap(), "BUY");
    assert_eq!(server.asked().len(), 3);
    assert_eq!(client.stack().handles().streams.counts().before_content, 2);
}

#[tokio::test]
async fn what_fails_after_it_is_an_error_and_nothing_is_sent_again() {
    for broken in [
        vec![stream(), chunk(WORD), chunk(ERROR)],
        vec![stream(), chunk(WORD), Wire::Reset],
        events(&[WORD]),
        events(&[WORD, "data: {\"choices\":[{\"del\n\n"]),
    ] {
        let server = AiServer::start([broken]).await;
        let client = client("model", &server.url(), 3);
        let error = text(&client).await.unwrap_err();
        assert!(matches!(error, ClientError::Body(_)), "{error:?}");
        assert_eq!(server.asked().len(), 1);
        let handles = client.stack().handles();
        assert_eq!(handles.stack.bulkhead.snapshot().in_flight, 0);
        assert_eq!(handles.stack.breaker.counts().failure, 1, "{error}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_holds_nothing() {
    let server = AiServer::start([vec![stream(), chunk(WORD), Wire::Hang]]).await;
    let client = client("model", &server.url(), 1);
    let handles = client.stack().handles();
    let response = client.post(CHAT).json(&ask(true)).send().await.unwrap();
    let mut events = response.events();
    events.next().await.unwrap().unwrap();
    assert_eq!(handles.stack.bulkhead.snapshot().in_flight, 1);
    drop(events);
    assert_eq!(handles.stack.bulkhead.snapshot().in_flight, 0);
    assert_eq!(
        handles.stack.breaker.counts().failure,
        0,
        "it has not failed"
    );
}

#[tokio::test]
async fn an_empty_account_is_no_throttle() {
    let spent = error("429 Too Many Requests", "insufficient_quota");
    let server = AiServer::start([spent]).await;
    let client = client("model", &server.url(), 3);
    let response = client.post(CHAT).json(&ask(false)).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(server.asked().len(), 1, "no wait of seconds helps");
}

#[tokio::test]
async fn every_layer_is_registered_and_reset() {
    let tier = seawall::anthropic().unwrap().default_tier().unwrap();
    let stack = tier.model_stack().unwrap();
    let registry = Registry::new("desk");
    stack.register(&registry).unwrap();
    let snapshots = registry.snapshot();
    let patterns: Vec<_> = snapshots.iter().map(|one| one.pattern).collect();
    for pattern in ["breaker", "bulkhead", "estimate", "stream", "body_timeout"] {
        assert!(patterns.contains(&pattern), "{pattern}: {patterns:?}");
    }
    assert!(stack.register(&registry).is_err(), "twice");
    let handles = stack.handles();
    handles.stack.breaker.force_open();
    handles.reset();
    assert_eq!(handles.stack.breaker.state(), seawall::CircuitState::Closed);
}

/// A path that cannot be joined to the base leaves no host in the request.
#[tokio::test]
async fn the_service_of_a_client_sends_to_its_own_host_alone() {
    let own = AiServer::start([answer("gpt-5")]).await;
    let other = AiServer::start([answer("evil")]).await;
    let client = client("model", &own.url(), 1);
    let ask = async |path: &str| {
        let url = format!("{}{path}", other.url());
        let request = http::Request::get(url).body(RequestBody::default());
        client.service().oneshot(request.unwrap()).await
    };
    assert_eq!(ask("/v1/models").await.unwrap().status(), 200);
    assert!(ask("/v1/../models").await.is_err());
    assert_eq!((own.asked().len(), other.asked().len()), (1, 0));
}

#[test]
fn what_has_no_models_is_an_error() {
    let error = seawall::alpaca().unwrap().model_client().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`provider` is `alpaca`, which is no AI API, accepted is a provider of AI APIs, such as `openai`"
    );
    let config = Config::loader().text("f.toml", "[resilience.orders]\nkind = \"broker\"\n");
    let config = config.load().unwrap();
    let error = config
        .service("orders")
        .unwrap()
        .model_client()
        .unwrap_err();
    assert!(error.to_string().contains("`orders`"), "{error}");
}

/// A budget, and what pays from it: a dollar for a thousand tokens of output.
fn dollar_a_day() -> (SpendLayer, SpendBudget) {
    let day = SpendConfig::builder().per_day(Money::whole(1));
    let team = SpendBudget::new("research", day.build().unwrap());
    let price = Price::per_million("0".parse().unwrap(), "1000".parse().unwrap()).unwrap();
    let paid = SpendLayer::new(Prices::new(price)).budget(team.clone());
    (paid, team)
}

/// A budget that pays for two calls of 400 tokens of output at a dollar a thousand, and the client.
async fn paid(script: Script) -> (ModelClient<SpendLayer>, SpendBudget, AiServer) {
    let server = AiServer::start([script]).await;
    let (paid, team) = dollar_a_day();
    let tier = seawall::openai().unwrap().tier("tier-2").unwrap();
    let stack = tier.model_stack_with(|stack| attempts(stack, 3)).unwrap();
    let client = stack.paid_by(paid).client().base_url(server.url());
    (client.build().unwrap(), team, server)
}

fn spent(budget: &SpendBudget) -> (String, String) {
    let snapshot = budget.handle().snapshot();
    let day = &snapshot.periods[0];
    (day.spent.to_string(), snapshot.reserved.to_string())
}

/// A limit of tokens and a budget believe a response of JSON as far as it is possible.
#[tokio::test]
async fn hostile_usage_is_bounded_for_limits_and_budgets() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let limit = Limit::strict(1_000_000, HOUR).with_unit(Unit::Tokens);
    let limit = RateLimitConfig::builder().limit(limit).build().unwrap();
    for (used, at_least, cost) in [
        (
            r#"{"prompt_tokens":9,"completion_tokens":31}"#,
            40.0,
            "0.031",
        ),
        (
            r#"{"prompt_tokens":1000000000000,"completion_tokens":1000000000000}"#,
            16_784.0,
            "0.4",
        ),
        // What was reserved stays.
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, 400.0, "0.4"),
    ] {
        let body = format!(r#"{{"choices":[],"usage":{used}}}"#);
        let server = AiServer::start([response("200 OK", &[JSON], &body)]).await;
        let (paid, team) = dollar_a_day();
        let stack = seawall::openai().unwrap().tier("tier-2").unwrap();
        let stack = stack.model_stack_with(|stack| stack.rate_limit(limit.clone()));
        let client = stack.unwrap().paid_by(paid).client().base_url(server.url());
        let client = client.build().unwrap();
        let answer = client.post(CHAT).json(&ask(false)).send().await.unwrap();
        answer.text().await.unwrap();
        let handles = client.stack().handles();
        let key = handles.key_of("gpt-5").unwrap();
        let taken = 1_000_000.0 - handles.stack.rate_limit.tokens(key);
        assert!(
            (at_least - 1.0..at_least + 30.0).contains(&taken),
            "{used}: {taken}"
        );
        assert_eq!(spent(&team), (cost.into(), "0".into()), "{used}");
    }
}

/// Behind the layer that decompresses no body says how long it is.
#[tokio::test]
async fn an_empty_response_is_tried_again() {
    let server = AiServer::start([response("200 OK", &[JSON], ""), answer("m")]).await;
    let client = client("empty", &server.url(), 2);
    let answer = client.post(CHAT).json(&ask(false)).send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("BUY"));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_budget_books_what_a_call_has_cost_and_rejects_what_it_cannot_pay() {
    let (client, team, server) = paid(events(&[ROLE, WORD, STOP, USED, DONE])).await;
    let call = async || client.post(CHAT).json(&ask(true)).send().await;
    let [first, second] = [call().await.unwrap(), call().await.unwrap()];
    assert_eq!(
        spent(&team),
        ("0".into(), "0.8".into()),
        "both are under way"
    );
    let error = call().await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.reason(), Reason::QuotaExhausted);
    assert_eq!(rejection.name().as_str(), "research");
    assert_eq!(error.sent(), Sent::No);
    assert_eq!(server.asked().len(), 2);
    first.text().await.unwrap();
    assert_eq!(spent(&team), ("0.031".into(), "0.4".into()), "31 tokens");
    drop(second);
    assert_eq!(
        spent(&team),
        ("0.431".into(), "0".into()),
        "nobody knows what it wrote"
    );
}

#[tokio::test]
async fn attempts_that_are_answered_with_an_error_cost_nothing() {
    let (client, team, server) = paid(error("503 Service Unavailable", "server_error")).await;
    let response = client.post(CHAT).json(&ask(false)).send().await.unwrap();
    assert_eq!(response.status(), 503);
    drop(response);
    assert_eq!(server.asked().len(), 3);
    assert_eq!(spent(&team), ("0".into(), "0".into()));
}

#[tokio::test]
async fn a_service_of_a_file_has_a_client_of_models() {
    for base in ["provider = \"openai\"", "kind = \"ai-api\""] {
        let cut = vec![stream(), chunk(ROLE), Wire::Close];
        let server = AiServer::start([cut, events(&[ROLE, WORD, STOP, DONE])]).await;
        let file = format!("[resilience.assistant]\n{base}\nretry.first_wait = \"1ms\"\n");
        let config = Config::loader().text("seawall.toml", file).load().unwrap();
        let client = config.service("assistant").unwrap().model_client().unwrap();
        let client = client.base_url(server.url()).build().unwrap();
        assert_eq!(text(&client).await.unwrap(), "BUY");
        let counts = client.stack().handles().streams.counts();
        assert_eq!(
            (counts.completed, counts.before_content),
            (1, 1),
            "tried again"
        );
    }
}

type Transport = StreamService<NoteUnbilled<HttpTransport>>;
type Routes = RoutedClient<ClientService<StackOf<ModelStack, Transport>>, ConstMeta>;

/// Two keys of one model, and another model.
async fn routed(one: Script, two: Script, other: Script) -> (Routes, [AiServer; 3]) {
    let servers = [
        AiServer::start([one]).await,
        AiServer::start([two]).await,
        AiServer::start([other]).await,
    ];
    let key = |name, server: &AiServer| client(name, &server.url(), 1).deployment(name);
    let anthropic = seawall::anthropic().unwrap().default_tier().unwrap();
    let anthropic = anthropic.named("key-3");
    let other = anthropic
        .model_client_with(|stack| attempts(stack, 1))
        .unwrap();
    let other = other
        .base_url(servers[2].url())
        .header("anthropic-version", "2023-06-01");
    let other = other.build().unwrap();
    let large = Model::new("large")
        .deployment(key("key-1", &servers[0]))
        .deployment(key("key-2", &servers[1]));
    let small = Model::new("small").deployment(other.deployment("key-3").model("small"));
    let router = Router::builder("assistant", large)
        .fallback(small)
        .describe(ConstMeta(RequestMeta::idempotent()));
    let client = RoutedClient::new(router.build().unwrap()).unwrap();
    (client, servers)
}

async fn asked(client: &Routes) -> (u16, Value, Vec<ErrorClass>) {
    let response = client.post(CHAT).json(&ask(false)).send().await.unwrap();
    let status = response.status().as_u16();
    let trace = response.extensions().get::<RouteTrace>().cloned();
    let tried = trace.unwrap_or_default();
    let failed = |outcome| match outcome {
        RouteOutcome::Failed(class) => Some(class),
        _ => None,
    };
    let attempts = tried.attempts().iter();
    let tried = attempts.filter_map(|one| failed(one.outcome)).collect();
    (status, response.json().await.unwrap(), tried)
}

#[tokio::test]
async fn a_key_that_is_wrong_or_empty_is_passed_over() {
    for (status, code, class) in [
        (
            "401 Unauthorized",
            "invalid_api_key",
            ErrorClass::Credential,
        ),
        (
            "429 Too Many Requests",
            "insufficient_quota",
            ErrorClass::QuotaExhausted,
        ),
        (
            "429 Too Many Requests",
            "rate_limit_exceeded",
            ErrorClass::RateLimit,
        ),
    ] {
        let bad = error(status, code);
        let (client, servers) = routed(bad, answer("gpt-5"), answer("small")).await;
        let mut seen = Vec::new();
        for _ in 0..8 {
            let (status, body, tried) = asked(&client).await;
            assert_eq!((status, &body["model"]), (200, &json!("gpt-5")));
            seen.extend(tried);
        }
        assert_eq!(seen, [class], "once, and then it cools down");
        assert_eq!(servers[0].asked().len(), 1);
        assert_eq!(servers[2].asked().len(), 0);
    }
}

#[tokio::test]
async fn an_overloaded_provider_is_not_asked_key_by_key() {
    let busy = || error("503 Service Unavailable", "server_is_overloaded");
    let (client, servers) = routed(busy(), busy(), answer("small")).await;
    let (status, body, tried) = asked(&client).await;
    assert_eq!((status, &body["model"]), (200, &json!("small")));
    assert_eq!(tried, [ErrorClass::Overload]);
    let keys = servers[0].asked().len() + servers[1].asked().len();
    assert_eq!((keys, servers[2].asked().len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_of_content_is_not_routed_around() {
    let refused = || error("400 Bad Request", "content_policy_violation");
    let (client, servers) = routed(refused(), refused(), answer("small")).await;
    let (status, body, _) = asked(&client).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("content_policy_violation"))
    );
    let all: usize = servers.iter().map(|server| server.asked().len()).sum();
    assert_eq!(all, 1);
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_content_goes_elsewhere() {
    let cut = || vec![stream(), chunk(ROLE), Wire::Close];
    let good = events(&[ROLE, WORD, STOP, DONE]);
    let (client, servers) = routed(cut(), cut(), good).await;
    let response = client.post(CHAT).json(&ask(true)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.text().await.unwrap();
    assert_eq!(body.matches("BUY").count(), 1);
    assert_eq!(servers[2].asked().len(), 1);
}
