//! What holds for a service now: states and gauges of its instances.

use std::time::Duration;

use seawall_core::LastRejection;

use crate::overview::number;

/// What holds for a service now. Gauges of several instances are summed, or the one with most trouble
/// counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) state: &'static str,
    pub(crate) state_seconds: Option<f64>,
    pub(crate) next_probe_seconds: Option<f64>,
    pub(crate) circuits: u64,
    pub(crate) open: u64,
    pub(crate) half_open: u64,
    /// Whether the circuit of the service itself is open, and not one of a part of it.
    pub(crate) is_main_open: bool,
    pub(crate) error_threshold: Option<f64>,
    pub(crate) slow_threshold: Option<f64>,
    pub(crate) in_flight: Option<f64>,
    pub(crate) max_concurrent: Option<f64>,
    /// For how long calls are in flight without an end, where that is too long.
    pub(crate) none_ended_for: Option<Duration>,
    pub(crate) queue_depth: Option<f64>,
    pub(crate) max_waiting: Option<f64>,
    /// Of rate limits; infinite until they are resumed.
    pub(crate) pause_seconds: f64,
    /// An operator's command that stops calls: `paused`, `draining`.
    pub(crate) stopped: Option<&'static str>,
    pub(crate) limits: Vec<LimitReading>,
    pub(crate) retry_balance: Option<f64>,
    pub(crate) retry_capacity: Option<f64>,
    pub(crate) has_hedge: bool,
    pub(crate) has_router: bool,
    /// Of the layer that observes calls: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy.
    pub(crate) health: Option<u8>,
    pub(crate) orders: Option<OrdersReading>,
    pub(crate) last_rejection: Option<LastRejection>,
    pub(crate) patterns: Vec<&'static str>,
    /// An instance that cannot be read, so that what it was last is shown.
    pub(crate) unread: Option<&'static str>,
    /// Whether a figure of its orders is none that orders can have.
    pub(crate) is_wrong: bool,
}

/// One limit of a rate limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LimitReading {
    pub(crate) instance: &'static str,
    pub(crate) index: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) available: Option<f64>,
    pub(crate) capacity: Option<f64>,
    pub(crate) reserved: Option<f64>,
    pub(crate) window_seconds: Option<f64>,
    pub(crate) full_seconds: Option<f64>,
    pub(crate) reported_limit: Option<f64>,
    pub(crate) reported_remaining: Option<f64>,
    pub(crate) reported_reset_seconds: Option<f64>,
    pub(crate) reported_used_ratio: Option<f64>,
    pub(crate) reported_age_seconds: Option<f64>,
}

/// The orders of a service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OrdersReading {
    pub(crate) in_doubt: u64,
    pub(crate) exhausted: u64,
    pub(crate) mode: &'static str,
    pub(crate) kill_switch: bool,
}

impl OrdersReading {
    fn add(&mut self, other: &Self) {
        self.in_doubt = self.in_doubt.saturating_add(other.in_doubt);
        self.exhausted = self.exhausted.saturating_add(other.exhausted);
        if mode_rank(other.mode) >= mode_rank(self.mode) {
            self.mode = other.mode;
        }
        self.kill_switch |= other.kill_switch;
    }
}

/// How bad a state is, for the one that is shown.
fn rank(state: &str) -> u8 {
    match state {
        "forced_open" => 10,
        "open" => 9,
        "paused" => 8,
        "draining" => 7,
        "half_open" => 6,
        "exhausted" | "full" => 5,
        "throttling" | "budget_exhausted" => 4,
        "forced_closed" => 3,
        "closed" => 2,
        // A call waits a moment every now and then: that is no state of a service that has a circuit.
        "queueing" => 1,
        _ => 0,
    }
}

impl Standing {
    /// Takes the state of an instance; `true` where that may be shown.
    pub(crate) fn take_state(&mut self, pattern: &'static str, state: &'static str) -> bool {
        self.patterns.push(pattern);
        match pattern {
            "bulkhead" | "ratelimit" | "ratelimit_per_key" | "throttle" | "retry" => {
                if matches!(state, "paused" | "draining") {
                    self.stopped = Some(state);
                }
            }
            "router" => self.has_router = true,
            "hedge" => self.has_hedge = true,
            "orders" => self.orders.get_or_insert_default().mode = state,
            _ => {}
        }
        let is_shown = matches!(
            pattern,
            "breaker" | "bulkhead" | "ratelimit" | "ratelimit_per_key" | "throttle" | "retry"
        );
        if is_shown {
            self.state = state;
        }
        is_shown
    }

