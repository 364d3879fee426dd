//! Settings without an effect are errors; snapshots are written as JSON.

use std::time::Duration;

use seawall_bulkhead::connections::ConnectionLimitConfig;
use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare};
use seawall_bulkhead::{BulkheadConfig, BulkheadConfigBuilder, InvalidConfig, PartitionKey};

const SECOND: Duration = Duration::from_secs(1);

fn field<T: std::fmt::Debug>(built: Result<T, InvalidConfig>) -> String {
    let rejected = built.expect_err("a setting without an effect");
    rejected.field().to_owned()
}

#[test]
fn settings_of_the_queue_need_waiting_slots() {
    type Change = fn(BulkheadConfigBuilder) -> BulkheadConfigBuilder;
    let settings: [(&str, &str, Change); 4] = [
        ("max_wait", "5s", |b| b.max_wait(5 * SECOND)),
        ("priority_aging", "2s", |b| b.priority_aging(2 * SECOND)),
        ("lifo_threshold", "9", |b| b.lifo_threshold(9)),
        ("reject_doomed", "false", |b| b.reject_doomed(false)),
    ];
    for (name, value, change) in settings {
        let rejected = change(BulkheadConfig::builder()).build().unwrap_err();
        assert_eq!((rejected.field(), rejected.value()), (name, value));
        assert!(rejected.accepted().contains("`max_waiting` is 0"), "{name}");
        let slots = change(BulkheadConfig::builder().max_waiting(10));
        assert!(slots.build().is_ok(), "{name}");
        // Whatever the order in which they are set.
        let slots = change(BulkheadConfig::builder()).max_waiting(10);
        assert!(slots.build().is_ok(), "{name}");
    }
}

#[test]
fn a_wait_of_connections_and_partitions_needs_waiting_slots() {
    let connections = ConnectionLimitConfig::builder().max_waiting(0);
    assert!(connections.build().is_ok());
    assert_eq!(field(connections.max_wait(SECOND).build()), "max_wait");

    let none = PartitionShare::new().max_waiting(0);
    let partitions = || PartitionConfig::builder().default_share(none);
    assert!(partitions().build().is_ok());
    assert_eq!(field(partitions().max_wait(SECOND).build()), "max_wait");
    let one = partitions().share(PartitionKey(1), none.max_waiting(1));
    assert!(one.max_wait(SECOND).build().is_ok());
}

#[cfg(feature = "isolated")]
#[test]
fn a_wait_for_a_thread_needs_waiting_slots() {
    use seawall_bulkhead::isolated::{BlockingConfig, IsolatedConfig};

    assert_eq!(
        field(IsolatedConfig::builder().max_wait(SECOND).build()),
        "max_wait"
    );
    assert_eq!(
        field(BlockingConfig::builder().max_wait(SECOND).build()),
        "max_wait"
    );
    let slots = IsolatedConfig::builder().max_waiting(1).max_wait(SECOND);
    assert!(slots.build().is_ok());
    let slots = BlockingConfig::builder().max_waiting(1).max_wait(SECOND);
    assert!(slots.build().is_ok());
}

#[test]
fn the_settings_of_scaling_are_rows_of_words_and_figures() {
    use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
    use seawall_core::InstanceHandle;

    let built = ScalingConfig::builder().build().unwrap();
    assert_eq!(built, ScalingConfig::default());
    let layer = ScalingBulkheadLayer::new("scaled", BulkheadConfig::default(), built);
    let settings = layer.handle().settings();
    let scaling: Vec<_> = settings
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("scaling.")?, value.as_str())))
        .collect();
    let rows = [
        ("min", "1"),
        ("max", "200"),
        ("up_at", "0.8"),
        ("down_at", "0.3"),
        ("window", "1s"),
        ("step", "1"),
    ];
    assert_eq!(scaling, rows);
}

#[cfg(feature = "serde")]
#[test]
fn snapshots_are_written_as_json() {
    use seawall_bulkhead::BulkheadLayer;
    use seawall_bulkhead::connections::ConnectionLimitLayer;
    use seawall_bulkhead::partitions::PartitionedBulkheadLayer;
    use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
    use serde_json::{Value, json, to_value};

    let handle = BulkheadLayer::new("plain", BulkheadConfig::default()).handle();
    handle.pause();
    let plain = to_value(handle.snapshot()).unwrap();
    assert_eq!(
        (&plain["name"], &plain["state"]),
        (&json!("plain"), &json!("paused"))
    );
    assert_eq!(
        (&plain["limit"], &plain["mean_hold"]),
        (&json!(50), &Value::Null)
    );
    assert_eq!(plain["counts"]["rejected_paused"], 0);

    let config = PartitionConfig::builder().share(PartitionKey(7), PartitionShare::new());
    let layer = PartitionedBulkheadLayer::new("keyed", config.build().unwrap());
    let keyed = to_value(layer.handle().snapshot()).unwrap();
    assert_eq!(
        (&keyed["state"], &keyed["keys"][0]["key"]),
        (&json!("ok"), &json!(7))
    );

    let layer = ConnectionLimitLayer::new("connections", ConnectionLimitConfig::default());
    let connections = to_value(layer.handle().snapshot()).unwrap();
    assert_eq!(
        (&connections["limit"], &connections["queue_depth"]),
        (&json!(100), &json!(0))
    );

    let scaling = ScalingConfig::builder().min(1).max(9).build().unwrap();
    let layer = ScalingBulkheadLayer::new("scaled", BulkheadConfig::default(), scaling);
    let scaled = to_value(layer.handle().snapshot()).unwrap();
    assert_eq!((&scaled["limit"], &scaled["max"]), (&json!(9), &json!(9)));
}

#[cfg(all(feature = "serde", feature = "isolated"))]
#[test]
fn a_snapshot_of_a_thread_pool_is_written_as_json() {
    use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer};

    let layer = BlockingLayer::new("files", BlockingConfig::default()).unwrap();
    let json = serde_json::to_value(layer.handle().snapshot()).unwrap();
    assert_eq!((&json["limit"], &json["threads"]), (&4.into(), &0.into()));
}

#[test]
fn a_lifo_threshold_that_no_queue_reaches_is_an_error() {
    let builder = || BulkheadConfig::builder().max_waiting(5);
    assert!(builder().lifo_threshold(4).build().is_ok());
    let rejected = builder().lifo_threshold(5).build().unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "`lifo_threshold` is 5, accepted is a number below `max_waiting`, 5: more calls are never queued"
    );
}
