//! A build without the feature `inject`.
#![cfg(not(feature = "inject"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use seawall_chaos::{CAN_INJECT, ChaosConfig, ChaosLayer, ChaosState, Fault};
use tower::{BoxError, Layer, ServiceExt, service_fn};

#[tokio::test]
async fn nothing_can_be_started_and_every_call_passes() {
    const { assert!(!CAN_INJECT) };
    let layer = ChaosLayer::new("production", ChaosConfig::default()).assume_idempotent();
    let handle = layer.handle();
    let invalid = handle.start(Fault::refused_connection()).unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "`inject` is off, accepted is a build of `seawall-chaos` with the feature `inject`"
    );
    assert_eq!(handle.state(), ChaosState::Off);
    let service = layer.layer(service_fn(async |n: u32| Ok::<_, BoxError>(n)));
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}
