//! A file that is changed while calls run: more permits without a restart, a mistake that changes
//! nothing, and both reported. `kill -HUP` has it read, too.
//!
//! ```text
//! cargo run --example reload
//! ```

use std::error::Error;
use std::fs;
use std::time::Duration;

use http_body_util::Full;
use seawall::Registry;
use seawall::config::Config;
use seawall::http_client::ReqwestClient;
use seawall::reload::WatchConfig;
use seawall_sim::provider::MarketData;
use tokio::time::timeout;
use tower::{ServiceBuilder, ServiceExt};

fn file(permits: &str) -> String {
    format!(
        "[resilience.quotes]\nprovider = \"alpha-vantage\"\nbulkhead.max_concurrent = {permits}\n"
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("seawall-example-{}.toml", std::process::id()));
    fs::write(&path, file("2"))?;
    let config = Config::loader().file(&path).from_env().load_reloadable()?;
    let registry = Registry::new("desk");
    registry.register(config.clone())?;
    let mut events = registry.events().subscribe();
    let watch = config.watch(WatchConfig::builder().hangup(true).build()?)?;

    let vendor = MarketData::alpha_vantage().start().await?;
    let stack = config.stack("quotes")?;
    let handles = stack.handles();
    let client = ServiceBuilder::new()
        .layer(stack)
        .service(ReqwestClient::build(reqwest::Client::builder())?);
    let quote = vendor.base_url() + "/query?function=GLOBAL_QUOTE&symbol=IBM";
    let request = http::Request::get(quote).body(Full::default())?;
    println!("IBM: {}", client.oneshot(request).await?.status());

    for permits in ["5", "\"many\"", "7"] {
        fs::write(&path, file(permits))?;
        let _ = timeout(Duration::from_secs(20), events.next()).await?;
        let limit = handles.snapshot().bulkhead.limit;
        let wrong = config.status().rejected.map(|rejected| rejected.error);
        let problem = wrong.as_ref().map(|error| &*error.mistakes()[0].problem);
        println!(
            "{permits}: {limit} permits, {}",
            problem.unwrap_or("as the file says")
        );
    }
    println!(
        "calls counted since the start: {}",
        handles.counts().bulkhead.success
    );
    drop(watch);
    fs::remove_file(&path)?;
    Ok(())
}
