//~ cannot copy requests of type `Order`
//~ not a copier of this service's requests
//~ the default copier needs `Order: Clone`; for other requests set one with `.copy(..)`: a `fn(&Request) -> Option<Request>` or a type that implements `CopyRequest`

use seawall::{RetryConfig, RetryLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

struct Order;

fn main() {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new("a", RetryConfig::default()))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: Order| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<Order, _>(client);
}
