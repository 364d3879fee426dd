//! How snapshots write values that `serde` has no plain form for.

use std::time::{Duration, SystemTime};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::{CircuitCause, InstanceName, Misconfiguration, PartitionKey, Rejection, Sent};

impl Serialize for InstanceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for PartitionKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for CircuitCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A map for machines and people: the pattern in words, the instance, the reason as a label, the
/// message as it is displayed, until when in seconds, whether the request may have been sent,
/// what to do, and the number of what it is about.
impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Rejection", 8)?;
        map.serialize_field("pattern", &self.pattern())?;
        map.serialize_field("name", &self.name())?;
        map.serialize_field("reason", self.reason().as_str())?;
        map.serialize_field("message", &self.to_string())?;
        let seconds = self.retry_after().map(|wait| wait.as_secs_f64());
        map.serialize_field("retry_after_seconds", &seconds)?;
        map.serialize_field("may_have_been_sent", &(self.sent() == Sent::Maybe))?;
        map.serialize_field("advice", self.reason().advice())?;
        map.serialize_field("reference", &self.reference())?;
        map.end()
    }
}

/// Writes a duration as a number of seconds: for `#[serde(serialize_with = "..")]`.
///
/// # Errors
///
/// Those of the serializer.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Writes a duration, if there is one, as a number of seconds: for `#[serde(serialize_with = "..")]`.
///
/// # Errors
///
/// Those of the serializer.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs_f64()).serialize(serializer)
}

/// Writes a time as milliseconds since the Unix epoch, 0 for what is before it: for
/// `#[serde(serialize_with = "..")]`.
///
/// # Errors
///
/// Those of the serializer.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub fn unix_ms<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Names with their values as a map.
pub(crate) fn pairs<V: Serialize, S: Serializer>(
    pairs: &[(&'static str, V)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(crate) fn misconfigured<S: Serializer>(
    what: &Misconfiguration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_struct("Misconfigured", 2)?;
    map.serialize_field("what", what.as_str())?;
    map.serialize_field("advice", what.advice())?;
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        HistogramSnapshot, HistogramStripe, InstanceName, Misconfiguration, OwnedSample, Snapshot,
        Value,
    };

    #[test]
    fn a_snapshot_of_a_registry_is_json_with_numbers_maps_and_words() {
        let latency = HistogramStripe::default();
        latency.record_here(3_000_000, true);
        let took = HistogramSnapshot::of([&latency]);
        let sample = |metric, labels, value| OwnedSample {
            metric,
            labels,
            value,
        };
        let snapshot = Snapshot {
            pattern: "breaker",
            name: InstanceName::from("alpaca"),
            state: "closed",
            samples: vec![
                sample(
                    "calls_total",
                    vec![("outcome", "success")],
                    Value::Counter(7),
                ),
                sample("left", Vec::new(), Value::Gauge(0.5)),
                sample("pause_seconds", Vec::new(), Value::Gauge(f64::INFINITY)),
                sample("took_seconds", Vec::new(), Value::Histogram(took)),
            ],
            settings: vec![("open_for", "30s".to_owned())],
            misconfigured: vec![Misconfiguration::Unnamed],
        };
        let mut json = serde_json::to_value(snapshot).unwrap();
        let took = json["samples"][3]["value"].take();
        assert_eq!(
            (&took["count"], &took["max_seconds"]),
            (&json!(1), &json!(0.003))
        );
        let of =
            |metric, labels, value| json!({"metric": metric, "labels": labels, "value": value});
        let expected = json!({
            "pattern": "breaker", "name": "alpaca", "state": "closed",
            "samples": [
                of("calls_total", json!({"outcome": "success"}), json!(7)),
                of("left", json!({}), json!(0.5)),
                of("pause_seconds", json!({}), json!(null)),
                of("took_seconds", json!({}), json!(null)),
            ],
            "settings": {"open_for": "30s"},
            "misconfigured": ["unnamed"],
        });
        assert_eq!(json, expected);
    }
}
