//~ not a key function of this service's requests
//~ a key function is a `fn(&Request) -> Cow<'_, Key>`

use seawall::{BreakerConfig, KeyedBreakerLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoKey;

fn main() {
    let keyed: KeyedBreakerLayer<_, str, _> =
        KeyedBreakerLayer::new("a", BreakerConfig::default(), NoKey);
    let client = ServiceBuilder::new()
        .layer(keyed)
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
