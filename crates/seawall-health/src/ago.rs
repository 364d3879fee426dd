//! Instants have no form outside of the process; how long ago they were, or how soon they are, has.

use serde::{Serialize, Serializer};
use tokio::time::Instant;

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(crate) fn seconds<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    let ago = Instant::now().saturating_duration_since(*at);
    serializer.serialize_f64(ago.as_secs_f64())
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(crate) fn optional_seconds<S: Serializer>(
    at: &Option<Instant>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let ago = at.map(|at| Instant::now().saturating_duration_since(at).as_secs_f64());
    ago.serialize(serializer)
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(crate) fn seconds_to<S: Serializer>(
    at: &Option<Instant>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let left = at.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64());
    left.serialize(serializer)
}
