//! An async database function behind retries, a breaker and a timeout, without a Tower service.

use std::time::Duration;

use seawall::{
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, LayerExt, RetryConfig,
    RetryLayer,
};

struct Database;

impl Database {
    async fn query(&self, sql: &str) -> Result<Vec<&'static str>, std::io::Error> {
        match sql {
            "select symbol from watchlist" => Ok(vec!["SPY", "QQQ"]),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let timeout = AttemptTimeoutConfig::fixed(Duration::from_millis(50))?;
    let guard = (
        RetryLayer::new("database", RetryConfig::default()).assume_idempotent(),
        BreakerLayer::new("database", BreakerConfig::default()),
        AttemptTimeoutLayer::new("database", timeout),
    );
    let database = Database;
    let symbols = guard
        .run(|| database.query("select symbol from watchlist"))
        .await?;
    println!("{symbols:?}");
    match guard.run(|| database.query("select pg_sleep(3600)")).await {
        Ok(rows) => println!("{rows:?}"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
