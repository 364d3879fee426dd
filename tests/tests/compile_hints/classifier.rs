//~ `NoClassifier` does not classify results of type `Result<&u16, &seawall::Error<std::io::Error>>`
//~ not a classifier of this service's results
//~ a classifier is a `fn(Result<&Response, &Error>) -> Outcome`, a closure of that shape, or a type that implements `Classify`
//~ the error type is the one at this layer: above `WrapErrorLayer` it is `seawall_core::Error<E>`

use seawall::{BreakerConfig, BreakerLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoClassifier;

fn main() {
    let client = ServiceBuilder::new()
        .layer(BreakerLayer::new("a", BreakerConfig::default()).classify(NoClassifier))
        .layer(WrapErrorLayer)
        .service(service_fn(async |_: String| Ok::<u16, std::io::Error>(200)));
    let _ = assert_service::<String, _>(client);
}
