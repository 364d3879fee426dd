//! What a call knows while its answer is fetched, and what becomes of its result.

use std::hash::Hash;
use std::sync::Arc;

use seawall_core::{
    Classify, Degradation, EventKind, MarkDegraded, Outcome, Policies, Rejectable, Sent,
    StoreResponse, classify_result,
};

use crate::calls::{Joined, Lead};
use crate::fill::{Change, Draft, Fill};
use crate::kept::{Entry, Guard, Moment, Order};
use crate::send::{is_for_each, is_own};
use crate::state::{Answer, Common, CommonLocal, State};
use crate::{CacheHooks, CacheRules, Demand, Lifetime};

/// A call that is made.
pub(crate) struct Fetch<X, H, K, V, A> {
    pub(crate) common: CommonLocal<X, H, K, V>,
    pub(crate) kind: Kind<K, V, A>,
}

pub(crate) enum Kind<K, V, A> {
    /// It is not cached.
    Passed(Option<Change<K, V>>),
    Keyed(Keyed<K, V, A>),
}

/// A call whose answer is kept.
pub(crate) struct Keyed<K, V, A> {
    pub(crate) key: K,
    /// Where the call is made for others, too.
    pub(crate) lead: Option<Lead<K, Answer<V>>>,
    pub(crate) asked: A,
    pub(crate) demand: Demand,
    pub(crate) hash: u64,
    pub(crate) guard: Guard,
    pub(crate) began: Moment,
    /// Whether its caller takes an answer that is stale.
    pub(crate) takes_stale: bool,
    /// What its caller gets where another one fetches a new answer.
    pub(crate) meanwhile: Option<Arc<Entry<V>>>,
    /// Whether no caller waits for it.
    pub(crate) is_refresh: bool,
}

impl<X, H, K, V, A> Fetch<X, H, K, V, A>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    H: CacheHooks,
{
    /// What the caller gets of the result of its call.
    pub(crate) fn finish<Req, Res, Err>(
        self,
        result: Result<Res, Err>,
    ) -> Result<<H::Storer as StoreResponse<Res>>::Response, Err>
    where
        Err: Rejectable,
        X: Policies<Classifier: Classify<Res, Err>>,
        H::Storer: StoreResponse<Res, Stored = V>,
        H::Rules: CacheRules<Req, Res, V, Key = K, Asked = A>,
        H::Mark: MarkDegraded<Res> + MarkDegraded<<H::Storer as StoreResponse<Res>>::Response>,
    {
        let common = self.common.common();
        let storer = common.hooks.storer();
        let outcome = classify_result(common.policy.classifier(), &result);
        let mut keyed = match self.kind {
            Kind::Passed(change) => {
                return match change {
                    None => result.map(|response| storer.pass(response)),
                    Some(change) => finish_change(change, &outcome, storer, result),
                };
            }
            Kind::Keyed(keyed) => keyed,
        };
        let reason = match &result {
            Ok(response) => {
                let is_degraded = common.hooks.mark().degradation(response).is_some();
                match outcome {
                    Outcome::Success if !is_degraded => None,
                    Outcome::Ignored if !is_degraded => None,
                    outcome => Some(Degradation::reason_of(outcome, None)),
                }
            }
            Err(error) => Some(Degradation::reason_of(outcome, error.rejection())),
        };
        let (Ok(response), None) = (&result, reason) else {
            self.common.stripe().stores.not_good.add();
            let fails = match &result {
                // Its mark says more than ours would.
                Ok(_) => !matches!(
                    outcome,
                    Outcome::Success | Outcome::Ignored | Outcome::Degraded
                ),
                Err(error) => outcome != Outcome::Ignored || error.rejection().is_some(),
            };
            let stale = fails
                .then(|| keyed.stale::<Req, Res, X, H>(common))
                .flatten();
            let (Some(stale), Some(reason)) = (stale, reason) else {
                // Dropped without an answer, the next waiter makes the call.
                self.common.stripe().calls.missed(keyed.is_refresh);
                return result.map(|response| storer.pass(response));
            };
            let rejection = result.as_ref().err().and_then(Rejectable::rejection);
            if !rejection.is_some_and(is_own) {
                keyed.answer(Answer::Failed(reason));
            }
            drop(result);
            self.common.stripe().calls.stale.add();
            return Ok(degraded::<Res, X, H, K, V>(common, &stale, reason));
        };
        self.common.stripe().calls.missed(keyed.is_refresh);
        let rules = common.hooks.rules();
        let lifetime = rules.lifetime(&keyed.asked, response);
        let timestamp = storer.timestamp(response);
        let is_for_waiters = lifetime.store
            || (keyed.lead.is_some() && rules.is_shareable(&keyed.asked, response, outcome));
        if !is_for_waiters {
            self.common.stripe().stores.not_allowed.add();
            if is_for_each(&outcome) {
                keyed.answer(Answer::Alone);
            }
            return result.map(|response| storer.pass(response));
        }
        let (now, weight) = (common.state.now(), rules.key_weight(&keyed.key));
        let mut draft = keyed.draft(lifetime, weight, timestamp, outcome, now);
        draft.has_body = rules.has_body(&keyed.asked);
        let fill = Fill::new(Arc::clone(&common.state), keyed.key, keyed.lead, draft);
        result.map(|response| storer.store(response, fill))
    }
}

