//! The contract of a layer, law by law, for the breaker, for its gate, and for both around a
//! service.

use std::time::Duration;

use seawall_breaker::{Breaker, BreakerConfig, BreakerLayer, Gate};
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks, fail_calls};
use tower_layer::Layer;

fn layer() -> BreakerLayer {
    let config = BreakerConfig::builder()
        .consecutive_failures(5)
        .open_for(Duration::from_secs(10))
        .build()
        .expect("valid");
    BreakerLayer::new("contract", config)
}

type Both = Gate<Breaker<Mock>>;

fn both(layer: &BreakerLayer, inner: Mock) -> Both {
    layer.gate().layer(layer.layer(inner))
}

async fn trip<S>(subject: &mut S, mock: &MockHandle)
where
    S: tower_service::Service<u32, Response = u32, Error = seawall_testkit::contract::BoxError>,
{
    fail_calls(subject, mock, 5).await;
}

mod breaker {
    use super::*;

    fn subject(inner: Mock) -> Breaker<Mock> {
        layer().layer(inner)
    }

    fn two(a: Mock, b: Mock) -> (Breaker<Mock>, Breaker<Mock>) {
        let layer = layer();
        let copy = layer.clone();
        (layer.layer(a), copy.layer(b))
    }

    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance,
        one_request_needs_one_reservation,
        reserves_once_when_polled_again,
        call_does_not_poll_readiness,
        spawns_no_task,
        asks_again_before_claiming_ready,
        passes_errors_through,
        finished_future_has_dropped_the_inner_future,
        pending_has_registered_the_waker,
        dropped_service_releases_its_reservation,
        dropped_future_releases_everything,
        clone_resets_readiness,
        finished_future_holds_nothing,
        idle_ready_clone_blocks_nobody,
        survives_a_panic,
    }

    #[tokio::test(start_paused = true)]
    async fn rejects_in_call() {
        assert_check(
            checks::rejects_in_call(subject, async |s: &mut _, m: &_| trip(s, m).await).await,
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rejects_without_asking_the_inner_service() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::rejects_without_asking_the_inner_service(subject, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn parked_task_is_woken_by_the_gate() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::parked_task_is_woken_by_the_gate(two, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share() {
        assert_check(
            checks::clones_share(subject, async |s: &mut _, m: &_| trip(s, m).await).await,
        );
    }

    #[tokio::test(start_paused = true)]
    async fn two_services_of_one_layer_share() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::two_services_of_one_layer_share(two, saturate).await);
    }
}

mod gate_and_breaker {
    use super::*;

    fn subject(inner: Mock) -> Both {
        both(&layer(), inner)
    }

    fn two(a: Mock, b: Mock) -> (Both, Both) {
        let layer = layer();
        (both(&layer, a), both(&layer.clone(), b))
    }

    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance,
        one_request_needs_one_reservation,
        reserves_once_when_polled_again,
        call_does_not_poll_readiness,
        spawns_no_task,
        asks_again_before_claiming_ready,
        passes_errors_through,
        finished_future_has_dropped_the_inner_future,
        pending_has_registered_the_waker,
        dropped_service_releases_its_reservation,
        dropped_future_releases_everything,
        clone_resets_readiness,
        finished_future_holds_nothing,
        idle_ready_clone_blocks_nobody,
        survives_a_panic,
    }

    #[tokio::test(start_paused = true)]
    async fn rejects_in_call() {
        assert_check(
            checks::rejects_in_call(subject, async |s: &mut _, m: &_| trip(s, m).await).await,
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rejects_without_asking_the_inner_service() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::rejects_without_asking_the_inner_service(subject, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn parked_task_is_woken_by_the_gate() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::parked_task_is_woken_by_the_gate(two, saturate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn two_services_of_one_layer_share() {
        let saturate = async |s: &mut _, m: &_| trip(s, m).await;
        assert_check(checks::two_services_of_one_layer_share(two, saturate).await);
    }
}
