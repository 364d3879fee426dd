//! How far a call has come: what it has tried, paid and risked.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seawall_core::{
    Delays, KeepResponse, Outcome, Policies, Replay, RequestMeta, Withdrawal, deadline,
};
use tokio::time::Instant;

use crate::effects::time_left;
use crate::hooks::{Hook, StateOf, WaitOf};
use crate::rate_token::RateToken;
use crate::rules::Rules;
use crate::state::{AttemptSettings, Core};
use crate::{Attempt, PrepareAttempt};

mod after_attempt;

/// The state of one call, by whichever future it is driven.
pub(crate) struct Progress<Req, T, E, X, H>
where
    X: Policies<Keeper: KeepResponse<T>>,
    H: Hook<Req, T, E>,
{
    replay: Replay,
    pub(crate) deadline: Option<Instant>,
    /// Attempts made so far.
    pub(crate) attempt: u32,
    /// Whether one of the attempts that have ended may have reached the upstream.
    maybe_sent: bool,
    /// Whether the overall timeout is in the deadline.
    started: bool,
    /// Whether the attempt under way has taken a token of the sending rate.
    has_token: bool,
    predicate_state: StateOf<H, Req, T, E>,
    /// What only calls with more than one attempt, or with a wait before the first, have.
    #[allow(
        clippy::type_complexity,
        reason = "one name for what the policy and hooks wait with"
    )]
    more: Option<Box<MoreOf<Req, T, E, X, H>>>,
}

struct More<T, E, K, W> {
    payment: Option<Withdrawal>,
    token: Option<RateToken>,
    delays: Option<Delays>,
    previous: Option<Outcome>,
    /// How many attempts before the one under way a layer below rejected before they were sent.
    unsent: u32,
    /// The upstream's last result, and what it meant, for the case that no further attempt
    /// leaves.
    last_answer: Option<(Outcome, Result<T, E>)>,
    /// The response of an attempt that is tried again, while it is read, and what comes after.
    // Here and not in the stages of the future: every call drops those.
    keeping: Option<(Pin<Box<K>>, Pause<W>)>,
}

type MoreOf<Req, T, E, X, H> =
    More<T, E, <<X as Policies>::Keeper as KeepResponse<T>>::Keeping, WaitOf<H, Req, T, E>>;

/// What comes before the next attempt.
pub(crate) struct Pause<W> {
    /// The predicate's own wait.
    pub(crate) wait: Option<W>,
    pub(crate) not_before: Option<Instant>,
}

// By hand: derived, it would ask the same of results.
impl<T, E, K, W> Default for More<T, E, K, W> {
    fn default() -> Self {
        Self {
            payment: None,
            token: None,
            delays: None,
            previous: None,
            unsent: 0,
            last_answer: None,
            keeping: None,
        }
    }
}

/// What follows an attempt.
pub(crate) enum Next<W> {
    /// Its result is that of the call.
    Complete,
    /// Another attempt, after this delay and not before that wait of the predicate's is over.
    Retry {
        delay: Duration,
        wait: Option<W>,
        /// Whether the result is the upstream's last result.
        is_kept: bool,
    },
}

impl<Req, T, E, X, H> Progress<Req, T, E, X, H>
where
    X: Policies<Keeper: KeepResponse<T>>,
    H: Hook<Req, T, E>,
{
    /// A call that has made so many attempts, the last of them with a token of the sending rate or
    /// without.
    #[inline(always)]
    pub(crate) const fn new(
        meta: &RequestMeta,
        predicate_state: StateOf<H, Req, T, E>,
        attempt: u32,
        has_token: bool,
    ) -> Self {
        Self {
            replay: meta.replay,
            deadline: meta.deadline,
            attempt,
            maybe_sent: false,
            started: false,
            has_token,
            predicate_state,
            more: None,
        }
    }

    /// The first attempt waits for its token of the sending rate.
    pub(crate) fn with_token(mut self, token: RateToken) -> Self {
        self.more_mut().token = Some(token);
        self
    }

    pub(crate) fn into_predicate_state(self) -> StateOf<H, Req, T, E> {
        self.predicate_state
    }

    fn more_mut(&mut self) -> &mut MoreOf<Req, T, E, X, H> {
        self.more.get_or_insert_with(Box::default)
    }

    /// Keeps the result of an attempt that is tried again.
    pub(crate) fn keep(&mut self, result: Result<T, E>) {
        let more = self.more_mut();
        more.last_answer = more.previous.map(|outcome| (outcome, result));
    }

    /// Reads the response of an attempt that is tried again, before this pause.
    pub(crate) fn begin_keeping(
        &mut self,
        rules: &Rules<X, H>,
        response: T,
        pause: Pause<WaitOf<H, Req, T, E>>,
    ) {
        let keeper = rules.policy.keeper();
        let keeping = Box::pin(keeper.keep_until(response, self.deadline));
        self.more_mut().keeping = Some((keeping, pause));
    }

    /// Ready with the pause when the response is read.
    pub(crate) fn poll_keeping(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Pause<WaitOf<H, Req, T, E>>> {
        let keeping = self.more.as_mut().and_then(|more| more.keeping.as_mut());
        let kept = match keeping {
            Some((keeping, _)) => ready!(keeping.as_mut().poll(cx)),
            None => None,
        };
        if let Some(response) = kept {
            self.keep(Ok(response));
        }
        match self.more_mut().keeping.take() {
            Some((_, pause)) => Poll::Ready(pause),
            // Only after a panic of the keeper.
            None => panic!("a retry's future was polled after it had panicked"),
        }
    }

    /// The call begins now at the latest.
    pub(crate) fn begin(&mut self, core: &Core, now: impl FnOnce() -> Instant) {
        if !self.started
            && let Some(limit) = core.state.overall_timeout()
        {
            self.started = true;
            let end = deadline(now(), limit);
            self.deadline = Some(self.deadline.map_or(end, |own| own.min(end)));
        }
    }

    /// Where a deadline ends attempts, too, and not only waits.
    pub(crate) fn overall_deadline(&self) -> Option<Instant> {
        if self.started { self.deadline } else { None }
    }

    /// Whether the result of another attempt would come too late.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }

    /// Whether no wait can end before the deadline any more.
    pub(crate) fn has_no_time(&self) -> bool {
        time_left(self.deadline).is_some_and(|left| left.is_zero())
    }

    /// Whether a copy of the request is worth having before the next attempt.
    #[inline]
    pub(crate) const fn wants_copy(&self, settings: AttemptSettings) -> bool {
        settings.want_copy(self.replay, self.attempt.saturating_add(1))
    }

    /// Prepares the request of the next attempt.
    #[inline]
    pub(crate) fn prepare(&self, rules: &Rules<X, H>, request: &mut Req) -> Result<(), E> {
        let attempt = Attempt {
            number: self.attempt.saturating_add(1),
            previous: self.more.as_ref().and_then(|more| more.previous),
        };
        rules.hooks.prepare().prepare(request, attempt)
    }

    /// The next attempt is made now.
    #[inline]
    pub(crate) fn departed(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        self.has_token = false;
        if let Some(more) = &mut self.more {
            if let Some(payment) = &mut more.payment {
                payment.set_spent(true);
            }
            if let Some(token) = more.token.take() {
                self.has_token = token.spend();
            }
        }
    }
}
