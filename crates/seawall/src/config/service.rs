//! A service with its configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use seawall_cache::{CacheConfig, CoalesceConfig};
use seawall_core::InvalidConfig;
use seawall_fallback::FallbackConfig;
use seawall_ratelimit::KeyedRateLimitConfig;

use crate::StackBuilder;
use crate::catalog::{ProviderStack, Tier};
use crate::mistake::Place;
use crate::settings::Settings;

use super::kind::ServiceKind;
use super::numbers::Numbers;
use super::running::RunningAnswers;
use super::scope::{Entries, Entry};
#[cfg(feature = "reload")]
use super::set::Id;
use super::setting::{Level, Setting, Table};
use super::table;

/// What the numbers of a service start from.
#[derive(Clone, Debug)]
pub(super) enum Base {
    Kind(ServiceKind),
    Tier {
        kind: ServiceKind,
        provider: String,
        tier: Box<Tier>,
    },
}

/// The configuration of a service: what its stack is made of, and where each setting comes from.
///
/// ```
/// use seawall::config::Config;
///
/// let text = r#"
/// [resilience.orders]
/// provider = "alpaca"
/// tier = "standard"
/// bulkhead.max_concurrent = 12
/// "#;
/// let config = Config::loader().text("seawall.toml", text).load()?;
/// let orders = config.service("orders")?;
/// assert_eq!((orders.provider(), orders.tier()), (Some("alpaca"), Some("standard")));
/// assert_eq!(orders.settings().bulkhead.max_concurrent(), 12);
/// let stack = orders.build()?;
/// assert_eq!(stack.name().as_str(), "orders");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    pub(super) name: String,
    pub(super) base: Base,
    pub(super) numbers: Numbers,
    pub(super) written: Written,
    /// Where it is named.
    pub(super) place: Place,
    pub(super) is_fail_safe: bool,
}

/// What is written for a service, and for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) own: Arc<Entries>,
    pub(super) defaults: Arc<Entries>,
    /// Where the tables of the service are.
    pub(super) tables: Arc<BTreeMap<Table, Place>>,
}

impl Written {
    /// Where a setting is written: for the service or, if it is not, for all.
    #[cfg(feature = "reload")]
    pub(super) fn place(&self, id: Id) -> Option<&Place> {
        let entry = self.own.get(&id).or_else(|| self.defaults.get(&id));
        entry.map(|entry| &entry.place)
    }

    /// Where the value in force comes from, which is `shown` and was `of_base`.
    fn origin(&self, setting: &'static Setting, shown: &str, of_base: &str) -> Origin {
        let id = (setting.table, setting.key);
        let service = |entry: &Entry| Origin::Service(entry.place.clone());
        let defaults = |entry: &Entry| Origin::Defaults(entry.place.clone());
        if let Some(entry) = self.own.get(&id) {
            return service(entry);
        }
        // A default may be overridden by a setting of the service that excludes it.
        if let Some(entry) = self.defaults.get(&id).filter(|entry| entry.value.is(shown)) {
            return defaults(entry);
        }
        if shown == of_base {
            return Origin::Base;
        }
        // One that is not set itself has followed others.
        let mut followed = table::follows(setting);
        let mut again = followed.clone();
        let own = followed.find_map(|id| self.own.get(&id).map(service));
        let of_all = || again.find_map(|id| self.defaults.get(&id).map(defaults));
        // Or it was made to fit the others.
        let fitted = || self.defaults.get(&id).map(defaults);
        own.or_else(of_all).or_else(fitted).unwrap_or(Origin::Base)
    }
}

/// Where the value of a setting comes from.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The provider or the kind of the service.
    Base,
    /// `[resilience]` and its tables, or a variable that holds for all services.
    Defaults(Place),
    /// The table of the service, or a variable for it.
    Service(Place),
    /// A default of a layer that the program adds, such as a cache.
    Layer,
}

/// A setting in force.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its key: `retry.attempts`.
    pub key: String,
    /// Its value, as a file has it.
    pub value: String,
    /// Where that comes from.
    pub origin: Origin,
}

impl ServiceConfig {
    pub(super) const fn new(
        name: String,
        base: Base,
        numbers: Numbers,
        written: Written,
        place: Place,
    ) -> Self {
        Self {
            name,
            base,
            numbers,
            written,
            place,
            is_fail_safe: false,
        }
    }

