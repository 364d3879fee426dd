//! Changes the settings of keys while they are in use.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use seawall_core::{InvalidConfig, PartitionKey};

use super::config::KeyedRateLimitConfig;
use super::keys::{Keys, counts_one_unit, lock, word_rate};
use super::table::{KeyLimit, Table, mix};
use crate::bucket::Rate;
use crate::config::RateLimitConfig;
use crate::limiter::Limiter;

impl Keys {
    /// Whether [`configure`](Self::configure) accepts these settings.
    pub(crate) fn check(&self, new: &KeyedRateLimitConfig) -> Result<(), InvalidConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        let tables: Vec<_> = self.shards.iter().map(lock).collect();
        check_shapes(&config, tables.iter().map(|table| &**table), new)
    }

    /// Changes the settings of all keys; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when limits of keys that are not named, or of one that is in use, are not
    /// as many as before, of the same kinds and units.
    pub(crate) fn configure(
        &self,
        now_ns: u64,
        new: KeyedRateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        let mut limiters = Vec::new();
        {
            let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
            let mut tables: Vec<_> = self.shards.iter().map(lock).collect();
            check_shapes(&config, tables.iter().map(|table| &**table), &new)?;
            let new = new.with_reserved_shares_of(&config);
            let rate = word_rate(new.per_key(), self.has_account);
            // Also while no key is a word, in shadow mode.
            let [old, now] = [config.per_key(), new.per_key()].map(|of| of.limits()[0].rate());
            let changed = old.filter(|_| old != now);
            for table in &mut tables {
                let old = (table.rate, config.per_key());
                self.configure_table(table, now_ns, old, (rate, &new));
                if let Some(rate) = changed {
                    table.earlier_rates.add(now_ns, 0, rate);
                }
                table.rate = rate;
                table.at_once = new.per_key().max_wait().is_zero();
                table.has_named = new.keys().next().is_some();
                limiters.extend(table.iter().filter_map(|(key, limit)| match limit {
                    KeyLimit::Limiter(limiter) => {
                        let settings = new.of_key(PartitionKey(key)).clone();
                        Some((Arc::clone(limiter), settings))
                    }
                    KeyLimit::Word(_) => None,
                }));
            }
            let one_unit = counts_one_unit(&new, self.has_account);
            self.one_unit.store(one_unit, Ordering::Relaxed);
            *config = new;
        }
        // Without a lock: waiters are woken.
        for (limiter, settings) in limiters {
            // Of the same shape, as was checked.
            let _ = limiter.configure(now_ns, settings);
        }
        Ok(())
    }

    /// Carries the words of a table to another rate, or makes them limiters where they need one.
    fn configure_table(
        &self,
        table: &mut Table,
        now_ns: u64,
        (old_rate, old): (Option<Rate>, &RateLimitConfig),
        (new_rate, new): (Option<Rate>, &KeyedRateLimitConfig),
    ) {
        let rates = table.earlier_rates.clone();
        for (key, limit) in table.iter_mut() {
            let KeyLimit::Word(word) = limit else {
                continue;
            };
            match (old_rate, new_rate) {
                (Some(old), Some(new_rate)) if !new.has_key(PartitionKey(key)) => {
                    *word = old.carry(*word, now_ns, new_rate);
                }
                _ => {
                    let limiter = Limiter::with_word(old.clone(), *word, self.wall())
                        .with_earlier_rates(rates.clone())
                        .of_key(&self.all);
                    *limit = KeyLimit::Limiter(Arc::new(limiter));
                }
            }
        }
    }

    /// Gives a key settings of its own; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the key is in use and its limits are not as many as before, of the
    /// same kinds and units; and when one of them is kept in a file.
    pub(crate) fn configure_key(
        &self,
        key: PartitionKey,
        now_ns: u64,
        settings: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        let limiter = {
            let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
            let table = &mut *self.lock(mix(key.0));
            let is_known = table.get(key.0).is_some();
            let limiter = is_known.then(|| self.limiter_in(table, &config, key, now_ns));
            if let Some(limiter) = &limiter {
                limiter.config().check_shape(&settings)?;
            }
            let settings = settings.clone().with_reserved_share_of(config.of_key(key));
            config.set_key(key, settings)?;
            table.has_named = true;
            if !counts_one_unit(&config, self.has_account) {
                self.one_unit.store(false, Ordering::Relaxed);
            }
            limiter
        };
        // Without a lock: waiters are woken.
        limiter.map_or(Ok(()), |limiter| limiter.configure(now_ns, settings))
    }
}

/// Rejects other limits than those of keys that are not named, and of each key that is in use.
fn check_shapes<'a>(
    config: &KeyedRateLimitConfig,
    tables: impl Iterator<Item = &'a Table>,
    new: &KeyedRateLimitConfig,
) -> Result<(), InvalidConfig> {
    config.per_key().check_shape(new.per_key())?;
    for (key, limit) in tables.flat_map(Table::iter) {
        let key = PartitionKey(key);
        match limit {
            KeyLimit::Limiter(limiter) => limiter.config().check_shape(new.of_key(key))?,
            KeyLimit::Word(_) => config.per_key().check_shape(new.of_key(key))?,
        }
    }
    Ok(())
}
