//! What follows an attempt: another one, or the end of the call.

use std::time::Duration;

use seawall_core::{
    Classify, Describe, EventKind, Outcome, Reason, Rejectable, Rejection, Replay, Sent,
    classify_result,
};
use tokio::time::Instant;

use super::{Next, Progress};
use crate::counts::RetryStripe;
use crate::decide::{Attempted, Decision, correct_sent_status, decide};
use crate::effects::{RealEffects, Taken};
use crate::hooks::{Hook, WaitOf};
use crate::rules::{Core, PolicyFor, Rules};
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
        &self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        result: &Result<T, E>,
    ) -> Option<Outcome> {
        let outcome = classify_result(rules.policy.classifier(), result);
        if outcome != Outcome::Success || H::Predicate::ENABLED {
            return Some(outcome);
        }
        stripe.succeeded();
        rules.core.succeeded();
        None
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
                Next::Retry(delay, self.retry(core, stripe, &attempted, delay, taken))
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
        if reason == StopReason::NotReplaySafe
            && would_retry
            && rules.policy.describer().is_default()
        {
            rules.core.state.warn_not_described();
            return StopReason::NotDescribed;
        }
        reason
    }

    /// The result of the attempt is that of the call.
    fn stop(
        &self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        attempted: &Attempted,
        reason: StopReason,
        result: &mut Result<T, E>,
    ) {
        let (core, outcome) = (&rules.core, attempted.outcome);
        stripe.completed(&outcome, attempted.rejection.is_some());
        if outcome == Outcome::Success {
            core.budget.deposit();
            return;
        }
        if reason == StopReason::BudgetExhausted {
            core.state.events.emit(|| EventKind::BudgetExhausted);
        }
        if let Some(corrected) = self.correct_sent_status(core, outcome, attempted.rejection) {
            *result = Err(corrected.into());
        }
        self.give_up(rules, stripe, reason, result);
    }

    /// Another attempt follows: keeps what was taken for it.
    fn retry(
        &mut self,
        core: &Core,
        stripe: &RetryStripe,
        attempted: &Attempted,
        delay: Duration,
        taken: Taken<WaitOf<H, Req, T, E>>,
    ) -> Option<WaitOf<H, Req, T, E>> {
        stripe.retried(&attempted.outcome, attempted.rejection.is_some());
        self.maybe_sent |= !attempted.is_unsent();
        let more = self.more_mut();
        if !attempted.is_rejected_unsent() {
            more.payment = taken.payment;
        }
        more.token = taken.token;
        more.delays = taken.delays;
        more.previous = Some(attempted.outcome);
        let attempt = self.attempt.saturating_add(1);
        let event = || EventKind::Retry { attempt, delay };
        core.state.events.emit(event);
        taken.wait
    }

    /// Counts the end of a call without success, and has its result annotated.
    fn give_up(
        &self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        reason: StopReason,
        result: &mut Result<T, E>,
    ) {
        stripe.gave_up(reason);
        if reason != StopReason::Completed {
            let attempts = self.attempt;
            let stopped = Stopped { reason, attempts };
            rules.hooks.annotate().annotate_give_up(result, stopped);
        }
    }

    /// What replaces a result that denies what an earlier attempt may have done.
    fn correct_sent_status(
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
        let events = &core.state.events;
        let unknown = events.rejection(Reason::OutcomeUnknown);
        let corrected = correct_sent_status(outcome, rejection, unknown)?;
        if rejection.is_none() {
            events.emit(|| EventKind::Rejected(corrected));
        }
        Some(corrected)
    }

    /// No further attempt can be made: its service failed, or the request could not be prepared.
    #[cold]
    pub(crate) fn failed_before_attempt(
        &self,
        rules: &Rules<X, H>,
        stripe: &RetryStripe,
        reason: StopReason,
        error: E,
    ) -> Result<T, E> {
        let mut result = Err(error);
        let mut outcome = classify_result(rules.policy.classifier(), &result);
        let mut rejection = rejection_in(&result);
        if let Some(corrected) = self.correct_sent_status(&rules.core, outcome, rejection) {
            outcome = corrected.outcome();
            rejection = Some(corrected);
            result = Err(corrected.into());
        }
        stripe.ended_between_attempts(&outcome, rejection.is_some());
        self.give_up(rules, stripe, reason, &mut result);
        result
    }

    /// The deadline has passed between two attempts.
    #[cold]
    pub(crate) fn expired(&self, rules: &Rules<X, H>, stripe: &RetryStripe) -> Result<T, E> {
        let sent = if self.maybe_sent {
            Sent::Maybe
        } else {
            Sent::No
        };
        let rejection = rules.core.reject(Reason::DeadlineExceeded, sent);
        let mut result = Err(rejection.into());
        stripe.ended_between_attempts(&rejection.outcome(), true);
        self.give_up(rules, stripe, StopReason::Deadline, &mut result);
        result
    }
}

fn rejection_in<T, E: Rejectable>(result: &Result<T, E>) -> Option<Rejection> {
    let error = result.as_ref().err();
    error.and_then(Rejectable::rejection).copied()
}