    /// Its name: what rejections, events and metrics call its stack.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of service it is; for a provider of the catalogue, the provider's.
    pub const fn kind(&self) -> ServiceKind {
        match &self.base {
            Base::Kind(kind) | Base::Tier { kind, .. } => *kind,
        }
    }

    /// Its provider, if it is one of the catalogue.
    pub fn provider(&self) -> Option<&str> {
        match &self.base {
            Base::Kind(_) => None,
            Base::Tier { provider, .. } => Some(provider),
        }
    }

    /// The name of the tier of its provider.
    pub fn tier(&self) -> Option<&str> {
        self.tier_of_provider().map(Tier::name)
    }

    pub(crate) const fn tier_of_provider(&self) -> Option<&Tier> {
        match &self.base {
            Base::Kind(_) => None,
            Base::Tier { tier, .. } => Some(tier),
        }
    }

    /// Whether it is an AI API.
    #[cfg(all(feature = "ai", feature = "client"))]
    pub(crate) fn has_models(&self) -> bool {
        match &self.base {
            Base::Kind(kind) => matches!(kind, ServiceKind::AiApi | ServiceKind::AiAgents),
            Base::Tier { tier, .. } => tier.provider().kind() == crate::catalog::Kind::AiApi,
        }
    }

    /// The settings of its layers.
    pub const fn settings(&self) -> &Settings {
        &self.numbers.settings
    }

    /// Whether mistakes were made about it, and it has the numbers of its kind or provider instead:
    /// with `fail_safe_defaults`.
    pub const fn is_fail_safe(&self) -> bool {
        self.is_fail_safe
    }

    /// The settings of its cache, if it has a table `cache`; [`answers`](Self::answers) makes the layer.
    pub fn cache(&self) -> Option<&CacheConfig> {
        self.numbers
            .answers
            .cache
            .as_ref()
            .map(|cache| &cache.config)
    }

    /// The settings of its coalescing, if it has a table `coalesce`.
    pub fn coalesce(&self) -> Option<&CoalesceConfig> {
        let coalesce = self.numbers.answers.coalesce.as_ref();
        coalesce.map(|coalesce| &coalesce.config)
    }

    /// The settings of its fallback, if it has a table `fallback`.
    pub fn fallback(&self) -> Option<&FallbackConfig> {
        let fallback = self.numbers.answers.fallback.as_ref();
        fallback.map(|fallback| &fallback.config)
    }

