//~ `NoPredicate` cannot decide about retries of requests of type `String`
//~ not a retry predicate of this service
//~ a predicate is a `fn(CompletedAttempt<'_, Req, Res, Err>) -> RetryDecision`, a closure of that shape, or a type that implements `RetryPredicate`

use seawall::{RetryConfig, RetryLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoPredicate;

fn main() {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new("a", RetryConfig::default()).retry_if(NoPredicate))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
