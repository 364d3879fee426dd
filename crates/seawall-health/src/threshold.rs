//! When results in a row change the status of a check. No clock, no tasks.

use crate::Status;

/// One result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckOutcome {
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

    /// Changes the limits, for results from now on.
    pub(crate) const fn set_limits(
        &mut self,
        failures_to_unhealthy: u32,
        successes_to_recover: u32,
    ) {
        self.failures_to_unhealthy = failures_to_unhealthy;
        self.successes_to_recover = successes_to_recover;
    }

    /// Takes one result; returns the status before, when it has changed.
    pub(crate) fn observe(&mut self, outcome: CheckOutcome) -> Option<Status> {
        let before = self.status;
        if outcome == CheckOutcome::Failed {
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
                self.status = match outcome {
                    CheckOutcome::Degraded => Status::Degraded,
                    _ => Status::Healthy,
                };
            }
        }
        (self.status != before).then_some(before)
    }

    seawall_core::getters! {
        pub(crate) const fn status -> Status;

        pub(crate) const fn failures -> u32;

        pub(crate) const fn successes -> u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(threshold: &mut Threshold, outcomes: &str) -> Status {
        for outcome in outcomes.chars() {
            threshold.observe(match outcome {
                '+' => CheckOutcome::Passed,
                '~' => CheckOutcome::Degraded,
                _ => CheckOutcome::Failed,
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
    fn a_change_is_returned_once_with_the_status_before() {
        let mut t = Threshold::new(1, 1);
        assert_eq!(t.observe(CheckOutcome::Failed), Some(Status::Unknown));
        assert_eq!(t.observe(CheckOutcome::Failed), None);
        assert_eq!(t.observe(CheckOutcome::Passed), Some(Status::Unhealthy));
        assert_eq!((t.failures(), t.successes()), (0, 1));
    }

    #[test]
    fn new_limits_keep_the_results_in_a_row() {
        let mut t = Threshold::new(3, 2);
        assert_eq!(walk(&mut t, "+--"), Status::Healthy);
        t.set_limits(4, 1);
        assert_eq!(walk(&mut t, "-"), Status::Healthy);
        assert_eq!(walk(&mut t, "-"), Status::Unhealthy);
        assert_eq!(walk(&mut t, "+"), Status::Healthy);
    }

    proptest! {
        /// The obvious model: look at the whole history from its end.
        #[test]
        fn it_agrees_with_the_history(
            fails in 1_u32..4,
            recovers in 1_u32..4,
            outcomes in "[+~-]{0,40}",
        ) {
            let mut t = Threshold::new(fails, recovers);
            let mut model = Status::Unknown;
            for end in 1..=outcomes.len() {
                let history = &outcomes[..end];
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
