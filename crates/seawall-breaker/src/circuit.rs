//! The state machine of a circuit: pure, under one lock, `now` passed in as nanoseconds.
//!
//! Everything here happens rarely: on failures, slow calls, in the half-open state, on
//! transitions and on commands. Successes of a closed circuit come in bulk.

mod commands;
mod half_open;
mod settled;
#[cfg(all(test, not(seawall_loom)))]
mod tests;

use std::time::Duration;

use fastrand::Rng;
use seawall_core::CircuitCause;

use crate::cause::{Cause, Change, Explanation, Figures};
use crate::config::BreakerConfig;
use crate::rule::{Event, RuleContext};
use crate::windows::Windows;
use crate::word::{State, Word};
use half_open::{Decision, HalfOpen};

pub(crate) use settled::{Hint, Settled, Verdict};

/// Transitions that are remembered.
const LOG: usize = 8;

/// A rejection: how long it lasts at least, if that is known, in nanoseconds, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) wait: Option<u64>,
    pub(crate) cause: CircuitCause,
}

/// What to do with a call in a state that does not simply pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Let it pass under this word.
    Pass(Word),
    /// Let it pass under this word, which never votes, and tell that it would have been rejected.
    Shadow(Word, Denial),
    Reject(Denial),
}

/// Who asks for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The gate: reserves a place in the herd that may wait for a probe.
    Gate,
    /// The breaker: reserves a probe.
    Breaker,
}

#[derive(Debug)]
pub(crate) struct Circuit {
    pub(crate) word: Word,
    /// The first generation of the present period. Tickets from it on vote; older ones are late.
    pub(crate) since: u64,
    windows: Windows,
    half: HalfOpen,
    /// When an open circuit probes, or a forced one is given back; `u64::MAX` for never.
    pub(crate) open_until: u64,
    closed_since: u64,
    /// Openings that followed each other, less what was taken back.
    streak: u32,
    rng: Rng,
    /// The last transitions, oldest first.
    log: Vec<Change>,
}

impl Circuit {
    pub(crate) fn new(config: &BreakerConfig, now: u64) -> Self {
        Self {
            word: Word::FIRST.with_shadow(config.shadow),
            since: 0,
            windows: Windows::new(config),
            half: HalfOpen::default(),
            open_until: 0,
            closed_since: now,
            streak: 0,
            rng: config.seed.map_or_else(Rng::new, Rng::with_seed),
            log: Vec::new(),
        }
    }

    /// Whether a ticket of this generation still votes.
    pub(crate) fn is_present(&self, ticket: Word) -> bool {
        let generation = ticket.generation();
        !ticket.is_outside() && self.since <= generation && generation <= self.word.generation()
    }

    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    pub(crate) fn streak(&self) -> u32 {
        self.streak
    }

    /// The last transitions, up to eight, oldest first.
    pub(crate) fn log(&self) -> &[Change] {
        &self.log
    }

    /// Enters drained successes, of calls that ended before the next one that is settled: `age`
    /// buckets ago, or `None` for those before the time window.
    pub(crate) fn successes(&mut self, age: Option<u8>, count: u64, now_epoch: u64) {
        let epoch = age.map(|age| now_epoch.saturating_sub(age.into()));
        self.windows.succeed(epoch, count);
    }

    /// Settles a call of this period that passed a closed or disabled circuit. A success that is
    /// not slow never opens it.
    pub(crate) fn settle_closed(
        &mut self,
        config: &BreakerConfig,
        settled: Settled,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        self.windows
            .enter(config.pace.epoch(now), settled.failed(), settled.slow);
        if self.word.state() != State::Closed {
            return None;
        }
        self.judge(config, settled, overdue, now)
    }

    /// Opens by a hint, or by the rules that are about such a call.
    fn judge(
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
        let (cause, figures) = match settled.verdict {
            Verdict::Failure => self.windows.failing(config, overdue, epoch),
            _ if settled.slow => self.windows.slowing(config, overdue, epoch),
            _ => None,
        }?;
        Some(self.open(config, cause, figures, None, now))
    }

    /// Whether the rules judge what happens now.
    pub(crate) fn is_judged(&self) -> bool {
        self.word.state() == State::Closed || self.is_ramping()
    }

