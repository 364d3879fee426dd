//! What an instance has counted, and what of it is new.

use seawall_core::HistogramSnapshot;

/// What an instance has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) success: u64,
    pub(crate) failure: u64,
    /// Turned away by the upstream as too many.
    pub(crate) throttled: u64,
    /// Rejected by a layer, as the instance sees its calls.
    pub(crate) rejected: u64,
    /// Answered by something else than the upstream's answer to them.
    pub(crate) degraded: u64,
    /// Calls of any other outcome.
    pub(crate) other: u64,
    /// Rejected by the instance itself; timeouts are none of these.
    pub(crate) own_rejections: u64,
    pub(crate) rate_limited: u64,
    pub(crate) bulkhead_rejections: u64,
    pub(crate) slow: u64,
    pub(crate) hedged: u64,
    pub(crate) rerouted: u64,
    /// Transitions of circuits into the open state.
    pub(crate) opened: u64,
    /// Calls that were not tried again, since the retry budget could not pay for that.
    pub(crate) unpaid: u64,
    /// How long calls took that were not rejected.
    pub(crate) latency: HistogramSnapshot,
}

impl Counts {
    /// Counts `total` calls of an outcome, by the label of metrics.
    pub(crate) fn add_calls(&mut self, outcome: &str, total: u64) {
        let count = match outcome {
            "success" => &mut self.success,
            // A call whose outcome is unknown has not succeeded.
            "failure" | "unknown" => &mut self.failure,
            "throttled" | "banned" | "quota_exhausted" => &mut self.throttled,
            "rejected" => &mut self.rejected,
            "degraded" => &mut self.degraded,
            _ => &mut self.other,
        };
        *count = count.saturating_add(total);
    }

    /// Counts `total` rejections by a layer.
    pub(crate) fn add_rejections(&mut self, layer: &str, reason: &str, total: u64) {
        if matches!(
            reason,
            "attempt_timeout" | "body_timeout" | "outcome_unknown" | "panicked"
        ) {
            return;
        }
        self.own_rejections = self.own_rejections.saturating_add(total);
        match layer {
            "ratelimit" => self.rate_limited = self.rate_limited.saturating_add(total),
            "bulkhead" => {
                self.bulkhead_rejections = self.bulkhead_rejections.saturating_add(total);
            }
            _ => {}
        }
    }

    fn numbers(&self) -> [u64; 14] {
        [
            self.success,
            self.failure,
            self.throttled,
            self.rejected,
            self.other,
            self.own_rejections,
            self.rate_limited,
            self.bulkhead_rejections,
            self.slow,
            self.hedged,
            self.rerouted,
            self.opened,
            self.unpaid,
            self.degraded,
        ]
    }

    fn of_numbers(numbers: [u64; 14], latency: HistogramSnapshot) -> Self {
        let [success, failure, throttled, rejected, other, ..] = numbers;
        let [.., slow, hedged, rerouted, opened, unpaid, degraded] = numbers;
        Self {
            success,
            failure,
            throttled,
            rejected,
            degraded,
            other,
            own_rejections: numbers[5],
            rate_limited: numbers[6],
            bulkhead_rejections: numbers[7],
            slow,
            hedged,
            rerouted,
            opened,
            unpaid,
            latency,
        }
    }

    /// What was counted after `earlier`. A counter that is smaller than it was began again, so all of
    /// it is new, as Prometheus takes it.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let (now, before) = (self.numbers(), earlier.numbers());
        let numbers = std::array::from_fn(|i| now[i].checked_sub(before[i]).unwrap_or(now[i]));
        let latency = if self.latency == earlier.latency {
            HistogramSnapshot::default()
        } else {
            self.latency.since(&earlier.latency)
        };
        Self::of_numbers(numbers, latency)
    }

    /// Adds what another instance has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        let (ours, theirs) = (self.numbers(), other.numbers());
        let numbers = std::array::from_fn(|i| ours[i].saturating_add(theirs[i]));
        let latency = if other.latency.is_empty() {
            std::mem::take(&mut self.latency)
        } else if self.latency.is_empty() {
            other.latency.clone()
        } else {
            self.latency.merge(&other.latency)
        };
        *self = Self::of_numbers(numbers, latency);
    }

    /// What is counted beside calls, which are counted elsewhere.
    pub(crate) fn without_calls(self) -> Self {
        Self {
            hedged: self.hedged,
            rerouted: self.rerouted,
            opened: self.opened,
            unpaid: self.unpaid,
            ..Self::default()
        }
    }

    /// Calls, rejected ones included.
    pub(crate) fn calls(&self) -> u64 {
        [
            self.success,
            self.failure,
            self.throttled,
            self.rejected,
            self.degraded,
            self.other,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_that_began_again_gives_no_negative_rate() {
        let before = Counts {
            success: 100,
            failure: 7,
            ..Counts::default()
        };
        let after = Counts {
            success: 3,
            failure: 9,
            ..Counts::default()
        };
        let new = after.since(&before);
        assert_eq!((new.success, new.failure), (3, 2));
    }

    proptest! {
        #[test]
        fn numbers_keep_their_fields(numbers: [u64; 14]) {
            let counts = Counts::of_numbers(numbers, HistogramSnapshot::default());
            prop_assert_eq!(counts.numbers(), numbers);
            prop_assert_eq!(counts.since(&counts), Counts::default());
            let mut sum = Counts::default();
            sum.add(&counts);
            prop_assert_eq!(sum, counts);
        }
    }
}
