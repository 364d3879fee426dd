//! One call under way: what it has tried, paid and risked, and what follows an answer.

use std::time::Duration;

use seawall_core::{
    Classify, CostClass, Delays, EventKind, Outcome, Reason, Rejectable, Rejection, Replay,
    RequestMeta, Sent, deadline, judge, ns,
};
use tokio::time::Instant;

use crate::decide::{Answered, Decision, Pause, World, corrected, decide, wants_copy};
use crate::hooks::{AttemptResult, Hook, MemoryOf, WaitOf};
use crate::layer::{Core, Rules};
use crate::observe::{Counters, Kind};
use crate::purse::{Paid, Place};
use crate::{
    AnnotateGiveUp, Attempt, CopyRequest, PrepareAttempt, RetryDecision, RetryPredicate,
    StopReason, Stopped,
};

/// The state of one call, whoever drives it.
pub(crate) struct Track<M> {
    replay: Replay,
    pub(crate) deadline: Option<Instant>,
    /// Attempts made so far.
    pub(crate) attempt: u32,
    /// Whether one of the attempts that were answered may have reached the upstream.
    maybe_sent: bool,
    /// Whether the overall timeout is in the deadline.
    started: bool,
    /// Whether the attempt under way has taken a token of the sending rate.
    placed: bool,
    memory: M,
    /// What only calls with more than one attempt, or with a wait before the first, have.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    paid: Option<Paid>,
    place: Option<Place>,
    delays: Option<Delays>,
    previous: Option<Outcome>,
}

/// What follows an answer.
pub(crate) enum Next<W> {
    /// It is the answer of the call.
    AttemptResult,
    /// Another attempt, after this pause and not before that wait of the adviser's is over.
    Pause(Duration, Option<W>),
}

impl<M> Track<M> {
    /// A call that has made so many attempts, the last of them with a token of the sending rate or
    /// without.
    #[inline(always)]
    pub(crate) const fn new(meta: &RequestMeta, memory: M, attempt: u32, placed: bool) -> Self {
        Self {
            replay: meta.replay,
            deadline: meta.deadline,
            attempt,
            maybe_sent: false,
            started: false,
            placed,
            memory,
            more: None,
        }
    }

    /// The first attempt waits for its place in the sending rate.
    pub(crate) fn paced(mut self, place: Place) -> Self {
        self.more_mut().place = Some(place);
        self
    }

    pub(crate) fn into_memory(self) -> M {
        self.memory
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_with(Box::default)
    }

    /// The call begins now at the latest.
    pub(crate) fn begin(&mut self, core: &Core, now: Instant) {
        let Some(limit) = core.config.overall_timeout() else {
            return;
        };
        if !self.started {
            self.started = true;
            let end = deadline(now, limit);
            self.deadline = Some(self.deadline.map_or(end, |own| own.min(end)));
        }
    }

