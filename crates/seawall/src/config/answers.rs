//! The settings of layers that a program adds: what answers without the upstream.

use seawall_cache::{CacheConfig, CoalesceConfig};
use seawall_fallback::FallbackConfig;

use super::fallback_value::FallbackValue;

/// A layer that the program adds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer<C> {
    pub(super) config: C,
    /// Whether it lets every call pass.
    pub(super) is_off: bool,
}

/// What the tables of a service say, where it has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AnswerSettings {
    pub(super) cache: Option<Answer<CacheConfig>>,
    pub(super) coalesce: Option<Answer<CoalesceConfig>>,
    pub(super) fallback: Option<Answer<FallbackConfig>>,
    /// In the table of the fallback.
    pub(super) value: Option<FallbackValue>,
}

impl AnswerSettings {
    /// The same tables with nothing that could do harm where there is a mistake: no answer is kept, and the
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
