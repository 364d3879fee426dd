//! The contract of a layer, kept by the two that this crate has.

use http::Response;
use seawall_grpc::{GrpcRejectionLayer, WrapStatus, WrapStatusLayer};
use seawall_testkit::contract::Mock;
use tower::layer::util::Identity;
use tower::util::{MapErr, MapResponse};
use tower::{BoxError, Layer, Service};

type Upstream = MapResponse<Mock, fn(u32) -> Response<u32>>;

fn upstream(inner: Mock) -> Upstream {
    MapResponse::new(inner, Response::new)
}

mod rejection {
    use super::*;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        let layer = GrpcRejectionLayer::new(Identity::new());
        let number = Response::into_body as fn(Response<u32>) -> u32;
        MapResponse::new(layer.layer(upstream(inner)), number)
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod wrapped {
    use super::*;

    fn subject(inner: Mock) -> MapErr<WrapStatus<Mock>, fn(seawall_grpc::GrpcError) -> BoxError> {
        MapErr::new(WrapStatusLayer.layer(inner), |error| Box::new(error))
    }

    // It changes the error on purpose, and its future is one that the caller drops.
    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance,
        one_request_needs_one_reservation,
        reserves_once_when_polled_again,
        dropped_service_releases_its_reservation,
        dropped_future_releases_everything,
        pending_has_registered_the_waker,
        call_does_not_poll_readiness,
        spawns_no_task,
        clone_resets_readiness,
        polls_inner_again_before_ready,
        idle_ready_clone_blocks_no_other,
        survives_a_panic,
    }
}