    /// Every setting in force, in the order of the guide, and where it comes from. Those of layers that the
    /// program adds are among them where the service has a table of them.
    ///
    /// ```
    /// use seawall::config::{Config, Origin};
    ///
    /// let text = "[resilience.feed]\nkind = \"market-data\"\nretry.attempts = 2\n";
    /// let config = Config::loader().text("seawall.toml", text).load()?;
    /// let effective = config.service("feed")?.effective();
    /// let attempts = effective.iter().find(|setting| setting.key == "retry.attempts").unwrap();
    /// assert_eq!(attempts.value, "2");
    /// assert!(matches!(attempts.origin, Origin::Service(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let base = self.base_numbers();
        let is_there = |setting: &&Setting| self.numbers.answers.has(setting.table);
        let shown = table::all().filter(is_there).filter_map(|setting| {
            let show = setting.show?;
            let value = show(&self.numbers);
            let of_base = base.as_ref().map(show).unwrap_or_default();
            let origin = match self.written.origin(setting, &value, &of_base) {
                Origin::Base if setting.level == Level::Own => Origin::Layer,
                origin => origin,
            };
            Some(EffectiveSetting {
                key: setting.path(),
                origin,
                value,
            })
        });
        shown.collect()
    }

    /// The numbers of its kind or provider, with nothing that is written.
    pub(super) fn base_numbers(&self) -> Option<Numbers> {
        let settings = match &self.base {
            Base::Kind(kind) => kind.settings(),
            Base::Tier { tier, .. } => (**tier).clone().with_default_utilization().settings(),
        };
        settings.ok().map(Numbers::of)
    }

    /// The same builder with the longest wait that is believed, where it is set.
    fn believe(&self, builder: StackBuilder) -> StackBuilder {
        match self.numbers.longest_wait {
            Some(longest) => builder.longest_wait(longest),
            None => builder,
        }
    }

    /// Whether its limits are those of each model, and none is that of all calls: where the provider
    /// counts models by themselves. Then every setting of the rate limit is about each model.
    ///
    /// ```
    /// use seawall::config::Config;
    ///
    /// let text = "[resilience.assistant]\nprovider = \"openai\"\n[resilience.orders]\nprovider = \"alpaca\"\n";
    /// let config = Config::loader().text("seawall.toml", text).load()?;
    /// assert!(config.service("assistant")?.is_limited_per_model());
    /// assert!(!config.service("orders")?.is_limited_per_model());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_limited_per_model(&self) -> bool {
        match &self.base {
            Base::Tier { tier, .. } => tier.is_per_model() && !tier.is_for_all(),
            Base::Kind(_) => false,
        }
    }

    /// The limits per class of routes or per model, within that of all calls.
    pub(super) fn limit_per_key(&self) -> Result<KeyedRateLimitConfig, InvalidConfig> {
        let total = &self.numbers.settings.rate_limit;
        match &self.base {
            Base::Tier { tier, .. } => tier.per_key(total),
            Base::Kind(_) => KeyedRateLimitConfig::new(total.clone()),
        }
    }

    /// The stack of the service: of one type, whatever it is, so that a program can store many.
    ///
    /// Layers that are not enabled are in the stack and let every call pass, as
    /// [`Command::Bypass`](crate::Command) makes them; a `reset` of their handles ends that.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a service that has a table `cache`, `coalesce` or `fallback`: these layers are added
    /// by the program, and by [`answers`](Self::answers) they have the settings of the file. None else: what
    /// makes no stack is not loaded.
    pub fn build(&self) -> Result<ProviderStack, InvalidConfig> {
        self.check_untaken()?;
        self.build_stack()
    }

    /// The layers that the program adds to its stack, to be made of its tables.
    pub(crate) fn running_answers(&self) -> Arc<RunningAnswers> {
        Arc::new(RunningAnswers::new(self.numbers.answers.clone()))
    }

    /// Whether there is no table of a layer that the program adds.
    pub(crate) fn check_untaken(&self) -> Result<(), InvalidConfig> {
        self.check_taken(&[])
    }

    /// Whether each table of layers that the program adds is one of `taken`.
    pub(super) fn check_taken(&self, taken: &[Table]) -> Result<(), InvalidConfig> {
        let way = "take it from `ServiceConfig::answers` and build the stack there";
        self.check_answers(taken, way)
    }

    /// Whether there is no table of a layer that the program adds, for a stack that can have none of them.
    #[cfg(any(feature = "orders", all(feature = "ai", feature = "client")))]
    pub(crate) fn check_plain(&self, stack: &str) -> Result<(), InvalidConfig> {
        self.check_answers(&[], &format!("{stack} has no such layer"))
    }

    fn check_answers(&self, taken: &[Table], way: &str) -> Result<(), InvalidConfig> {
        let is_left =
            |(table, _): &(&Table, &Place)| table.level() == Level::Own && !taken.contains(*table);
        let Some((table, place)) = self.written.tables.iter().find(is_left) else {
            return Ok(());
        };
        let table = table.name();
        let accepted = format!("nothing without that layer: {way}");
        let field = format!("{}.{table}", self.name);
        Err(InvalidConfig::new(
            field,
            format!("set at {place}"),
            accepted,
        ))
    }

    pub(crate) fn build_stack(&self) -> Result<ProviderStack, InvalidConfig> {
        let settings = self.numbers.settings.clone();
        let name = self.name.as_str();
        let stack = match &self.base {
            Base::Tier { tier, .. } => {
                let tier = (**tier).clone().named(name);
                tier.build_of(settings, |stack| self.believe(stack))?
            }
            Base::Kind(_) => {
                let limit = self.limit_per_key()?;
                let builder = self.believe(StackBuilder::new(name, settings));
                builder.build()?.rate_limit_per_key(limit)
            }
        };
        self.numbers.off.apply(&stack.handles());
        Ok(stack)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Defaults(place) => write!(f, "defaults, {place}"),
            Self::Service(place) => place.fmt(f),
            Self::Layer => f.write_str("default"),
        }
    }
}
