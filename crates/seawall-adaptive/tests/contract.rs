//! The contract of a layer, for an adaptive bulkhead that rejects and for one that lets calls wait.

use seawall_adaptive::{AdaptiveBulkheadLayer, AdaptiveConfig, Bulkhead, BulkheadConfig};
use seawall_testkit::contract::{Mock, assert_check, checks, hold_call};
use tower::Layer;

/// One permit, and it stays one.
fn layer(waiting: u32) -> AdaptiveBulkheadLayer {
    let queue = BulkheadConfig::builder().max_waiting(waiting).build();
    let one = AdaptiveConfig::builder().min(1).max(1).build();
    AdaptiveBulkheadLayer::new(
        "subject",
        queue.expect("valid settings"),
        one.expect("valid settings"),
    )
}

fn rejecting(inner: Mock) -> Bulkhead<Mock> {
    layer(0).layer(inner)
}

fn waiting(inner: Mock) -> Bulkhead<Mock> {
    layer(8).layer(inner)
}

fn two_rejecting(a: Mock, b: Mock) -> (Bulkhead<Mock>, Bulkhead<Mock>) {
    let layer = layer(0);
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
    assert_check(checks::never_exceeds_its_limit(|m| layer(100).layer(m), 1).await);
}

seawall_testkit::contract_tests! { rejecting, hold_call => rejects_in_call, clones_share_state }
seawall_testkit::contract_tests! { two_rejecting, hold_call => services_of_one_layer_share_state }
