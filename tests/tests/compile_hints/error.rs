//~ `std::io::Error` cannot carry a rejection of a Seawall layer
//~ the error of this service is not `Rejectable`
//~ put `seawall_core::WrapErrorLayer` at the bottom of the stack: the error becomes `seawall_core::Error<std::io::Error>`
//~ or give your own enum a variant for it: `seawall_core::rejectable!(MyError::Rejected)`
//~ in an axum router put the layers into `seawall_http::RejectionResponseLayer::new(..)`
//~ around a tonic channel use `seawall_grpc::WrapStatusLayer`, in a tonic server `seawall_grpc::GrpcRejectionLayer`

use seawall::{BreakerConfig, BreakerLayer, assert_service};
use tower::{ServiceBuilder, service_fn};

fn main() {
    let client = ServiceBuilder::new()
        .layer(BreakerLayer::new("a", BreakerConfig::default()))
        .service(service_fn(|_: String| {
            std::future::ready(Ok::<u16, std::io::Error>(200))
        }));
    let _ = assert_service::<String, _>(client);
}
