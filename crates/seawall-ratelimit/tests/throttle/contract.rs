//! The laws of every layer.

use super::*;

fn passing(inner: Mock) -> AdaptiveThrottle<Mock> {
    layer_of(builder()).layer(inner)
}

seawall_testkit::contract_tests! { passing =>
calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
dropped_service_releases_its_reservation, dropped_future_releases_everything,
pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
passes_errors_through, survives_a_panic }

const MANY: u32 = 5_000;

/// Rejects nearly everything after that many failures, and nothing before.
fn rejecting_layer() -> AdaptiveThrottleLayer {
    layer_of(builder().min_requests(MANY).max_rejection(1.0))
}

fn rejecting(inner: Mock) -> AdaptiveThrottle<Mock> {
    rejecting_layer().layer(inner)
}

fn two(a: Mock, b: Mock) -> (AdaptiveThrottle<Mock>, AdaptiveThrottle<Mock>) {
    let layer = rejecting_layer();
    (layer.layer(a), layer.clone().layer(b))
}

async fn saturate(service: &mut AdaptiveThrottle<Mock>, mock: &MockHandle) {
    fail_calls(service, mock, MANY as usize).await;
}

#[tokio::test(start_paused = true)]
async fn rejections_are_errors_of_call() {
    assert_check(checks::rejects_in_call(rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn two_services_of_one_layer_count_together() {
    assert_check(checks::two_services_of_one_layer_share(two, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn clones_count_together() {
    assert_check(checks::clones_share(rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_gives_the_reservation_below_up() {
    let (inner, mock) = mock();
    let mut service = rejecting(inner);
    saturate(&mut service, &mock).await;
    mock.set_capacity(1);
    let before = mock.calls();
    let Poll::Ready(Err(error)) = call(&mut service, 1).poll() else {
        panic!("the call was not rejected")
    };
    let rejected = error.rejection().expect("a rejection");
    assert_eq!(
        (rejected.reason(), rejected.sent(), rejected.retry_after()),
        (Reason::ClientThrottled, Sent::No, None)
    );
    assert_eq!(rejected.name().as_str(), "desk");
    assert_eq!((mock.calls(), mock.reserved()), (before, 0));
}
