//~ `NoDescriber` does not describe requests of type `String`
//~ not a describer of this service's requests
//~ a describer is a `fn(&Request) -> RequestMeta`, a closure of that shape, `ConstMeta`, or a type that implements `Describe`

use seawall::{RetryConfig, RetryLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct NoDescriber;

fn main() {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new("a", RetryConfig::default()).describe(NoDescriber))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
