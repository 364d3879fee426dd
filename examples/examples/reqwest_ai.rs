//! A reqwest client of an AI API: the stack in a struct field, 20 tasks, a fallback.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use seawall::HttpService;
use seawall::http_client::ReqwestClient;
use seawall_examples::overloaded_ai_api;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::{BoxError, Layer, ServiceExt};

#[derive(Clone)]
struct Assistant {
    client: HttpService<ReqwestClient>,
    url: String,
}

impl Assistant {
    async fn ask(&self, symbol: u32) -> Result<String, BoxError> {
        let question = format!("Symbol {symbol}: buy, sell or hold?");
        let messages = json!([{ "role": "user", "content": question }]);
        let body = json!({ "model": "gpt-sim", "messages": messages }).to_string();
        let request = Request::post(&self.url).body(Full::<Bytes>::from(body))?;
        let response = self.client.clone().oneshot(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        let completion: Value = serde_json::from_slice(&body)?;
        let text = completion["choices"][0]["message"]["content"].as_str();
        Ok(text.ok_or("no completion")?.to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let api = overloaded_ai_api().await?;
    let stack = seawall::ai::openai("openai").build()?;
    let assistant = Assistant {
        client: stack.layer(ReqwestClient::build(reqwest::Client::builder())?),
        url: api.base_url() + "/v1/chat/completions",
    };
    let mut tasks = JoinSet::new();
    for symbol in 1..=20 {
        let assistant = assistant.clone();
        tasks.spawn(async move { assistant.ask(symbol).await });
    }
    for opinion in tasks.join_all().await {
        let opinion = opinion.unwrap_or_else(|error| format!("HOLD, by fallback: {error}"));
        println!("{opinion}");
    }
    Ok(())
}
