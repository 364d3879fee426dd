//! Clients over routes, against a provider that fails now and then, over sockets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use seawall::ai::route::{Model, RouteRecorder, Router, RouterConfig};
use seawall::client::ClientError;
use seawall::model::{ModelClient, RoutedClient};
use seawall::{Backoff, ConstMeta, RequestMeta, RetryConfig};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::{AiApi, Handle};
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";
const CALLS: usize = 30;

fn client(name: &'static str, url: &str, attempts: u32) -> ModelClient {
    let backoff = Backoff::constant(Duration::from_millis(1)).unwrap();
    let retry = RetryConfig::builder().attempts(attempts).backoff(backoff);
    let retry = retry.build().unwrap();
    let tier = seawall::openai().unwrap().tier("tier-5").unwrap();
    let client = tier
        .named(name)
        .model_client_with(|stack| stack.retry(retry));
    let client = client.unwrap().base_url(url);
    client
        .header("authorization", "Bearer key")
        .build()
        .unwrap()
}

/// A provider of which a fifth of the calls fail like that.
async fn faulty(fault: &str) -> Handle {
    let incidents = format!(
        "[[incident]]\nprovider = \"ai_api\"\nfrom = \"0s\"\nto = \"1h\"\nprobability = 0.2\n{fault}\n"
    );
    let incidents = Incidents::from_toml(&incidents).unwrap();
    let api = AiApi::open_ai().unlimited().incidents(incidents);
    api.start().await.unwrap()
}

/// How many of the calls succeed.
macro_rules! successes {
    ($client:expr) => {{
        let ask = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hello"}]});
        let (client, mut succeeded) = ($client, 0);
        for _ in 0..CALLS {
            let response: Result<_, ClientError> = client.post(CHAT).json(&ask).send().await;
            if let Ok(response) = response
                && response.status() == 200
                && response.bytes().await.is_ok()
            {
                succeeded += 1;
            }
        }
        succeeded
    }};
}

const FAULTS: [&str; 3] = [
    "fault = \"status\"\ncode = 500",
    "fault = \"status\"\ncode = 502",
    "fault = \"reset_before_read\"",
];

#[tokio::test]
async fn routes_are_as_reliable_as_a_client_with_a_retry() {
    for fault in FAULTS {
        let api = faulty(fault).await;
        let plain = successes!(client("plain", &api.base_url(), 3));

        let api = faulty(fault).await;
        let key = |name| client(name, &api.base_url(), 1).deployment(name);
        let large = Model::new("large")
            .deployment(key("key-1"))
            .deployment(key("key-2"));
        let small = Model::new("small").deployment(key("key-3").model("gpt-5-mini"));
        let router = Router::builder("assistant", large)
            .fallback(small)
            .describe(ConstMeta(RequestMeta::idempotent()))
            .build()
            .unwrap();
        let several = successes!(RoutedClient::new(router).unwrap());
        // The same faults, in the same order.
        assert!(
            several >= plain,
            "{fault}: {several} of several, {plain} without routes"
        );
        assert!(plain > CALLS * 9 / 10, "{fault}: {plain}");
    }
}

#[tokio::test]
async fn one_key_is_as_reliable_as_a_client_with_a_retry() {
    let api = faulty(FAULTS[0]).await;
    let plain = successes!(client("plain", &api.base_url(), 3));
    let api = faulty(FAULTS[0]).await;
    let one = client("key-1", &api.base_url(), 1).deployment("key-1");
    let router = Router::builder("assistant", Model::new("large").deployment(one))
        .describe(ConstMeta(RequestMeta::idempotent()))
        .build()
        .unwrap();
    let alone = successes!(RoutedClient::new(router).unwrap());
    assert!(alone >= plain, "{alone} by a router, {plain} without");
}

#[tokio::test]
async fn a_recorder_in_the_request_sees_the_attempts_of_an_error() {
    let config = RouterConfig::builder().max_attempts(1).build().unwrap();
    let one = client("key-1", "http://127.0.0.1:1", 1).deployment("key-1");
    let router = Router::builder("assistant", Model::new("large").deployment(one))
        .config(config)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .build()
        .unwrap();
    let client = RoutedClient::new(router).unwrap();
    let recorder = RouteRecorder::new();
    let call = client.post(CHAT).json(&json!({"model": "gpt-5"}));
    assert!(call.extension(recorder.clone()).send().await.is_err());
    // Nothing was sent, and so it was asked again after a moment, up to three times.
    assert_eq!(recorder.trace().attempts().len(), 3);
}
