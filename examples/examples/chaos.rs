//! A vendor that is made to fail in each way, and what a stack makes of it.
//!
//! ```text
//! cargo run --example chaos
//! ```
//!
//! The faults are injected right around the client, below the stack, in virtual time and by one seed: it
//! prints the same in every run.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall::{Backoff, RateLimitConfig, RetryConfig};
use seawall_chaos::{
    ChaosConfig, ChaosLayer, Delay, Fault, FaultSet, InvalidConfig, StatusResponse,
};
use seawall_http::Routes;
use seawall_http::chaos::HttpFaults;
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

const CALLS: u32 = 100;
const PRICE: &str = r#"{"symbol":"SPY","price":512.25}"#;

/// The faults of each run; none at first.
fn runs() -> Result<Vec<(&'static str, Vec<Fault>)>, InvalidConfig> {
    let ms = Duration::from_millis;
    let slow = Delay::log_normal(ms(200), 1.0)?.at_most(ms(5_000))?;
    let throttled = StatusResponse::new(429)?.header("retry-after", "1")?;
    let broken = StatusResponse::new(503)?;
    Ok(vec![
        ("nothing", vec![]),
        ("slow", vec![Fault::delay(slow).with_intensity(0.3)?]),
        ("hangs", vec![Fault::hang().with_intensity(0.05)?]),
        (
            "refused",
            vec![Fault::refused_connection().with_intensity(0.2)?],
        ),
        ("503", vec![Fault::status(broken).with_intensity(0.2)?]),
        (
            "throttled",
            vec![Fault::status(throttled).with_intensity(0.1)?],
        ),
        ("lost", vec![Fault::lost_response().with_intensity(0.2)?]),
        (
            "broken body",
            vec![Fault::truncated_body().with_intensity(0.2)?],
        ),
        (
            "wrong body",
            vec![Fault::corrupted_body().with_intensity(0.2)?],
        ),
        ("down", vec![Fault::refused_connection()]),
    ])
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:12} {:>8} {:>6} {:>6} {:>7}  {:>7}",
        "", "injected", "good", "bad", "retries", "seconds"
    );
    for (name, faults) in runs()? {
        let retry = RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::constant(Duration::from_millis(100))?);
        // Not what is to be seen here.
        let rate = RateLimitConfig::builder().rate(1_000, Duration::from_secs(1));
        let stack = seawall::market_data("vendor")
            .retry(retry.build()?)
            .rate_limit(rate.build()?)
            .build()?;
        let handles = stack.handles();
        let chaos = ChaosLayer::new("vendor", ChaosConfig::builder().seed(7).build()?)
            .describe(Routes::new())
            .faults(HttpFaults::new());
        let handle = chaos.handle();
        let client = ServiceBuilder::new()
            .layer(stack)
            .layer(chaos)
            .service(service_fn(|_: Request<Full<Bytes>>| async {
                Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(PRICE)))
            }));

        let injection = match faults.is_empty() {
            true => None,
            // They end by themselves, if this program forgets to.
            false => Some(handle.start(FaultSet::new(faults)?.lasts(Duration::from_secs(3600))?)?),
        };
        let started = Instant::now();
        let mut good = 0;
        for _ in 0..CALLS {
            let quote = Request::get("/v1/quotes/SPY").body(Full::default())?;
            if let Ok(response) = client.clone().oneshot(quote).await
                && response.status().is_success()
                && let Ok(body) = response.into_body().collect().await
                && body.to_bytes() == PRICE
            {
                good += 1;
            }
        }
        let took = Instant::now().duration_since(started).as_secs_f64();
        let injected = injection.map_or(0, |injection| injection.stop().injected());
        let (bad, retries) = (CALLS - good, handles.retry.counts().retries);
        println!("{name:12} {injected:>8} {good:>6} {bad:>6} {retries:>7}  {took:>7.1}");
    }
    Ok(())
}
