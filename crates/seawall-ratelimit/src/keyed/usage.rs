//! Corrects what was granted to calls of a key, once it is known what they used.

use std::sync::Arc;

use seawall_core::{PartitionKey, Unit};

use super::config::KeyedRateLimitConfig;
use super::keys::Keys;
use super::table::{KeyLimit, Table, mix};
use crate::bounds::{Applied, Debt};
use crate::bucket::Rate;
use crate::costs::Granted;
use crate::limiter::Limiter;

/// A key whose limit is a word, in its table, and the rate of that.
struct WordOf<'a> {
    table: &'a mut Table,
    config: &'a KeyedRateLimitConfig,
    key: PartitionKey,
    hash: u64,
    rate: Rate,
}

impl Keys {
    /// Replaces the estimates of a call by what it really used. A key that was evicted since had
    /// nothing left that counts.
    pub(crate) fn correct_usage(
        &self,
        key: PartitionKey,
        now_ns: u64,
        granted: Granted,
        used: &[(Unit, u64)],
    ) -> Applied {
        let mut evicted = Vec::new();
        let result = {
            let config = &*self.config();
            let hash = mix(key.0);
            let table = &mut *self.lock(hash);
            let has_limiter = matches!(table.get_hashed(hash, key.0), Some(KeyLimit::Limiter(_)));
            match table.rate.filter(|_| !has_limiter && !config.has_key(key)) {
                Some(rate) => {
                    let mut of = WordOf {
                        table,
                        config,
                        key,
                        hash,
                        rate,
                    };
                    Ok(self.correct_word(&mut of, now_ns, granted, used, &mut evicted))
                }
                None => Err(self.limiter_in(table, config, key, now_ns)),
            }
        };
        // Without a lock: waiters are woken.
        drop(evicted);
        match result {
            Ok(applied) => applied,
            Err(limiter) => limiter.correct_usage(now_ns, granted, used),
        }
    }

    fn correct_word(
        &self,
        of: &mut WordOf<'_>,
        now_ns: u64,
        granted: Granted,
        used: &[(Unit, u64)],
        evicted: &mut Vec<Arc<Limiter>>,
    ) -> Applied {
        let mut applied = Applied::default();
        let Some((_, used)) = used.iter().find(|(unit, _)| *unit == self.first_unit) else {
            return applied;
        };
        let estimate = granted.costs.get(0).into();
        let debt = Debt::of(of.config.per_key(), 0);
        let more = debt.bound(used.saturating_sub(estimate), &mut applied);
        let used = (*used).min(estimate.saturating_add(more));
        let earlier = &of.table.earlier_rates;
        let flowed = earlier.flowed(0, of.rate, now_ns, granted.at_ns);
        let correct = |before| {
            let word = of.rate.correct(before, now_ns, (estimate, used), flowed);
            of.rate.owe_at_most(word, now_ns, debt.longest_ns)
        };
        if let Some(slot) = of.table.get_mut(of.hash, of.key.0) {
            slot.change_word(correct);
            return applied;
        }
        // Of a new key, unless its bucket is full.
        let word = correct(0);
        if !Rate::is_full(word, now_ns) {
            self.make_room(of.table, of.config, now_ns, evicted);
            of.table.insert_new(of.hash, of.key.0, KeyLimit::Word(word));
        }
        applied
    }
}
