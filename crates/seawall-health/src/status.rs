//! How healthy something is.

use std::fmt;

seawall_core::state_words! {
    /// How healthy something is.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Status {
        /// Nothing is known yet.
        #[default]
        Unknown = "unknown",
        /// It does what it should.
        Healthy = "healthy",
        /// It works, but slowly or not in full.
        Degraded = "degraded",
        /// It does not work.
        Unhealthy = "unhealthy",
    }
}

impl Status {
    /// The status as a number for gauges: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy.
    pub const fn as_number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Healthy => 1,
            Self::Degraded => 2,
            Self::Unhealthy => 3,
        }
    }

    /// Whether work can be sent there: healthy or degraded.
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }

    /// How bad it is compared with others: what is not known yet may be worse than what is slow.
    const fn severity(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Unknown => 2,
            Self::Unhealthy => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The aggregate status, from `(critical, status)` of each check.
///
/// The worst of the critical checks; those that are not critical can only degrade it, and do when
/// they are known to be less than healthy. Unknown when nothing is known of any.
pub fn aggregate(checks: impl IntoIterator<Item = (bool, Status)>) -> Status {
    checks
        .into_iter()
        .filter_map(|(critical, status)| match (critical, status) {
            (true, status) => Some(status),
            (false, Status::Unknown) => None,
            (false, Status::Healthy) => Some(Status::Healthy),
            (false, Status::Degraded | Status::Unhealthy) => Some(Status::Degraded),
        })
        .max_by_key(|status| status.severity())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aggregate_status_is_that_of_the_worst_critical_check() {
        use Status::{Degraded, Healthy, Unhealthy, Unknown};
        assert_eq!(aggregate([]), Unknown);
        assert_eq!(aggregate([(true, Healthy), (true, Degraded)]), Degraded);
        assert_eq!(aggregate([(true, Healthy), (true, Unknown)]), Unknown);
        assert_eq!(aggregate([(true, Unknown), (true, Unhealthy)]), Unhealthy);
        assert_eq!(aggregate([(true, Healthy), (false, Unhealthy)]), Degraded);
        assert_eq!(aggregate([(true, Healthy), (false, Unknown)]), Healthy);
        assert_eq!(aggregate([(false, Unknown)]), Unknown);
        assert_eq!(aggregate([(true, Unhealthy), (false, Healthy)]), Unhealthy);
    }
}
