//! Two keys of one model that share the calls, and another model to fall back to while their provider is
//! overloaded.
//!
//! ```text
//! cargo run --example ai_routes
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall::ai::route::{Deployment, Model, RouteTrace, Router};
use seawall::{ConstMeta, HttpService, RateLimitConfig, RequestMeta, RetryConfig};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::{AiApi, Handle, Limit};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

type Body = Full<Bytes>;
type Stack = HttpService<Client<HttpConnector, Body>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// Half a second after the start the provider of both keys has no capacity.
const OVERLOADED: &str = r#"
[[incident]]
provider = "ai_api"
from = "500ms"
to = "1h"
fault = "status"
code = 503
"#;

/// A key, with a stack that knows its limit and leaves further attempts to the router.
fn key(
    name: &str,
    provider: &str,
    api: &Handle,
) -> Result<Deployment<Stack, Body>, Box<dyn Error>> {
    let stack = seawall::ai_api(name)
        .retry(RetryConfig::builder().attempts(1).build()?)
        .rate_limit(RateLimitConfig::builder().rate(4, HOUR).burst(4).build()?)
        .build()?;
    let handles = stack.handles();
    let client = stack.layer(Client::builder(TokioExecutor::new()).build_http());
    let url = api.base_url();
    Ok(Deployment::new(name, provider, client)
        .headroom(handles)
        .prepare(move |request: &mut Request<Body>| {
            if let Ok(address) = format!("{url}{}", request.uri().path()).parse() {
                *request.uri_mut() = address;
            }
        }))
}

fn ask() -> Result<Request<Body>, http::Error> {
    let messages = json!([{ "role": "user", "content": "SPY: buy, sell or hold?" }]);
    let body = json!({ "model": "large", "messages": messages }).to_string();
    Request::post("/v1/chat/completions").body(Body::from(body))
}

/// Which model has answered, and what was tried before.
async fn shown<B>(response: Response<B>) -> Result<String, Box<dyn Error>>
where
    B: BodyExt<Data = Bytes, Error: Error + 'static>,
{
    let trace = response.extensions().get::<RouteTrace>().cloned();
    let trace = trace.unwrap_or_default();
    let tried = trace.attempts().iter().map(|one| one.deployment.as_str());
    let tried: Vec<_> = tried.collect();
    let body = response.into_body().collect().await?.to_bytes();
    let completion: Value = serde_json::from_slice(&body)?;
    let model = completion["model"].as_str().unwrap_or("none").to_owned();
    Ok(match tried.is_empty() {
        true => model,
        false => format!("{model} (tried {})", tried.join(", ")),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let limit = Limit::new(4, HOUR)?;
    let incidents = Incidents::from_toml(OVERLOADED)?;
    let one = AiApi::open_ai()
        .limit(limit)
        .incidents(incidents.clone())
        .start()
        .await?;
    let two = AiApi::open_ai()
        .limit(limit)
        .incidents(incidents)
        .start()
        .await?;
    let other = AiApi::open_ai().start().await?;

    let large = Model::new("large")
        .deployment(key("key-1", "alpha", &one)?)
        .deployment(key("key-2", "alpha", &two)?);
    let small = Model::new("small").deployment(key("key-3", "beta", &other)?.model("small"));
    let router = Router::builder("assistant", large)
        .fallback(small)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .build()?;

    for _ in 0..6 {
        println!("{}", shown(router.clone().oneshot(ask()?).await?).await?);
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    println!("the provider of both keys is overloaded:");
    for _ in 0..3 {
        println!("{}", shown(router.clone().oneshot(ask()?).await?).await?);
    }
    for deployment in router.handle().snapshot().deployments {
        let counts = deployment.counts;
        println!(
            "{}: {} answered, {} overloaded",
            deployment.name, counts.success, counts.overload
        );
    }
    let violations = one.stats().violations + two.stats().violations;
    println!("{violations} requests over a limit");
    Ok(())
}
