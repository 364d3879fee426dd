//! A server for `scripts/fuzz_api.sh`: everything that the admin interface shows and controls, and prints
//! where it listens.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use seawall::config::Config;
use seawall::orders::journal::MemoryJournal;
use seawall::orders::switch::KillSwitch;
use seawall::trading::OrderStack;
use seawall::{CheckConfig, Command, HealthMonitor, Registry};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, Role, Tokens};
use seawall_monitor::Monitor;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new("desk");
    seawall::broker("alpaca").build()?.register(&registry)?;
    seawall::market_data("polygon")
        .build()?
        .register(&registry)?;
    let health = HealthMonitor::new("desk");
    health.register("broker", CheckConfig::default(), || async { true })?;
    let text = "[resilience.feed]\nkind = \"market-data\"\n";
    let config = Config::loader()
        .text("seawall.toml", text)
        .load_reloadable()?;
    config.stack("feed")?.register(&registry)?;
    let stack = seawall::provider("alpaca")?.order_stack(MemoryJournal::default())?;
    let stack: OrderStack<Full<Bytes>> = stack.build()?;
    let monitor = Monitor::builder("desk").registry(registry.clone());
    let monitor = monitor.health(health.clone()).build()?;
    let _guard = monitor.start();
    // So that there is an alert.
    if let Some(breaker) = registry.get("breaker", "alpaca") {
        breaker.control(Command::Block)?;
    }
    monitor.sample();
    let tokens = Tokens::new().with(Role::Admin, "fuzz", "fuzz-token-of-the-admin")?;
    let admin = Admin::builder("desk").registry(registry).health(health);
    let admin = admin
        .config(config)
        .monitor(monitor)
        .trading(stack.handles().orders, Some(KillSwitch::in_memory()));
    // A fuzzer asks more often than a person.
    let admin = admin.tokens(tokens).requests_per_second(100_000).build()?;
    let server = AdminServer::bind("127.0.0.1:0", admin).await?;
    println!("{}", server.local_addr());
    std::future::pending().await
}
