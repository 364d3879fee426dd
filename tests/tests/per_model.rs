//! Limits of each model in the stack of a tier, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use seawall::ai::estimate::{EstimateConfig, EstimateLayer};
use seawall::ai::route::Headroom;
use seawall::catalog::Tier;
use seawall::model::{ModelHandles, ModelStack};
use seawall::{
    DailyReset, InstanceHandle, Limit, PartitionKey, QuotaFile, RateLimitConfig, Reason, Registry,
    Rejectable, RequestMeta, RetryConfig, Unit,
};
use seawall_sim::provider::{Counting, Limit as Rule, Measure, SimulatedQuota, Usage};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;
type Client = BoxCloneSyncService<Request<Body>, u16, BoxError>;

const MINUTE: Duration = Duration::from_secs(60);

fn tier(provider: &str, tier: &str) -> Tier {
    seawall::provider(provider).unwrap().tier(tier).unwrap()
}

/// The stack without a second attempt.
fn stack(tier: &Tier) -> ModelStack {
    let once = RetryConfig::builder().attempts(1).build().unwrap();
    tier.model_stack_with(|stack| stack.retry(once)).unwrap()
}

/// A client of `stack` whose provider answers what `answer` says of the model, as the status.
fn client<F>(stack: &ModelStack, answer: F) -> Client
where
    F: Fn(&Value) -> Response<Body> + Clone + Send + Sync + 'static,
{
    let provider = service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let asked = serde_json::from_slice(&body).unwrap_or_default();
            let response = answer(&asked);
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let service = stack.layer(stack.streams().layer(provider));
    let service = service.map_err(|error| match error.rejection() {
        Some(rejection) => BoxError::from(*rejection),
        None => "no response".into(),
    });
    BoxCloneSyncService::new(service.and_then(read))
}

/// The status, when all of the body has come.
async fn read<B: http_body::Body<Error: Into<BoxError>>>(
    response: Response<B>,
) -> Result<u16, BoxError> {
    let status = response.status().as_u16();
    response.into_body().collect().await.map_err(Into::into)?;
    Ok(status)
}

const PATH: &str = "/v1/messages";

/// Four hundred bytes are a hundred tokens and more.
fn ask(model: &str, max_tokens: u32) -> Request<Body> {
    let body = json!({
        "model": model, "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": "four".repeat(100)}],
    });
    let body = Body::from(body.to_string());
    Request::post(PATH).body(body).unwrap()
}

