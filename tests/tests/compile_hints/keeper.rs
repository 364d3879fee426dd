//~ `NoKeeper` cannot keep responses of type `u16`
//~ not a keeper of this service's responses
//~ `DropResponse` and `KeepWhole` take every response

use seawall::{RetryConfig, RetryLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoKeeper;

fn main() {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new("a", RetryConfig::default()).keep(NoKeeper))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