    /// Judges the calls that are overdue, though none has ended.
    pub(crate) fn look(
        &mut self,
        config: &BreakerConfig,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        if overdue == 0 || !self.is_judged() {
            return None;
        }
        let epoch = config.pace.epoch(now);
        let (cause, figures) = self.windows.slowing(config, overdue, epoch)?;
        Some(self.open(config, cause, figures, None, now))
    }

    /// What own rules see; `settled` is `None` when none has ended.
    pub(crate) fn sight(
        &self,
        config: &BreakerConfig,
        settled: Option<Settled>,
        overdue: u64,
        now: u64,
    ) -> RuleContext {
        RuleContext {
            event: match settled {
                None => Event::Overdue,
                Some(s) if s.verdict == Verdict::Failure => Event::Failure,
                Some(_) => Event::Slow,
            },
            took: settled.and_then(|s| s.took).map(Duration::from_nanos),
            slow: settled.is_some_and(|s| s.slow),
            failures_in_a_row: self.windows.run(),
            calls: self.windows.calls(),
            slow_calls: self.windows.slow_calls(),
            time: self.windows.time(config.pace.epoch(now)),
            overdue,
            closed_for: Duration::from_nanos(now.saturating_sub(self.closed_since)),
        }
    }

    /// Opens by a rule that was asked outside of the lock; `None` when the circuit has opened
    /// since.
    pub(crate) fn open_by(
        &mut self,
        config: &BreakerConfig,
        cause: Cause,
        now: u64,
    ) -> Option<Change> {
        self.is_judged()
            .then(|| self.open(config, cause, Figures::NONE, None, now))
    }

    /// Admits or rejects a call. An open circuit whose time is over turns half-open here, and a
    /// ramp that is done closes. `deals_ramp` says whether this one deals the share of the ramp.
    pub(crate) fn admit(
        &mut self,
        config: &BreakerConfig,
        asks: Asks,
        deals_ramp: bool,
        now: u64,
    ) -> (Admission, Option<Change>) {
        let change = self.advance(config, asks, now);
        let rejected = self.rejection(config, asks, deals_ramp, now);
        if self.word.state() == State::HalfOpen {
            if let Some((step, _)) = self.half.step(config.ramp, now) {
                if deals_ramp {
                    self.half.deal(HalfOpen::halvings(config.ramp, step), step);
                }
            } else if rejected.is_none() {
                self.half.take(asks, now);
            }
        }
        let admission = match rejected {
            None => Admission::Pass(self.word),
            Some(rejected) if self.shadows() => Admission::Shadow(self.word.outside(), rejected),
            Some(rejected) => Admission::Reject(rejected),
        };
        (admission, change)
    }

    /// What an operator forces open is rejected in shadow too.
    fn shadows(&self) -> bool {
        self.word.is_shadow() && self.word.state() != State::ForcedOpen
    }

    /// Makes the transitions that are due when somebody asks.
    fn advance(&mut self, config: &BreakerConfig, asks: Asks, now: u64) -> Option<Change> {
        self.half.step_back(now);
        let cause = match self.word.state() {
            State::Open if now >= self.open_until => Cause::OpenTimeOver,
            State::ForcedOpen if now >= self.open_until => Cause::ForceOver,
            State::HalfOpen if self.half.is_ramping() => return self.end_ramp(config, now),
            // Hung and lost probes must not keep the circuit half-open for ever. In a new
            // generation their results no longer vote.
            State::HalfOpen
                if self.half.is_full(config, asks) && self.half.is_lost(config, asks, now) =>
            {
                Cause::ProbesLost
            }
            _ => return None,
        };
        Some(self.enter(State::HalfOpen, cause, Figures::NONE, now))
    }

    fn end_ramp(&mut self, config: &BreakerConfig, now: u64) -> Option<Change> {
        let over = self.half.step(config.ramp, now).is_none();
        over.then(|| self.enter(State::Closed, Cause::RampDone, Figures::NONE, now))
    }

    /// Why a call that asked now would be rejected, if it would; changes nothing. Not in a ramp,
    /// whose share is dealt to those who call.
    pub(crate) fn would_reject(
        &self,
        config: &BreakerConfig,
        asks: Asks,
        now: u64,
    ) -> Option<Denial> {
        let lost = self.word.state() == State::HalfOpen && self.half.is_lost(config, asks, now);
        if lost || self.is_ramping() || self.shadows() {
            return None;
        }
        self.rejection(config, asks, true, now)
    }

