//! The numbers of a service with mistakes.

use std::sync::Arc;

use seawall_bulkhead::BulkheadConfigBuilder;
use seawall_cache::CoalesceConfig;
use seawall_core::InvalidConfig;
use seawall_fallback::FallbackConfig;
use seawall_ratelimit::{Limit, RateLimitConfigBuilder};
use seawall_retry::RetryConfigBuilder;

use super::answers::Answer;
use super::numbers::Numbers;
use super::service::{Base, ServiceConfig};
use super::set::Id;
use super::setting::Table;
use super::table;

/// Takes one thing of the numbers that are written, where it is tighter.
type Tighten = fn(&mut Numbers, &Numbers) -> Result<(), InvalidConfig>;

/// What is taken, and the settings that it comes from.
const TIGHTER: [(&[Id], Tighten); 11] = [
    (&[(Table::Service, "deadline")], |numbers, own| {
        let (config, other) = (&mut numbers.settings.deadline, own.settings.deadline);
        if other.timeout() < config.timeout() {
            *config = other;
        }
        Ok(())
    }),
    (&[(Table::Service, "attempt_timeout")], |numbers, own| {
        let config = &mut numbers.settings.attempt_timeout;
        let other = own.settings.attempt_timeout;
        if other.timeout() < config.timeout() {
            *config = other;
        }
        Ok(())
    }),
    (&[(Table::Retry, "enabled")], |numbers, own| {
        numbers.off.retry = own.off.retry;
        Ok(())
    }),
    (&[(Table::Retry, "attempts")], |numbers, own| {
        let config = &mut numbers.settings.retry;
        let attempts = config.attempts().min(own.settings.retry.attempts());
        *config = RetryConfigBuilder::from(config.clone())
            .attempts(attempts)
            .build()?;
        Ok(())
    }),
    (&[(Table::Bulkhead, "max_concurrent")], |numbers, own| {
        let config = &mut numbers.settings.bulkhead;
        let permits = own.settings.bulkhead.max_concurrent();
        let permits = config.max_concurrent().min(permits);
        *config = BulkheadConfigBuilder::from(*config)
            .max_concurrent(permits)
            .build()?;
        Ok(())
    }),
    (&[(Table::Bulkhead, "max_waiting")], |numbers, own| {
        let config = &mut numbers.settings.bulkhead;
        let waiting = config
            .max_waiting()
            .min(own.settings.bulkhead.max_waiting());
        *config = BulkheadConfigBuilder::from(*config)
            .max_waiting(waiting)
            .build()?;
        Ok(())
    }),
    (
        &[
            (Table::RateLimit, "rate"),
            (Table::RateLimit, "limit"),
            (Table::RateLimit, "burst"),
            (Table::RateLimit, "quotas"),
            (Table::RateLimit, "tokens"),
            (Table::RateLimit, "input_tokens"),
            (Table::RateLimit, "output_tokens"),
        ],
        |numbers, own| {
            let config = &mut numbers.settings.rate_limit;
            let others = own.settings.rate_limit.limits();
            let is_kept = |limit: &Limit| others.iter().any(|other| is_within(other, limit));
            if config.limits().iter().all(is_kept) {
                let mut builder = RateLimitConfigBuilder::from(config.clone()).without_limits();
                for limit in others {
                    builder = builder.limit(limit.clone());
                }
                *config = builder.build()?;
                if own.limit.is_some() {
                    (numbers.limit, numbers.utilization) = (own.limit, own.utilization);
                }
            }
            Ok(())
        },
    ),
    (&[(Table::Coalesce, "enabled")], |numbers, own| {
        numbers.answers.coalesce = off_with(&numbers.answers.coalesce, &own.answers.coalesce);
        Ok(())
    }),
    (&[(Table::Coalesce, "max_wait")], |numbers, own| {
        if let (Some(coalesce), Some(own)) = (&mut numbers.answers.coalesce, &own.answers.coalesce)
        {
            let wait = coalesce.config.max_wait().min(own.config.max_wait());
            coalesce.config = CoalesceConfig::builder().max_wait(wait).build()?;
        }
        Ok(())
    }),
    (&[(Table::Fallback, "enabled")], |numbers, own| {
        numbers.answers.fallback = off_with(&numbers.answers.fallback, &own.answers.fallback);
        Ok(())
    }),
    (
        &[
            (Table::Fallback, "step_timeout"),
            (Table::Fallback, "max_running"),
        ],
        |numbers, own| {
            if let (Some(fallback), Some(own)) =
                (&mut numbers.answers.fallback, &own.answers.fallback)
            {
                let (usual, own) = (fallback.config, own.config);
                fallback.config = FallbackConfig::builder()
                    .step_timeout(usual.step_timeout().min(own.step_timeout()))
                    .max_running(usual.max_running().min(own.max_running()))
                    .build()?;
            }
            Ok(())
        },
    ),
];

