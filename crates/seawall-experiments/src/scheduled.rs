//! Runs experiments when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use crate::error::InvalidExperiment;
use crate::outcome::Refusal;
use crate::report::Report;
use crate::runner::Runner;
use crate::set::ExperimentSet;
use crate::times::text;

/// How long to sleep at most: the clock of the system may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How much later than it was due an experiment may begin.
const LATEST: Duration = Duration::from_secs(60);

impl Runner {
    /// Runs the experiments of a set when they are due, one after the other, and hands on each report. It ends when
    /// none will be due any more; those of game days are left alone.
    ///
    /// One that was due more than a minute ago is not made up for: the machine was asleep, or another experiment
    /// ran. Its report says so. Dropped, it ends as [`run`](Self::run) does.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), of every experiment, before anything is run.
    pub async fn run_scheduled(
        &self,
        set: &ExperimentSet,
        mut on_report: impl FnMut(Report),
    ) -> Result<(), InvalidExperiment> {
        let experiments = set.experiments();
        experiments
            .iter()
            .try_for_each(|experiment| self.check(experiment))?;
        let now = self.shared.now();
        let next = |index: usize, after: Timestamp| {
            let due = experiments[index].schedule.next(after)?;
            Some(Reverse((due, index)))
        };
        let mut queue: BinaryHeap<_> = (0..experiments.len())
            .filter_map(|index| next(index, now))
            .collect();
        while let Some(Reverse((due, index))) = queue.pop() {
            self.sleep_until(due).await;
            let now = self.shared.now();
            let experiment = &experiments[index];
            let late = Duration::try_from(now.duration_since(due)).unwrap_or_default();
            let report = if late > LATEST {
                let started = u64::try_from(now.as_millisecond()).unwrap_or_default();
                let mut report = Report::new(experiment, self.name().as_str(), started);
                report.refuse(Refusal::Late, format!("it was due at {}", text(due)));
                self.shared.ended(report.outcome);
                report
            } else {
                self.run_checked(experiment).await
            };
            on_report(report);
            // A crontab that was due while it ran itself is not made up for, and a clock that was set back
            // repeats nothing.
            queue.extend(next(index, self.shared.now().max(due)));
        }
        Ok(())
    }

    async fn sleep_until(&self, due: Timestamp) {
        loop {
            let left =
                Duration::try_from(due.duration_since(self.shared.now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}
