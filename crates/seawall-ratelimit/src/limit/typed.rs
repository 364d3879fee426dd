//! The kinds of limits, each with the options that it uses.

use std::time::Duration;

use seawall_core::{Ratio, Unit, ns};

use super::daily_reset::DailyReset;
use super::quota_file::QuotaFile;
use super::rule::{Kind, Limit};

impl Limit {
    /// `rate` per `period` in the long run, and [a burst](BucketLimit::burst) at once after idle
    /// time: the generic cell rate algorithm. Any stretch of time `t` sees at most
    /// `burst + rate * t / period`.
    ///
    /// A bucket gives back what has not flowed in since; a [strict](Self::strict) limit gives back all
    /// of it. So where estimates are corrected late, use strict limits.
    pub const fn bucket(rate: u32, period: Duration) -> BucketLimit {
        BucketLimit(Limit::new(rate, period, Kind::Bucket { burst: None }))
    }

    /// What a provider allows, of which a bucket takes [a share](Quota::utilization).
    ///
    /// It is no limit without that share: `.limit(Limit::quota(100, minute))` does not compile,
    /// with the error that `Limit: From<Quota>` is not satisfied. For a provider that keeps to its
    /// count exactly use [`strict`](Self::strict), for a plain rate [`bucket`](Self::bucket).
    pub const fn quota(count: u32, period: Duration) -> Quota {
        Quota { count, period }
    }

    /// Never more than `count` in any stretch of `period`: exactly what a provider grants that
    /// keeps a log of the last requests.
    ///
    /// Up to a count of 1,024 every departure is remembered (16 bytes each; a layer allocates them when it
    /// is made, a key as they depart). Above, departures are
    /// counted in slices of 1/128 of `period`, and a slice counts until all of it is old enough. So
    /// the bound still holds in any stretch, and at least 99 % of the count can be used.
    pub const fn strict(count: u32, period: Duration) -> StrictLimit {
        let margin = Duration::ZERO;
        StrictLimit(Limit::new(count, period, Kind::Strict { margin }))
    }

    /// At most `count` from one full `period` of the wall clock to the next: per minute, from
    /// second 0 on. Twice the count can depart around the moment where two windows meet, as the
    /// provider allows it.
    ///
    /// Only for providers that count so and whose clock is right: a clock that differs from that of
    /// this machine by more than [the margin](WindowLimit::margin) counts departures in another
    /// window. Use [`strict`](Self::strict) where that is not certain.
    pub const fn window(count: u32, period: Duration) -> WindowLimit {
        let (offset, margin) = (Duration::ZERO, Duration::ZERO);
        WindowLimit(Limit::new(count, period, Kind::Window { offset, margin }))
    }

    /// At most `count` per calendar day, from one `reset` to the next.
    ///
    /// When the count of the day is used up, calls are rejected with
    /// [`QuotaExhausted`](seawall_core::Reason::QuotaExhausted). So they are by strict and window
    /// limits with a period of an hour or more.
    pub const fn daily(count: u32, reset: DailyReset) -> DailyLimit {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let kind = Kind::Daily {
            reset,
            already_used: 0,
            file: None,
        };
        DailyLimit(Limit::new(count, DAY, kind))
    }
}

/// Declares a kind of limit: a `Limit` whose options are methods.
macro_rules! kind_of_limit {
    ($(#[$doc:meta])* $Kind:ident) => {
        $(#[$doc])*
        #[must_use]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Kind(Limit);

        impl $Kind {
            /// What is counted. Default: [`Unit::Cost`], which is 1 per request unless the request
            /// has another cost.
            pub fn with_unit(mut self, unit: Unit) -> Self {
                self.0.unit = unit;
                self
            }
        }

        impl From<$Kind> for Limit {
            fn from(limit: $Kind) -> Self {
                limit.0
            }
        }
    };
}

kind_of_limit! {
    /// A rate and a burst: made by [`Limit::bucket`] or [`Quota::utilization`].
    BucketLimit
}

kind_of_limit! {
    /// Never more than a count in any period: made by [`Limit::strict`].
    StrictLimit
}

kind_of_limit! {
    /// A count per window of the wall clock: made by [`Limit::window`].
    WindowLimit
}

kind_of_limit! {
    /// A count per calendar day: made by [`Limit::daily`].
    DailyLimit
}

impl BucketLimit {
    /// How much is granted at once after idle time, and the most that one call may cost: a whole
    /// number from 1. Default: a tenth of the rate, at least 1.
    pub fn burst(mut self, by: u32) -> Self {
        // A utilization without room for a burst stays an error.
        if let Kind::Bucket { burst } = &mut self.0.kind {
            *burst = Some(by);
        }
        self
    }
}

impl StrictLimit {
    /// By how much the time between departure and arrival may vary, at most the period. The count
    /// then holds in any stretch of `period + margin`, since two requests that depart one period
    /// apart may arrive closer to each other. Default: zero.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.0.kind = Kind::Strict { margin };
        self
    }
}

impl WindowLimit {
    /// How much the clocks may differ, together with the variation of the time between departure
    /// and arrival; at most half of the period. A departure within `margin` of the edge of a window
    /// counts in both windows. Default: zero.
    pub fn margin(mut self, by: Duration) -> Self {
        if let Kind::Window { margin, .. } = &mut self.0.kind {
            *margin = by;
        }
        self
    }

    /// How long after the full `period` of the wall clock (UTC) a window begins, shorter than the
    /// period. Default: zero.
    pub fn offset(mut self, by: Duration) -> Self {
        if let Kind::Window { offset, .. } = &mut self.0.kind {
            *offset = by;
        }
        self
    }
}

impl DailyLimit {
    /// How much of today's quota is used already. Default: 0.
    pub fn already_used(mut self, count: u32) -> Self {
        if let Kind::Daily { already_used, .. } = &mut self.0.kind {
            *already_used = count;
        }
        self
    }

    /// Keeps the used quota of the day in a file, so that it survives a restart.
    pub fn persist_in(mut self, quota: QuotaFile) -> Self {
        if let Kind::Daily { file, .. } = &mut self.0.kind {
            *file = Some(quota);
        }
        self
    }
}

/// What a provider allows: made by [`Limit::quota`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    period: Duration,
}

impl Quota {
    /// A bucket whose rate is this share of what is allowed, and whose burst is the rest. However
    /// the provider counts, `burst + rate * period` is at most what it allows in any period.
    ///
    /// [`build`](crate::RateLimitConfigBuilder::build) rejects it, with the field `utilization`,
    /// where the share leaves nothing for the burst or nothing for the rate: 1 or 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Ratio;
    /// use seawall_ratelimit::Limit;
    ///
    /// let safe = Limit::quota(200, Duration::from_secs(60)).utilization(Ratio::new(0.8)?);
    /// assert_eq!(safe, Limit::bucket(200, Duration::from_secs(75)).burst(40));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn utilization(self, share: Ratio) -> BucketLimit {
        let utilization = share.get();
        // What the rate grants in one period, in whole units: a fraction comes too late.
        let granted = (f64::from(self.count) * utilization + 1e-9).floor() as u32;
        let burst = self.count.saturating_sub(granted);
        if burst == 0 || utilization <= 0.0 {
            let kind = Kind::Unusable { utilization };
            return BucketLimit(Limit::new(self.count, self.period, kind));
        }
        // Rounded up: a nanosecond too long rather than too short.
        let stretched = (ns(self.period) as f64 / utilization).ceil() as u64;
        Limit::bucket(self.count, Duration::from_nanos(stretched)).burst(burst)
    }
}
