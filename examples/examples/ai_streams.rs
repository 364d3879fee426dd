//! Streams of a model that fail: before the first word the caller sees nothing of it, and after it an
//! error, never a clean end.
//!
//! ```text
//! cargo run --example ai_streams
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall_ai::ErrorTable;
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::AiApi;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};

/// A 200, and then an event that says that there are too many requests.
const THROTTLED: &str = r#"
[[incident]]
provider = "ai_api"
from = "0s"
to = "200ms"
fault = "hidden_throttle"
"#;

/// The connection ends in the middle, as if that were all.
const CUT_OFF: &str = r#"
[[incident]]
provider = "ai_api"
from = "0s"
to = "1h"
fault = "truncate_body"
share = 0.5
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for (name, incident) in [("throttled", THROTTLED), ("cut off", CUT_OFF)] {
        let api = AiApi::open_ai()
            .incidents(Incidents::from_toml(incident)?)
            .start()
            .await?;

        let streams = StreamConfig::builder()
            .errors(ErrorTable::openai())
            .first_content(Duration::from_secs(30))
            .between_contents(Duration::from_secs(10))
            .build()?;
        let stack = seawall::provider("openai")?.build()?;
        let handles = stack.handles();
        let client = ServiceBuilder::new()
            .layer(stack.inspect(ErrorTable::openai()))
            .layer(StreamLayer::new("openai", streams))
            .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

        let messages = json!([{ "role": "user", "content": "SPY: buy, sell or hold?" }]);
        let body = json!({ "model": "gpt-sim", "stream": true, "messages": messages });
        let request = Request::post(format!("{}/v1/chat/completions", api.base_url()));
        let request = request.body(Full::from(body.to_string()))?;
        let mut stream = client.oneshot(request).await?.into_body();
        let mut events = 0;
        let ended = loop {
            match stream.frame().await {
                Some(Ok(_)) => events += 1,
                Some(Err(error)) => break error.to_string(),
                None => break "ended well".to_owned(),
            }
        };
        let attempts = handles.retry.counts().attempts.total();
        println!("{name}: {attempts} attempts, {events} pieces: {ended}");
        api.shutdown().await;
    }
    Ok(())
}
