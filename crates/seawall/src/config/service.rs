//! A service with its configuration.

use std::collections::BTreeMap;
use std::fmt;

use seawall_core::InvalidConfig;
use seawall_ratelimit::KeyedRateLimitConfig;

use crate::StackBuilder;
use crate::catalog::{ProviderStack, Tier};
use crate::mistake::Place;
use crate::settings::Settings;

use super::kind::ServiceKind;
use super::numbers::Numbers;
use super::set::Id;
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
    pub(super) origins: BTreeMap<Id, Origin>,
    /// Where it is named.
    pub(super) place: Place,
    is_fail_safe: bool,
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
        origins: BTreeMap<Id, Origin>,
        place: Place,
    ) -> Self {
        Self {
            name,
            base,
            numbers,
            origins,
            place,
            is_fail_safe: false,
        }
    }

    /// The same service with nothing but what its kind or its provider says.
    pub(super) fn fail_safe(self) -> Option<Self> {
        let (base, numbers) = match self.base {
            Base::Kind(kind) => (Base::Kind(kind), Numbers::of(kind.settings().ok()?)),
            Base::Tier {
                kind,
                provider,
                tier,
            } => {
                let tier = (*tier).with_default_utilization();
                let numbers = Numbers::of(tier.settings().ok()?);
                let tier = Box::new(tier);
                let base = Base::Tier {
                    kind,
                    provider,
                    tier,
                };
                (base, numbers)
            }
        };
        Some(Self {
            base,
            numbers,
            origins: BTreeMap::new(),
            is_fail_safe: true,
            name: self.name,
            place: self.place,
        })
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

    /// The settings of its layers.
    pub const fn settings(&self) -> &Settings {
        &self.numbers.settings
    }

    /// Whether mistakes were made about it, and it has the numbers of its kind or provider instead:
    /// with `fail_safe_defaults`.
    pub const fn is_fail_safe(&self) -> bool {
        self.is_fail_safe
    }

    /// Every setting in force, in the order of the guide, and where it comes from.
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
        let mut effective = Vec::new();
        for setting in table::all() {
            let Some(show) = setting.show else { continue };
            // One that is not set itself has followed others, if one of these is set.
            let keys = std::iter::once(&setting.key).chain(setting.follows);
            let mut origins = keys.filter_map(|key| self.origins.get(&(setting.table, *key)));
            effective.push(EffectiveSetting {
                key: setting.path(),
                value: show(&self.numbers),
                origin: origins.next().cloned().unwrap_or(Origin::Base),
            });
        }
        effective
    }

    /// The same builder with the longest wait that is believed, where it is set.
    fn believe(&self, builder: StackBuilder) -> StackBuilder {
        match self.numbers.longest_wait {
            Some(longest) => builder.longest_wait(longest),
            None => builder,
        }
    }

    /// The limits per class of routes, within that of all calls.
    pub(super) fn limit_per_key(&self) -> Result<KeyedRateLimitConfig, InvalidConfig> {
        let total = &self.numbers.settings.rate_limit;
        match &self.base {
            Base::Tier { tier, .. } => tier.per_class(total),
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
    /// None: what makes no stack is not loaded.
    pub fn build(&self) -> Result<ProviderStack, InvalidConfig> {
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
        }
    }
}