/// The response of a change, with which that ends.
#[inline(never)]
fn finish_change<K, V, T, Res, Err>(
    change: Change<K, V>,
    outcome: &Outcome,
    storer: &T,
    result: Result<Res, Err>,
) -> Result<T::Response, Err>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    T: StoreResponse<Res>,
    Err: Rejectable,
{
    let rejection = result.as_ref().err().and_then(Rejectable::rejection);
    let not_sent = rejection.is_some_and(|r| r.sent() == Sent::No);
    match change.settle(outcome, not_sent) {
        Some(change) => result.map(|response| storer.pass_guarded(response, change)),
        None => result.map(|response| storer.pass(response)),
    }
}

impl<K: Clone + Eq + Hash, V, A> Keyed<K, V, A> {
    const fn draft(
        &self,
        lifetime: Lifetime,
        key_weight: u64,
        timestamp: Option<u64>,
        outcome: Outcome,
        now: Moment,
    ) -> Draft {
        let began = self.began;
        Draft {
            order: Order { began, timestamp },
            guard: self.guard,
            lifetime,
            key_weight,
            is_negative: !matches!(outcome, Outcome::Success),
            now,
            has_body: None,
        }
    }

    /// Its call begins now, as far as invalidations and the order of answers go.
    pub(crate) fn begin(&mut self, state: &State<K, V>) {
        self.guard = state.kept.renewed(&self.guard);
        self.began = state.now();
    }

    /// The right to refresh `entry`, if a call may be made and no other one of its key is under way that does not
    /// take too long. One caller alone refreshes, also where callers do not share calls.
    pub(crate) fn lead_refresh(
        &self,
        state: &State<K, V>,
        entry: &Entry<V>,
    ) -> Option<Lead<K, Answer<V>>> {
        if !self.demand.call {
            return None;
        }
        let now = state.now();
        let is_pending = state.calls.is_pending(self.hash, &self.key);
        let refresh = &entry.refresh;
        let is_overdue = is_pending && refresh.is_overdue(now, state.config().max_wait());
        if is_pending && !is_overdue {
            return None;
        }
        let key = self.key.clone();
        let lead = match state.calls.join(key, self.hash, self.guard.epoch()) {
            Joined::Leads(lead) => Some(lead),
            Joined::Waits(waiting) if is_overdue => waiting.take_over(true),
            Joined::Waits(_) => None,
        };
        if lead.is_some() {
            refresh.begin(now);
        }
        lead
    }

    /// Gives `answer` to the waiters.
    pub(crate) fn answer(&mut self, answer: Answer<V>) {
        if let Some(lead) = self.lead.take() {
            lead.answer(answer);
        }
    }

    /// What may be used in place of the upstream's answer.
    pub(crate) fn stale<Req, Res, X, H>(&self, common: &Common<X, H, K, V>) -> Option<Arc<Entry<V>>>
    where
        H: CacheHooks<Rules: CacheRules<Req, Res, V, Key = K, Asked = A>>,
    {
        if !self.takes_stale || self.is_refresh {
            return None;
        }
        let now = common.state.now();
        let entry = common.state.kept.look_up_stale(&self.key, now)?;
        let suits = entry.suits_late(now, &self.demand)
            && common.hooks.rules().answers(&self.asked, &entry.stored);
        suits.then_some(entry)
    }
}

/// A response of what is kept, marked as degraded.
pub(crate) fn degraded<Res, X, H, K, V>(
    common: &Common<X, H, K, V>,
    entry: &Entry<V>,
    reason: &'static str,
) -> <H::Storer as StoreResponse<Res>>::Response
where
    K: Clone + Eq + Hash,
    H: CacheHooks,
    H::Storer: StoreResponse<Res, Stored = V>,
    H::Mark: MarkDegraded<<H::Storer as StoreResponse<Res>>::Response>,
{
    let state = &common.state;
    let age = entry.age(state.now());
    let mut response = common.hooks.storer().restore(&entry.stored, Some(age));
    let source = state.events.name();
    let degradation = Degradation::new(reason, source).with_age(age);
    common.hooks.mark().mark(&mut response, degradation);
    state.events.emit_call(|| EventKind::Degraded {
        reason,
        source,
        age: Some(age),
    });
    response
}
