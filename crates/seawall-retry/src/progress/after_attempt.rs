//! What follows an attempt: another one, or the end of the call.

use std::time::Duration;

use seawall_core::{
    Classify, Describe, EventKind, Figure, KeepResponse, Outcome, Reason, Rejectable, Rejection,
    Sent, Withdrawal, classify_result,
};
use tokio::time::Instant;

use super::{Next, Progress};
use crate::counts::RetryStripe;
use crate::decide::{Attempted, Decision, decide, not_sent_claim};
use crate::effects::{RealEffects, Taken};
use crate::hooks::{Hook, WaitOf};
use crate::rules::{PolicyFor, Rules};
use crate::state::Core;
use crate::{AnnotateGiveUp, RetryConfig, RetryPredicate, StopReason, Stopped};

impl<Req, T, E, X, H> Progress<Req, T, E, X, H>
where
    E: Rejectable,
    X: PolicyFor<Req, T, E>,
    H: Hook<Req, T, E>,
{
    /// The outcome of a result; `None` for a success that is the end of the call.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        rules: &Rules<X, H>,
        (stripe, alone): (&RetryStripe, bool),
        result: &Result<T, E>,
    ) -> Option<Outcome> {
        let outcome = classify_result(rules.policy.classifier(), result);
        if outcome != Outcome::Success || H::Predicate::ENABLED {
            return Some(outcome);
        }
        stripe.succeeded(alone);
        if self.more.is_some() {
            self.pay_in(&rules.core);
        } else {
            rules.core.budget.deposit();
        }
        rules.core.succeeded();
        None
    }

    /// The budget gets what the success of an attempt earns that may have been paid for.
    #[cold]
    fn pay_in(&mut self, core: &Core) {
        match self.take_payment() {
            None => core.budget.deposit(),
            Some(payment) => core.budget.deposit_retried(payment),
        }
    }

    /// What was paid for the attempt that has ended.
    fn take_payment(&mut self) -> Option<Withdrawal> {
        self.more.as_mut()?.payment.take()
    }

    /// What follows an attempt.
    #[cold]
    pub(crate) fn after_attempt(
        &mut self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        copy: Option<&mut Req>,
        outcome: Outcome,
        result: &mut Result<T, E>,
    ) -> Next<WaitOf<H, Req, T, E>> {
        let core = &rules.core;
        self.begin(core, Instant::now);
        let config = core.state.config();
        let attempted = self.attempted(rules, outcome, result);
        let mut delays = None;
        if let Some(more) = &mut self.more {
            delays = more.delays.take();
            // What was paid for an attempt that was not sent pays for the next one.
            if let Some(payment) = &mut more.payment {
                payment.set_spent(!attempted.is_rejected_unsent());
            }
        }
        core.adapt_rate(&attempted, self.has_token);
        if attempted.is_failure() {
            core.budget.record_failure();
        }
        let mut effects = RealEffects {
            rules,
            copy,
            predicate_state: &mut self.predicate_state,
            result,
            attempted: &attempted,
            deadline: self.deadline,
            taken: Taken::new(delays),
        };
        match decide(&config, &attempted, &mut effects) {
            Decision::Stop(reason) => {
                drop(effects.taken);
                let reason = self.explain(rules, &config, &attempted, reason);
                self.stop(rules, stripe, &attempted, reason, result);
                Next::Complete
            }
            Decision::Retry(delay) => {
                let taken = effects.taken;
                self.retry(core, stripe, &attempted, delay, taken)
            }
        }
    }

    fn attempted(&self, rules: &Rules<X, H>, outcome: Outcome, result: &Result<T, E>) -> Attempted {
        let rejection = rejection_in(result);
        let hint = match rejection {
            Some(_) => None,
            None => rules.policy.classifier().retry_after(result.as_ref()),
        };
        Attempted {
            outcome,
            rejection,
            hint,
            replay: self.replay,
            attempt: self.attempt,
            bypassed: rules.core.state.is_bypassed(),
        }
    }

    /// Finds the unsafe requests that are so only because nobody has described them, and warns.
    fn explain(
        &self,
        rules: &Rules<X, H>,
        config: &RetryConfig,
        attempted: &Attempted,
        reason: StopReason,
    ) -> StopReason {
        let would_retry = !attempted.bypassed && attempted.attempt < config.attempts();
        if reason == StopReason::NotReplaySafe && would_retry && X::Describer::IS_DEFAULT {
            rules.core.state.not_described();
            return StopReason::NotDescribed;
        }
        reason
    }

    /// The result of the attempt is that of the call.
    fn stop(
        &mut self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        attempted: &Attempted,
        reason: StopReason,
        result: &mut Result<T, E>,
    ) {
        let (core, outcome) = (&rules.core, attempted.outcome);
        let rejection = attempted.rejection.as_ref();
        if outcome == Outcome::Success {
            stripe.completed(&outcome, rejection);
            self.pay_in(core);
            return;
        }
        if reason == StopReason::BudgetExhausted {
            core.state.events.emit_call(|| EventKind::BudgetExhausted);
        }
        let made = self.made(attempted.is_rejected_unsent());
        let end = self.correct(rules, outcome, result, made);
        if end.is_replaced {
            stripe.replaced(&outcome, rejection);
            stripe.ended_between_attempts(&end.outcome, rejection_in(result).as_ref());
        } else {
            stripe.completed(&outcome, rejection);
        }
        self.give_up(rules, stripe, reason, end, made, result);
    }

    /// How many attempts were made. One that a layer below rejected before it was sent was none.
    pub(crate) fn made(&self, last_is_unsent: bool) -> u32 {
        let before = self.more.as_ref().map_or(0, |more| more.unsent);
        let unsent = before.saturating_add(u32::from(last_is_unsent));
        self.attempt.saturating_sub(unsent)
    }

    /// Another attempt follows: keeps what was taken for it.
    fn retry(
        &mut self,
        core: &Core,
        stripe: &RetryStripe,
        attempted: &Attempted,
        delay: Duration,
        taken: Taken<WaitOf<H, Req, T, E>>,
    ) -> Next<WaitOf<H, Req, T, E>> {
        stripe.retried(&attempted.outcome, attempted.rejection.as_ref());
        self.maybe_sent |= !attempted.is_unsent();
        let more = self.more_mut();
        // A local rejection is no result of the upstream, and a failure to connect says
        // less than a response before it.
        let says_less = attempted.is_unsent() && more.last_answer.is_some();
        let is_kept = attempted.rejection.is_none() && !says_less;
        if is_kept {
            more.last_answer = None;
        }
        if attempted.is_rejected_unsent() {
            more.unsent = more.unsent.saturating_add(1);
        } else {
            more.payment = taken.payment;
        }
        more.token = taken.token;
        more.delays = taken.delays;
        more.previous = Some(attempted.outcome);
        let attempt = self.attempt.saturating_add(1);
        let event = || EventKind::Retry { attempt, delay };
        core.state.events.emit_call(event);
        let wait = taken.wait;
        Next::Retry {
            delay,
            wait,
            is_kept,
        }
    }

    /// Counts the end of a call without success, and has its result marked with the rejection that
    /// stood in the way of another attempt, and annotated.
    fn give_up(
        &self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        reason: StopReason,
        end: End,
        made: u32,
        result: &mut Result<T, E>,
    ) {
        // A limit of this layer's own is marked in the response, as those of others are.
        let own = || {
            let rejection = rules.core.rejection(reason.rejects_as()?, Sent::Maybe);
            Some(rejection.with_figure(rules.core.figure(reason, made)))
        };
        let rejection = end.rejection.or_else(own);
        if let (Ok(response), Some(rejection)) = (&mut *result, rejection) {
            rules.policy.keeper().mark(response, rejection);
        }
        // A predicate may have wanted more than a success.
        if end.outcome == Outcome::Success {
            return;
        }
        stripe.gave_up(reason);
        // A layer below that knows of the deadline does not know of the attempts before.
        if let Err(error) = result
            && let Some(rejection) = error.rejection_mut()
            && rejection.reason() == Reason::DeadlineExceeded
            && rejection.sent() == Sent::Maybe
            && rejection.figure().is_none()
        {
            *rejection = rejection.with_figure(Figure::Attempts(made));
        }
        if reason != StopReason::Completed {
            let stopped = Stopped {
                reason,
                attempts: made,
                rejection,
            };
            rules.hooks.annotate().annotate_give_up(result, stopped);
        }
    }

    /// Corrects a result which says that nothing was sent: the upstream's last result takes its
    /// place, or it says that an earlier attempt may have been sent.
    fn correct(
        &mut self,
        rules: &Rules<X, H>,
        outcome: Outcome,
        result: &mut Result<T, E>,
        made: u32,
    ) -> End {
        let (events, rejection) = (&rules.core.state.events, rejection_in(result));
        let attempts = Figure::Attempts(made);
        let unknown = || {
            events
                .rejection(Reason::OutcomeUnknown)
                .with_figure(attempts)
        };
        let Some(claim) = not_sent_claim(outcome, rejection, unknown) else {
            return End::of(outcome, None);
        };
        let claim = claim.with_sent(self.sent());
        let answer = self.more.as_mut().and_then(|more| more.last_answer.take());
        match answer {
            // Of two errors of the client the last one says more, unless it is wrong.
            Some((_, Err(_))) if rejection.is_none() => {}
            Some((meaning, last)) => {
                *result = last;
                return End::replaced(meaning, claim);
            }
            None => {}
        }
        if !self.maybe_sent {
            return End::of(outcome, rejection);
        }
        if rejection.is_none() {
            events.emit_call(|| EventKind::Rejected(claim));
        }
        *result = Err(claim.into());
        End::replaced(claim.outcome(), claim)
    }

    /// Whether an attempt that has ended may have been sent.
    const fn sent(&self) -> Sent {
        if self.maybe_sent {
            Sent::Maybe
        } else {
            Sent::No
        }
    }

    /// No further attempt can be made: its service failed, or the request could not be prepared.
    #[cold]
    pub(crate) fn failed_before_attempt(
        &mut self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        reason: StopReason,
        error: E,
    ) -> Result<T, E> {
        if reason == StopReason::PrepareFailed
            && let Some(more) = &mut self.more
        {
            // An error of the caller's own hook is the result, whatever it is.
            more.last_answer = None;
        }
        let mut result = Err(error);
        let outcome = classify_result(rules.policy.classifier(), &result);
        let made = self.made(false);
        let end = self.correct(rules, outcome, &mut result, made);
        stripe.ended_between_attempts(&end.outcome, rejection_in(&result).as_ref());
        self.give_up(rules, stripe, reason, end, made, &mut result);
        result
    }

    /// The deadline has passed between two attempts.
    #[cold]
    pub(crate) fn expired(&mut self, rules: &Rules<X, H>, stripe: &RetryStripe) -> Result<T, E> {
        let attempts = Figure::Attempts(self.made(false));
        let rejection = rules.core.rejection(Reason::DeadlineExceeded, self.sent());
        let rejection = rules.core.emitted(rejection.with_figure(attempts));
        let error = rejection.with_sent(Sent::No).into();
        self.failed_before_attempt(rules, stripe, StopReason::Deadline, error)
    }
}

/// How a call ended that had no success.
#[derive(Clone, Copy)]
struct End {
    /// What its result means.
    outcome: Outcome,
    /// What stood in the way of another attempt.
    rejection: Option<Rejection>,
    /// Whether the result is not that of the last attempt.
    is_replaced: bool,
}

impl End {
    const fn of(outcome: Outcome, rejection: Option<Rejection>) -> Self {
        Self {
            outcome,
            rejection,
            is_replaced: false,
        }
    }

    const fn replaced(outcome: Outcome, rejection: Rejection) -> Self {
        Self {
            outcome,
            rejection: Some(rejection),
            is_replaced: true,
        }
    }
}

fn rejection_in<T, E: Rejectable>(result: &Result<T, E>) -> Option<Rejection> {
    let error = result.as_ref().err();
    error.and_then(Rejectable::rejection).copied()
}
