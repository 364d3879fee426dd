//! The laws of a Tower layer, for a bulkhead that rejects and for one that lets calls wait.

use std::time::Duration;

use seawall_bulkhead::{Bulkhead, BulkheadConfig, BulkheadLayer};
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks, occupy};
use tower_layer::Layer;

fn layer(places: u32, waiting: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(places)
        .max_waiting(waiting)
        .max_wait(Duration::from_secs(30))
        .build()
        .expect("valid settings");
    BulkheadLayer::new("subject", config)
}

fn rejecting(inner: Mock) -> Bulkhead<Mock> {
    layer(1, 0).layer(inner)
}

fn waiting(inner: Mock) -> Bulkhead<Mock> {
    layer(1, 8).layer(inner)
}

fn two_rejecting(a: Mock, b: Mock) -> (Bulkhead<Mock>, Bulkhead<Mock>) {
    let layer = layer(1, 0);
    (layer.layer(a), layer.clone().layer(b))
}

fn two_waiting(a: Mock, b: Mock) -> (Bulkhead<Mock>, Bulkhead<Mock>) {
    let layer = layer(1, 8);
    (layer.layer(a), layer.clone().layer(b))
}

mod rejects {
    use super::*;

    seawall_testkit::contract_tests! { rejecting =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic, rejected_clone_keeps_no_place }
}

mod waits {
    use super::*;

    seawall_testkit::contract_tests! { waiting =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic, dropped_waiter_gives_its_place_back }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_exact() {
    assert_check(checks::never_exceeds_its_limit(|m| layer(3, 0).layer(m), 3).await);
    assert_check(checks::never_exceeds_its_limit(|m| layer(3, 100).layer(m), 3).await);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_kept_for_a_dead_inner_service() {
    assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two_rejecting).await);
    assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two_waiting).await);
}

#[tokio::test(start_paused = true)]
async fn rejections_are_errors_of_call() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::rejects_in_call(rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_one_bulkhead() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::two_services_of_one_layer_share(two_rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_bulkhead() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::clones_share(rejecting, saturate).await);
}