    /// The time left for a wait, if there is a deadline. Timers fire on whole milliseconds, so a
    /// wait may be one longer than it was set to.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        time_left(self.deadline)
    }

    /// Whether nobody wants the answer of another attempt any more.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }

    /// What an answer means; `None` for a success, of which there is nothing more to say.
    #[inline]
    pub(crate) fn judged<Req, T, E, C, D, P, H>(
        &self,
        rules: &Rules<C, D, P, H>,
        counters: &Counters,
        result: &Result<T, E>,
    ) -> Option<Outcome>
    where
        C: Classify<T, E>,
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let outcome = judge(&rules.classify, result);
        if outcome != Outcome::Success || <H::RetryPredicate as RetryPredicate<Req, T, E>>::ASKED {
            return Some(outcome);
        }
        counters.answered(Kind::Success);
        rules.core.succeeded();
        None
    }

    /// What follows an answer.
    #[cold]
    pub(crate) fn consider<Req, T, E, C, D, P, H>(
        &mut self,
        rules: &Rules<C, D, P, H>,
        counters: &Counters,
        copy: Option<&mut Req>,
        outcome: Outcome,
        result: &mut Result<T, E>,
    ) -> Next<WaitOf<H, Req, T, E>>
    where
        C: Classify<T, E>,
        E: Rejectable,
        P: CopyRequest<Req>,
        H: Hook<Req, T, E>,
        H::RetryPredicate: RetryPredicate<Req, T, E, Memory = M>,
    {
        let core = &rules.core;
        if core.config.overall_timeout().is_some() && !self.started {
            self.begin(core, Instant::now());
        }
        let rejection = rejection_in(result);
        let seen = Answered {
            outcome,
            rejection,
            hint: match rejection {
                Some(_) => None,
                None => rules.classify.retry_after(result.as_ref()),
            },
            replay: self.replay,
            attempt: self.attempt,
        };
        if let Some(paid) = self.more.as_mut().and_then(|more| more.paid.as_mut()) {
            paid.in_flight = !seen.is_rejected_unsent();
        }
        core.learn(&seen, self.placed);
        let mut world = Real::<_, _, _, _, H> {
            rules,
            copy,
            memory: &mut self.memory,
            result,
            seen: &seen,
            deadline: self.deadline,
            delays: self.more.as_mut().and_then(|more| more.delays.take()),
            wait: None,
            place: None,
            paid: None,
        };
        let decision = decide(&core.config, &seen, &mut world);
        let Real {
            delays,
            wait,
            place,
            paid,
            ..
        } = world;
        let kind = Kind::of(outcome, rejection.is_some());
        counters.answered(kind);
        match decision {
            Decision::StopReason(_) if outcome == Outcome::Success => {
                core.budget.deposit();
                Next::AttemptResult
            }
            Decision::StopReason(end) => {
                if end == StopReason::Budget {
                    core.ledger.observer.emit(|| EventKind::BudgetExhausted);
                }
                if let Some(told) = self.truth(core, outcome, rejection) {
                    *result = Err(told.into());
                }
                self.give_up(rules, counters, end, result);
                Next::AttemptResult
            }
            Decision::Wait(delay) => {
                counters.retried(kind);
                self.maybe_sent |= !seen.is_unsent();
                let more = self.more_mut();
                if !seen.is_rejected_unsent() {
                    more.paid = paid;
                }
                more.place = place;
                more.delays = delays;
                more.previous = Some(outcome);
                let attempt = self.attempt.saturating_add(1);
                let what = || EventKind::Retry { attempt, delay };
                core.ledger.observer.emit(what);
                Next::Pause(delay, wait)
            }
        }
    }

    /// Counts the end of a call without success, and has its answer marked.
    pub(crate) fn give_up<Req, T, E, C, D, P, H>(
        &self,
        rules: &Rules<C, D, P, H>,
        counters: &Counters,
        end: StopReason,
        result: &mut Result<T, E>,
    ) where
        H: Hook<Req, T, E>,
    {
        counters.ended(end);
        if end != StopReason::Answered {
            let attempts = self.attempt;
            rules
                .hooks
                .marker()
                .annotate_give_up(result, Stopped { end, attempts });
        }
    }

    /// The answer in place of one that denies what an earlier attempt may have done.
    fn truth(
        &self,
        core: &Core,
        outcome: Outcome,
        rejection: Option<Rejection>,
    ) -> Option<Rejection> {
        if !self.maybe_sent {
            return None;
        }
        // What may be sent any number of times loses nothing by the client's own error.
        if rejection.is_none() && self.replay == Replay::Safe {
            return None;
        }
        let observer = &core.ledger.observer;
        let told = corrected(outcome, rejection, observer.name())?;
        if rejection.is_none() {
            observer.emit(|| EventKind::Rejected(told));
        }
        Some(told)
    }

    /// No attempt can be made any more: the spare service failed, or the request could not be
    /// prepared.
    #[cold]
    pub(crate) fn stopped<Req, T, E, C, D, P, H>(
        &self,
        rules: &Rules<C, D, P, H>,
        counters: &Counters,
        end: StopReason,
        error: E,
    ) -> Result<T, E>
    where
        C: Classify<T, E>,
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let mut result = Err(error);
        let outcome = judge(&rules.classify, &result);
        let mut kind = Kind::of(outcome, rejection_in(&result).is_some());
        if let Some(told) = self.truth(&rules.core, outcome, rejection_in(&result)) {
            kind = Kind::of(told.outcome(), true);
            result = Err(told.into());
        }
        counters.stopped(kind);
        self.give_up(rules, counters, end, &mut result);
        result
    }

    /// The deadline has passed between two attempts.
    #[cold]
    pub(crate) fn expired<Req, T, E, C, D, P, H>(
        &self,
        rules: &Rules<C, D, P, H>,
        counters: &Counters,
    ) -> Result<T, E>
    where
        E: Rejectable,
        H: Hook<Req, T, E>,
    {
        let sent = if self.maybe_sent {
            Sent::Maybe
        } else {
            Sent::No
        };
        let rejection = rules.core.reject(Reason::DeadlineExceeded, sent);
        let mut result = Err(rejection.into());
        counters.stopped(Kind::of(rejection.outcome(), true));
        self.give_up(rules, counters, StopReason::Deadline, &mut result);
        result
    }

    /// Prepares the request of the next attempt.
    #[inline]
    pub(crate) fn prepare<Req, T, E, C, D, P, H>(
        &self,
        rules: &Rules<C, D, P, H>,
        request: &mut Req,
    ) -> Result<(), E>
    where
        H: Hook<Req, T, E>,
    {
        let attempt = Attempt {
            number: self.attempt.saturating_add(1),
            previous: self.more.as_ref().and_then(|more| more.previous),
        };
        rules.hooks.preparer().prepare(request, attempt)
    }

    /// The next attempt is made now.
    #[inline]
    pub(crate) fn departed(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        self.placed = false;
        if let Some(more) = &mut self.more {
            if let Some(paid) = &mut more.paid {
                paid.in_flight = true;
            }
            if let Some(place) = more.place.take() {
                self.placed = place.used();
            }
        }
    }

    /// Whether a copy of the request is worth having before the next attempt.
    #[inline]
    pub(crate) fn wants_copy(&self, core: &Core) -> bool {
        wants_copy(&core.config, self.replay, self.attempt.saturating_add(1))
    }
}

