//! Settling of a call, by its result or when it is dropped.

use std::time::Duration;

use seawall_core::{EventKind, FailureKind, Outcome, Vote, ns};

use crate::buckets::epoch_by;
use crate::circuit::settled::Settled;
use crate::config::{BreakerConfig, PanicPolicy};
use crate::counts::Counters;
use crate::custom_rules::{EvaluateRules, RuleCheck};
use crate::record::{AdmissionRecord, Note, UNMEASURED};
use crate::state::Locked;
use crate::state_word::StateWord;
use crate::sync::Ordering;

pub(crate) trait Settle: EvaluateRules {
    /// Settles a call with a result.
    // Always: for nearly every call it is a few instructions.
    #[inline(always)]
    fn settle(&self, record: AdmissionRecord, outcome: &Outcome) {
        if record.word.is_passing_untimed() && matches!(outcome, Outcome::Success) {
            let successes = &self.stripe().successes;
            if successes.count(&self.common().state, record.word, 0, false) {
                return;
            }
        }
        // One by one: a struct would be written to memory also where it is not passed on.
        self.settle_timed(record.word, record.start, record.note, outcome);
    }

    /// Settles where time matters, or a success could not be counted at once.
    #[inline(never)]
    fn settle_timed(&self, word: StateWord, start: u64, note: Note, outcome: &Outcome) {
        let (common, here) = (self.common(), self.stripe());
        let record = AdmissionRecord { word, start, note };
        let settings = common.settings(word);
        let window = settings.window();
        let now = common.now();
        if note.bucket().is_watched() {
            here.end(note.bucket());
        }
        let success = word.is_passing() && matches!(outcome, Outcome::Success);
        let slow = start != UNMEASURED && now.saturating_sub(start) >= settings.slow_after();
        if success && !slow {
            let (epoch, timed) = (epoch_by(window, now), window != 0);
            let successes = &here.successes;
            if successes.count(&common.state, word, epoch, timed)
                || successes.try_count(common.shared_words(), word, epoch, timed)
            {
                return;
            }
        }
        let took = record.took(now);
        self.settle_locked(record, now, true, |config| {
            Settled::new(config, outcome, took).asking(note.asked_until(now))
        });
    }

    /// Settles under the lock, and evaluates custom rules outside of it.
    #[cold]
    fn settle_locked(
        &self,
        record: AdmissionRecord,
        now: u64,
        responded: bool,
        settled: impl FnOnce(&BreakerConfig) -> Settled,
    ) {
        let (common, counters) = (self.common(), &self.stripe().counters);
        let mut locked = common.lock();
        let settled = settled(&locked.config);
        if !locked.circuit.is_present(record.word) {
            // It does not vote any more, but a ban lasts as long as the upstream says.
            if locked.circuit.prolong(settled, now) {
                let until = locked.circuit.open_until;
                common.open_until.store(until, Ordering::Relaxed);
                if until == settled.asked_until {
                    counters.delayed.add();
                }
            }
            drop(locked);
            return if record.word.is_unjudged() {
                counters.unjudged.add();
            } else {
                counters.late.add();
            };
        }
        count(counters, settled, responded);
        let passing = record.word.is_passing();
        if passing {
            self.drain(&mut locked, now);
        }
        let overdue = self.overdue(&locked, now);
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        let change = if passing {
            circuit.settle_closed(config, settled, overdue, now)
        } else {
            circuit.settle_probe(config, settled, overdue, now)
        };
        let check = if change.is_none() && settled.may_open() {
            RuleCheck::new(&locked, Some(settled), overdue, now)
        } else {
            None
        };
        let freed = !passing && change.is_none();
        self.publish(locked, change, false, now);
        if freed && common.waits() {
            common.wake();
        }
        if let Some(check) = check {
            self.evaluate_rules(&check, now);
        }
    }

    /// The note of a call that asks to stay away for `wait`, within the settings.
    #[cold]
    fn delay_probe(&self, note: Note, wait: Duration) -> Note {
        // Of a request that must not be repeated, whenever.
        if wait == Duration::MAX {
            return note;
        }
        let common = self.common();
        let Some(longest) = common.lock().config.max_retry_after else {
            return note;
        };
        if wait > longest {
            self.stripe().counters.retry_after_capped.add();
            common
                .setup
                .breaker_events
                .emit_call(|| EventKind::Bounded {
                    what: "wait_ms",
                    reported: ns(wait) / 1_000_000,
                    applied: ns(longest) / 1_000_000,
                });
        }
        let now = common.now();
        let until = now.saturating_add(ns(wait.min(longest)));
        note.asking(until.max(note.asked_until(now)))
    }

    /// The inner service panicked in this call.
    #[cold]
    fn settle_panicked(&self, record: AdmissionRecord) {
        let (common, here) = (self.common(), self.stripe());
        here.counters.panicked.add();
        if common.lock().config.panic_policy != PanicPolicy::Failure {
            return self.abandon(record);
        }
        if record.note.bucket().is_watched() {
            here.end(record.note.bucket());
        }
        let now = common.now();
        let took = record.took(now);
        self.settle_locked(record, now, true, |config| {
            Settled::new(config, &Outcome::Failure(FailureKind::Other), took)
        });
    }

    /// A call was dropped: its probe slot is given back, and it votes by the settings alone.
    #[cold]
    fn abandon(&self, record: AdmissionRecord) {
        let here = self.stripe();
        here.counters.abandoned.add();
        if record.note.bucket().is_watched() {
            here.end(record.note.bucket());
        }
        if record.word.is_probe() || (record.word.is_passing() && record.start != UNMEASURED) {
            self.abandon_locked(record);
        }
        let events = &self.common().setup.breaker_events;
        events.emit_call(|| EventKind::Abandoned);
    }

    fn abandon_locked(&self, record: AdmissionRecord) {
        let common = self.common();
        let now = common.now();
        let took = record.took(now);
        let mut locked = common.lock();
        if !locked.circuit.is_present(record.word) {
            return;
        }
        if Settled::abandoned(&locked.config, took).may_open() {
            drop(locked);
            self.settle_locked(record, now, false, |config| {
                Settled::abandoned(config, took)
            });
        } else if record.word.is_probe() && locked.circuit.release_probe() {
            drop(locked);
            common.wake();
        }
    }
}

impl<X: EvaluateRules> Settle for X {}

fn count(counters: &Counters, settled: Settled, responded: bool) {
    match settled.vote {
        Vote::Success => counters.success.add(),
        Vote::Failure => counters.failure.add(),
        // A call that was abandoned is counted as such.
        Vote::Abstain if responded => counters.abstained.add(),
        Vote::Abstain => {}
    }
    if settled.slow {
        counters.slow.add();
    }
}
