//! All parts fit: shows that the others fail for their own reason.

use seawall::{BreakerConfig, BreakerLayer, FailureKind, Outcome, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

fn by_status(result: Result<&u16, &seawall::Error<std::io::Error>>) -> Outcome {
    match result {
        Ok(500..) | Err(_) => Outcome::Failure(FailureKind::Server),
        Ok(_) => Outcome::Success,
    }
}

fn main() {
    let client = ServiceBuilder::new()
        .layer(BreakerLayer::new("a", BreakerConfig::default()).classify(by_status))
        .layer(WrapErrorLayer)
        .service(service_fn(async |_: String| Ok::<u16, std::io::Error>(200)));
    let _ = assert_service::<String, _>(client);
}
