//! What recent attempts took, and the timeout that follows from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::{Quantile, ns};
use tokio::time::Instant;

use super::LearnedConfig;
use crate::limit::limit_ns;

/// How an attempt ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResponse {
    /// It failed, or its response was a failure.
    Failed,
    /// It timed out, or the caller gave it up.
    GivenUp,
}

#[derive(Debug)]
pub(crate) struct Learner {
    quantile: Quantile,
    /// The settings that calls need, each in a word of its own: a call that sees some old and some
    /// new ones is allowed a time between the two.
    factor: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
    initial_ns: AtomicU64,
}

impl Learner {
    pub(crate) fn new(config: LearnedConfig) -> Self {
        let learner = Self {
            quantile: Quantile::new(config.quantile_config()),
            factor: AtomicU64::default(),
            min_ns: AtomicU64::default(),
            max_ns: AtomicU64::default(),
            initial_ns: AtomicU64::default(),
        };
        learner.store(config);
        learner
    }

    /// Changes the settings; what was learned is kept.
    pub(crate) fn configure(&self, config: LearnedConfig) {
        self.quantile.configure(config.quantile_config());
        self.store(config);
    }

    fn store(&self, config: LearnedConfig) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Relaxed);
        store(&self.factor, config.factor().to_bits());
        store(&self.min_ns, limit_ns(config.min()));
        store(&self.max_ns, limit_ns(config.max()));
        store(&self.initial_ns, limit_ns(config.initial()));
    }

    pub(crate) fn last_estimate(&self) -> Option<Duration> {
        self.quantile.last_estimate()
    }

    pub(crate) fn samples_missing(&self) -> u32 {
        self.quantile.samples_missing()
    }

    pub(crate) fn reset(&self) {
        self.quantile.reset();
    }

    /// What an attempt that begins at `now` may take, in nanoseconds.
    pub(crate) fn timeout(&self, now: Instant) -> u64 {
        self.timeout_from(self.quantile.estimate(now))
    }

    /// The same by the estimate that was computed last.
    pub(crate) fn last_timeout(&self) -> u64 {
        self.timeout_from(self.last_estimate())
    }

    fn timeout_from(&self, estimate: Option<Duration>) -> u64 {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let Some(estimate) = estimate else {
            return load(&self.initial_ns);
        };
        let factor = f64::from_bits(load(&self.factor));
        // A conversion from a float saturates.
        let timeout = (ns(estimate) as f64 * factor) as u64;
        // Not `clamp`, which panics when the settings change between the two loads.
        timeout.max(load(&self.min_ns)).min(load(&self.max_ns))
    }

    /// Records a response.
    pub(crate) fn record(&self, took: Duration, now: Instant) {
        self.quantile.record(took, now);
    }

    /// Records an attempt without a response.
    ///
    /// An attempt that was given up would have taken at least as long as it was waited for. Left
    /// out, it would make the estimate one of the responses that were fast enough, so that the
    /// timeout sinks until most attempts time out. A failure counts for as much as it took, which
    /// is nothing where a response would have taken as long: connections that are refused at once
    /// say nothing about responses, and when there is nothing but them the old figures are to run
    /// out, not to be replaced. While nothing is known, only the initial timeout itself counts, for
    /// the same reason.
    pub(crate) fn record_without_response(&self, why: NoResponse, took: Duration, now: Instant) {
        let counts = match (self.last_estimate(), why) {
            (Some(estimate), NoResponse::Failed) => took > estimate,
            (Some(_), NoResponse::GivenUp) => true,
            (None, _) => ns(took) >= self.initial_ns.load(Ordering::Relaxed),
        };
        if counts {
            self.quantile.record_at_least(took, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);
    const INITIAL: Duration = Duration::from_secs(1);

    fn learner() -> Learner {
        let config = LearnedConfig::builder()
            .quantile(0.9)
            .factor(2.0)
            .warm_up(10);
        Learner::new(config.initial(INITIAL).build().unwrap())
    }

    /// Attempts whose responses would take `takes`, each with the timeout of its time; returns the
    /// share that timed out.
    fn run(learner: &Learner, now: &mut Instant, takes: impl IntoIterator<Item = Duration>) -> f64 {
        let (mut all, mut timed_out) = (0, 0);
        for takes in takes {
            let timeout = Duration::from_nanos(learner.timeout(*now));
            let took = takes.min(timeout);
            *now += took.max(100 * MS);
            all += 1;
            if takes <= timeout {
                learner.record(took, *now);
            } else {
                timed_out += 1;
                learner.record_without_response(NoResponse::GivenUp, took, *now);
            }
        }
        f64::from(timed_out) / f64::from(all)
    }

    fn spread(from: u32, to: u32) -> impl Iterator<Item = Duration> {
        (0..2_000).map(move |n| (from + n * 7_919 % (to - from)) * MS)
    }

    #[test]
    fn the_timeout_follows_the_responses_down() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(100, 200));
        let timeout = learner.timeout(now) / 1_000_000;
        assert!((380..=430).contains(&timeout), "twice the 90th: {timeout}");
    }

    /// Left out of what is learned, attempts that time out would leave the timeout where it is:
    /// only responses below it are ever recorded.
    #[test]
    fn attempts_that_timed_out_let_the_timeout_grow_with_the_responses() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        assert!(learner.timeout(now) < 110_000_000);
        // Ten to a hundred times slower, all at once: every one times out at first.
        let first = run(&learner, &mut now, spread(1_000, 2_000).take(50));
        assert!(first > 0.1, "{first}");
        run(&learner, &mut now, spread(1_000, 2_000));
        let timed_out = run(&learner, &mut now, spread(1_000, 2_000));
        let timeout = learner.timeout(now) / 1_000_000;
        assert!(
            timed_out < 0.01 && timeout >= 3_800,
            "{timed_out} of the attempts timed out, at {timeout} ms"
        );
    }

    #[test]
    fn an_upstream_that_hangs_raises_the_timeout_to_its_bound_and_no_farther() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        let hangs = std::iter::repeat_n(Duration::from_secs(3_600), 600);
        assert_eq!(run(&learner, &mut now, hangs), 1.0);
        assert_eq!(learner.timeout(now), ns(LearnedConfig::default().max()));
    }

    #[test]
    fn failures_that_come_fast_never_lower_the_timeout() {
        let (learner, mut now) = (learner(), Instant::now());
        // Nothing but failures, from the beginning.
        for _ in 0..1_000 {
            now += 10 * MS;
            learner.record_without_response(NoResponse::Failed, MS, now);
        }
        assert_eq!(learner.timeout(now), ns(INITIAL), "nothing was learned");
        run(&learner, &mut now, spread(100, 200));
        let before = learner.timeout(now);
        // An outage longer than the window: what was known runs out.
        for n in 0..80_000 {
            now += 10 * MS;
            learner.record_without_response(NoResponse::Failed, MS, now);
            if n % 100 == 0 {
                let timeout = learner.timeout(now);
                // Of the last figures that run out, the longest are as good as any.
                assert!(timeout > before / 2, "{timeout} after {before}");
            }
        }
        assert_eq!(learner.timeout(now), ns(INITIAL));
    }

    #[test]
    fn a_slow_failure_counts_as_a_response_that_was_given_up() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        let before = learner.timeout(now);
        for _ in 0..2_000 {
            now += 50 * MS;
            learner.record_without_response(NoResponse::Failed, 500 * MS, now);
        }
        assert!(learner.timeout(now) > 2 * before);
    }

    proptest! {
        #[test]
        fn the_timeout_stays_within_its_bounds(
            min in 1_u64..10_000, more in 0_u64..10_000, factor in 1.01_f64..1e300,
            takes in proptest::collection::vec((0_u64..u64::MAX, any::<bool>()), 1..200),
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let config = LearnedConfig::builder().factor(factor).warm_up(3).min(min).max(max);
            let learner = Learner::new(config.build().unwrap());
            let mut now = Instant::now();
            for (takes, responds) in takes {
                let takes = Duration::from_nanos(takes);
                now += MS;
                if responds {
                    learner.record(takes, now);
                } else {
                    learner.record_without_response(NoResponse::GivenUp, takes, now);
                }
                let timeout = Duration::from_nanos(learner.timeout(now));
                prop_assert!((min..=max).contains(&timeout));
            }
        }
    }
}
