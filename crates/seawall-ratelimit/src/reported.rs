//! What an upstream has reported of its own limits.

use std::time::Duration;

use seawall_core::ServerLimit;

/// The last that an upstream has reported of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    at: u64,
    /// From when on it says nothing about what is left.
    stale_at: u64,
    remaining: u64,
    limit: Option<u64>,
    /// Whether the upstream named its end.
    has_reset: bool,
}

impl Reported {
    /// A report of now: so much is left, until `resets_at` if that is known, otherwise for at most a
    /// window.
    pub(crate) fn new(
        now_ns: u64,
        reported: &ServerLimit,
        remaining: u64,
        resets_at: Option<u64>,
        window_ns: u64,
    ) -> Self {
        Self {
            at: now_ns,
            stale_at: resets_at.unwrap_or(now_ns.saturating_add(window_ns)),
            remaining,
            limit: reported.limit,
            has_reset: resets_at.is_some(),
        }
    }

    pub(crate) fn at(self, now_ns: u64) -> ReportedLimit {
        let fresh = now_ns < self.stale_at;
        let left = Duration::from_nanos(self.stale_at.saturating_sub(now_ns));
        ReportedLimit {
            limit: self.limit,
            remaining: fresh.then_some(self.remaining),
            resets_in: (fresh && self.has_reset).then_some(left),
            age: Duration::from_nanos(now_ns.saturating_sub(self.at)),
        }
    }
}

/// The last that the upstream itself has reported of a limit, by its headers; see
/// [`LimitSnapshot::reported`](crate::LimitSnapshot::reported).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReportedLimit {
    /// How much it grants per window, where it named that.
    pub limit: Option<u64>,
    /// How much was left then. `None` once that says nothing any more: its window has ended, or, where
    /// the upstream named no end, a window of ours has passed since.
    pub remaining: Option<u64>,
    /// When its window ends, from now, where it is known and has not ended.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub resets_in: Option<Duration>,
    /// How long ago it was reported.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::seconds")
    )]
    pub age: Duration,
}

impl ReportedLimit {
    /// Which share of the upstream's own limit was used, from 0 to 1; `None` where the upstream did
    /// not name the limit, or what was left is out of date.
    pub fn used_ratio(&self) -> Option<f64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        let used = 1.0 - self.remaining? as f64 / limit as f64;
        Some(used.clamp(0.0, 1.0))
    }
}