    fn rejection(
        &self,
        config: &BreakerConfig,
        asks: Asks,
        deals_ramp: bool,
        now: u64,
    ) -> Option<Denial> {
        let wait = (self.open_until != u64::MAX).then(|| self.open_until.saturating_sub(now));
        match self.word.state() {
            State::Closed | State::Disabled => None,
            State::Open | State::ForcedOpen => (now < self.open_until).then(|| Denial {
                wait,
                cause: self.why_open(),
            }),
            State::HalfOpen if self.half.is_ramping() => {
                let (step, left) = self.half.step(config.ramp, now)?;
                let halvings = HalfOpen::halvings(config.ramp, step);
                let passes = !deals_ramp || self.half.would_deal(halvings, step);
                (!passes).then(|| Denial {
                    wait: Some(left),
                    cause: CircuitCause::Recovering {
                        percent: (100_u32 >> halvings.min(31)) as u8,
                    },
                })
            }
            State::HalfOpen => self.half.is_full(config, asks).then_some(Denial {
                wait: None,
                cause: CircuitCause::Probing,
            }),
        }
    }

    /// Why the circuit is open, if it is.
    pub(crate) fn why_open(&self) -> CircuitCause {
        if self.word.state() == State::ForcedOpen {
            return CircuitCause::Operator;
        }
        self.log
            .last()
            .map_or(CircuitCause::Operator, Change::cause)
    }

    /// How long a call that waits for a place must wait at most until a lost probe's is dealt
    /// again, in nanoseconds; 0 where nobody need wait.
    pub(crate) fn patience(&self, config: &BreakerConfig, asks: Asks, now: u64) -> u64 {
        match self.word.state() {
            State::HalfOpen if !self.half.is_ramping() => self.half.patience(config, asks, now),
            _ => 0,
        }
    }

    /// Settles a call of this period that passed a half-open circuit, as a probe or in the ramp.
    /// Its place is free afterwards: whoever waits for one should be woken.
    pub(crate) fn settle_probe(
        &mut self,
        config: &BreakerConfig,
        settled: Settled,
        overdue: u64,
        now: u64,
    ) -> Option<Change> {
        if self.word.state() != State::HalfOpen {
            return None;
        }
        if self.half.is_ramping() {
            self.windows
                .enter(config.pace.epoch(now), settled.failed(), settled.slow);
            let opened = self.judge(config, settled, overdue, now);
            return opened.or_else(|| self.end_ramp(config, now));
        }
        // A slow probe does not vouch for the upstream.
        let well = match settled.failed() {
            None if !settled.slow => None,
            failed => Some(failed == Some(false) && !settled.slow),
        };
        self.half.settle(well, now);
        if let Some(hint) = settled.hint {
            return Some(self.open(config, hint.cause, Figures::NONE, Some(hint), now));
        }
        self.decide(config, now)
    }

    /// The verdict about the probes, as soon as it is decided.
    fn decide(&mut self, config: &BreakerConfig, now: u64) -> Option<Change> {
        let (succeeded, failed) = (u64::from(self.half.succeeded), u64::from(self.half.failed));
        let among = succeeded + failed;
        match self.half.decision(config) {
            Decision::Undecided => None,
            Decision::Unwell => {
                let limit = f64::from(config.close_policy.spare());
                let figures = Figures {
                    of: failed,
                    among,
                    limit,
                };
                Some(self.open(config, Cause::ProbeFailed, figures, None, now))
            }
            Decision::Well => {
                let limit = f64::from(config.close_policy.needed());
                let figures = Figures {
                    of: succeeded,
                    among,
                    limit,
                };
                let to = if config.ramp.is_some() {
                    State::HalfOpen
                } else {
                    State::Closed
                };
                let change = self.enter(to, Cause::ProbesSucceeded, figures, now);
                if config.ramp.is_some() {
                    self.half = HalfOpen::ramping(now);
                }
                Some(change)
            }
        }
    }

    /// A probe of this period was dropped: it says nothing, and its place is free. Returns
    /// whether somebody may be waiting for one.
    pub(crate) fn release_probe(&mut self) -> bool {
        self.half.probes = self.half.probes.saturating_sub(1);
        self.word.state() == State::HalfOpen
    }

