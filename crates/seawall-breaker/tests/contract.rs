//! The contract of a layer, for the breaker and for gate and breaker around a service.

use std::time::Duration;

use seawall_breaker::{Breaker, BreakerConfig, BreakerLayer, Gate};
use seawall_testkit::contract::{Mock, MockHandle, fail_calls};
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

    seawall_testkit::contract_tests! { subject => all }
    seawall_testkit::contract_tests! { subject, trip =>
        rejects_in_call, rejects_without_polling_inner, clones_share_state
    }
    seawall_testkit::contract_tests! { two, trip =>
        parked_task_is_woken_by_the_gate, services_of_one_layer_share_state
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

    seawall_testkit::contract_tests! { subject => all }
    seawall_testkit::contract_tests! { subject, trip =>
        rejects_in_call, rejects_without_polling_inner
    }
    seawall_testkit::contract_tests! { two, trip =>
        parked_task_is_woken_by_the_gate, services_of_one_layer_share_state
    }
}
