//! An overloaded AI API: a complete response, and a stream that holds its permit until its end.
//!
//! ```text
//! cargo run --example ai_api
//! ```

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall_sim::incident::Incidents;
use seawall_sim::provider::AiApi;
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, ServiceExt};

const OVERLOADED: &str = r#"
[[incident]]
provider = "ai_api"
from = "0s"
to = "200ms"
fault = "throttle"
retry_after = "1s"
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let api = AiApi::open_ai()
        .incidents(Incidents::from_toml(OVERLOADED)?)
        .stream_pace(Duration::from_millis(30))
        .start()
        .await?;

    // This stack reads no bodies. `model_stack` and `model_client` do, and find the model there; here a
    // request brings the key of its limits along, or else all models have the limits of one.
    let tier = seawall::provider("openai")?.default_tier()?;
    let model = tier.model_key("gpt-sim");
    let stack = tier.build()?;
    let handles = stack.handles();
    let mut client = ServiceBuilder::new()
        .layer(stack)
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let ask = |stream: bool| {
        let messages = json!([{ "role": "user", "content": "SPY: buy, sell or hold?" }]);
        let body = json!({ "model": "gpt-sim", "stream": stream, "messages": messages });
        let request = Request::post(format!("{}/v1/chat/completions", api.base_url()));
        request.extension(model).body(Full::from(body.to_string()))
    };

    let response = client.ready().await?.call(ask(false)?).await?;
    let completion: Value =
        serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    println!("{}", completion["choices"][0]["message"]["content"]);
    println!(
        "(after {} attempts)",
        handles.retry.counts().attempts.total()
    );

    let mut stream = client.ready().await?.call(ask(true)?).await?.into_body();
    println!(
        "(streaming, permits in use: {})",
        handles.bulkhead.in_flight()
    );
    let mut events = String::new();
    while let Some(frame) = stream.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        events.push_str(std::str::from_utf8(&data)?);
        // An event ends with an empty line; after it may come a part of the next.
        while let Some(end) = events.find("\n\n") {
            let event: String = events.drain(..end + 2).collect();
            let Ok(event) = serde_json::from_str::<Value>(event.trim_start_matches("data: "))
            else {
                continue; // [DONE]
            };
            let word = event["choices"][0]["delta"]["content"].as_str();
            print!("{}", word.unwrap_or_default());
            std::io::stdout().flush()?;
        }
    }
    println!(
        "\n(ended, permits in use: {})",
        handles.bulkhead.in_flight()
    );
    api.shutdown().await;
    Ok(())
}
