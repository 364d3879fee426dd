//! For how long a permit is held, estimated from how fast the queue moves.

/// The mean time between two releases while waiters are queued.
///
/// It is what a forecast needs, permits and the time for which they are held in one number, and it
/// costs calls that need not wait no clock reading. It is cleared when the queue is empty: a
/// forecast from another time would reject calls, and as those do not join the queue, nothing
/// would ever correct it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldTimeEstimate {
    /// `None` when the next release ends no interval yet.
    last_ns: Option<u64>,
    interval_ns: f64,
    samples: u32,
    /// What the next interval counts beside those before.
    weight: f64,
}

/// Fewer intervals than this are no estimate.
const MIN_SAMPLES: u32 = 4;

impl HoldTimeEstimate {
    pub(crate) const fn new() -> Self {
        Self {
            last_ns: None,
            interval_ns: 0.0,
            samples: 0,
            weight: 1.0,
        }
    }

    /// The first waiter joins an empty queue.
    pub(crate) const fn start(&mut self, now_ns: u64) {
        *self = Self::new();
        self.last_ns = Some(now_ns);
    }

    /// The queue has stood still, or will: the estimate starts with the next release.
    pub(crate) const fn clear(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn on_release(&mut self, now_ns: u64, limit: u32) {
        let Some(last_ns) = self.last_ns else {
            self.last_ns = Some(now_ns);
            return;
        };
        let interval = now_ns.saturating_sub(last_ns) as f64;
        self.last_ns = Some(last_ns.max(now_ns));
        // Calls that began together end together: one round of all permits is one observation.
        let memory = limit.max(MIN_SAMPLES).saturating_mul(4);
        if self.samples != memory {
            // Lower where the limit was lowered.
            self.samples = self.samples.saturating_add(1).min(memory);
            self.weight = 1.0 / f64::from(self.samples);
        }
        self.interval_ns += (interval - self.interval_ns) * self.weight;
    }

    /// The limit has changed.
    pub(crate) fn rescale(&mut self, before: u32, after: u32) {
        self.interval_ns *= f64::from(before) / f64::from(after.max(1));
    }

    /// How long the waiter at `position` will wait; `None` while too little is known.
    pub(crate) fn forecast(&self, position: u32, limit: u32) -> Option<u64> {
        let known = self.samples >= limit.max(MIN_SAMPLES);
        known.then(|| (self.interval_ns * f64::from(position)) as u64)
    }

    /// For how long a permit is held on average.
    pub(crate) fn mean(&self, limit: u32) -> Option<u64> {
        self.forecast(limit, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forecast_before_every_permit_was_released_once() {
        let mut estimate = HoldTimeEstimate::new();
        estimate.start(100);
        for n in 1..=7 {
            estimate.on_release(100 + n * 10, 8);
            assert_eq!(estimate.forecast(1, 8), None);
        }
        estimate.on_release(180, 8);
        assert_eq!(estimate.forecast(5, 8), Some(50));
        assert_eq!(estimate.mean(8), Some(80));
        estimate.start(1_000);
        assert_eq!(estimate.forecast(1, 8), None, "cleared with the queue");
    }

    #[test]
    fn a_forecast_is_right_for_calls_that_end_together() {
        let mut estimate = HoldTimeEstimate::new();
        estimate.start(0);
        // 10 permits, all of them released every 100 ns.
        for round in 1..=20_u64 {
            for _ in 0..10 {
                estimate.on_release(round * 100, 10);
            }
            let forecast = estimate.forecast(10, 10).expect("ten samples");
            assert!((80..=110).contains(&forecast), "{round}: {forecast}");
        }
    }

    #[test]
    fn a_forecast_follows_the_limit_and_the_hold_time() {
        let mut estimate = HoldTimeEstimate::new();
        estimate.start(0);
        (1..=8).for_each(|n| estimate.on_release(n * 100, 4));
        assert_eq!(estimate.forecast(3, 4), Some(300));
        estimate.rescale(4, 8);
        assert_eq!(estimate.forecast(4, 8), Some(200));
        (1..=400).for_each(|n| estimate.on_release(800 + n * 10, 4));
        let fast = estimate.forecast(10, 4).expect("known");
        assert!((95..=105).contains(&fast), "{fast}");
        // A clock that goes back is a clock that stands.
        estimate.on_release(0, 4);
        assert!(estimate.forecast(10, 4).expect("known") <= fast);
    }
}