    /// A call that the gate let pass in this period has ended. Returns whether somebody may be
    /// waiting for its place.
    pub(crate) fn leave_herd(&mut self) -> bool {
        self.half.herd = self.half.herd.saturating_sub(1);
        self.word.state() == State::HalfOpen
    }

    pub(crate) fn is_ramping(&self) -> bool {
        self.word.state() == State::HalfOpen && self.half.is_ramping()
    }

    /// The share of the calls that pass while the circuit ramps up, from 0 to 1.
    pub(crate) fn ramp_share(&self, config: &BreakerConfig, now: u64) -> Option<f64> {
        if !self.is_ramping() {
            return None;
        }
        let (step, _) = self.half.step(config.ramp, now)?;
        Some(0.5_f64.powi(HalfOpen::halvings(config.ramp, step) as i32))
    }

    /// Why the circuit is in its state, and until when.
    pub(crate) fn explain(&self, config: &BreakerConfig, now: u64) -> Explanation {
        let last = self.log.last();
        let rejection = match self.word.state() {
            State::HalfOpen => None,
            _ => self.rejection(config, Asks::Breaker, true, now),
        };
        let left = |(_, left): (u32, u64)| left;
        let step = self
            .is_ramping()
            .then(|| self.half.step(config.ramp, now))
            .flatten();
        Explanation {
            state: self.word.state(),
            cause: last.map(|change| change.cause),
            figures: last.map_or(Figures::NONE, |change| change.figures),
            wait: rejection
                .and_then(|r| r.wait)
                .or_else(|| step.map(left))
                .map(Duration::from_nanos),
            ramp: self.ramp_share(config, now),
        }
    }

    /// A call of an earlier period was answered with a ban: an open circuit stays open for as
    /// long as it lasts. Returns whether that is longer.
    pub(crate) fn prolong(&mut self, settled: Settled, now: u64) -> bool {
        let Some(Hint {
            cause: Cause::Banned,
            wait: Some(wait),
        }) = settled.hint
        else {
            return false;
        };
        let until = now.saturating_add(wait);
        let longer = self.word.state() == State::Open && until > self.open_until;
        if longer {
            self.open_until = until;
        }
        longer
    }

    /// Opens, for a time that grows while openings follow each other.
    fn open(
        &mut self,
        config: &BreakerConfig,
        cause: Cause,
        figures: Figures,
        hint: Option<Hint>,
        now: u64,
    ) -> Change {
        let opening = &config.opening;
        if self.word.state() == State::Closed {
            let closed_for = now.saturating_sub(self.closed_since);
            self.streak = opening.decayed(self.streak, closed_for);
        }
        let ordinary = opening.plain(self.streak);
        let time = match hint {
            // A throttle says when to come back, and nothing of the upstream's health.
            Some(Hint {
                cause: Cause::Throttled,
                wait,
            }) => wait.unwrap_or(ordinary),
            Some(Hint { wait, .. }) => wait.unwrap_or(0).max(ordinary),
            None => ordinary,
        };
        if cause != Cause::Throttled {
            self.streak = self.streak.saturating_add(1);
        }
        let draw = if opening.jitter > 0.0 {
            self.rng.f64()
        } else {
            0.0
        };
        self.open_until = now.saturating_add(opening.jittered(time, draw));
        self.enter(State::Open, cause, figures, now)
    }

    /// Begins the next period: nothing of the one before counts in it, except that a circuit
    /// which is disabled or released while it passes keeps its windows.
    fn enter(&mut self, to: State, cause: Cause, figures: Figures, now: u64) -> Change {
        let from = self.word.state();
        let opens = matches!(to, State::Open | State::ForcedOpen);
        let change = Change {
            from,
            to,
            cause,
            figures,
            at: now,
            until: if opens { self.open_until } else { u64::MAX },
        };
        self.word = self.word.next(to);
        self.since = self.word.generation();
        if !(from.is_passing() && to.is_passing()) {
            self.windows.clear();
        }
        self.half = HalfOpen::probing(now);
        if !opens {
            self.open_until = 0;
        }
        if to == State::Closed {
            self.closed_since = now;
        }
        if self.log.len() == LOG {
            self.log.remove(0);
        }
        self.log.push(change);
        change
    }
}
