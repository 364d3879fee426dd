//! A breaker and retries around a service with an error enum of its own.

use seawall::{
    BreakerConfig, BreakerLayer, ConstMeta, FailureKind, Outcome, Rejection, RequestMeta,
    RetryConfig, RetryLayer, rejectable,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[derive(Debug)]
enum QuoteError {
    UnknownSymbol,
    Unavailable,
    Rejected(Rejection),
}
rejectable!(QuoteError::Rejected);

async fn quote(symbol: &'static str) -> Result<f64, QuoteError> {
    match symbol {
        "SPY" => Ok(512.25),
        "down" => Err(QuoteError::Unavailable),
        _ => Err(QuoteError::UnknownSymbol),
    }
}

/// An unknown symbol is a mistake of the caller, not a failure of the upstream.
fn classify(result: Result<&f64, &QuoteError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(QuoteError::UnknownSymbol) => Outcome::Ignored,
        Err(_) => Outcome::Failure(FailureKind::Server),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = BreakerConfig::builder().consecutive_failures(4).build()?;
    let breaker = BreakerLayer::new("quotes", config).classify(classify);
    let retry = RetryLayer::new("quotes", RetryConfig::default())
        .classify(classify)
        .describe(ConstMeta(RequestMeta::idempotent()));
    let layers = ServiceBuilder::new().layer(retry).layer(breaker);
    let quotes = layers.service(service_fn(quote));
    for symbol in ["SPY", "none", "down", "down", "SPY"] {
        match quotes.clone().oneshot(symbol).await {
            Ok(price) => println!("{symbol}: {price}"),
            Err(QuoteError::Rejected(rejection)) => println!("{symbol}: {rejection}"),
            Err(error) => println!("{symbol}: {error:?}"),
        }
    }
    Ok(())
}
