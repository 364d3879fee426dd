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

mod answered {
    use super::*;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        let layer = GrpcRejectionLayer::new(Identity::new());
        let number = Response::into_body as fn(Response<u32>) -> u32;
        MapResponse::new(layer.layer(upstream(inner)), number)
    }

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
        asks_again_before_claiming_ready,
        finished_future_holds_nothing,
        finished_future_has_dropped_the_inner_future,
        idle_ready_clone_blocks_nobody,
        passes_errors_through,
        survives_a_panic,
    }
}

mod lifted {
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
        asks_again_before_claiming_ready,
        idle_ready_clone_blocks_nobody,
        survives_a_panic,
    }
}
