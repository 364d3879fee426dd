//! What a call does once it has an extra attempt: begins it, compares the results, ends it.

use std::time::Duration;

use seawall_core::counters::Counter;
use seawall_core::{
    Classify, CopyRequest, CostClass, EventKind, Policies, Reason, Rejectable, Rejection, Replay,
    Sent,
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
            state.events.emit(|| EventKind::BudgetExhausted);
            return;
        };
        let extra = ExtraAttempt::new(common.service(), request, payment);
        let race = self.race.get_or_insert_with(|| Box::new(Race::new()));
        race.extras.push(extra);
        self.extra_attempts = nth;
        self.copy = held;
        stripe.extra.begun.add();
        let (attempt, started) = (nth.saturating_add(1), self.started);
        state.events.emit(|| EventKind::Hedged {
            attempt,
            delay: started.map_or(Duration::ZERO, |started| {
                Instant::now().saturating_duration_since(started)
            }),
        });
    }

    /// The first attempt has a bad result, which is kept.
    pub(crate) fn first_failed(&mut self, result: ResultOf<S, Req>, judgement: &Judgement) {
        self.learn(judgement, self.started);
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

    /// An extra attempt has ended without a good result: `sent` and classified, or not sent.
    pub(crate) fn extra_failed(&mut self, ended: Option<(&Judgement, SentAttempt)>) {
        self.send_no_more();
        let Some((judgement, sent)) = ended else {
            self.common.stripe().extra.not_sent.add();
            return;
        };
        self.learn(judgement, Some(sent.started));
        if judgement.is_rejected_unsent() {
            self.common.stripe().extra.not_sent.add();
            if let Some(mut payment) = sent.payment {
                payment.set_spent(false);
            }
            return;
        }
        self.common.stripe().extra.failed.add();
        if let Some(race) = &mut self.race {
            race.maybe_sent |= !judgement.is_unsent();
        }
    }

    /// A good result ends the race: of the extra attempt `winner`, which is out of it already, or
    /// of the first. `first` says whether the first attempt is still under way.
    pub(crate) fn won(&mut self, winner: Option<&SentAttempt>, judgement: &Judgement, first: bool) {
        match winner {
            Some(sent) => {
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

    /// No attempt has a good result: the first one's is that of the call.
    pub(crate) fn all_failed(&mut self) -> Option<ResultOf<S, Req>>
    where
        S::Error: Rejectable,
        X: Policies<Classifier: Classify<S::Response, S::Error>>,
    {
        let race = self.race.as_mut()?;
        let (result, maybe_sent) = (race.first.take()?, race.maybe_sent);
        let judgement = self.classify_result(&result);
        self.end_extras(|extra| &extra.lost, true);
        self.complete(&judgement);
        if maybe_sent && let Some(corrected) = self.correct_sent_status(&judgement) {
            return Some(Err(corrected.into()));
        }
        Some(result)
    }

    /// What replaces a result which says that nothing was sent, when an extra attempt may have
    /// been.
    fn correct_sent_status(&self, judgement: &Judgement) -> Option<Rejection> {
        let events = &self.core().state.events;
        match judgement.rejection {
            Some(rejection) => {
                (rejection.sent() == Sent::No).then(|| rejection.with_sent(Sent::Maybe))
            }
            // What may be sent any number of times loses nothing by the client's own error.
            None if self.replay == Replay::Safe || judgement.outcome != NOT_SENT => None,
            None => {
                let unknown = events.rejection(Reason::OutcomeUnknown);
                let corrected = unknown.with_sent(Sent::Maybe);
                events.emit(|| EventKind::Rejected(corrected));
                Some(corrected)
            }
        }
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
