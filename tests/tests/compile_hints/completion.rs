//~ `NoCompletion` cannot track the completion of responses of type `u16`
//~ not a completion of this service's responses
//~ `CompleteOnResponse` takes every response; `CompleteOnBodyEnd` of `seawall-http` takes `http::Response<B>`

use seawall::{BulkheadConfig, BulkheadLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoCompletion;

fn main() {
    let client = ServiceBuilder::new()
        .layer(BulkheadLayer::new("a", BulkheadConfig::default()).track_completion(NoCompletion))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
