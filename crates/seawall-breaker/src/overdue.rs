//! The check of calls in flight, made by calls that come after them.

use seawall_core::SharedReadings;

use crate::buckets::epoch_by;
use crate::custom_rules::{EvaluateRules, RuleCheck};
use crate::in_flight::StartBucket;
use crate::state::Locked;
use crate::state_word::StateWord;
use crate::sync::Ordering;

pub(crate) trait CheckOverdue: EvaluateRules {
    /// Checks the calls in flight, if that is due; returns whether the circuit has changed.
    #[inline]
    fn check_overdue(&self, word: StateWord, now: u64) -> bool {
        let due = self.common().next_check.load(Ordering::Relaxed);
        now >= due && self.check_overdue_now(word, due, now)
    }

    #[cold]
    fn check_overdue_now(&self, word: StateWord, due: u64, now: u64) -> bool {
        let common = self.common();
        let settings = common.settings(word);
        let pace = settings.in_flight();
        if pace == 0 {
            return false;
        }
        // One of the callers checks, and the lock is taken only if there is something overdue.
        let next = now.saturating_add(settings.slow_after() / 8).max(now + 1);
        let next_check = &common.next_check;
        let elected = next_check.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        let present = StartBucket::new(settings.watch(), epoch_by(pace, now));
        if elected.is_err() || common.word() != word || self.overdue_at(present) == 0 {
            return common.word() != word;
        }
        let mut locked = self.lock_drained(now);
        let overdue = self.overdue(&locked, now);
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        let change = circuit.check_overdue(config, overdue, now);
        let check = if change.is_none() && overdue > 0 {
            RuleCheck::new(&locked, None, overdue, now)
        } else {
            None
        };
        self.publish(locked, change, false, now);
        if let Some(check) = check {
            SharedReadings::apart(|| self.evaluate_rules(&check, now));
        }
        common.word() != word
    }
}

impl<X: EvaluateRules> CheckOverdue for X {}
