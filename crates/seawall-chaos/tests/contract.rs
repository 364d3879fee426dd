//! The layer keeps Tower's contract: off, and while faults are on.
#![cfg(feature = "inject")]
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::time::Duration;

use seawall_chaos::{Chaos, ChaosConfig, ChaosLayer, Delay, Fault, FaultSet, Policy};
use seawall_core::ConstMeta;
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks};
use tower::Layer as _;

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

fn refused(inner: Mock) -> Subject {
    with(vec![Fault::refused_connection()], inner)
}

mod while_refusing {
    seawall_testkit::contract_tests! { super::refused =>
        dropped_service_releases_its_reservation,
        pending_has_registered_the_waker,
        clone_resets_readiness,
        polls_inner_again_before_ready,
        reserves_once_when_polled_again,
    }
}

#[tokio::test(start_paused = true)]
async fn an_injected_error_comes_from_call_and_gives_the_reservation_up() {
    let nothing = async |_: &mut Subject, _: &MockHandle| {};
    assert_check(checks::rejects_in_call(refused, nothing).await);
}
