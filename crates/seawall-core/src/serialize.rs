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
