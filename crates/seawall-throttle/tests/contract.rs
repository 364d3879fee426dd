//! The checks of every layer.

use std::task::{Context, Poll, Waker};

use seawall_core::{Reason, Rejectable, Sent};
use seawall_testkit::contract::{Mock, MockHandle, fail_calls, mock};
use seawall_throttle::AdaptiveThrottleLayer;
use seawall_throttle::{AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleConfigBuilder};
use tower_layer::Layer;
use tower_service::Service;

fn builder() -> AdaptiveThrottleConfigBuilder {
    AdaptiveThrottleConfig::builder().seed(7)
}

fn layer_of(builder: AdaptiveThrottleConfigBuilder) -> AdaptiveThrottleLayer {
    AdaptiveThrottleLayer::new("desk", builder.build().expect("valid settings"))
}

fn passing(inner: Mock) -> AdaptiveThrottle<Mock> {
    layer_of(builder()).layer(inner)
}

seawall_testkit::contract_tests! { passing => all }

const MANY: u32 = 5_000;

/// Rejects nearly every call after that many failures, and none before.
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

seawall_testkit::contract_tests! { rejecting, saturate => rejects_in_call, clones_share_state }
seawall_testkit::contract_tests! { two, saturate => services_of_one_layer_share_state }

#[tokio::test(start_paused = true)]
async fn a_rejected_call_releases_the_reservation_below() {
    let (inner, mock) = mock();
    let mut service = rejecting(inner);
    saturate(&mut service, &mock).await;
    mock.set_capacity(1);
    let before = mock.calls();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let mut future = std::pin::pin!(service.call(1));
    let Poll::Ready(Err(error)) = future.as_mut().poll(cx) else {
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
