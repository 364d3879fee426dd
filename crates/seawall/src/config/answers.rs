//! The settings of layers that a program adds: what answers without the upstream.

use std::time::Duration;

use seawall_cache::{CacheConfig, CoalesceConfig};
use seawall_core::InvalidConfig;
use seawall_fallback::FallbackConfig;

use super::fallback_value::FallbackValue;
use super::set::{Set, set_each};
use super::setting::Table;

/// In place of a time to live that is not set, to find what else is wrong: it contradicts nothing.
const UNSET_TTL: Duration = Duration::from_nanos(1);

/// A layer that the program adds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer<C> {
    pub(super) config: C,
    /// Whether it lets every call pass.
    pub(super) is_off: bool,
}

/// The tables that a service has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AnswerSettings {
    pub(super) cache: Option<Answer<CacheConfig>>,
    pub(super) coalesce: Option<Answer<CoalesceConfig>>,
    pub(super) fallback: Option<Answer<FallbackConfig>>,
    /// In the table of the fallback.
    pub(super) value: Option<FallbackValue>,
}

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

    /// Makes a table of what is set in it. There is no base: what is not set is a default.
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
                self.value = FallbackValue::of(set)?;
                self.fallback = Some(Answer { config, is_off });
            }
            _ => {}
        }
        Ok(())
    }

    /// The same tables with nothing that could do harm where a mistake is about: no answer is kept, and the
    /// others have their defaults. A value is none of those.
    pub(super) fn fail_safe(&self) -> Self {
        fn usual<C: Default>(layer: Option<&Answer<C>>) -> Option<Answer<C>> {
            layer.map(|_| Answer {
                config: C::default(),
                is_off: false,
            })
        }
        Self {
            cache: self.cache.clone().map(|cache| Answer {
                is_off: true,
                ..cache
            }),
            coalesce: usual(self.coalesce.as_ref()),
            fallback: usual(self.fallback.as_ref()),
            value: None,
        }
    }
}

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
    builder.build()
}
