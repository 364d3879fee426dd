//! What becomes of the answer to a call: it is kept, and given to the waiters.

use std::hash::Hash;
use std::sync::Arc;

use seawall_core::{FailureKind, Outcome, StoreSink};

use crate::calls::Lead;
use crate::kept::{Aside, Counted, Entry, Guard, Moment, NotKept, Order, Refreshing, Until};
use crate::state::{Answer, State};
use crate::{CacheConfig, Lifetime};

/// What is known of an answer before it is complete.
#[derive(Clone, Copy)]
pub(crate) struct Draft {
    pub(crate) order: Order,
    pub(crate) guard: Guard,
    pub(crate) lifetime: Lifetime,
    /// What its key weighs.
    pub(crate) key_weight: u64,
    /// Whether it says nothing of the upstream, as that there is no such thing.
    pub(crate) is_negative: bool,
    /// When the response was there.
    pub(crate) now: Moment,
    /// Whether it has a body, where that is known.
    pub(crate) has_body: Option<bool>,
}

impl Draft {
    /// When its data was made.
    fn made(&self) -> Moment {
        let Lifetime { age, .. } = self.lifetime;
        let sent = self.lifetime.age_when_sent;
        let sent = sent.map(|age| age.saturating_add(self.now.since(self.order.began)));
        self.now.before(sent.map_or(age, |sent| sent.max(age)))
    }

    /// Until when it may be used; `None` where it is given to the waiters alone.
    fn until(&self, config: &CacheConfig) -> Option<Until> {
        if !self.lifetime.store {
            return None;
        }
        let made = self.made();
        let ttl = match self.is_negative {
            true => config.negative_ttl()?,
            false => config.ttl(),
        };
        let fresh = self.lifetime.fresh.unwrap_or(ttl);
        let fresh = if self.is_negative {
            fresh.min(ttl)
        } else {
            fresh
        };
        // In the past where it is older than that: what may be done with it afterwards counts from there.
        let fresh = made.after(fresh);
        if self.is_negative {
            return Some(Until {
                fresh,
                refreshing: fresh,
                failing: fresh,
            });
        }
        let refreshing = self.lifetime.stale_while_revalidate;
        let refreshing = refreshing.or(config.stale_while_revalidate());
        let refreshing = fresh.after(refreshing.unwrap_or_default());
        // The bound of the settings is one of age.
        let bound = config.stale_on_failure().map(|bound| made.after(bound));
        // Also for what the response says.
        let refreshing = bound.map_or(refreshing, |bound| refreshing.min(bound.max(fresh)));
        let failing = match (self.lifetime.stale_on_failure, bound) {
            (Some(after), Some(bound)) => fresh.after(after).min(bound),
            (Some(after), None) => fresh.after(after),
            // Neither the response nor the settings say less.
            (None, Some(bound)) => bound.max(refreshing),
            (None, None) => refreshing,
        };
        Some(Until {
            fresh,
            refreshing,
            failing,
        })
    }
}

/// Where an answer goes, and for whom else its call was made.
type Parts<K, V> = (Arc<State<K, V>>, K, Option<Lead<K, Answer<V>>>);

/// Keeps an answer once it is complete.
pub(crate) struct Fill<K, V> {
    // `None` when it is done.
    parts: Option<Parts<K, V>>,
    draft: Draft,
}

impl<K, V> Fill<K, V> {
    pub(crate) const fn new(
        state: Arc<State<K, V>>,
        key: K,
        lead: Option<Lead<K, Answer<V>>>,
        draft: Draft,
    ) -> Self {
        Self {
            parts: Some((state, key, lead)),
            draft,
        }
    }
}

impl<K, V> StoreSink<V> for Fill<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn put(mut self, stored: V, weight: u64) {
        let Some((state, key, lead)) = self.parts.take() else {
            return;
        };
        let config = state.config();
        let draft = &self.draft;
        let until = draft.until(&config).filter(|_| !state.is_bypassed());
        let now = draft.now;
        let never = Until {
            fresh: now,
            refreshing: now,
            failing: now,
        };
        let entry = Arc::new(Entry {
            stored,
            made: draft.made(),
            order: draft.order,
            until: until.unwrap_or(never),
            weight: weight.saturating_add(draft.key_weight),
            counted: Counted::default(),
            guard: draft.guard,
            refresh: Refreshing::default(),
        });
        if until.is_none() {
            state.stripes.here().stores.not_allowed.add();
            if let Some(lead) = lead {
                lead.answer(Answer::Kept(entry));
            }
            return;
        }
        let mut aside = Aside::new();
        let mut keep = |key: K| {
            let now = state.now();
            let kept = state.kept.keep(key, Arc::clone(&entry), now, &mut aside);
            // A waiter gets nothing that is older than what is kept.
            let answer = match &kept {
                Err(NotKept::Older(newer)) => Arc::clone(newer),
                _ => Arc::clone(&entry),
            };
            (Answer::Kept(answer), kept)
        };
        let kept = match lead {
            Some(lead) => lead.finish(|| keep(key)),
            None => {
                let hash = state.kept.hash(&key);
                state.calls.exclusive(hash, || keep(key).1)
            }
        };
        let stores = &state.stripes.here().stores;
        match kept {
            Ok(()) => stores.stored.add(),
            Err(NotKept::Older(_)) => stores.older.add(),
            Err(NotKept::Invalidated) => stores.invalidated.add(),
            Err(NotKept::TooHeavy) => stores.too_heavy.add(),
        }
    }

    fn has_body(&self) -> Option<bool> {
        self.draft.has_body
    }
}

impl<K, V> Drop for Fill<K, V> {
    fn drop(&mut self) {
        // With it goes the lead: the next waiter makes the call.
        if let Some((state, ..)) = self.parts.take() {
            state.stripes.here().stores.unfinished.add();
        }
    }
}

/// A call that may change what is kept. Unless it is certain that it was not executed, everything of its group is
/// invalid when its response is there, and again when that is at its end: it may be executed as that is read. So it is
/// where it is dropped.
pub(crate) struct Change<K, V> {
    state: Option<Arc<State<K, V>>>,
    group: u64,
}

impl<K, V> Change<K, V> {
    pub(crate) const fn new(state: Arc<State<K, V>>, group: u64) -> Self {
        Self {
            state: Some(state),
            group,
        }
    }

    /// The call has this outcome; `not_sent` where it certainly was not. It is to be dropped at the end of its response.
    pub(crate) fn settle(mut self, outcome: &Outcome, not_sent: bool) -> Option<Self> {
        let not_executed = matches!(
            outcome,
            Outcome::Failure(FailureKind::NotSent)
                | Outcome::Throttled { .. }
                | Outcome::Banned { .. }
                | Outcome::QuotaExhausted { .. }
                | Outcome::Ignored
        );
        if not_sent || not_executed {
            self.state = None;
        }
        let state = self.state.as_ref()?;
        state.invalidate_group(self.group);
        Some(self)
    }
}

impl<K, V> Drop for Change<K, V> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.invalidate_group(self.group);
        }
    }
}
