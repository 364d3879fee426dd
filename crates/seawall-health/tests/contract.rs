//! The contract of a layer, kept by the observing one.

use seawall_health::{Health, HealthConfig, HealthLayer};
use seawall_testkit::contract::Mock;
use tower::Layer;

fn subject(inner: Mock) -> Health<Mock> {
    HealthLayer::new("contract", HealthConfig::default()).layer(inner)
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
