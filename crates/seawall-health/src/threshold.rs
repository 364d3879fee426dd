//! When a run of results changes the health of a thing. No clock, no tasks.

use std::fmt;

/// How well something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing has been said yet.
    #[default]
    Unknown,
    /// It does what it should.
    Healthy,
    /// It works, but slowly or not in full.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl Status {
    /// The status as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The status as a number for gauges: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy.
    pub const fn as_number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Healthy => 1,
            Self::Degraded => 2,
            Self::Unhealthy => 3,
        }
    }

    /// Whether work can be sent there: healthy or degraded.
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }

    /// How bad it is beside others: what is not known yet may be worse than what is slow.
    const fn badness(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Unknown => 2,
            Self::Unhealthy => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of the whole, from `(critical, status)` of each part.
///
/// The worst of the critical parts; parts that are not critical can only degrade it, and do
/// when they are known to be less than healthy. Without a part that says anything: unknown.
pub fn aggregate(parts: impl IntoIterator<Item = (bool, Status)>) -> Status {
    parts
        .into_iter()
        .filter_map(|(critical, status)| match (critical, status) {
            (true, status) => Some(status),
            (false, Status::Unknown) => None,
            (false, Status::Healthy) => Some(Status::Healthy),
            (false, Status::Degraded | Status::Unhealthy) => Some(Status::Degraded),
        })
        .max_by_key(|status| status.badness())
        .unwrap_or_default()
}

/// One result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Degraded,
    Failed,
}

/// Counts results in a row.
///
/// Failures in a row make it unhealthy and successes in a row bring it back; in between it stays
/// what it was, so that one lost packet changes nothing. A success that is slow degrades at once,
/// as one that is not restores at once. The first success makes the unknown known.
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    failures_to_unhealthy: u32,
    successes_to_recover: u32,
    status: Status,
    failures: u32,
    successes: u32,
}

impl Threshold {
    pub(crate) const fn new(failures_to_unhealthy: u32, successes_to_recover: u32) -> Self {
        Self {
            failures_to_unhealthy,
            successes_to_recover,
            status: Status::Unknown,
            failures: 0,
            successes: 0,
        }
    }

    /// Takes one result; the status before, when it has changed.
    pub(crate) fn observe(&mut self, verdict: Verdict) -> Option<Status> {
        let before = self.status;
        if verdict == Verdict::Failed {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.failures_to_unhealthy {
                self.status = Status::Unhealthy;
            }
        } else {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            let recovered = self.successes >= self.successes_to_recover;
            if before != Status::Unhealthy || recovered {
                self.status = match verdict {
                    Verdict::Degraded => Status::Degraded,
                    _ => Status::Healthy,
                };
            }
        }
        (self.status != before).then_some(before)
    }

    pub(crate) const fn status(&self) -> Status {
        self.status
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) const fn successes(&self) -> u32 {
        self.successes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(threshold: &mut Threshold, verdicts: &str) -> Status {
        for verdict in verdicts.chars() {
            threshold.observe(match verdict {
                '+' => Verdict::Passed,
                '~' => Verdict::Degraded,
                _ => Verdict::Failed,
            });
        }
        threshold.status()
    }

    #[test]
    fn three_failures_in_a_row_and_two_successes_in_a_row_change_it() {
        let mut t = Threshold::new(3, 2);
        assert_eq!(t.status(), Status::Unknown);
        assert_eq!(walk(&mut t, "--"), Status::Unknown);
        assert_eq!(walk(&mut t, "+"), Status::Healthy);
        assert_eq!(walk(&mut t, "--+--"), Status::Healthy);
        assert_eq!(walk(&mut t, "-"), Status::Unhealthy);
        assert_eq!(walk(&mut t, "+-+"), Status::Unhealthy);
        assert_eq!(walk(&mut t, "+"), Status::Healthy);
    }

    #[test]
    fn slowness_degrades_at_once_and_is_no_failure() {
        let mut t = Threshold::new(3, 2);
        assert_eq!(walk(&mut t, "~"), Status::Degraded);
        assert_eq!(walk(&mut t, "+"), Status::Healthy);
        assert_eq!(walk(&mut t, "--~--"), Status::Degraded);
        assert_eq!(walk(&mut t, "-"), Status::Unhealthy);
        assert_eq!(walk(&mut t, "+~"), Status::Degraded);
    }

    #[test]
    fn a_change_is_told_once_with_what_was_before() {
        let mut t = Threshold::new(1, 1);
        assert_eq!(t.observe(Verdict::Failed), Some(Status::Unknown));
        assert_eq!(t.observe(Verdict::Failed), None);
        assert_eq!(t.observe(Verdict::Passed), Some(Status::Unhealthy));
        assert_eq!((t.failures(), t.successes()), (0, 1));
    }

    #[test]
    fn the_whole_is_as_bad_as_its_worst_critical_part() {
        use Status::{Degraded, Healthy, Unhealthy, Unknown};
        assert_eq!(aggregate([]), Unknown);
        assert_eq!(aggregate([(true, Healthy), (true, Degraded)]), Degraded);
        assert_eq!(aggregate([(true, Healthy), (true, Unknown)]), Unknown);
        assert_eq!(aggregate([(true, Unknown), (true, Unhealthy)]), Unhealthy);
        assert_eq!(aggregate([(true, Healthy), (false, Unhealthy)]), Degraded);
        assert_eq!(aggregate([(true, Healthy), (false, Unknown)]), Healthy);
        assert_eq!(aggregate([(false, Unknown)]), Unknown);
        assert_eq!(aggregate([(true, Unhealthy), (false, Healthy)]), Unhealthy);
    }

    proptest! {
        /// The obvious model: look at the whole history from its end.
        #[test]
        fn it_agrees_with_the_history(
            fails in 1_u32..4,
            recovers in 1_u32..4,
            verdicts in "[+~-]{0,40}",
        ) {
            let mut t = Threshold::new(fails, recovers);
            let mut model = Status::Unknown;
            for end in 1..=verdicts.len() {
                let history = &verdicts[..end];
                walk(&mut t, &history[end - 1..]);
                let run = |bad: bool| {
                    history.bytes().rev().take_while(|b| (*b == b'-') == bad).count() as u32
                };
                let now = match history.as_bytes()[end - 1] {
                    b'+' => Status::Healthy,
                    _ => Status::Degraded,
                };
                if run(true) >= fails {
                    model = Status::Unhealthy;
                } else if run(true) == 0 && (model != Status::Unhealthy || run(false) >= recovers) {
                    model = now;
                }
                prop_assert_eq!(t.status(), model, "{}", history);
            }
        }
    }
}
