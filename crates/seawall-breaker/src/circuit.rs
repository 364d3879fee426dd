//! The state machine of a circuit: pure, under one lock, `now` passed in as nanoseconds.
//!
//! Everything here happens rarely: on failures, slow calls, in the half-open state, on
//! transitions and on commands. Successes of a closed circuit come in bulk.

pub(crate) mod admit;
mod commands;
mod half_open;
mod open_time;
mod past;
mod probes;
pub(crate) mod settled;
#[cfg(all(test, not(seawall_loom)))]
mod tests;

use std::time::Duration;

use seawall_core::{CircuitCause, InstanceName, Vote};

use crate::config::BreakerConfig;
use crate::entry_point::EntryPoint;
use crate::rule::{RuleContext, RuleTrigger};
use crate::state_word::{CircuitState, StateWord};
use crate::transition::{Change, Explanation, Figures, TransitionCounts};
use crate::windows::Windows;
use half_open::{HalfOpen, MaybeHalfOpen};
use past::Past;
use settled::Settled;

#[derive(Debug)]
pub(crate) struct Circuit {
    pub(crate) word: StateWord,
    /// The first generation of the present period. Permits from it on vote; older ones are late.
    pub(crate) since: u64,
    windows: Windows,
    half: MaybeHalfOpen,
    /// When an open circuit probes, also one that was forced open; `u64::MAX` for never.
    pub(crate) open_until: u64,
    /// Until when failures of this period asked to stay away, already bounded by the settings; 0 if
    /// none did since the last success.
    asked_until: u64,
    closed_since: u64,
    /// Openings that followed each other, less the steps that were taken back.
    streak: u32,
    /// Made by the first transition.
    past: Option<Box<Past>>,
}

impl Circuit {
    pub(crate) fn new(config: &BreakerConfig, now: u64) -> Self {
        Self {
            word: StateWord::FIRST.with_settings(config),
            since: 0,
            windows: Windows::new(config),
            half: MaybeHalfOpen::NOT,
            open_until: 0,
            asked_until: 0,
            closed_since: now,
            streak: 0,
            past: None,
        }
    }

    /// Whether a permit of this word still votes.
    pub(crate) fn is_present(&self, permit: StateWord) -> bool {
        let generation = permit.generation();
        !permit.is_unjudged() && self.since <= generation && generation <= self.word.generation()
    }

    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    pub(crate) fn streak(&self) -> u32 {
        self.streak
    }

    /// The last transitions, up to eight, oldest first.
    pub(crate) fn log(&self) -> &[Change] {
        self.past.as_deref().map_or(&[], Past::log)
    }

    /// When it came into its state; when it was made, where it has not left its first one.
    pub(crate) fn in_state_since(&self) -> u64 {
        self.log().last().map_or(self.closed_since, |last| last.at)
    }

    /// How often each transition happened.
    pub(crate) fn transitions(&self) -> Option<&TransitionCounts> {
        self.past.as_deref().map(Past::counts)
    }

    /// Bytes on the heap, with some for what an allocator keeps per block.
    pub(crate) fn heap(&self) -> usize {
        const BLOCK: usize = 16;
        let block = |bytes: usize| if bytes == 0 { 0 } else { bytes + BLOCK };
        let past = self.past.as_deref();
        let past = past.map_or(0, |p| {
            block(size_of_val(p)) + p.heap().map(block).iter().sum::<usize>()
        });
        self.windows.heap() + block(self.half.heap()) + past
    }

    /// Forgets calls that are too old to count.
    // Each failure comes here, and hardly any is the first one of its slice.
    #[inline]
    pub(crate) fn expire(&mut self, config: &BreakerConfig, now: u64) {
        if config.aging.is_over(self.windows.slice(), now) {
            self.windows.expire(config.aging.slice(now));
        }
    }

    /// Enters drained successes, of calls that ended before the next one that is settled: `age`
    /// buckets ago, or `None` for those before the time window.
    pub(crate) fn successes(&mut self, age: Option<u8>, count: u64, now_epoch: u64) {
        let epoch = age.map(|age| now_epoch.saturating_sub(age.into()));
        self.windows.succeed(epoch, count);
        if count > 0 {
            self.asked_until = 0;
        }
    }

    /// Enters a call that passed in a state in which the rules are evaluated.
    fn count(&mut self, config: &BreakerConfig, settled: Settled, now: u64) {
        self.expire(config, now);
        let epoch = config.pace.epoch(now);
        self.windows.enter(epoch, settled.failed(), settled.slow);
        self.note(settled);
    }

    /// Settles a call of this period that passed a closed or forced-closed circuit. A success that is
    /// not slow never opens it.
    pub(crate) fn settle_closed(
        &mut self,
        config: &BreakerConfig,
        settled: Settled,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        self.count(config, settled, now);
        if self.word.state() != CircuitState::Closed {
            return None;
        }
        self.evaluate(config, settled, overdue, now)
    }

