//! Why a call does not depart now.

use seawall_core::Reason;

use crate::pause::Start;

/// Why a call does not depart now, and when it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) reason: Reason,
    /// From now; `u64::MAX` when it is unknown or never.
    pub(crate) wait_ns: u64,
    /// Whether an operator has commanded it: shadow mode does not cover that.
    pub(crate) commanded: bool,
    /// The cost and the capacity of a call that costs more than a limit can ever grant.
    pub(crate) cost: Option<(u32, u32)>,
}

impl Denial {
    /// The call costs more than a limit can ever grant.
    pub(crate) const fn too_expensive(cost: u32, capacity: u32) -> Self {
        Self {
            reason: Reason::TooExpensive,
            wait_ns: u64::MAX,
            commanded: false,
            cost: Some((cost, capacity)),
        }
    }

    pub(crate) const DRAINING: Self = Self {
        reason: Reason::Draining,
        wait_ns: u64::MAX,
        commanded: true,
        cost: None,
    };

    /// The deadline of the call has passed: nobody waits for its result.
    pub(crate) const EXPIRED: Self = Self {
        reason: Reason::DeadlineExceeded,
        wait_ns: u64::MAX,
        commanded: false,
        cost: None,
    };

    /// The rate is used up.
    pub(crate) const fn rate_limited(wait_ns: u64) -> Self {
        Self {
            reason: Reason::RateLimited,
            wait_ns,
            commanded: false,
            cost: None,
        }
    }

    /// The call departs so many nanoseconds from now. Limits start carefully after a pause, so there
    /// is a wait after it as well: the longer part is the reason.
    pub(crate) fn of_wait(start: Start, wait_ns: u64, by_quota: bool) -> Self {
        let paused = start.pause.until().saturating_sub(start.now);
        let reason = if paused > 0 && paused >= wait_ns.saturating_sub(paused) {
            Reason::Paused
        } else if by_quota {
            Reason::QuotaExhausted
        } else {
            Reason::RateLimited
        };
        Self {
            reason,
            wait_ns,
            commanded: start.now < start.pause.commanded_until(),
            cost: None,
        }
    }

    /// An operator has paused the layer.
    pub(crate) const fn paused_by_operator(wait_ns: u64) -> Self {
        Self {
            reason: Reason::Paused,
            wait_ns,
            commanded: true,
            cost: None,
        }
    }

    /// When a rejected call may come back. Not at once: there may be a token, but the queue is full,
    /// or the service was not ready to use it.
    pub(crate) const fn not_at_once(self) -> Self {
        /// The resolution of a timer.
        const SOON: u64 = 1_000_000;
        Self {
            wait_ns: if self.wait_ns == 0 {
                SOON
            } else {
                self.wait_ns
            },
            ..self
        }
    }
}
