//~ Classify<u16, seawall::Error<std::io::Error>>

use seawall::{BreakerConfig, BreakerLayer, Outcome, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

// Of the client's error, not of the one at this layer.
fn by_status(result: Result<&u16, &std::io::Error>) -> Outcome {
    result.map_or(Outcome::Unknown, |_| Outcome::Success)
}

fn main() {
    let client = ServiceBuilder::new()
        .layer(BreakerLayer::new("a", BreakerConfig::default()).classify(by_status))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
