//! What a call needs until it completes: its latencies, its delays, its end.

use std::time::Duration;

use seawall_core::{
    Classify, KeepResponse, Outcome, Policies, Rejectable, RequestMeta, classify_result, deadline,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::extra::Race;
use crate::judgement::Judgement;
use crate::state::{CallSettings, CommonLocal, Core};

pub(crate) type ResultOf<S, Req> =
    Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;
pub(crate) type KeepingOf<S, Req, X> =
    <<X as Policies>::Keeper as KeepResponse<<S as Service<Req>>::Response>>::Keeping;
pub(crate) type RaceOf<S, Req, X> = Race<
    S,
    Req,
    <S as Service<Req>>::Future,
    <S as Service<Req>>::Response,
    <S as Service<Req>>::Error,
    KeepingOf<S, Req, X>,
>;

pub(crate) struct Call<S, Req, X>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    pub(crate) common: CommonLocal<S, X>,
    settings: CallSettings,
    /// From which extra attempts are made; `None` when there can be none, or none any more.
    pub(crate) copy: Option<Req>,
    pub(crate) deadline: Option<Instant>,
    /// The first poll where latencies are learned, the first `Pending` otherwise.
    pub(crate) started: Option<Instant>,
    /// Before each extra attempt; known when the first one is waited for.
    delay: Option<Duration>,
    /// Extra attempts begun.
    pub(crate) extra_attempts: u32,
    /// Boxed, since most calls have no extra attempt.
    pub(crate) race: Option<Box<RaceOf<S, Req, X>>>,
    /// Whether the call has its result.
    completed: bool,
}

impl<S, Req, X> Call<S, Req, X>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    #[inline]
    pub(crate) const fn new(
        common: CommonLocal<S, X>,
        settings: CallSettings,
        copy: Option<Req>,
        meta: &RequestMeta,
    ) -> Self {
        Self {
            common,
            settings,
            copy,
            deadline: meta.deadline,
            started: None,
            delay: None,
            extra_attempts: 0,
            race: None,
            completed: false,
        }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Core {
        &self.common.common().core
    }

    fn now(&self) -> Instant {
        self.core().state.clock.instant_now()
    }

    /// The first poll begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if self.settings.learns() && self.started.is_none() {
            self.started = Some(self.now());
        }
    }

    #[inline]
    pub(crate) fn classify_result(&self, result: &ResultOf<S, Req>) -> Judgement
    where
        S::Error: Rejectable,
        X: Policies<Classifier: Classify<S::Response, S::Error>>,
    {
        let classifier = self.common.common().policy.classifier();
        Judgement::new(classify_result(classifier, result), result)
    }

    /// The call has its result.
    #[inline]
    pub(crate) fn complete(&mut self, judgement: &Judgement) {
        self.completed = true;
        let calls = &self.common.stripe().calls;
        if judgement.outcome == Outcome::Success {
            calls.success.add();
            self.core().budget.deposit();
        } else {
            calls.add(&judgement.outcome, judgement.rejection.as_ref());
        }
    }

    /// The first attempt has completed, and there is no other.
    #[inline(always)]
    pub(crate) fn completed_alone(&mut self, result: &ResultOf<S, Req>)
    where
        S::Error: Rejectable,
        X: Policies<Classifier: Classify<S::Response, S::Error>>,
    {
        let judgement = self.classify_result(result);
        self.learn(&judgement, self.started);
        if judgement.outcome != Outcome::Success {
            self.record(&judgement);
        }
        self.complete(&judgement);
    }

    /// Has a failed attempt counted by the budget.
    #[cold]
    pub(crate) fn record(&self, judgement: &Judgement) {
        if !judgement.is_good() && !judgement.is_rejected_unsent() {
            self.core().budget.record_failure();
        }
    }

    /// Learns from the result of an attempt.
    ///
    /// Good results show how long a response takes, and timeouts that it takes longer. A quick
    /// failure shows neither: learned from, it would make every call hedge at once when the
    /// upstream is failing.
    #[inline]
    pub(crate) fn learn(&self, judgement: &Judgement, started: Option<Instant>) {
        let (Some(quantile), Some(started)) = (self.core().state.learned(self.settings), started)
        else {
            return;
        };
        if judgement.is_good() {
            let now = self.now();
            quantile.record(now.saturating_duration_since(started), now);
        } else if judgement.is_timeout() {
            self.given_up(Some(started));
        }
    }

    /// Learns that an attempt was given up without a response.
    pub(crate) fn given_up(&self, started: Option<Instant>) {
        if let (Some(quantile), Some(started)) = (self.core().state.learned(self.settings), started)
        {
            let now = self.now();
            quantile.record_at_least(now.saturating_duration_since(started), now);
        }
    }

    /// When the next extra attempt is due; `None` when there is none.
    pub(crate) fn next_at(&mut self) -> Option<Instant> {
        self.copy.as_ref()?;
        let state = &self.common.common().core.state;
        // Fewer may be allowed since the call began.
        if self.extra_attempts >= state.extra_attempts() {
            return None;
        }
        let started = *self
            .started
            .get_or_insert_with(|| state.clock.instant_now());
        let delay = self.delay.or_else(|| state.delay(started))?;
        self.delay = Some(delay);
        let nth = self.extra_attempts.saturating_add(1);
        let mut at = deadline(started, delay.saturating_mul(nth));
        // A task that was not polled in time has more than one overdue: not all at once.
        if self.extra_attempts > 0 {
            let now = state.clock.instant_now();
            if at <= now {
                at = deadline(now, delay);
            }
        }
        // A response takes time, too: what it typically takes, where that is known.
        if let Some(end) = self.deadline
            && deadline(at, state.typical()) >= end
        {
            self.common.stripe().skipped.deadline.add();
            return None;
        }
        Some(at)
    }
}

impl<S, Req, X> Drop for Call<S, Req, X>
where
    S: Service<Req>,
    X: Policies<Keeper: KeepResponse<S::Response>>,
{
    #[inline]
    fn drop(&mut self) {
        if !self.completed {
            self.abandon();
        }
    }
}
