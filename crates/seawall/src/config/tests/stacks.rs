//! What a configured stack does.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::catalog::{Catalog, ProviderService, ProviderStack};

type Body = Full<Bytes>;

fn stack(text: &str) -> ProviderStack {
    let config = ok(&format!("[resilience.a]\n{text}"));
    config.service("a").expect("there").build().expect("valid")
}

fn get() -> Request<Body> {
    Request::get("/").body(Body::default()).expect("valid")
}

fn answer(status: u16) -> Result<Response<Body>, Infallible> {
    let response = Response::builder().status(status).body(Body::default());
    Ok(response.expect("valid"))
}

/// How many of `calls` get a response, and how many attempts arrive.
async fn calls(text: &str, status: u16, calls: u32) -> (u32, u32) {
    let attempts = Arc::new(AtomicU32::new(0));
    let arrived = Arc::clone(&attempts);
    let client = service_fn(move |_: Request<Body>| {
        arrived.fetch_add(1, Ordering::Relaxed);
        std::future::ready(answer(status))
    });
    let service = stack(text).layer(client);
    let mut answered = 0;
    for _ in 0..calls {
        answered += u32::from(service.clone().oneshot(get()).await.is_ok());
    }
    (answered, attempts.load(Ordering::Relaxed))
}

#[test]
fn every_kind_and_every_tier_makes_a_stack_of_one_type() {
    fn nameable<S>(_: ProviderService<S>)
    where
        ProviderStack: Layer<S>,
    {
    }
    let mut stacks: Vec<ProviderStack> = Vec::new();
    for kind in ServiceKind::NAMES {
        stacks.push(stack(&format!("kind = {kind:?}")));
    }
    for provider in Catalog::embedded().expect("valid").providers() {
        for tier in provider.tiers() {
            let (provider, tier) = (provider.name(), tier.name());
            stacks.push(stack(&format!("provider = {provider:?}\ntier = {tier:?}")));
        }
    }
    assert!(stacks.len() > 25);
    assert!(stacks.iter().all(|stack| stack.name().as_str() == "a"));
    let client = service_fn(|_: Request<Body>| std::future::ready(answer(200)));
    for stack in stacks {
        nameable(stack.layer(client));
    }
}

#[test]
fn a_stack_has_the_settings_of_the_file() {
    let config =
        ok("[resilience.a]\nkind = \"broker\"\nretry.attempts = 2\nbreaker.shadow = true\n");
    let service = config.service("a").expect("there");
    let handles = service.build().expect("valid").handles();
    assert_eq!(handles.settings(), *service.settings());
}

