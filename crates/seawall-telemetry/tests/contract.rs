//! The checks of every layer.

use seawall_telemetry::{ClientProbeLayer, Telemetry, TelemetryConfig, TelemetryLayer};
use seawall_testkit::contract::Mock;
use tower_layer::Layer;

fn layer(config: TelemetryConfig) -> TelemetryLayer {
    TelemetryLayer::new("desk", config)
}

/// Every call is measured, and its overhead.
fn calls(inner: Mock) -> Telemetry<Mock> {
    let always = TelemetryConfig::builder().overhead_every(1).build();
    layer(always.expect("valid settings")).layer(inner)
}

fn attempts(inner: Mock) -> Telemetry<Mock> {
    layer(TelemetryConfig::default()).attempts().layer(inner)
}

fn probed(inner: Mock) -> Telemetry<seawall_telemetry::ClientProbe<Mock>> {
    calls_around(ClientProbeLayer::new().layer(inner))
}

fn calls_around<S>(inner: S) -> Telemetry<S> {
    layer(TelemetryConfig::default()).layer(inner)
}

seawall_testkit::contract_tests! { calls => all }

mod of_attempts {
    use super::attempts;
    seawall_testkit::contract_tests! { attempts => all }
}

mod of_probes {
    use super::probed;
    seawall_testkit::contract_tests! { probed => all }
}
