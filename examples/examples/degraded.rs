//! Prices and a model's opinion through an outage: the last good price until it is too old, then another
//! vendor's, and HOLD where the model does not answer. Every answer says what it is, and an order gets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use seawall::{
    BreakerConfig, BreakerLayer, ConstMeta, Error, ErrorIsFailure, Policy, RequestMeta,
    WrapErrorLayer,
};
use seawall_fallback::{
    Degraded, FallbackConfig, FallbackLayer, LastGood, LastGoodConfig, MarkInValue, Operation, Step,
};
use tokio::time::{Instant, advance};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Price = Degraded<f64>;
type Failure = Error<&'static str>;

/// A vendor that is down while the flag says so; its price moves by a cent per second.
fn vendor(
    down: &Arc<AtomicBool>,
    base: f64,
) -> impl Service<&'static str, Response = f64, Error = &'static str, Future: Send> + Clone + use<>
{
    let (down, start) = (Arc::clone(down), Instant::now());
    service_fn(move |_symbol: &'static str| {
        let seconds = Instant::now().duration_since(start).as_secs();
        let price = base + 0.01 * seconds as f64;
        let result = if down.load(Relaxed) {
            Err("503 Service Unavailable")
        } else {
            Ok(price)
        };
        async move { result }
    })
}

fn show<T: std::fmt::Display>(at: u64, what: &str, answer: Result<Degraded<T>, Failure>) {
    match answer {
        Ok(answer) => {
            let mark = answer.degradation().map(|mark| format!("  [{mark}]"));
            let line = format!(
                "{at:>3} s  {what:<8} {:<8}{}",
                answer.value(),
                mark.unwrap_or_default()
            );
            println!("{}", line.trim_end());
        }
        Err(error) => println!("{at:>3} s  {what:<8} {error}"),
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (down, up) = (Arc::new(AtomicBool::new(false)), Arc::default());

    // Another vendor has the same prices, a little worse; it is asked when the last price is too old.
    let vendor2 = ServiceBuilder::new()
        .map_response(Degraded::fresh)
        .service(vendor(&up, 99.9));
    let kept = LastGoodConfig::builder().max_age(20 * SECOND).build()?;
    let kept = LastGood::new(kept, |symbol: &&'static str| Some(*symbol));
    let steps = [
        Step::last_good(kept),
        Step::backup("vendor2", vendor2).timeout(SECOND),
    ];
    let fallback = FallbackLayer::new("prices", FallbackConfig::default(), steps)?
        .assume_idempotent()
        .mark(MarkInValue);
    let handle = fallback.handle();
    let config = BreakerConfig::builder()
        .consecutive_failures(2)
        .open_for(10 * SECOND);
    let prices = ServiceBuilder::new()
        .layer(fallback)
        .map_response(Degraded::fresh)
        .layer(BreakerLayer::new("prices", config.build()?))
        .layer(WrapErrorLayer)
        .service(vendor(&down, 100.0));

    // What a model decides is a POST that costs money: never sent twice, and HOLD is always right.
    let decide = Operation::new("decide");
    let hold = Step::value("hold", Degraded::fresh("HOLD")).also_for(decide);
    let opinions = FallbackLayer::new("opinions", FallbackConfig::default(), [hold])?;
    let opinions = opinions.mark(MarkInValue);
    let model_down = Arc::clone(&down);
    let model = service_fn(move |_prompt: &'static str| {
        let down = model_down.load(Relaxed);
        async move {
            if down {
                Err("529 Overloaded")
            } else {
                Ok("BUY")
            }
        }
    });
    let asks = |operation| {
        let meta = RequestMeta::non_idempotent().with_operation(operation);
        let policy: Policy<ErrorIsFailure, ConstMeta> = Policy::new().describe(ConstMeta(meta));
        ServiceBuilder::new()
            .layer(opinions.clone().policy(policy))
            .map_response(Degraded::fresh)
            .layer(WrapErrorLayer)
            .service(model.clone())
    };
    let opinion = asks(decide);
    let order = asks(Operation::new("orders.place"));

    for at in (0..=60).step_by(5) {
        down.store((10..45).contains(&at), Relaxed);
        let price: Result<Price, Failure> = prices.clone().oneshot("SPY").await;
        let price = price.map(|price| price.map(|price| format!("{price:.2}")));
        show(at, "SPY", price);
        if at % 20 == 0 {
            show(at, "opinion", opinion.clone().oneshot("SPY?").await);
            show(at, "order", order.clone().oneshot("buy SPY").await);
        }
        advance(5 * SECOND).await;
    }

    let counts = handle.counts();
    println!("{} of 13 prices were degraded", counts.answered);
    Ok(())
}
