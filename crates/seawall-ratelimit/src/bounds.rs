//! Bounds on what an upstream reports.

use std::time::Duration;

use seawall_core::{QuotaSignal, ns};

use crate::config::RateLimitConfig;

/// What became of a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// There was no limit to apply it to.
    pub(crate) unplaced: bool,
    pub(crate) bounded: Option<Bounded>,
    /// For how long the layer pauses by it.
    pub(crate) pause_ns: u64,
}

impl Applied {
    pub(crate) const UNPLACED: Self = Self {
        unplaced: true,
        bounded: None,
        pause_ns: 0,
    };

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            unplaced: self.unplaced || other.unplaced,
            bounded: self.bounded.or(other.bounded),
            pause_ns: self.pause_ns.max(other.pause_ns),
        }
    }
}

/// A value that was beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounded {
    /// As in `EventKind::Bounded`.
    pub(crate) what: &'static str,
    pub(crate) reported: u64,
    pub(crate) applied: u64,
}

/// A reported value within its bound, and what was cut.
fn bound(what: &'static str, per_unit: u64, reported: u64, max: u64) -> (u64, Applied) {
    let bounded = (reported > max).then_some(Bounded {
        what,
        reported: reported / per_unit,
        applied: max / per_unit,
    });
    let applied = Applied {
        bounded,
        ..Applied::default()
    };
    (reported.min(max), applied)
}

/// A reported time within its bound, in nanoseconds.
pub(crate) fn bound_time(what: &'static str, reported: Duration, max: Duration) -> (u64, Applied) {
    const MILLISECOND: u64 = 1_000_000;
    bound(what, MILLISECOND, ns(reported), ns(max))
}

/// For how long a pause or a ban pauses a layer of these settings, in nanoseconds.
pub(crate) fn pause_ns(config: &RateLimitConfig, signal: QuotaSignal) -> Option<(u64, Applied)> {
    let (what, lasts, max) = match signal {
        QuotaSignal::Pause { lasts, .. } => ("pause_ms", lasts, config.max_pause()),
        QuotaSignal::Ban { lasts, .. } => ("ban_ms", lasts, config.max_ban()),
        _ => return None,
    };
    let lasts = lasts.unwrap_or(config.default_pause());
    let (pause_ns, applied) = bound_time(what, lasts, max);
    Some((
        pause_ns,
        Applied {
            pause_ns,
            ..applied
        },
    ))
}

/// The most that a limit may owe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debt {
    units: u64,
    pub(crate) longest_ns: u64,
}

impl Debt {
    pub(crate) fn of(config: &RateLimitConfig, index: usize) -> Self {
        let (limit, periods) = (&config.limits()[index], u64::from(config.max_debt()));
        Self {
            units: u64::from(limit.count()).saturating_mul(periods),
            longest_ns: ns(limit.period()).saturating_mul(periods),
        }
    }

    /// What is owed of a usage that was not estimated.
    pub(crate) fn bound(self, more: u64, applied: &mut Applied) -> u64 {
        let (owed, cut) = bound("usage", 1, more, self.units);
        *applied = applied.and(cut);
        owed
    }
}
