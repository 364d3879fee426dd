//! The layer keeps Tower's contract: off, and while faults are on.
#![cfg(feature = "inject")]
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::time::Duration;

use seawall_chaos::{
    Chaos, ChaosConfig, ChaosLayer, Delay, Fault, FaultSet, PartitionKey, Policy, Reach,
    RequestMeta,
};
use seawall_core::ConstMeta;
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks};
use tower::{Layer as _, Service as _, ServiceExt as _};

type Subject = Chaos<Mock, Policy<seawall_core::ErrorIsFailure, ConstMeta>>;

fn with(faults: Vec<Fault>, inner: Mock) -> Subject {
    let layer = ChaosLayer::new("contract", ChaosConfig::default()).assume_idempotent();
    if !faults.is_empty() {
        let _ = layer
            .handle()
            .start(FaultSet::new(faults).unwrap())
            .unwrap()
            .detach();
    }
    layer.layer(inner)
}

fn off(inner: Mock) -> Subject {
    with(Vec::new(), inner)
}

mod while_off {
    seawall_testkit::contract_tests! { super::off => all }
}

/// Faults are on, and none hits: each call is drawn for.
fn missing(inner: Mock) -> Subject {
    let none = seawall_chaos::Reach::everything().when(|_| false);
    with(vec![Fault::hang().with_reach(none)], inner)
}

mod while_missing {
    seawall_testkit::contract_tests! { super::missing => all }
}

fn delayed(inner: Mock) -> Subject {
    let short = Delay::constant(Duration::from_millis(1)).unwrap();
    with(vec![Fault::delay(short)], inner)
}

mod while_delaying {
    seawall_testkit::contract_tests! { super::delayed => all }
}

type ByKey = Chaos<Mock, Policy<seawall_core::ErrorIsFailure, fn(&u32) -> RequestMeta>>;

/// Request 1, which the check sends, is refused; any other passes.
fn one_is_refused(inner: Mock) -> ByKey {
    fn describe(request: &u32) -> RequestMeta {
        RequestMeta::idempotent().with_key(PartitionKey(u64::from(*request)))
    }
    let layer = ChaosLayer::new("contract", ChaosConfig::default());
    let layer = layer.describe(describe as fn(&u32) -> RequestMeta);
    let one = Reach::everything().key(PartitionKey(1));
    let fault = Fault::refused_connection().with_reach(one);
    let _ = layer.handle().start(fault).unwrap().detach();
    layer.layer(inner)
}

#[tokio::test(start_paused = true)]
async fn an_injected_error_comes_from_call_and_gives_the_reservation_up() {
    let first = async |service: &mut ByKey, _: &MockHandle| {
        assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
    };
    assert_check(checks::rejects_in_call(one_is_refused, first).await);
}

#[tokio::test(start_paused = true)]
async fn a_ready_instance_whose_call_is_replaced_holds_nothing() {
    let (inner, mock) = seawall_testkit::contract::mock();
    mock.set_capacity(1);
    let mut service = one_is_refused(inner);
    service.ready().await.unwrap().call(1).await.unwrap_err();
    assert_eq!(mock.reserved(), 0);
    assert_eq!(
        service
            .clone()
            .ready()
            .await
            .unwrap()
            .call(2)
            .await
            .unwrap(),
        2
    );
}
