//~ a `GrpcClassifier` needs a `GrpcError`: put `seawall_grpc::WrapStatusLayer` right around the channel

use seawall::{BreakerConfig, BreakerLayer, WrapErrorLayer, assert_service};
use seawall_grpc::GrpcClassifier;
use tower::{ServiceBuilder, service_fn};

struct Broken;

type Response = http::Response<String>;

fn main() {
    let classified =
        BreakerLayer::new("a", BreakerConfig::default()).classify(GrpcClassifier::default());
    let client = ServiceBuilder::new()
        .layer(classified)
        .layer(WrapErrorLayer)
        .service(service_fn(|_: String| {
            std::future::ready(Err::<Response, _>(Broken))
        }));
    let _ = assert_service::<String, _>(client);
}
