//! What attempts taught, and the timeout that follows from it.

use std::time::Duration;

use seawall_core::{Quantile, ns};
use tokio::time::Instant;

use super::LearnedConfig;

/// How an attempt ended that did not bring an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It failed, or was answered with a failure.
    Failed,
    /// It was cut off, or given up by the caller.
    GivenUp,
}

#[derive(Debug)]
pub(crate) struct Learner {
    config: LearnedConfig,
    quantile: Quantile,
}

impl Learner {
    pub(crate) fn new(config: LearnedConfig) -> Self {
        Self {
            config,
            quantile: Quantile::new(config.quantile),
        }
    }

    pub(crate) const fn config(&self) -> &LearnedConfig {
        &self.config
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

    /// What an attempt that begins at `now` may take, in nanoseconds; `initial` while too little
    /// is known.
    pub(crate) fn allowed(&self, now: Instant, initial: u64) -> u64 {
        self.of(self.quantile.estimate(now), initial)
    }

    /// The same by the estimate that was computed last.
    pub(crate) fn last_allowed(&self, initial: u64) -> u64 {
        self.of(self.last_estimate(), initial)
    }

    fn of(&self, estimate: Option<Duration>, initial: u64) -> u64 {
        let Some(estimate) = estimate else {
            return initial;
        };
        // A conversion from a float saturates.
        let timeout = (ns(estimate) as f64 * self.config.factor) as u64;
        timeout.clamp(ns(self.config.min), ns(self.config.max))
    }

    /// Learns from an answer.
    pub(crate) fn answered(&self, took: Duration, now: Instant) {
        self.quantile.record(took, now);
    }

    /// Learns from an attempt without one, which `initial` may have been the limit of.
    ///
    /// What was given up would have taken at least as long as it was waited for. Left out, it
    /// would make the estimate one of the answers that were fast enough, so that the timeout
    /// sinks until it cuts most of them off. A failure is worth as much as it took, which is
    /// nothing where an answer would have taken as long: connections that are rejected at once
    /// say nothing about answers, and when there is nothing but them the old figures are to run
    /// out, not to be replaced. While nothing is known, only the initial timeout itself is worth
    /// counting, for the same reason.
    pub(crate) fn unanswered(&self, how: Unanswered, took: Duration, now: Instant, initial: u64) {
        let counts = match (self.last_estimate(), how) {
            (Some(estimate), Unanswered::Failed) => took > estimate,
            (Some(_), Unanswered::GivenUp) => true,
            (None, _) => ns(took) >= initial,
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

    fn learner() -> Learner {
        let config = LearnedConfig::builder()
            .quantile(0.9)
            .factor(2.0)
            .warm_up(10);
        Learner::new(config.initial(Duration::from_secs(1)).build().unwrap())
    }

    /// Attempts whose answers would take `takes`, each cut off at what is allowed; answers the
    /// share that was cut.
    fn run(learner: &Learner, now: &mut Instant, takes: impl IntoIterator<Item = Duration>) -> f64 {
        let (mut all, mut cut) = (0, 0);
        for takes in takes {
            let allowed = Duration::from_nanos(learner.allowed(*now, 1_000_000_000));
            let took = takes.min(allowed);
            *now += took.max(100 * MS);
            all += 1;
            if takes <= allowed {
                learner.answered(took, *now);
            } else {
                cut += 1;
                learner.unanswered(Unanswered::GivenUp, took, *now, 1_000_000_000);
            }
        }
        f64::from(cut) / f64::from(all)
    }

    fn spread(from: u32, to: u32) -> impl Iterator<Item = Duration> {
        (0..2_000).map(move |n| (from + n * 7_919 % (to - from)) * MS)
    }

    #[test]
    fn the_timeout_follows_the_answers_down() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(100, 200));
        let allowed = learner.allowed(now, 0) / 1_000_000;
        assert!((380..=430).contains(&allowed), "twice the 90th: {allowed}");
    }

    /// Left out of what is learned, the answers that are cut off would leave the timeout where it
    /// is: only what is below it is ever seen.
    #[test]
    fn attempts_that_were_cut_off_let_the_timeout_grow_with_the_answers() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        assert!(learner.allowed(now, 0) < 110_000_000);
        // Ten to a hundred times slower, all at once: every one is cut off at first.
        let first = run(&learner, &mut now, spread(1_000, 2_000).take(50));
        assert!(first > 0.1, "{first}");
        run(&learner, &mut now, spread(1_000, 2_000));
        let cut = run(&learner, &mut now, spread(1_000, 2_000));
        let allowed = learner.allowed(now, 0) / 1_000_000;
        assert!(
            cut < 0.01 && allowed >= 3_800,
            "{cut} are cut at {allowed} ms"
        );
    }

    #[test]
    fn an_upstream_that_hangs_raises_the_timeout_to_its_bound_and_no_farther() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        let hangs = std::iter::repeat_n(Duration::from_secs(3_600), 600);
        assert_eq!(run(&learner, &mut now, hangs), 1.0);
        assert_eq!(learner.allowed(now, 0), ns(learner.config().max()));
    }

    #[test]
    fn failures_that_come_fast_never_lower_the_timeout() {
        let (learner, mut now) = (learner(), Instant::now());
        // Nothing but failures, from the beginning.
        for _ in 0..1_000 {
            now += 10 * MS;
            learner.unanswered(Unanswered::Failed, MS, now, 1_000_000_000);
        }
        assert_eq!(learner.allowed(now, 7), 7, "nothing was learned");
        run(&learner, &mut now, spread(100, 200));
        let before = learner.allowed(now, 7);
        // An outage longer than the window: what was known runs out.
        for n in 0..80_000 {
            now += 10 * MS;
            learner.unanswered(Unanswered::Failed, MS, now, 1_000_000_000);
            if n % 100 == 0 {
                let allowed = learner.allowed(now, 7);
                // Of the last figures that run out, the longest are as good as any.
                assert!(
                    allowed == 7 || allowed > before / 2,
                    "{allowed} after {before}"
                );
            }
        }
        assert_eq!(learner.allowed(now, 7), 7);
    }

    #[test]
    fn a_slow_failure_counts_as_an_answer_that_was_not_waited_for() {
        let (learner, mut now) = (learner(), Instant::now());
        run(&learner, &mut now, spread(10, 20));
        let before = learner.allowed(now, 0);
        for _ in 0..2_000 {
            now += 50 * MS;
            learner.unanswered(Unanswered::Failed, 500 * MS, now, 0);
        }
        assert!(learner.allowed(now, 0) > 2 * before);
    }

    proptest! {
        #[test]
        fn what_is_allowed_keeps_to_the_bounds(
            min in 1_u64..10_000, more in 0_u64..10_000, factor in 1.01_f64..1e300,
            takes in proptest::collection::vec((0_u64..u64::MAX, any::<bool>()), 1..200),
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let config = LearnedConfig::builder().factor(factor).warm_up(3).min(min).max(max);
            let learner = Learner::new(config.build().unwrap());
            let mut now = Instant::now();
            for (takes, answered) in takes {
                let takes = Duration::from_nanos(takes);
                now += MS;
                if answered {
                    learner.answered(takes, now);
                } else {
                    learner.unanswered(Unanswered::GivenUp, takes, now, ns(max));
                }
                let allowed = Duration::from_nanos(learner.allowed(now, ns(max)));
                prop_assert!((min..=max).contains(&allowed));
            }
        }
    }
}