fn used(input: u32, output: u32) -> Response<Body> {
    let usage = json!({"usage": {"input_tokens": input, "output_tokens": output}});
    let mut response = Response::new(Body::from(usage.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

fn rejected(error: &BoxError) -> &seawall::Rejection {
    error.downcast_ref().expect("a rejection")
}

/// What is left of the limit of a unit of a model.
fn left(handles: &ModelHandles, model: &str, unit: Unit) -> f64 {
    let key = handles.key_of(model).unwrap();
    let limits = handles.stack.rate_limit.limits_of(key);
    let found = limits.iter().find(|of| of.limit.unit() == unit);
    found.unwrap().available
}

/// The provider's counters of a model: each limit in windows, in any stretch of time, and as a bucket.
fn counters(tier: &Tier) -> SimulatedQuota {
    tier.limits().fold(SimulatedQuota::new(), |quota, limit| {
        let measure = match limit.unit() {
            Unit::Tokens => Measure::Tokens,
            Unit::InputTokens => Measure::InputTokens,
            Unit::OutputTokens => Measure::OutputTokens,
            _ => Measure::Requests,
        };
        let rule = || Rule::new(limit.count(), limit.period()).unwrap();
        let ways = [Counting::Sliding, Counting::Fixed, Counting::Bucket];
        let add = |quota: SimulatedQuota, way| quota.limit(measure, rule(), way);
        ways.into_iter().fold(quota, add)
    })
}

/// Calls of `models` as fast as the stack lets them pass. The share of what it allows itself that each
/// model has used of the limit that holds it back, and how often it has exceeded one.
async fn full_load(tier: &Tier, models: &[&str], output: u32) -> Vec<(f64, u64)> {
    const MINUTES: u32 = 3;
    let quotas: HashMap<String, SimulatedQuota> = models
        .iter()
        .map(|model| ((*model).to_owned(), counters(tier)))
        .collect();
    let counting = quotas.clone();
    let stack = stack(tier);
    let service = client(&stack, move |asked| {
        let mut quota = counting[asked["model"].as_str().unwrap()].clone();
        let usage = Usage::tokens(100, output);
        drop(quota.call(usage));
        used(100, output)
    });
    let end = Instant::now() + MINUTE * MINUTES - Duration::from_millis(1);
    let mut callers = JoinSet::new();
    for model in models {
        for _ in 0..40 {
            let (service, model) = (service.clone(), (*model).to_owned());
            callers.spawn(async move {
                loop {
                    let call = service.clone().oneshot(ask(&model, output));
                    if let Err(error) = call.await {
                        let wait = rejected(&error).retry_after();
                        sleep(wait.unwrap_or(Duration::from_secs(1))).await;
                    }
                }
            });
        }
    }
    drop(timeout_at(end, callers.join_next()).await);
    drop(callers);
    let result = models.iter().map(|model| {
        let stats = quotas[*model].stats();
        let share = |limit: &seawall_sim::provider::SimulatedQuotaLimit| {
            let most = f64::from(limit.limit.count()) * 0.8 * f64::from(MINUTES);
            limit.used as f64 / most
        };
        let used = stats.limits.iter().map(share).fold(0.0, f64::max);
        (
            used,
            stats.limits.iter().map(|limit| limit.violations).sum(),
        )
    });
    result.collect()
}

#[tokio::test(start_paused = true)]
async fn two_models_at_full_load_use_the_limits_of_each() {
    for (provider, name, output) in [
        // Requests hold them back, then tokens.
        ("anthropic", "start", 20),
        ("anthropic", "start", 2_000),
        ("anthropic", "new-organization", 20),
        ("openai", "tier-1", 20),
        ("openai", "tier-1", 3_000),
    ] {
        let tier = tier(provider, name);
        for (used, violations) in full_load(&tier, &["m-large", "m-small"], output).await {
            assert!(used >= 0.95, "{provider} {name} {output}: {used}");
            assert_eq!(violations, 0, "{provider} {name} {output}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn models_of_a_group_of_the_provider_share_their_limits() {
    let tier = tier("anthropic", "start");
    let stack = stack(&tier);
    let handles = stack.handles();
    let service = client(&stack, |_| used(100, 500));
    let call = async |model| service.clone().oneshot(ask(model, 500)).await.unwrap();
    assert_eq!(call("claude-opus-4-1-20250805").await, 200);
    assert_eq!(call("claude-opus-4-6").await, 200);
    assert_eq!(call("claude-opus-5").await, 200);
    assert_eq!(
        left(&handles, "claude-opus-4", Unit::OutputTokens),
        320_000.0 - 1_000.0
    );
    assert_eq!(
        left(&handles, "claude-opus-5", Unit::OutputTokens),
        320_000.0 - 500.0
    );
    assert_eq!(
        left(&handles, "claude-opus-40", Unit::OutputTokens),
        320_000.0
    );
    // An alias, and what it stands for.
    let key = |model| handles.key_of(model);
    assert_eq!(key("claude-haiku-4-5"), key("claude-haiku-4-5-20251001"));
    assert_ne!(key("claude-haiku-4-5"), key("claude-haiku-4"));
    assert_eq!(
        key("claude-opus-4-1"),
        Some(tier.model_key("claude-opus-4"))
    );
}

#[tokio::test(start_paused = true)]
async fn groups_of_ones_own_take_the_place_of_the_providers() {
    let tier = tier("openai", "tier-1");
    let family = |model: &str| PartitionKey::of(model.get(..5).unwrap_or(model));
    let estimates = EstimateLayer::new("own", EstimateConfig::default()).group(family);
    let stack = stack(&tier).estimating(estimates).unwrap();
    let handles = stack.handles();
    let service = client(&stack, |_| used(100, 500));
    for model in ["gpt-5", "gpt-5-mini", "gpt-5-2026-01-01"] {
        service.clone().oneshot(ask(model, 500)).await.unwrap();
    }
    assert_eq!(
        left(&handles, "gpt-5-nano", Unit::Tokens),
        400_000.0 - 1_800.0
    );
    assert_eq!(left(&handles, "o9", Unit::Tokens), 400_000.0);

    // Other estimates keep the provider's groups; a server that limits no model has none.
    let plain = || EstimateLayer::new("plain", EstimateConfig::default());
    let stack = stack.estimating(plain()).unwrap();
    assert_eq!(
        stack.handles().key_of("gpt-5"),
        Some(PartitionKey::of("gpt-5"))
    );
    assert_ne!(
        stack.handles().key_of("gpt-5"),
        stack.handles().key_of("gpt-5-mini")
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_model_has_the_limits_of_one_model() {
    let stack = stack(&tier("anthropic", "new-organization"));
    let handles = stack.handles();
    let service = client(&stack, |_| used(1, 1));
    let limit = &handles.stack.rate_limit;
    let unnamed = PartitionKey::default();
    let began = Instant::now();
    for body in ["", "no JSON", "[]", r#"{"model":7}"#, r#"{"model":""}"#] {
        let request = Request::builder().method(Method::POST).uri(PATH);
        let request = request.body(Body::from(body)).unwrap();
        service.clone().oneshot(request).await.unwrap();
        assert!(limit.tokens(unnamed) < 1.0, "{body}");
    }
    // Forty of a minute, one at once.
    let took = Instant::now() - began;
    assert!(took >= 4 * MINUTE / 40, "{took:?}");
    assert_eq!(limit.keys_kept(), 1);
    assert_eq!(limit.tokens(handles.key_of("m-1").unwrap()), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_of_one_model_leaves_the_others_alone() {
    let stack = stack(&tier("anthropic", "start"));
    let handles = stack.handles();
    let service = client(&stack, |asked| {
        if asked["model"] != "m-large" {
            return used(1, 1);
        }
        let error = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
        let response = Response::builder().status(429).header("retry-after", "20");
        let response = response.header("content-type", "application/json");
        response.body(Body::from(error)).unwrap()
    });
    let call = |model| service.clone().oneshot(ask(model, 10));
    assert_eq!(call("m-large").await.unwrap(), 429);
    // It waits for the pause; the other model does not.
    let throttled = tokio::spawn(call("m-large"));
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(call("m-small").await.unwrap(), 200);
    }
    let took = Instant::now() - began;
    assert!(took < Duration::from_secs(13), "{took:?}");
    assert!(!throttled.is_finished());
    assert_eq!(
        handles
            .stack
            .rate_limit
            .queue_depth_of(handles.key_of("m-large").unwrap()),
        1
    );
    assert_eq!(throttled.await.unwrap().unwrap(), 429);
    assert!(Instant::now() - began >= Duration::from_secs(20));

    // A router asks for each model.
    assert_eq!(
        Headroom::key_of(&handles, "m-small"),
        handles.key_of("m-small")
    );
    let model = |name| RequestMeta::default().with_key(handles.key_of(name).unwrap());
    assert!(handles.available(&model("m-large")).wait() > Some(Duration::from_secs(18)));
    assert_eq!(
        handles.available(&model("m-small")).wait(),
        Some(Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn money_that_is_gone_holds_every_model_back() {
    let stack = stack(&tier("openai", "tier-1"));
    let handles = stack.handles();
    let service = client(&stack, |_| {
        let error =
            r#"{"error":{"message":"no","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        let response = Response::builder().status(429).header("retry-after", "20");
        let response = response.header("content-type", "application/json");
        response.body(Body::from(error)).unwrap()
    });
    service.oneshot(ask("m-large", 10)).await.unwrap();
    let small = RequestMeta::default().with_key(handles.key_of("m-small").unwrap());
    let wait = handles.stack.rate_limit.time_to_next(&small);
    assert!(wait > Some(Duration::from_secs(18)), "{wait:?}");
    assert!(handles.stack.snapshot().rate_limit.resumes_in.is_some());
}

#[tokio::test(start_paused = true)]
async fn headers_are_about_the_model_that_was_called() {
    let stack = stack(&tier("openai", "tier-1"));
    let handles = stack.handles();
    let service = client(&stack, |asked| {
        let mut response = used(100, 10);
        if asked["model"] == "m-large" {
            for (name, value) in [
                ("x-ratelimit-limit-tokens", "500000"),
                ("x-ratelimit-remaining-tokens", "1000"),
                ("x-ratelimit-reset-tokens", "50s"),
            ] {
                let value = http::HeaderValue::from_static(value);
                response.headers_mut().insert(name, value);
            }
        }
        response
    });
    for model in ["m-large", "m-small"] {
        service.clone().oneshot(ask(model, 10)).await.unwrap();
    }
    assert_eq!(left(&handles, "m-large", Unit::Tokens), 1_000.0);
    assert_eq!(left(&handles, "m-small", Unit::Tokens), 400_000.0 - 110.0);
}

#[tokio::test(start_paused = true)]
async fn handles_configure_and_show_the_limits_of_models() {
    let tier = tier("openai", "tier-1").named("assistant");
    let stack = stack(&tier);
    let handles = stack.handles();
    let service = client(&stack, |_| used(100, 900));
    service.clone().oneshot(ask("m-large", 900)).await.unwrap();

    let mut settings = handles.stack.settings();
    assert_eq!(settings.rate_limit, tier.settings().unwrap().rate_limit);
    let tokens = Limit::strict(10_000, MINUTE).with_unit(Unit::Tokens);
    let requests = settings.rate_limit.limits()[0].clone();
    let limits = RateLimitConfig::builder().limit(requests).limit(tokens);
    settings.rate_limit = limits.max_wait(Duration::ZERO).build().unwrap();
    handles.stack.configure(&settings).unwrap();
    // What is spent stays spent, and a model that comes later has the new limits, too.
    assert_eq!(left(&handles, "m-large", Unit::Tokens), 9_000.0);
    assert_eq!(left(&handles, "m-new", Unit::Tokens), 10_000.0);
    assert_eq!(handles.stack.settings().rate_limit, settings.rate_limit);
    let error = service
        .clone()
        .oneshot(ask("m-new", 20_000))
        .await
        .unwrap_err();
    assert_eq!(rejected(&error).name().as_str(), "assistant");

    // Nothing limits all models together.
    let snapshot = handles.stack.snapshot();
    assert!(snapshot.rate_limit.limits.is_empty());
    assert_eq!(snapshot.rate_limit.name.as_str(), "assistant");
    let keyed = snapshot.rate_limit_per_key.clone().unwrap();
    assert!(keyed.account.is_empty());
    assert_eq!((keyed.counts.granted, keyed.counts.too_expensive), (1, 1));
    assert_eq!(snapshot.rate_limit.counts, keyed.counts);
    assert_eq!(handles.stack.counts().rate_limit, keyed.counts);
    assert!(handles.stack.rate_limit.account().is_none());

    let registry = Registry::new("desk");
    handles.register(&registry).unwrap();
    let name = handles.stack.rate_limit.name();
    assert!(registry.get("ratelimit_per_key", name).is_some());
    assert!(registry.get("ratelimit", "assistant/account").is_none());
    handles.unregister(&registry);
    handles.stack.rate_limit.pause_all();
    let error = service
        .clone()
        .oneshot(ask("m-large", 9))
        .await
        .unwrap_err();
    assert_eq!(rejected(&error).reason(), Reason::Paused);
    handles.reset();
    assert_eq!(service.oneshot(ask("m-large", 9)).await.unwrap(), 200);
    assert!(!handles.stack.rate_limit.settings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_uses_any_more_are_forgotten() {
    let stack = stack(&tier("openai", "tier-1"));
    let limit = stack.handles().stack.rate_limit;
    let service = client(&stack, |_| used(1, 1));
    for n in 0..3_000 {
        service
            .clone()
            .oneshot(ask(&format!("m{n}"), 1))
            .await
            .unwrap();
    }
    // A model needs its limits for a minute: sixty of them, of one call in each second. A table makes
    // room before it grows, and there are 64 of them.
    assert!(limit.keys_kept() < 64 * 8, "{}", limit.keys_kept());
    assert!(limit.evicted() > 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_estimates_takes_the_key_of_the_request() {
    let tier = tier("openai", "tier-1");
    let service = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(used(1, 1)) });
    let stack = tier.build().unwrap();
    let limit = stack.handles().rate_limit;
    let client = stack.layer(service);
    let large = tier.model_key("m-large");
    let mut request = ask("m-large", 1);
    request.extensions_mut().insert(large);
    client.clone().oneshot(request).await.unwrap();
    let full = limit.tokens(tier.model_key("m-small"));
    assert!(limit.tokens(large) < full);
    assert_eq!(limit.tokens(PartitionKey::default()), full);
    client.oneshot(ask("m-large", 1)).await.unwrap();
    assert!(limit.tokens(PartitionKey::default()) < full);
}

#[test]
fn what_has_no_effect_is_an_error() {
    let tier = tier("openai", "tier-1");
    assert!(tier.is_per_model());
    let folder = std::env::temp_dir().join(format!("seawall-per-model-{}", std::process::id()));
    let file = QuotaFile::open(&folder).unwrap();
    // One file cannot hold the limits of many models.
    let kept = Limit::daily(10, DailyReset::utc()).persist_in(file);
    let kept = RateLimitConfig::builder().limit(kept).build().unwrap();
    let error = tier.model_stack_with(|stack| stack.rate_limit(kept));
    assert_eq!(error.map(drop).unwrap_err().field(), "persist_in");
}
