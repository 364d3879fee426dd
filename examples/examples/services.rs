//! Services from a file: their stacks are of one type, and a map stores them.
//!
//! ```text
//! cargo run --example services
//! SEAWALL__QUOTES__RETRY__ATTEMPTS=1 cargo run --example services
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use http_body_util::Full;
use seawall::catalog::ProviderStack;
use seawall::config::Config;
use seawall::http_client::ReqwestClient;
use seawall_sim::provider::MarketData;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/seawall.toml");
    let config = Config::load(file)?;
    let mut stacks: BTreeMap<String, ProviderStack> = BTreeMap::new();
    for service in config.services() {
        let base = service.provider().unwrap_or(service.kind().as_str());
        let attempts = service.settings().retry.attempts();
        println!("{}: {base}, {attempts} attempts", service.name());
        stacks.insert(service.name().to_owned(), service.build()?);
    }

    let vendor = MarketData::alpha_vantage().start().await?;
    let stack = stacks.remove("quotes").ok_or("the file has it")?;
    let client = ServiceBuilder::new()
        .layer(stack)
        .service(ReqwestClient::build(reqwest::Client::builder())?);
    let quote = vendor.base_url() + "/query?function=GLOBAL_QUOTE&symbol=IBM";
    let request = http::Request::get(quote).body(Full::default())?;
    println!("IBM: {}", client.oneshot(request).await?.status());
    Ok(())
}