    /// Opens by a hint, or by the rules that are about such a call.
    fn evaluate(
        &mut self,
        config: &BreakerConfig,
        settled: Settled,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        if let Some(hint) = settled.hint {
            return Some(self.open(config, hint.cause, Figures::NONE, Some(hint), now));
        }
        let epoch = config.pace.epoch(now);
        let (cause, figures) = match settled.vote {
            Vote::Failure => self.windows.failing(config, overdue, epoch),
            _ if settled.slow => self.windows.slowing(config, overdue, epoch),
            _ => None,
        }?;
        Some(self.open(config, cause, figures, None, now))
    }

    /// Whether the rules are evaluated in this state.
    pub(crate) fn has_rules_on(&self) -> bool {
        self.word.state() == CircuitState::Closed || self.is_ramping()
    }

    /// Evaluates the rules about slow calls for calls that are overdue, though none has ended.
    pub(crate) fn check_overdue(
        &mut self,
        config: &BreakerConfig,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        if overdue == 0 || !self.has_rules_on() {
            return None;
        }
        let epoch = config.pace.epoch(now);
        let (cause, figures) = self.windows.slowing(config, overdue, epoch)?;
        Some(self.open(config, cause, figures, None, now))
    }

    /// What custom rules see; `settled` is `None` when no call has ended.
    pub(crate) fn rule_context(
        &self,
        config: &BreakerConfig,
        settled: Option<Settled>,
        overdue: u64,
        now: u64,
    ) -> RuleContext {
        RuleContext {
            trigger: match settled {
                None => RuleTrigger::Overdue,
                Some(s) if s.vote == Vote::Failure => RuleTrigger::Failure,
                Some(_) => RuleTrigger::Slow,
            },
            took: settled.and_then(|s| s.took).map(Duration::from_nanos),
            slow: settled.is_some_and(|s| s.slow),
            failures_in_a_row: self.windows.run(),
            calls: self.windows.calls(config),
            slow_calls: self.windows.slow_calls(config),
            time: self.windows.time(config, config.pace.epoch(now)),
            overdue,
            closed_for: Duration::from_nanos(now.saturating_sub(self.closed_since)),
        }
    }

    /// Opens by a custom rule, which was evaluated outside of the lock; `None` when the circuit has
    /// opened since.
    pub(crate) fn open_by_rule(
        &mut self,
        config: &BreakerConfig,
        rule: InstanceName,
        now: u64,
    ) -> Option<Change> {
        let cause = CircuitCause::Rule(rule);
        self.has_rules_on()
            .then(|| self.open(config, cause, Figures::NONE, None, now))
    }

    /// Why the circuit is open, if it is.
    pub(crate) fn why_open(&self) -> CircuitCause {
        let last = self.log().last();
        last.map_or(CircuitCause::Operator, |change| change.cause)
    }

    /// Why the circuit is in its state, and until when.
    pub(crate) fn explain(&self, config: &BreakerConfig, now: u64) -> Explanation {
        let last = self.log().last();
        let denial = match self.word.state() {
            CircuitState::HalfOpen => None,
            _ => self.denial(config, EntryPoint::Breaker, true, now),
        };
        let left = |(_, left): (u32, u64)| left;
        let step = self
            .is_ramping()
            .then(|| self.half.step(config.rare().ramp, now))
            .flatten();
        Explanation {
            state: self.word.state(),
            cause: last.map(|change| change.cause),
            figures: last.map_or(Figures::NONE, |change| change.figures),
            wait: denial
                .and_then(|denial| denial.wait)
                .or_else(|| step.map(left))
                .map(Duration::from_nanos),
            ramp: self.ramp_share(config, now),
            by_retry_after: last.is_some_and(|change| change.by_retry_after),
        }
    }

    /// The change to a state, which begins now.
    fn change(&self, to: CircuitState, cause: CircuitCause, figures: Figures, now: u64) -> Change {
        Change {
            from: self.word.state(),
            to,
            cause,
            figures,
            at: now,
            until: if to.is_rejecting() {
                self.open_until
            } else {
                u64::MAX
            },
            by_retry_after: false,
        }
    }

    fn enter(
        &mut self,
        to: CircuitState,
        cause: CircuitCause,
        figures: Figures,
        now: u64,
    ) -> Change {
        self.begin(self.change(to, cause, figures, now))
    }

    /// Begins the next period: nothing of the one before counts in it, except that a circuit which
    /// is forced closed, or no longer is, keeps its windows.
    fn begin(&mut self, change: Change) -> Change {
        let Change {
            from, to, at: now, ..
        } = change;
        self.word = self.word.next(to);
        self.since = self.word.generation();
        if !(from.is_passing() && to.is_passing()) {
            self.windows.clear();
        }
        self.half = if to == CircuitState::HalfOpen {
            HalfOpen::probing(now).into()
        } else {
            MaybeHalfOpen::NOT
        };
        self.asked_until = 0;
        if !to.is_rejecting() {
            self.open_until = 0;
        }
        if to == CircuitState::Closed {
            self.closed_since = now;
        }
        Past::of(&mut self.past).enter(change);
        change
    }
}
