//! A broker that fails: reads are retried, an order is sent once, and an operator opens the circuit.
//!
//! ```text
//! cargo run --example broker
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::{Backoff, BreakerConfig, RetryConfig};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::Broker;
use tower::{Service, ServiceBuilder, ServiceExt};

const BAD_SECONDS: &str = r#"
[[incident]]
provider = "broker"
route = "positions"
from = "0s"
to = "300ms"
fault = "status"
code = 503

[[incident]]
provider = "broker"
route = "orders.create"
from = "0s"
to = "1h"
fault = "reset_after_execute"
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let incidents = Incidents::from_toml(BAD_SECONDS)?;
    let broker = Broker::alpaca().incidents(incidents).start().await?;
    let url = broker.base_url();

    let stack = seawall::provider("alpaca")?
        .builder()?
        .retry(
            RetryConfig::builder()
                .attempts(5)
                .backoff(Backoff::constant(Duration::from_millis(100))?)
                .build()?,
        )
        .breaker(BreakerConfig::builder().consecutive_failures(5).build()?)
        .build()?;
    let handles = stack.handles();
    let mut client = ServiceBuilder::new()
        .layer(stack)
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

    let positions = Request::get(format!("{url}/v2/positions")).body(Full::default())?;
    let answer = client.ready().await?.call(positions).await?;
    println!(
        "positions: {} after {} attempts",
        answer.status(),
        handles.retry.counts().attempts.total()
    );
    drop(answer);

    let order = r#"{"symbol":"SPY","qty":"1","side":"buy","client_order_id":"order-1"}"#;
    let order = Request::post(format!("{url}/v2/orders")).body(Full::from(order))?;
    match client.ready().await?.call(order).await {
        Ok(response) => println!("order: {}", response.status()),
        Err(error) => println!("order: in doubt, not sent again ({error})"),
    }
    println!(
        "the broker executed it {} time(s)",
        broker.executions("order-1")
    );

    handles.breaker.force_open();
    let positions = Request::get(format!("{url}/v2/positions")).body(Full::default())?;
    if let Err(error) = client.ready().await?.call(positions).await {
        let rejection = seawall::find_rejection(&error);
        println!(
            "operator opened the circuit: {}",
            rejection.ok_or("no rejection")?
        );
    }
    broker.shutdown().await;
    Ok(())
}