    /// Adds what holds for another instance.
    pub(crate) fn add(&mut self, other: &Self) {
        for pattern in &other.patterns {
            if !self.patterns.contains(pattern) {
                self.patterns.push(pattern);
            }
        }
        let is_worse = self.state.is_empty() || rank(other.state) > rank(self.state);
        if is_worse && !other.state.is_empty() {
            self.state = other.state;
            self.state_seconds = other.state_seconds;
            self.next_probe_seconds = other.next_probe_seconds;
        }
        self.circuits += other.circuits;
        self.open += other.open;
        self.half_open += other.half_open;
        self.is_main_open |= other.is_main_open;
        for (to, value) in [
            (&mut self.in_flight, other.in_flight),
            (&mut self.max_concurrent, other.max_concurrent),
            (&mut self.queue_depth, other.queue_depth),
            (&mut self.max_waiting, other.max_waiting),
        ] {
            value.into_iter().for_each(|value| sum(to, value));
        }
        for (to, value) in [
            (&mut self.error_threshold, other.error_threshold),
            (&mut self.slow_threshold, other.slow_threshold),
            (&mut self.retry_balance, other.retry_balance),
            (&mut self.retry_capacity, other.retry_capacity),
        ] {
            value.into_iter().for_each(|value| least(to, value));
        }
        self.pause_seconds = self.pause_seconds.max(other.pause_seconds);
        self.stopped = other.stopped.or(self.stopped);
        for limit in &other.limits {
            *self.limit(limit.instance, limit.index, limit.unit) = *limit;
        }
        self.has_hedge |= other.has_hedge;
        self.has_router |= other.has_router;
        self.health = self.health.max(other.health);
        if let Some(other) = other.orders {
            self.orders.get_or_insert_default().add(&other);
        }
        let ago = |last: &LastRejection| last.ago;
        let earlier = self.last_rejection.as_ref().map(ago);
        if let Some(last) = other.last_rejection
            && earlier.is_none_or(|ago| last.ago < ago)
        {
            self.last_rejection = Some(last);
        }
        self.unread = self.unread.or(other.unread);
    }

    /// The limit of that instance and number.
    pub(crate) fn limit(
        &mut self,
        instance: &'static str,
        index: &'static str,
        unit: &'static str,
    ) -> &mut LimitReading {
        let at = self
            .limits
            .iter()
            .position(|limit| (limit.instance, limit.index) == (instance, index));
        let at = at.unwrap_or_else(|| {
            self.limits.push(LimitReading {
                instance,
                index,
                unit,
                ..LimitReading::default()
            });
            self.limits.len() - 1
        });
        &mut self.limits[at]
    }

    /// Whether the worst circuit is open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, "open" | "forced_open")
    }

    /// What is left of the retry budget, as a share of it, or as none or all where its size is unknown.
    pub(crate) fn retry_share(&self) -> Option<f64> {
        let balance = self.retry_balance?;
        if balance < 1.0 {
            return Some(0.0);
        }
        let share = self.retry_capacity.map_or(1.0, |all| balance / all);
        number(share).map(|share| share.clamp(0.0, 1.0))
    }
}

/// How strict a trading mode is.
pub(crate) fn mode_rank(mode: &str) -> u8 {
    match mode {
        "" => 0,
        "normal" => 1,
        "reduce_only" => 2,
        "cancel_only" => 3,
        _ => 4,
    }
}

impl LimitReading {
    /// The share that is used: of the upstream's own limit where it is known, else of ours.
    pub(crate) fn used_share(&self) -> Option<f64> {
        let ours = || {
            let (capacity, available) = (self.capacity?, self.available?);
            (capacity > 0.0).then(|| (capacity - available) / capacity)
        };
        let share = self.reported_used_ratio.or_else(ours)?;
        number(share).map(|share| share.clamp(0.0, 1.0))
    }

    /// The share that is used of what calls may use that are not reserved.
    pub(crate) fn spent_share(&self) -> Option<f64> {
        let reserved = match (self.reserved, self.capacity) {
            (Some(reserved), Some(capacity)) if capacity > reserved => reserved / capacity,
            _ => 0.0,
        };
        let used = self.used_share()?;
        number(used / (1.0 - reserved)).map(|share| share.clamp(0.0, 1.0))
    }

    /// Whether it is a quota, and not a pace that is used up every second.
    pub(crate) fn is_quota(&self) -> bool {
        self.reported_used_ratio.is_some() || self.window_seconds.is_some_and(|all| all >= 60.0)
    }
}

/// Adds to a sum that may have no part yet.
pub(crate) fn sum(to: &mut Option<f64>, value: f64) {
    if let Some(value) = number(value) {
        *to = Some(to.unwrap_or_default() + value);
    }
}

/// Takes the smaller one.
pub(crate) fn least(to: &mut Option<f64>, value: f64) {
    if let Some(value) = number(value) {
        *to = Some(to.map_or(value, |before| before.min(value)));
    }
}
