//! Requests that are no reads are spared.

use super::*;
use seawall_chaos::{Operation, PartitionKey, Reach, Replay, RequestMeta};
use seawall_core::{InstanceHandle, Misconfiguration};

/// Odd requests are orders.
fn describe(request: &u32) -> RequestMeta {
    let replay = if request % 2 == 1 {
        Replay::Never
    } else {
        Replay::Safe
    };
    RequestMeta::new(replay)
        .with_key(PartitionKey(u64::from(*request)))
        .with_operation(Operation::new(if *request < 100 { "low" } else { "high" }))
}

type Described = Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>;

fn trading(simulated: bool) -> ChaosLayer<Described> {
    let config = ChaosConfig::builder()
        .simulated_upstream(simulated)
        .build()
        .unwrap();
    ChaosLayer::new("orders", config).describe(describe as fn(&u32) -> RequestMeta)
}

#[tokio::test(start_paused = true)]
async fn no_fault_hits_an_order() {
    let layer = trading(false);
    let (inner, mock) = mock();
    let service = layer.layer(inner);
    for fault in [
        Fault::hang(),
        Fault::refused_connection(),
        Fault::error_before_sending(),
        Fault::lost_response(),
        Fault::duplicated_request(),
        constant(MS),
    ] {
        let injection = layer.handle().start(fault).unwrap();
        let before = Instant::now();
        assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
        assert_eq!(Instant::now(), before);
        let counts = injection.stop();
        assert_eq!(
            (counts.injected(), counts.without_effect, counts.spared),
            (0, 0, 1)
        );
    }
    assert_eq!(mock.requests(), [1; 6]);
    assert!(layer.handle().misconfigured().is_empty());
}

#[tokio::test(start_paused = true)]
async fn cancels_and_orders_with_a_key_are_hit_at_a_simulator_alone() {
    for replay in [Replay::SafeWithEffect, Replay::SafeWithKey, Replay::Never] {
        for simulated in [false, true] {
            let config = ChaosConfig::builder().simulated_upstream(simulated);
            let layer = ChaosLayer::new("orders", config.build().unwrap())
                .describe(ConstMeta(RequestMeta::new(replay)));
            let (inner, mock) = mock();
            let service = layer.layer(inner);
            let refused = layer.handle().start(Fault::refused_connection()).unwrap();
            let result = service.oneshot(1).await;
            assert_eq!(result.is_err(), simulated, "{replay:?}");
            assert_eq!(mock.requests().is_empty(), simulated, "{replay:?}");
            let (hit, spared) = (u64::from(simulated), u64::from(!simulated));
            let counts = refused.stop();
            assert_eq!(
                (counts.injected(), counts.spared),
                (hit, spared),
                "{replay:?}"
            );
            let described = layer.handle().misconfigured();
            assert!(described.is_empty(), "{replay:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_to_a_simulator_is_hit() {
    let layer = trading(true);
    let (inner, mock) = mock();
    let service = layer.layer(inner);
    let lost = layer.handle().start(Fault::lost_response()).unwrap();
    assert_eq!(
        injected(service.clone().oneshot(1).await).0,
        FaultKind::LostResponse
    );
    lost.stop();
    let _twice = layer.handle().start(Fault::duplicated_request()).unwrap();
    assert_eq!(service.oneshot(1).await.unwrap(), 1);
    assert_eq!(mock.requests(), [1; 3]);
}

#[tokio::test(start_paused = true)]
async fn without_a_describer_nothing_is_hit_and_that_is_a_misconfiguration() {
    let layer = ChaosLayer::new("plain", ChaosConfig::default());
    let handle = layer.handle();
    let service = layer.layer(mock().0);
    assert!(handle.misconfigured().is_empty());
    let _on = handle.start(Fault::refused_connection()).unwrap();
    assert_eq!(service.oneshot(2).await.unwrap(), 2);
    assert_eq!(handle.misconfigured(), [Misconfiguration::Undescribed]);
    assert_eq!(handle.counts().spared, 1);
}

#[tokio::test(start_paused = true)]
async fn reach_is_by_operation_by_key_and_by_function() {
    let layer = trading(false);
    let service = layer.layer(mock().0);
    let reaches = [
        (
            Reach::everything().operation(Operation::new("high")),
            [false, false, true],
        ),
        (
            Reach::everything().key(PartitionKey(2)),
            [true, false, false],
        ),
        (
            Reach::everything().when(|meta| meta.key.0 > 3),
            [false, true, true],
        ),
    ];
    for (reach, expected) in reaches {
        let fault = Fault::refused_connection().with_reach(reach);
        let injection = layer.handle().start(fault).unwrap();
        for (request, is_hit) in [2, 4, 104].into_iter().zip(expected) {
            let result = service.clone().oneshot(request).await;
            assert_eq!(result.is_err(), is_hit, "{request}");
        }
        assert_eq!(injection.calls(), 3);
    }
}