/// The same layer, off where `own` is.
fn off_with<C: Clone>(layer: &Option<Answer<C>>, own: &Option<Answer<C>>) -> Option<Answer<C>> {
    let is_off = own.as_ref().is_some_and(|own| own.is_off);
    let layer = layer.clone();
    layer.map(|layer| Answer { is_off, ..layer })
}

/// Whether what `tighter` grants never exceeds `limit`.
fn is_within(tighter: &Limit, limit: &Limit) -> bool {
    let per_second = |limit: &Limit| f64::from(limit.count()) / limit.period().as_secs_f64();
    tighter.unit() == limit.unit()
        && tighter.kind() == limit.kind()
        && tighter.capacity() <= limit.capacity()
        && per_second(tighter) <= per_second(limit)
        && tighter.period() >= limit.period()
}

impl ServiceConfig {
    /// The same service with what its kind or its provider says, and of what is written for it only what
    /// is tighter: with that, nobody is asked for more than without a mistake.
    pub(super) fn fail_safe(self) -> Option<Self> {
        let own = self.numbers;
        let (base, mut numbers) = match self.base {
            Base::Kind(kind) => (Base::Kind(kind), Numbers::of(kind.settings().ok()?)),
            Base::Tier {
                kind,
                provider,
                tier,
            } => {
                let usual = (*tier).clone().with_default_utilization();
                let mut numbers = Numbers::of(usual.settings().ok()?);
                let mut tier = tier;
                let share = tier.share().unwrap_or(numbers.utilization);
                if share.get() < numbers.utilization.get() {
                    numbers.utilization = share;
                    numbers.settings = Numbers::of(tier.settings().ok()?).settings;
                } else {
                    tier = Box::new(usual);
                }
                let base = Base::Tier {
                    kind,
                    provider,
                    tier,
                };
                (base, numbers)
            }
        };
        numbers.answers = own.answers.fail_safe();
        let mut kept = vec![(Table::Service, "utilization")];
        // It is off, so that nothing that it has comes into force.
        kept.extend(table::of(Table::Cache).map(|setting| (setting.table, setting.key)));
        kept.retain(|id| *id != (Table::Cache, "enabled"));
        for (ids, tighten) in TIGHTER {
            let mut trial = numbers.clone();
            let fits = tighten(&mut trial, &own).is_ok()
                && trial.settings.check().is_ok()
                && match &base {
                    Base::Kind(_) => true,
                    Base::Tier { tier, .. } => tier.check(&trial.settings).is_ok(),
                };
            if fits && trial != numbers {
                numbers = trial;
                kept.extend_from_slice(ids);
            }
        }
        let mut written = self.written;
        for entries in [&mut written.own, &mut written.defaults] {
            Arc::make_mut(entries).retain(|id, _| kept.contains(id));
        }
        Some(Self {
            base,
            numbers,
            written,
            is_fail_safe: true,
            name: self.name,
            place: self.place,
        })
    }
}
