//! The layer keeps Tower's contract.

use std::time::Duration;

use seawall_core::{ConstMeta, ErrorIsFailure, InvalidConfig, Replay, RequestMeta};
use seawall_hedge::{Hedge, HedgeConfig, HedgeLayer};
use seawall_testkit::contract::Mock;
use tower::Layer as _;

/// Undescribed requests are not sent twice.
fn subject(inner: Mock) -> Hedge<Mock> {
    HedgeLayer::new("contract", HedgeConfig::default()).layer(inner)
}

seawall_testkit::contract_tests! { subject =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic
}

fn config() -> Result<HedgeConfig, InvalidConfig> {
    let builder = HedgeConfig::builder().delay(Duration::from_millis(1));
    builder.extra_attempts(4).build()
}

mod a_layer_that_hedges {
    use super::*;

    fn subject(inner: Mock) -> Hedge<Mock, ErrorIsFailure, ConstMeta> {
        HedgeLayer::new("contract", config().unwrap_or_default())
            .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
            .layer(inner)
    }

    #[test]
    fn has_the_settings_it_should_have() {
        let delay = subject(seawall_testkit::contract::mock().0);
        assert!(format!("{delay:?}").contains("Fixed(1ms)"), "{delay:?}");
    }

    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance, one_request_needs_one_reservation,
        reserves_once_when_polled_again, dropped_service_releases_its_reservation, dropped_future_releases_everything,
        pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
        clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
        finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
        passes_errors_through, survives_a_panic
    }
}
