//! What a call does once it has an extra attempt: begins it, compares the results, ends it.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use seawall_core::counters::Counter;
use seawall_core::{
    Classify, CopyRequest, CostClass, EventKind, Figure, KeepResponse, Policies, Reason,
    Rejectable, Rejection, Sent,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::call::{Call, ResultOf};
use crate::counts::ExtraAttemptStripe;
use crate::extra::{ExtraAttempt, Race, SentAttempt, is_over};
use crate::judgement::{Judgement, NOT_SENT};

impl<S, Req, X> Call<S, Req, X>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    /// Begins an extra attempt, if it is paid for.
    #[cold]
    pub(crate) fn begin_extra_attempt(&mut self)
    where
        S: Clone,
        X: Policies<Copier: CopyRequest<Req>>,
    {
        let Some(held) = self.copy.take() else {
            return;
        };
        let (common, stripe) = (self.common.common(), self.common.stripe());
        let state = &common.core.state;
        let nth = self.extra_attempts.saturating_add(1);
        // Fewer may be allowed since the delay began.
        if nth > state.extra_attempts() {
            return;
        }
        // The task may have been polled late.
        if is_over(self.deadline) {
            stripe.skipped.deadline.add();
            return;
        }
        // A streamed body may have grown too long since it was copied, or still be read.
        let copier = common.policy.copier();
        let (request, held) = if nth < state.extra_attempts() {
            (copier.copy(&held), Some(held))
        } else {
            (copier.can_copy(&held).then_some(held), None)
        };
        let Some(request) = request else {
            stripe.skipped.no_copy.add();
            return;
        };
        let Some(payment) = common.core.budget.withdraw(CostClass::Transient) else {
            stripe.skipped.budget_exhausted.add();
            state.events.emit_call(|| EventKind::BudgetExhausted);
            return;
        };
        let extra = ExtraAttempt::new(common.service(), request, payment);
        let race = self.race.get_or_insert_with(|| Box::new(Race::new()));
        race.extras.push(extra);
        self.extra_attempts = nth;
        self.copy = held;
        stripe.extra.begun.add();
        let (attempt, started) = (nth.saturating_add(1), self.started);
        state.events.emit_call(|| EventKind::Hedged {
            attempt,
            delay: started.map_or(Duration::ZERO, |started| {
                Instant::now().saturating_duration_since(started)
            }),
        });
    }

    /// The first attempt has a bad result, which is kept.
    pub(crate) fn first_failed(&mut self, result: ResultOf<S, Req>, judgement: &Judgement) {
        self.learn(judgement, self.started);
        self.record(judgement);
        self.send_no_more();
        if let Some(race) = &mut self.race {
            race.first = Some(result);
        }
    }

    /// After a bad result: more attempts do not help against what makes one fail.
    fn send_no_more(&mut self) {
        self.copy = None;
        let Some(race) = &mut self.race else {
            return;
        };
        let before = race.extras.len();
        race.extras.retain(|extra| extra.started().is_some());
        let not_sent = before - race.extras.len();
        self.common.stripe().extra.not_sent.add_n(not_sent as u64);
    }

    /// An extra attempt has ended before it was sent.
    pub(crate) fn extra_not_sent(&mut self) {
        self.send_no_more();
        self.common.stripe().extra.not_sent.add();
    }

    /// An extra attempt has a bad result.
    pub(crate) fn extra_failed(
        &mut self,
        result: ResultOf<S, Req>,
        judgement: &Judgement,
        sent: SentAttempt,
    ) {
        self.send_no_more();
        self.learn(judgement, Some(sent.started));
        self.record(judgement);
        if judgement.is_rejected_unsent() {
            self.common.stripe().extra.not_sent.add();
            if let Some(mut payment) = sent.payment {
                payment.set_spent(false);
            }
            return;
        }
        self.common.stripe().extra.failed.add();
        let keeper = self.common.common().policy.keeper();
        let Some(race) = &mut self.race else {
            return;
        };
        race.maybe_sent |= !judgement.is_unsent();
        if judgement.rejection.is_none() && !judgement.is_unsent() {
            let outcome = judgement.outcome;
            match result {
                Ok(response) => {
                    let keeping = Box::pin(keeper.keep_until(response, self.deadline));
                    race.keeping.push((outcome, keeping));
                }
                Err(error) => race.answer = Some((outcome, Err(error))),
            }
        }
    }

    /// A good result ends the race: of the extra attempt `winner`, which is out of it already, or
    /// of the first. `first` says whether the first attempt is still under way.
    pub(crate) fn won(
        &mut self,
        winner: Option<&SentAttempt>,
        judgement: &Judgement,
        first: bool,
        cx: &mut Context<'_>,
    ) {
        match winner {
            Some(sent) => {
                self.drain_first(cx);
                self.common.stripe().extra.won.add();
                self.learn(judgement, Some(sent.started));
                if first {
                    self.given_up(self.started);
                }
            }
            None => self.learn(judgement, self.started),
        }
        self.end_extras(|extra| &extra.lost, true);
        self.complete(judgement);
    }

    /// Reads what is there of a bad response of the first attempt, which has lost: its connection
    /// can be used again then. The caller does not wait for more.
    fn drain_first(&mut self, cx: &mut Context<'_>) {
        let first = self.race.as_mut().and_then(|race| race.first.take());
        if let Some(Ok(response)) = first {
            let keeping = pin!(self.common.common().policy.keeper().keep(response));
            let _ = keeping.poll(cx);
        }
    }

    /// No attempt has a good result: the first one's is that of the call, unless it was not sent
    /// and the upstream has answered an extra one.
    pub(crate) fn all_failed(&mut self) -> Option<ResultOf<S, Req>>
    where
        S::Error: Rejectable,
        X: Policies<Classifier: Classify<S::Response, S::Error>>,
    {
        let race = self.race.as_mut()?;
        let mut result = race.first.take()?;
        let maybe_sent = race.maybe_sent;
        let mut judgement = self.classify_result(&result);
        let race = self.race.as_mut()?;
        if judgement.is_unsent() && !race.keeping.is_empty() {
            race.first = Some(result);
            return None;
        }
        let answer = race.answer.take();
        self.end_extras(|extra| &extra.lost, true);
        if maybe_sent && let Some(claim) = self.not_sent_claim(&judgement) {
            result = match answer {
                // Of two errors of the client the first one's is that of the call, unless it is
                // wrong.
                Some((_, last)) if judgement.rejection.is_some() || last.is_ok() => {
                    self.marked(last, claim)
                }
                _ => {
                    if judgement.rejection.is_none() {
                        let events = &self.core().state.events;
                        events.emit_call(|| EventKind::Rejected(claim));
                    }
                    Err(claim.into())
                }
            };
            judgement = self.classify_result(&result);
        }
        self.complete(&judgement);
        Some(result)
    }

    /// A result of an extra attempt in place of the first one's, marked if it is a response.
    fn marked(&self, mut result: ResultOf<S, Req>, claim: Rejection) -> ResultOf<S, Req> {
        if let Ok(response) = &mut result {
            let keeper = self.common.common().policy.keeper();
            keeper.mark(response, claim);
        }
        result
    }

    /// What is true of a result which says that nothing was sent, when an extra attempt may have
    /// been.
    fn not_sent_claim(&self, judgement: &Judgement) -> Option<Rejection> {
        let events = &self.core().state.events;
        let claim = match judgement.rejection {
            Some(rejection) => (rejection.sent() == Sent::No).then_some(rejection)?,
            None if judgement.outcome != NOT_SENT => return None,
            None => {
                let attempts = Figure::Attempts(self.extra_attempts.saturating_add(1));
                events
                    .rejection(Reason::OutcomeUnknown)
                    .with_figure(attempts)
            }
        };
        Some(claim.with_sent(Sent::Maybe))
    }

    /// Drops the extra attempts that are left. Those that were sent count as `if_sent`.
    fn end_extras(&mut self, if_sent: fn(&ExtraAttemptStripe) -> &Counter, learn: bool) {
        let Some(race) = self.race.take() else {
            return;
        };
        let counters = &self.common.stripe().extra;
        for extra in &race.extras {
            let started = extra.started();
            match started {
                Some(_) => if_sent(counters).add(),
                None => counters.not_sent.add(),
            }
            if learn {
                self.given_up(started);
            }
        }
    }

    /// The call is dropped without a result.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        // A panic says nothing about how long responses take.
        let panicked = std::thread::panicking();
        // The slowest calls are those that are given up: left out, they would make the tail look
        // short. A first attempt that has failed has been learned from.
        let learns = self.race.as_ref().is_none_or(|race| race.first.is_none());
        if learns && !panicked {
            self.given_up(self.started);
        }
        self.end_extras(|extra| &extra.abandoned, !panicked);
    }
}
