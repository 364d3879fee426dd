//! The tables of layers that a program adds, with what is set in them. There is no base: what is not set is a
//! default of the layer.

use std::time::Duration;

use seawall_cache::{CacheConfig, CoalesceConfig};
use seawall_core::InvalidConfig;
use seawall_fallback::FallbackConfig;

use super::answers::{Answer, AnswerSettings};
use super::fallback_value::FallbackValue;
use super::set::{Set, set_each};
use super::setting::Table;

/// In place of a time to live that is not set, to find what else is wrong: it contradicts nothing.
const UNSET_TTL: Duration = Duration::from_nanos(1);

impl AnswerSettings {
    /// Whether there is that table. Those of other layers are there always.
    pub(super) const fn has(&self, table: Table) -> bool {
        match table {
            Table::Cache => self.cache.is_some(),
            Table::Coalesce => self.coalesce.is_some(),
            Table::Fallback => self.fallback.is_some(),
            _ => true,
        }
    }

    /// Makes a table of what is set in it.
    pub(super) fn apply(&mut self, set: &Set<'_>) -> Result<(), InvalidConfig> {
        let is_off = set.switch("enabled") == Some(false);
        match set.table {
            Table::Cache => {
                let config = cache(set)?;
                self.cache = Some(Answer { config, is_off });
            }
            Table::Coalesce => {
                let mut builder = CoalesceConfig::builder();
                set_each!(builder, set: time max_wait, switch share_failures);
                let config = builder.build()?;
                self.coalesce = Some(Answer { config, is_off });
            }
            Table::Fallback => {
                let mut builder = FallbackConfig::builder();
                set_each!(builder, set: time step_timeout, count max_running);
                let config = builder.build()?;
                self.value = value(set)?;
                self.fallback = Some(Answer { config, is_off });
            }
            _ => {}
        }
        Ok(())
    }
}

/// The smallest bound that a cache keeps to: one of each of its parts.
const LEAST_WEIGHT: u64 = 4;

fn cache(set: &Set<'_>) -> Result<CacheConfig, InvalidConfig> {
    let mut builder = CacheConfig::builder(set.time("ttl").unwrap_or(UNSET_TTL));
    set_each!(builder, set:
        time stale_while_revalidate,
        time stale_on_failure,
        time negative_ttl,
        size max_entries,
        weight max_weight,
        switch coalesce,
        time max_wait,
        size max_refreshes,
    );
    let config = builder.build()?;
    match config.max_weight() {
        Some(weight) if weight < LEAST_WEIGHT => {
            let accepted = format!("at least {LEAST_WEIGHT}, of which nothing less is kept to");
            Err(InvalidConfig::new("max_weight", weight, accepted))
        }
        _ => Ok(config),
    }
}

/// The value that calls which fail are answered with, if there is a body.
fn value(set: &Set<'_>) -> Result<Option<FallbackValue>, InvalidConfig> {
    let (status, content_type) = (set.count("status"), set.text("content_type"));
    if let Some(body) = set.text("body") {
        return FallbackValue::new(body, content_type, status).map(Some);
    }
    let status = status.map(|status| ("status", status.to_string()));
    let content_type = content_type.map(|text| ("content_type", format!("{text:?}")));
    match status.or(content_type) {
        None => Ok(None),
        Some((key, value)) => Err(InvalidConfig::new(key, value, "nothing without a `body`")),
    }
}
