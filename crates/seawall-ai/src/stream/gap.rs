//! The pure core of the times: which limit ends the wait for what comes next, and when.

use std::time::Duration;

use seawall_core::deadline;
use tokio::time::Instant;

/// The limits of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLimit {
    /// There was no content in time.
    FirstContent,
    /// There was content, and then none for too long.
    BetweenContents,
    /// The response took too long in total.
    Total,
}

/// An end, and the limit that it is the end of.
pub(super) type Due = (Instant, TimeLimit);

/// How long a stream that has sent its final event may take to end.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    /// When the first content must be there; `None` when it is, and without that limit.
    first: Option<Instant>,
    between: Option<Duration>,
    /// When the response must be complete.
    until: Option<Instant>,
    /// When the wait that has begun ends.
    due: Option<Due>,
}

impl Gap {
    pub(super) const fn new(
        first: Option<Instant>,
        between: Option<Duration>,
        until: Option<Instant>,
    ) -> Self {
        Self {
            first,
            between,
            until,
            due: None,
        }
    }

    /// There was content.
    pub(super) const fn content(&mut self) {
        self.first = None;
        self.due = None;
    }

    /// A step was done, which is not what the first content waits for.
    pub(super) const fn step(&mut self) {
        if self.first.is_none() {
            self.due = None;
        }
    }

    /// The final event has come, after which nothing follows.
    pub(super) fn finish(&mut self) {
        self.first = None;
        self.between = Some(self.between.map_or(LAST_WAIT, |gap| gap.min(LAST_WAIT)));
        self.due = None;
    }

    /// Whether what comes may come too late, so that the clock has to be read.
    pub(super) const fn times_frames(&self) -> bool {
        self.until.is_some()
    }

    /// Whether the time of the response was over before `now`.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until < now)
    }

    /// When the wait ends that has begun by `now`.
    pub(super) fn waits(&mut self, now: impl FnOnce() -> Instant) -> Option<Due> {
        if self.due.is_none() {
            let next = match (self.first, self.between) {
                (Some(at), _) => Some((at, TimeLimit::FirstContent)),
                (None, Some(gap)) => Some((deadline(now(), gap), TimeLimit::BetweenContents)),
                (None, None) => None,
            };
            let total = self.until.map(|at| (at, TimeLimit::Total));
            self.due = match (next, total) {
                (Some(next), Some(total)) => Some(if total.0 < next.0 { total } else { next }),
                (next, total) => next.or(total),
            };
        }
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    proptest! {
        /// Against the obvious model: the earliest of the limits that are set.
        #[test]
        fn a_wait_ends_at_the_earliest_limit_that_is_set(
            first in proptest::option::of(1_u64..100),
            between in proptest::option::of(1_u64..100),
            total in proptest::option::of(1_u64..100),
            pause in 0_u64..100,
            what in 0..4,
        ) {
            let start = Instant::now();
            let now = start + ms(pause);
            let at = |n| start + ms(n);
            let mut gap = Gap::new(first.map(at), between.map(ms), total.map(at));
            // A wait that has begun, and what ends it.
            let begun = gap.waits(|| start);
            let expect = |first: Option<u64>, between: Option<u64>, now| {
                let next = first.map(at).or(between.map(|n| now + ms(n)));
                [next, total.map(at)].into_iter().flatten().min()
            };
            prop_assert_eq!(begun.map(|due| due.0), expect(first, between, start));
            let later = match what {
                0 => begun.map(|due| due.0),
                1 => {
                    gap.step();
                    if first.is_some() { begun.map(|due| due.0) } else { expect(None, between, now) }
                }
                2 => {
                    gap.content();
                    expect(None, between, now)
                }
                _ => {
                    gap.finish();
                    expect(None, Some(between.unwrap_or(5_000).min(5_000)), now)
                }
            };
            prop_assert_eq!(gap.waits(|| now).map(|due| due.0), later);
            prop_assert_eq!(gap.times_frames(), total.is_some());
            prop_assert_eq!(gap.is_over(now), total.is_some_and(|total| total < pause));
        }
    }
}
