//! The observing layer keeps Tower's contract.

use seawall_health::{Health, HealthConfig, HealthLayer};
use seawall_testkit::contract::Mock;
use tower::Layer;

fn subject(inner: Mock) -> Health<Mock> {
    HealthLayer::new("contract", HealthConfig::default()).layer(inner)
}

seawall_testkit::contract_tests! { subject => all }