/// How coarse timers are.
const TICK: Duration = Duration::from_millis(1);

fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Some(left.saturating_sub(TICK))
}

fn rejection_in<T, E: Rejectable>(result: &Result<T, E>) -> Option<Rejection> {
    result
        .as_ref()
        .err()
        .and_then(Rejectable::rejection)
        .copied()
}

/// The generator, the clock, the hooks, the rate and the budget; remembers what was taken.
struct Real<'a, Req, T, E, R, H: Hook<Req, T, E>> {
    rules: &'a R,
    copy: Option<&'a mut Req>,
    memory: &'a mut MemoryOf<H, Req, T, E>,
    result: &'a mut Result<T, E>,
    seen: &'a Answered,
    deadline: Option<Instant>,
    delays: Option<Delays>,
    wait: Option<WaitOf<H, Req, T, E>>,
    place: Option<Place>,
    paid: Option<Paid>,
}

impl<Req, T, E, C, D, P, H> World for Real<'_, Req, T, E, Rules<C, D, P, H>, H>
where
    P: CopyRequest<Req>,
    H: Hook<Req, T, E>,
{
    const ADVISED: bool = <H::RetryPredicate as RetryPredicate<Req, T, E>>::ASKED;

    fn has_copy(&mut self) -> bool {
        // A streamed body may have grown too long since it was copied, or still be read: then
        // the copy is there and cannot be sent, and neither can a copy of it be had.
        let copier = &self.rules.copy;
        self.copy.as_ref().is_some_and(|copy| copier.can_copy(copy))
    }

    fn advice(&mut self) -> RetryDecision {
        let Some(request) = self.copy.as_deref_mut() else {
            return RetryDecision::Default;
        };
        let answer = AttemptResult {
            request,
            result: self.result,
            outcome: self.seen.outcome,
            attempt: self.seen.attempt,
        };
        self.rules.hooks.adviser().advise(self.memory, answer)
    }

    fn pause(&mut self, backoff: &seawall_core::Backoff) -> Option<Pause> {
        self.wait = self.rules.hooks.adviser().wait(self.memory);
        if self.wait.is_some() {
            let (delay, chance) = (Duration::ZERO, Duration::ZERO);
            return Some(Pause { delay, chance });
        }
        let delays = self.delays.get_or_insert_with(|| backoff.start());
        let drawn = delays.next_with_chance(backoff, self.rules.core.draw());
        drawn.map(|(delay, chance)| Pause { delay, chance })
    }

    fn time_left(&mut self) -> Option<Duration> {
        time_left(self.deadline)
    }

    fn place(&mut self, longest: Duration) -> Option<Duration> {
        let Some(rate) = &self.rules.core.rate else {
            return Some(Duration::ZERO);
        };
        let (wait, place) = Place::take(rate, ns(longest)).ok()?;
        self.place = Some(place);
        Some(Duration::from_nanos(wait))
    }

    fn withdraw(&mut self) -> bool {
        let charge = CostClass::of(&self.seen.outcome);
        let Some(paid) = self.rules.core.budget.pay(charge) else {
            return false;
        };
        self.paid = paid;
        true
    }
}
