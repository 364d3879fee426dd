//! Snapshots as JSON: the labels of metrics, and durations in seconds.
#![cfg(feature = "serde")]

use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerLayer, BreakerRegistry};
use serde_json::{Value, json};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> BreakerConfig {
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 4)
        .open_for(30 * SECOND);
    config.build().expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_circuit_has_its_state_windows_cause_and_counts() {
    let handle = BreakerLayer::new("orders", config()).handle();
    let closed = serde_json::to_value(handle.snapshot()).expect("serializes");
    assert_eq!(
        (&closed["state"], &closed["probes_in"]),
        (&json!("closed"), &Value::Null)
    );
    assert_eq!(
        closed["calls"],
        json!({
            "calls": 0, "failures": 0, "slow": 0, "min_calls": 1, "minimum_reached": false,
        })
    );
    let _ = handle.call(async { Err::<(), _>("down") }).await;
    advance(10 * SECOND).await;
    let open = serde_json::to_value(handle.snapshot()).expect("serializes");
    assert_eq!(
        (&open["name"], &open["state"]),
        (&json!("orders"), &json!("open"))
    );
    assert_eq!(open["probes_in"], json!(20.0));
    assert_eq!(open["counts"]["failure"], json!(1));
    assert_eq!(
        open["transitions"],
        json!([{
            "from": "closed",
            "to": "open",
            "cause": "failure_rate",
            "figures": { "of": 1, "among": 1, "limit": 0.5 },
            "seconds_ago": 10.0,
            "open_for": 30.0,
            "by_retry_after": false,
        }])
    );
}

#[tokio::test(start_paused = true)]
async fn a_registry_has_its_worst_state_and_sums() {
    let breakers: BreakerRegistry = BreakerRegistry::new("hosts", config());
    let _ = breakers.call("up", async { Ok::<_, ()>(1) }).await;
    breakers.circuit("down").force_open();
    let snapshot = serde_json::to_value(breakers.snapshot()).expect("serializes");
    assert_eq!(
        (&snapshot["state"], &snapshot["keys"]),
        (&json!("open"), &json!(2))
    );
    assert_eq!(snapshot["counts"]["success"], json!(1));
}

#[test]
fn every_state_is_written_as_its_label() {
    let handle = BreakerLayer::new("labels", config()).handle();
    for act in [
        |handle: &seawall_breaker::BreakerHandle| handle.force_open(),
        seawall_breaker::BreakerHandle::automatic,
        seawall_breaker::BreakerHandle::force_closed,
        seawall_breaker::BreakerHandle::reset,
    ] {
        act(&handle);
        let state = handle.state();
        assert_eq!(
            serde_json::to_value(state).expect("serializes"),
            state.as_str()
        );
    }
}