#[tokio::test(start_paused = true)]
async fn a_longest_wait_holds_for_the_classifier_and_for_the_layers() {
    for base in ["kind = \"news\"", "provider = \"alpaca\""] {
        let text = format!("[resilience.a]\n{base}\nlongest_wait = \"2h\"\n");
        let config = ok(&text);
        let service = config.service("a").expect("there");
        let hours = 7_200 * SECOND;
        assert_eq!(service.settings().rate_limit.max_pause(), hours);
        let stack = service.build().expect("valid");
        let handles = stack.handles();
        assert_eq!(handles.settings(), *service.settings());
        let client = service_fn(|_: Request<Body>| async {
            let response = Response::builder()
                .status(429)
                .header("retry-after", "7000");
            Ok::<_, Infallible>(response.body(Body::default()).expect("valid"))
        });
        let response = stack
            .layer(client)
            .oneshot(get())
            .await
            .expect("the response");
        assert_eq!(response.status(), 429);
        let paused = handles.snapshot().rate_limit.resumes_in;
        assert!(
            paused.is_some_and(|left| left > 6_900 * SECOND),
            "{paused:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_is_off_or_in_shadow_mode_lets_calls_pass() {
    let limit = "rate_limit = { rate = \"1/h\", burst = 1, max_wait = \"0s\"";
    let plain = |more: &str| format!("{limit}{more} }}");
    assert_eq!(calls(&plain(""), 200, 3).await.0, 1);
    assert_eq!(calls(&plain(", enabled = false"), 200, 3).await.0, 3);
    assert_eq!(calls(&plain(", shadow = true"), 200, 3).await.0, 3);
    // With limits of classes of routes beside it.
    let kraken = |more: &str| format!("provider = \"kraken\"\n{limit}{more} }}");
    assert_eq!(calls(&kraken(", enabled = false"), 200, 3).await.0, 3);
    assert_eq!(calls(&kraken(", shadow = true"), 200, 3).await.0, 3);
    // Of each model; these calls name none.
    let openai = |more: &str| {
        let limit = limit.replace("}", "");
        format!("provider = \"openai\"\n{limit}{more} }}")
    };
    assert_eq!(calls(&openai(""), 200, 3).await.0, 1);
    assert_eq!(calls(&openai(", enabled = false"), 200, 3).await.0, 3);
    assert_eq!(calls(&openai(", shadow = true"), 200, 3).await.0, 3);
}

#[tokio::test(start_paused = true)]
async fn a_higher_rate_than_that_of_the_tier_applies_to_unclassed_calls() {
    let text = "provider = \"alpha-vantage\"\nrate_limit = { rate = \"900/s\", burst = 50, quotas = [\"1000/day\"], max_wait = \"0s\" }";
    assert_eq!(calls(text, 200, 50).await, (50, 50));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_off_or_in_shadow_mode_lets_calls_pass() {
    let text = |more: &str| {
        format!("retry.enabled = false\nbreaker = {{ consecutive_failures = 1{more} }}")
    };
    assert_eq!(calls(&text(""), 503, 3).await, (1, 1));
    assert_eq!(calls(&text(", enabled = false"), 503, 3).await, (3, 3));
    assert_eq!(calls(&text(", shadow = true"), 503, 3).await, (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_off_makes_one_attempt() {
    assert_eq!(calls("retry.attempts = 2", 503, 1).await.1, 2);
    let off = "retry = { attempts = 2, enabled = false }";
    assert_eq!(calls(off, 503, 1).await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_that_is_off_or_in_shadow_mode_lets_calls_pass() {
    for (more, passes) in [
        ("", false),
        (", enabled = false", true),
        (", shadow = true", true),
    ] {
        let text = format!("bulkhead = {{ max_concurrent = 1, max_waiting = 0{more} }}");
        let client = service_fn(|_: Request<Body>| async {
            sleep(SECOND).await;
            answer(200)
        });
        let service = stack(&text).layer(client);
        let (first, second) = tokio::join!(
            service.clone().oneshot(get()),
            service.clone().oneshot(get()),
        );
        assert!(first.is_ok());
        assert_eq!(second.is_ok(), passes, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn timeouts_that_are_off_end_no_call() {
    for (text, ends) in [
        ("", true),
        ("deadline = false", true),
        ("attempt_timeout = false", true),
        ("deadline = false\nattempt_timeout = false", false),
    ] {
        let client = service_fn(|_: Request<Body>| async {
            sleep(3_600 * SECOND).await;
            answer(200)
        });
        let mut service = stack(&format!("{text}\nretry.enabled = false")).layer(client);
        let called = service.ready().await.expect("ready").call(get()).await;
        assert_eq!(called.is_err(), ends, "{text}");
    }
}

#[test]
fn a_body_timeout_that_is_off_is_bypassed() {
    use crate::InstanceHandle as _;
    let state = |text: &str| stack(text).handles().protocol.body_timeout.state();
    assert_ne!(state("body_timeout.enabled = false"), state(""));
}

#[test]
fn a_layer_that_is_off_constrains_no_other() {
    for text in [
        "attempt_timeout = false\ndeadline = \"1s\"",
        "deadline = false\nattempt_timeout = \"5m\"",
        "deadline = false\nretry.overall_timeout = \"5m\"",
        "retry.enabled = false\nretry.overall_timeout = \"5m\"",
        "provider = \"kraken\"\nbulkhead = { enabled = false, max_concurrent = 1 }",
        "provider = \"kraken\"\nbulkhead.max_concurrent = 1\nrate_limit.enabled = false",
    ] {
        let handles = stack(text).handles();
        // What stands behind it fits, so that it can be given back.
        let settings = handles.settings();
        assert_eq!(handles.configure(&settings), Ok(()), "{text}");
    }
    let config = ok("[resilience.a]\nattempt_timeout = false\ndeadline = \"1s\"\n");
    assert_eq!(effective(&config, "a", "attempt_timeout").0, "false");
    let settings = config.service("a").expect("there").settings().clone();
    assert_eq!(settings.attempt_timeout.timeout(), SECOND * 9 / 10);
}
