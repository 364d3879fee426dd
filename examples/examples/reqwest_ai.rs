//! A reqwest client of an AI API: the stack in a struct field, 20 tasks, a fallback.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use seawall::catalog::ProviderService;
use seawall::http_client::ReqwestClient;
use seawall_examples::overloaded_ai_api;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::{BoxError, Layer, ServiceExt};

#[derive(Clone)]
struct Assistant {
    client: ProviderService<ReqwestClient>,
    url: String,
}

impl Assistant {
    async fn ask(self, symbol: u32) -> Result<String, BoxError> {
        let question = json!({ "role": "user", "content": format!("Buy or sell {symbol}?") });
        let body = json!({ "model": "gpt-sim", "messages": [question] }).to_string();
        let request = Request::post(&self.url).body(Full::<Bytes>::from(body))?;
        let response = self.client.oneshot(request).await?;
        if !response.status().is_success() {
            return Err(format!("the API responded with {}", response.status()).into());
        }
        let body = response.into_body().collect().await?.to_bytes();
        let completion: Value = serde_json::from_slice(&body)?;
        let text = completion["choices"][0]["message"]["content"].as_str();
        Ok(text.ok_or("no completion")?.to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let api = overloaded_ai_api().await?;
    // Completions may be sent twice: a 429 is waited for, an overloaded API asked again.
    let stack = seawall::provider("openai")?.build()?;
    let assistant = Assistant {
        client: stack.layer(ReqwestClient::build(reqwest::Client::builder())?),
        url: api.base_url() + "/v1/chat/completions",
    };
    let mut tasks = JoinSet::new();
    for symbol in 1..=20 {
        tasks.spawn(assistant.clone().ask(symbol));
    }
    for opinion in tasks.join_all().await {
        let opinion = opinion.unwrap_or_else(|error| format!("HOLD, by fallback: {error}"));
        println!("{opinion}");
    }
    Ok(())
}
