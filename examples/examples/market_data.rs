//! A vendor whose throttle is a 200: Seawall stays below the limit, and reads the body.
//!
//! ```text
//! cargo run --example market_data
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::RateLimitConfig;
use seawall_sim::incident::Incidents;
use seawall_sim::provider::{Limit, MarketData};
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

const THROTTLED: &str = r#"
[[incident]]
provider = "market_data"
route = "quotes"
from = "0s"
to = "500ms"
fault = "hidden_throttle"
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let vendor = MarketData::alpha_vantage()
        .limit(Limit::new(5, SECOND)?)
        .incidents(Incidents::from_toml(THROTTLED)?)
        .start()
        .await?;

    // 80 % of the vendor's limit, and no two requests at once.
    let rate = RateLimitConfig::builder()
        .rate(4, SECOND)
        .burst(1)
        .max_wait(10 * SECOND)
        .build()?;
    let stack = seawall::provider("alpha-vantage")?
        .builder()?
        .rate_limit(rate)
        .build()?;
    let handles = stack.handles();
    let mut client = ServiceBuilder::new()
        .layer(stack)
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

    for symbol in ["IBM", "AAPL", "MSFT", "NVDA", "TSLA", "AMZN"] {
        let path = format!("/query?function=GLOBAL_QUOTE&symbol={symbol}");
        let request = Request::get(vendor.base_url() + &path).body(Full::default())?;
        let answer = client.ready().await?.call(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        let quote: serde_json::Value = serde_json::from_slice(&body)?;
        println!("{symbol}: {}", quote["Global Quote"]["05. price"]);
    }

    let stats = vendor.stats();
    println!(
        "{} requests ({} retries), {} hidden throttles, {} violations of the limit",
        stats.received,
        handles.retry.counts().retries,
        stats.throttled,
        stats.violations,
    );
    vendor.shutdown().await;
    Ok(())
}
