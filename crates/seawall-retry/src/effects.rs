//! What a decision reads and takes: the generator, the clock, the hooks, the rate, the budget.

use std::time::Duration;

use seawall_core::{Backoff, CopyRequest, CostClass, Delays, Policies, Withdrawal, ns};
use tokio::time::Instant;

use crate::decide::{Attempted, BackoffDelay, Effects};
use crate::hooks::{Hook, StateOf, WaitOf};
use crate::rate_token::RateToken;
use crate::rules::Rules;
use crate::{CompletedAttemptMut, RetryDecision, RetryPredicate};

/// What was taken for another attempt.
pub(crate) struct Taken<W> {
    pub(crate) delays: Option<Delays>,
    pub(crate) wait: Option<W>,
    pub(crate) token: Option<RateToken>,
    pub(crate) payment: Option<Withdrawal>,
}

impl<W> Taken<W> {
    pub(crate) const fn new(delays: Option<Delays>) -> Self {
        Self {
            delays,
            wait: None,
            token: None,
            payment: None,
        }
    }
}

pub(crate) struct RealEffects<'a, Req, T, E, X, H: Hook<Req, T, E>> {
    pub(crate) rules: &'a Rules<X, H>,
    pub(crate) copy: Option<&'a mut Req>,
    pub(crate) predicate_state: &'a mut StateOf<H, Req, T, E>,
    pub(crate) result: &'a mut Result<T, E>,
    pub(crate) attempted: &'a Attempted,
    pub(crate) deadline: Option<Instant>,
    pub(crate) taken: Taken<WaitOf<H, Req, T, E>>,
}

impl<Req, T, E, X, H> Effects for RealEffects<'_, Req, T, E, X, H>
where
    X: Policies<Copier: CopyRequest<Req>>,
    H: Hook<Req, T, E>,
{
    const HAS_PREDICATE: bool = H::Predicate::ENABLED;

    fn has_copy(&mut self) -> bool {
        // A streamed body may have grown too long since it was copied, or still be read: then
        // the copy is there and cannot be sent, and cannot be copied either.
        let copier = self.rules.policy.copier();
        self.copy.as_ref().is_some_and(|copy| copier.can_copy(copy))
    }

    fn predicate(&mut self) -> RetryDecision {
        let Some(request) = self.copy.as_deref_mut() else {
            return RetryDecision::Default;
        };
        let attempt = CompletedAttemptMut {
            request,
            result: self.result,
            outcome: self.attempted.outcome,
            attempt: self.attempted.attempt,
        };
        let predicate = self.rules.hooks.predicate();
        predicate.decide(self.predicate_state, attempt)
    }

    fn next_delay(&mut self, backoff: &Backoff, restart: bool) -> Option<BackoffDelay> {
        let taken = &mut self.taken;
        taken.wait = self.rules.hooks.predicate().wait(self.predicate_state);
        if taken.wait.is_some() {
            let (delay, chance) = (Duration::ZERO, Duration::ZERO);
            return Some(BackoffDelay { delay, chance });
        }
        let delays = taken.delays.get_or_insert_with(|| backoff.start());
        if restart {
            delays.restart();
        }
        let drawn = delays.next_with_chance(backoff, self.rules.core.draw());
        if restart {
            // The wait was named; the next one that is not is the first of the backoff.
            delays.restart();
        }
        drawn.map(|(delay, chance)| BackoffDelay { delay, chance })
    }

    fn draw(&mut self) -> f64 {
        self.rules.core.draw()
    }

    fn time_left(&mut self) -> Option<Duration> {
        time_left(self.deadline)
    }

    fn take_token(&mut self, longest: Duration) -> Option<Duration> {
        let Some(rate) = &self.rules.core.rate else {
            return Some(Duration::ZERO);
        };
        let (wait, token) = RateToken::take(rate, ns(longest)).ok()?;
        self.taken.token = Some(token);
        Some(Duration::from_nanos(wait))
    }

    fn withdraw(&mut self) -> bool {
        let class = CostClass::of(&self.attempted.outcome);
        self.taken.payment = self.rules.core.budget.withdraw(class);
        self.taken.payment.is_some()
    }
}

/// How coarse timers are: they fire on whole milliseconds, so that a wait may be one longer than
/// it was set to.
const TICK: Duration = Duration::from_millis(1);

/// The time left for a wait, if there is a deadline.
pub(crate) fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Some(left.saturating_sub(TICK))
}
