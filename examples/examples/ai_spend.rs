//! Tokens and money of an AI API: a limit that is settled by usage, and a budget that says no.
//!
//! ```text
//! cargo run --example ai_spend
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::{Limit, RateLimitConfig, Rejectable, Unit};
use seawall_ai::NoteDeparture;
use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
use seawall_ai::spend::{NoteUnbilledLayer, Price, Prices, SpendBudget, SpendConfig, SpendLayer};
use seawall_sim::provider::AiApi;
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let api = AiApi::open_ai().completion_tokens(40).start().await?;

    let minute = Duration::from_secs(60);
    // 98 % of what the provider allows.
    let limits = RateLimitConfig::builder()
        .limit(Limit::strict(98_000, minute).with_unit(Unit::Tokens))
        .build()?;
    let stack = seawall::ai_api("model")
        .rate_limit(limits)
        .build()?
        .count_tokens(1 << 20)
        .on_departure(NoteDeparture);
    let tokens = stack.handles().rate_limit;

    let estimates = EstimateLayer::new("model", EstimateConfig::default());
    // Dollars per million tokens; three cents a day.
    let prices = Prices::new(Price::per_million("15".parse()?, "75".parse()?)?);
    let config = SpendConfig::builder().per_day("0.03".parse()?).build()?;
    let budget = SpendBudget::new("research", config);

    let mut client = ServiceBuilder::new()
        .layer(SpendLayer::new(prices).budget(budget.clone()))
        .layer(estimates)
        .layer(stack)
        .layer(NoteUnbilledLayer)
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    for question in 1.. {
        let body = json!({
            "model": "gpt-sim", "max_tokens": 200, "stream": true,
            "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "SPY: buy, sell or hold? ".repeat(20) }],
        });
        let request = Request::post(format!("{}/v1/chat/completions", api.base_url()));
        let request = request.body(Full::from(body.to_string()))?;
        let stream = match client.ready().await?.call(request).await {
            Ok(response) => response.into_body(),
            Err(error) => {
                let rejection = error.rejection().ok_or("the provider failed")?;
                println!("question {question}: {rejection}");
                break;
            }
        };
        let reserved = budget.handle().snapshot().reserved;
        let held = 98_000.0 - tokens.tokens();
        stream.collect().await?;
        let day = budget.handle().snapshot().periods[0];
        println!(
            "question {question}: reserved ${reserved} and then spent ${} of ${}; tokens taken: {held}, \
             then {}",
            day.spent,
            day.limit,
            98_000.0 - tokens.tokens(),
        );
    }
    api.shutdown().await;
    Ok(())
}
