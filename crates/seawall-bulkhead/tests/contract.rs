//! The contract of a layer, for a bulkhead that rejects and for one that lets calls wait.

use seawall_bulkhead::{Bulkhead, BulkheadConfig, BulkheadLayer};
use seawall_testkit::contract::{Mock, assert_check, checks, hold_call};
use tower_layer::Layer;

fn layer(permits: u32, waiting: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(waiting)
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

    seawall_testkit::contract_tests! { rejecting => all, rejected_clone_leaves_the_queue }
}

mod waits {
    use super::*;

    seawall_testkit::contract_tests! { waiting => all, dropped_waiter_returns_its_permit }
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

seawall_testkit::contract_tests! { rejecting, hold_call => rejects_in_call, clones_share_state }
seawall_testkit::contract_tests! { two_rejecting, hold_call => services_of_one_layer_share_state }
