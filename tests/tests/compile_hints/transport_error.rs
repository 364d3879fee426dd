//~ `HttpClassifier` does not classify results of type `Result<&http::Response<String>, &seawall::Error<Broken>>`
//~ an `HttpClassifier` needs `seawall_http::TransportError` of the client's error, or a function for it: `HttpClassifier::with_errors(..)`

use seawall::http_client::HttpClassifier;
use seawall::{BreakerConfig, BreakerLayer, WrapErrorLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

struct Broken;

type Response = http::Response<String>;

fn main() {
    let classified =
        BreakerLayer::new("a", BreakerConfig::default()).classify(HttpClassifier::new());
    let client = ServiceBuilder::new()
        .layer(classified)
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Err::<Response, _>(Broken))
        }));
    let _ = assert_service::<String, _>(client);
}
