//! The layer keeps Tower's contract.

use std::time::Duration;

use seawall_core::{ConstMeta, ErrorIsFailure, InvalidConfig, Policy, Replay, RequestMeta};
use seawall_hedge::{Hedge, HedgeConfig, HedgeLayer};
use seawall_testkit::contract::Mock;
use tower::Layer as _;

/// Undescribed requests are not sent twice.
fn subject(inner: Mock) -> Hedge<Mock> {
    HedgeLayer::new("contract", HedgeConfig::default()).layer(inner)
}

seawall_testkit::contract_tests! { subject => all }

fn config() -> Result<HedgeConfig, InvalidConfig> {
    let builder = HedgeConfig::builder().delay(Duration::from_millis(1));
    builder.extra_attempts(4).build()
}

mod a_layer_that_hedges {
    use super::*;

    fn subject(inner: Mock) -> Hedge<Mock, Policy<ErrorIsFailure, ConstMeta>> {
        HedgeLayer::new("contract", config().unwrap_or_default())
            .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
            .layer(inner)
    }

    #[test]
    fn has_the_settings_it_should_have() {
        let delay = subject(seawall_testkit::contract::mock().0);
        assert!(format!("{delay:?}").contains("Fixed(1ms)"), "{delay:?}");
    }

    seawall_testkit::contract_tests! { subject => all }
}
