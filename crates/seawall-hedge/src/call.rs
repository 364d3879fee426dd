//! What a call needs as long as it is not answered: its judgements, its lessons, its delays.

use std::time::Duration;

use seawall_core::{
    Classify, CopyRequest, EventKind, Outcome, Reason, Rejectable, Rejection, Replay, RequestMeta,
    Sent, deadline, judge,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::layer::{CommonLocal, Core};
use crate::observe::{Fate, Skip};
use crate::race::{Extra, Paid, Race, Sending, is_over};
use crate::verdict::{NOT_SENT, Verdict};

type Races<S, Req> = Race<S, Req, <S as Service<Req>>::Future, Answer<S, Req>>;
pub(crate) type Answer<S, Req> = Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;

pub(crate) struct Call<S, Req, C, D, P>
where
    S: Service<Req>,
{
    common: CommonLocal<S, C, D, P>,
    /// From which extra attempts are made; `None` when there can be none, or none any more.
    pub(crate) copy: Option<Req>,
    replay: Replay,
    pub(crate) deadline: Option<Instant>,
    /// The first poll where latencies are learned, the first `Pending` otherwise.
    started: Option<Instant>,
    /// Before each extra attempt; known when the first one is waited for.
    delay: Option<Duration>,
    /// Extra attempts begun.
    hedges: u32,
    /// Boxed, since most calls have no extra attempt.
    pub(crate) race: Option<Box<Races<S, Req>>>,
    /// Whether the call has its answer.
    settled: bool,
}

impl<S, Req, C, D, P> Call<S, Req, C, D, P>
where
    S: Service<Req>,
{
    #[inline]
    pub(crate) const fn new(
        common: CommonLocal<S, C, D, P>,
        copy: Option<Req>,
        meta: &RequestMeta,
    ) -> Self {
        Self {
            common,
            copy,
            replay: meta.replay,
            deadline: meta.deadline,
            started: None,
            delay: None,
            hedges: 0,
            race: None,
            settled: false,
        }
    }

    #[inline]
    fn core(&self) -> &Core {
        &self.common.common().core
    }

    /// The first poll begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if self.started.is_none() && self.core().ledger.quantile.is_some() {
            self.started = Some(Instant::now());
        }
    }

    /// Judges an answer.
    #[inline]
    pub(crate) fn judge(&self, answer: &Answer<S, Req>) -> Verdict
    where
        S::Error: Rejectable,
        C: Classify<S::Response, S::Error>,
    {
        Verdict {
            outcome: judge(&self.common.common().classify, answer),
            rejection: match answer {
                Ok(_) => None,
                Err(error) => error.rejection().copied(),
            },
        }
    }

    /// The call has its answer.
    #[inline]
    fn settle(&mut self, verdict: &Verdict) {
        self.settled = true;
        self.common.stripe().answered(verdict.kind());
        let purse = &self.core().purse;
        if let (Outcome::Success, Some(budget), true) = (verdict.outcome, &purse.budget, purse.fill)
        {
            budget.deposit();
        }
    }

    /// The answer of the first attempt, and there is no other.
    #[inline]
    pub(crate) fn answered_alone(&mut self, answer: &Answer<S, Req>)
    where
        S::Error: Rejectable,
        C: Classify<S::Response, S::Error>,
    {
        let verdict = self.judge(answer);
        self.learn(&verdict, self.started);
        self.settle(&verdict);
    }

    /// Learns from the answer of an attempt.
    ///
    /// Good answers tell how long an answer takes, and timeouts that it takes longer. A quick
    /// failure tells neither: learned from, it would make everybody hedge at once when the
    /// upstream is failing.
    #[inline]
    pub(crate) fn learn(&self, verdict: &Verdict, started: Option<Instant>) {
        let (Some(quantile), Some(started)) = (&self.core().ledger.quantile, started) else {
            return;
        };
        if verdict.is_good() {
            let now = Instant::now();
            quantile.record(now.saturating_duration_since(started), now);
        } else if verdict.is_timeout() {
            let now = Instant::now();
            quantile.record_at_least(now.saturating_duration_since(started), now);
        }
    }

    /// Learns that an attempt was given up without an answer.
    fn given_up(&self, started: Option<Instant>) {
        if let (Some(quantile), Some(started)) = (&self.core().ledger.quantile, started) {
            let now = Instant::now();
            quantile.record_at_least(now.saturating_duration_since(started), now);
        }
    }

    /// When the next extra attempt is due; `None` when there is none.
    pub(crate) fn next_at(&mut self) -> Option<Instant> {
        self.copy.as_ref()?;
        let ledger = &self.common.common().core.ledger;
        let started = *self.started.get_or_insert_with(Instant::now);
        let delay = self.delay.or_else(|| ledger.delay(started))?;
        self.delay = Some(delay);
        let mut at = deadline(started, delay.saturating_mul(self.hedges.saturating_add(1)));
        // A task that was not polled in time has more than one overdue: not all at once.
        if self.hedges > 0 {
            let now = Instant::now();
            if at <= now {
                at = deadline(now, delay);
            }
        }
        // An answer takes time, too: what it typically takes, where that is known.
        if self
            .deadline
            .is_some_and(|end| deadline(at, ledger.typical()) >= end)
        {
            self.common.stripe().skipped(Skip::Deadline);
            return None;
        }
        Some(at)
    }

    /// Begins an extra attempt, if it is paid for.
    #[cold]
    pub(crate) fn fire(&mut self)
    where
        S: Clone,
        P: CopyRequest<Req>,
    {
        let Some(held) = self.copy.take() else {
            return;
        };
        let common = self.common.common();
        let (core, counters) = (&common.core, self.common.stripe());
        let nth = self.hedges.saturating_add(1);
        // The task may have been polled late.
        if is_over(self.deadline) {
            counters.skipped(Skip::Deadline);
            return;
        }
        // A streamed body may have grown too long since it was copied, or still be read.
        let (request, held) = if nth < core.ledger.config.extra_attempts() {
            (common.copy.copy(&held), Some(held))
        } else {
            (common.copy.can_copy(&held).then_some(held), None)
        };
        let Some(request) = request else {
            counters.skipped(Skip::NoCopy);
            return;
        };
        let Some(paid) = Paid::withdraw(core.purse.budget.as_ref()) else {
            counters.skipped(Skip::Budget);
            core.ledger.observer.emit(|| EventKind::BudgetExhausted);
            return;
        };
        let extra = Extra::new(common.spare(), request, paid);
        self.race
            .get_or_insert_with(|| Box::new(Race::new()))
            .extras
            .push(extra);
        self.hedges = nth;
        self.copy = held;
        counters.hedges();
        let (attempt, started) = (nth.saturating_add(1), self.started);
        core.ledger.observer.emit(|| EventKind::Hedged {
            attempt,
            delay: started.map_or(Duration::ZERO, |started| {
                Instant::now().saturating_duration_since(started)
            }),
        });
    }

    /// The first attempt has a bad answer, which is kept.
    pub(crate) fn first_failed(&mut self, answer: Answer<S, Req>, verdict: &Verdict) {
        self.learn(verdict, self.started);
        self.send_no_more();
        if let Some(race) = &mut self.race {
            race.first = Some(answer);
        }
    }

    /// After a bad answer: what makes one attempt fail is not mended by more of them.
    fn send_no_more(&mut self) {
        self.copy = None;
        let Some(race) = &mut self.race else {
            return;
        };
        let before = race.extras.len();
        race.extras.retain(|extra| extra.started().is_some());
        for _ in race.extras.len()..before {
            self.common.stripe().ended(Fate::Unsent);
        }
    }

    /// An extra attempt has ended without a good answer.
    pub(crate) fn extra_failed(&mut self, ended: Option<(&Verdict, Sending)>) {
        self.send_no_more();
        let Some((verdict, sending)) = ended else {
            self.common.stripe().ended(Fate::Unsent);
            return;
        };
        self.learn(verdict, Some(sending.started));
        if verdict.is_rejected_unsent() {
            self.common.stripe().ended(Fate::Unsent);
            if let Some(budget) = sending.spent {
                budget.refund();
            }
            return;
        }
        self.common.stripe().ended(Fate::Failed);
        if let Some(race) = &mut self.race {
            race.maybe_sent |= !verdict.is_unsent();
        }
    }

    /// A good answer ends the race: of the extra attempt `winner`, which is out of it already, or
    /// of the first. `first` says whether the first attempt is still under way.
    pub(crate) fn won(&mut self, winner: Option<&Sending>, verdict: &Verdict, first: bool) {
        match winner {
            Some(sending) => {
                self.common.stripe().ended(Fate::Won);
                self.learn(verdict, Some(sending.started));
                if first {
                    self.given_up(self.started);
                }
            }
            None => self.learn(verdict, self.started),
        }
        self.end_extras(Fate::Lost, true);
        self.settle(verdict);
    }

    /// No attempt has a good answer: the first one's is the answer of the call.
    pub(crate) fn all_failed(&mut self) -> Option<Answer<S, Req>>
    where
        S::Error: Rejectable,
        C: Classify<S::Response, S::Error>,
    {
        let race = self.race.as_mut()?;
        let (answer, maybe_sent) = (race.first.take()?, race.maybe_sent);
        let verdict = self.judge(&answer);
        self.end_extras(Fate::Lost, true);
        self.settle(&verdict);
        if maybe_sent && let Some(told) = self.truth(&verdict) {
            return Some(Err(told.into()));
        }
        Some(answer)
    }

    /// What takes the place of an answer that says that nothing was sent, when an extra attempt
    /// may have been.
    fn truth(&self, verdict: &Verdict) -> Option<Rejection> {
        let observer = &self.core().ledger.observer;
        match verdict.rejection {
            Some(rejection) => {
                (rejection.sent() == Sent::No).then(|| rejection.with_sent(Sent::Maybe))
            }
            // What may be sent any number of times loses nothing by the client's own error.
            None if self.replay == Replay::Safe || verdict.outcome != NOT_SENT => None,
            None => {
                let unknown = observer.rejection(Reason::OutcomeUnknown);
                let told = unknown.with_sent(Sent::Maybe);
                observer.emit(|| EventKind::Rejected(told));
                Some(told)
            }
        }
    }

    fn end_extras(&mut self, if_sent: Fate, learn: bool) {
        let Some(race) = self.race.take() else {
            return;
        };
        for extra in &race.extras {
            self.common.stripe().ended(extra.fate(if_sent));
            if learn {
                self.given_up(extra.started());
            }
        }
    }
}

impl<S, Req, C, D, P> Drop for Call<S, Req, C, D, P>
where
    S: Service<Req>,
{
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            self.abandon();
        }
    }
}

impl<S, Req, C, D, P> Call<S, Req, C, D, P>
where
    S: Service<Req>,
{
    #[cold]
    fn abandon(&mut self) {
        // A panic says nothing about how long answers take.
        let panicked = std::thread::panicking();
        // The slowest calls are those that are given up: left out, they would make the tail look
        // short. A first attempt that has failed has been learned from.
        let learns = self.race.as_ref().is_none_or(|race| race.first.is_none());
        if learns && !panicked {
            self.given_up(self.started);
        }
        self.end_extras(Fate::Abandoned, !panicked);
    }
}
