//! From what is written for a service to its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{InvalidConfig, Ratio};

use crate::builder::raise;
use crate::catalog::{Catalog, Tier, UTILIZATION, UnknownName};
use crate::mistake::{Mistake, Place};
use crate::settings::Settings;

use super::apply::apply;
use super::kind::ServiceKind;
use super::merge::{Wrong, depends, put};
use super::numbers::Numbers;
use super::scope::{Entry, Scope};
use super::service::{Base, ServiceConfig, Written};
use super::set::{Id, Set};
use super::setting::{Level, Table};
use super::table;
use super::value::Value;

/// Settings of two layers that an error may be about.
type Shared = &'static [Id];

const TIMES: Shared = &[
    (Table::Service, "attempt_timeout"),
    (Table::Service, "deadline"),
];
const OVERALL: Shared = &[
    (Table::Retry, "overall_timeout"),
    (Table::Service, "deadline"),
];
const PERMITS: Shared = &[
    (Table::Bulkhead, "max_concurrent"),
    (Table::RateLimit, "max_waiting"),
];

/// The configuration of a service, and what is wrong with it; none where not even its base is
/// known.
pub(super) fn resolve(
    scope: &Scope,
    defaults: &Scope,
    catalog: &Catalog,
) -> (Option<ServiceConfig>, Vec<Mistake>) {
    let mut resolver = Resolver {
        scope,
        defaults,
        mistakes: Vec::new(),
        is_share_wrong: false,
    };
    let written = Written {
        own: Arc::clone(&scope.entries),
        defaults: Arc::clone(&defaults.entries),
        tables: Arc::new(scope.tables.clone()),
    };
    let service = resolver.service(catalog, written);
    (service, resolver.mistakes)
}

struct Resolver<'a> {
    scope: &'a Scope,
    defaults: &'a Scope,
    mistakes: Vec<Mistake>,
    /// Whether the share that is set leaves nothing of a limit.
    is_share_wrong: bool,
}

impl Resolver<'_> {
    fn service(&mut self, catalog: &Catalog, written: Written) -> Option<ServiceConfig> {
        // Without a base that is known the rest is read all the same, to find what else is wrong.
        let known = self.base(catalog);
        let is_known = known.is_some();
        let base = known.unwrap_or(Base::Kind(ServiceKind::ApiClient));
        let (base, settings, utilization) = self.base_numbers(base)?;
        let mut numbers = Numbers {
            utilization,
            ..Numbers::of(settings)
        };
        self.answers(&mut numbers);
        for table in std::iter::once(Table::Service).chain(Table::LAYERS) {
            let wrong = put(
                &mut numbers,
                table,
                &values(self.defaults),
                &values(self.scope),
            );
            for wrong in wrong {
                self.wrong(wrong);
            }
        }
        if !is_known {
            return None;
        }
        if let Some(longest) = numbers.longest_wait {
            self.shorter_waits(longest);
            raise(&mut numbers.settings, longest);
        }
        if let Err(error) = numbers.ease() {
            self.of_service(&error);
        }
        self.across(&base, &numbers);
        self.without_effect(&base);
        Some(ServiceConfig::new(
            self.scope.name.clone(),
            base,
            numbers,
            written,
            self.place(),
        ))
    }

    /// The tables of layers that the program adds: one that is there has its defaults, and where there are
    /// none it must say what is needed.
    fn answers(&mut self, numbers: &mut Numbers) {
        let tables = self.scope.tables.iter();
        let tables = tables.filter(|(table, _)| table.level() == Level::Own);
        for (table, place) in tables {
            let set = Set {
                table: *table,
                values: &BTreeMap::new(),
            };
            if let Err(error) = apply(numbers, &set) {
                self.of_service(&error);
            }
            let id = (*table, "ttl");
            if let Some(setting) = table::find(id.0, id.1)
                && !self.scope.entries.contains_key(&id)
                && !self.scope.broken.contains(&id)
            {
                let problem = format!("is not set, accepted is {}", setting.accepted());
                self.complain(id, &self.scope.name, place.clone(), problem);
            }
        }
    }

    /// Waits of layers that are set and would be raised to `longest_wait`.
    fn shorter_waits(&mut self, longest: Duration) {
        for id in [
            (Table::RateLimit, "max_pause"),
            (Table::Breaker, "max_retry_after"),
        ] {
            let found = self.entry(id).and_then(|(scope, entry)| match entry.value {
                Value::Time(time) if time < longest => {
                    Some((scope.name.clone(), entry.place.clone(), time))
                }
                _ => None,
            });
            if let Some((scope, place, time)) = found {
                let problem =
                    format!("is {time:?}, accepted is at least `longest_wait`, {longest:?}");
                self.complain(id, &scope, place, problem);
            }
        }
    }

    /// The entry of a setting: the service's own, or that of all.
    fn entry(&self, id: Id) -> Option<(&Scope, &Entry)> {
        let of = |scope| -> Option<(&Scope, &Entry)> {
            let scope: &Scope = scope;
            Some((scope, scope.entries.get(&id)?))
        };
        of(self.scope).or_else(|| of(self.defaults))
    }

    fn name(&self, key: &'static str) -> Option<(&str, &Place)> {
        match self.scope.entries.get(&(Table::Service, key))? {
            Entry {
                value: Value::Text(name),
                place,
            } => Some((name, place)),
            Entry {
                value: Value::Word(word),
                place,
            } => Some((word, place)),
            _ => None,
        }
    }

    fn complain(&mut self, id: Id, scope_name: &str, place: Place, problem: String) {
        let rest = match id.0 {
            Table::Service => id.1.to_owned(),
            table => format!("{}.{}", table.name(), id.1),
        };
        let key = match scope_name {
            "" => rest,
            name => format!("{name}.{rest}"),
        };
        self.mistakes.push(Mistake {
            place,
            key,
            problem,
        });
    }

    fn base(&mut self, catalog: &Catalog) -> Option<Base> {
        let name = self.scope.name.clone();
        let own = |name: Option<(&str, &Place)>| name.map(|(n, p)| (n.to_owned(), p.clone()));
        let (provider, tier, kind) = (
            own(self.name("provider")),
            own(self.name("tier")),
            own(self.name("kind")),
        );
        let broken = |key| self.scope.broken.contains(&(Table::Service, key));
        if provider.is_none() && broken("provider") || kind.is_none() && broken("kind") {
            return None;
        }
        let mut wrong = |key, place: Place, problem: String| {
            self.complain((Table::Service, key), &name, place, problem);
        };
        match (provider, kind) {
            (Some(_), Some((kind, place))) => {
                let accepted = "either `provider` or `kind`";
                wrong(
                    "kind",
                    place,
                    format!("is {kind:?}, accepted is {accepted}"),
                );
                None
            }
            (Some((provider, place)), None) => match catalog.provider(&provider) {
                Err(unknown) => {
                    wrong("provider", place, named(&unknown));
                    None
                }
                Ok(provider) => {
                    let found = match tier {
                        Some((tier, place)) => provider.tier(&tier).inspect_err(|unknown| {
                            wrong("tier", place, named(unknown));
                        }),
                        None => provider.default_tier(),
                    };
                    // No numbers of another tier would be safe.
                    let tier = found.ok()?;
                    Some(Base::Tier {
                        kind: provider.kind().into(),
                        provider: provider.name().to_owned(),
                        tier: Box::new(tier),
                    })
                }
            },
            (None, kind) => {
                if let Some((tier, place)) = tier {
                    let accepted = "nothing without a `provider`";
                    wrong(
                        "tier",
                        place,
                        format!("is {tier:?}, accepted is {accepted}"),
                    );
                }
                let kind = kind.and_then(|(kind, _)| ServiceKind::of(&kind));
                Some(Base::Kind(kind.unwrap_or_default()))
            }
        }
    }

    /// The settings of the base, at the share that is set.
    fn base_numbers(&mut self, base: Base) -> Option<(Base, Settings, Ratio)> {
        let id = (Table::Service, "utilization");
        let set = self.entry(id).and_then(|(scope, entry)| {
            let Value::Number(share) = entry.value else {
                return None;
            };
            Some((
                scope.name.clone(),
                entry.place.clone(),
                Ratio::new(share).ok()?,
            ))
        });
        let (kind, provider, tier) = match base {
            Base::Kind(kind) => {
                let settings = kind.settings().ok()?;
                let share = set.map_or(default_share(), |(_, _, share)| share);
                return Some((Base::Kind(kind), settings, share));
            }
            Base::Tier {
                kind,
                provider,
                tier,
            } => (kind, provider, tier),
        };
        let base = |tier: Tier| Base::Tier {
            kind,
            provider: provider.clone(),
            tier: Box::new(tier),
        };
        if let Some((scope, place, share)) = set {
            let tier = (*tier).clone().utilization(share);
            match tier.settings() {
                Ok(settings) => return Some((base(tier), settings, share)),
                Err(error) => {
                    let accepted = match error.field() {
                        "utilization" => error.accepted().to_owned(),
                        _ => format!("a share at which the limits can be kept: {error}"),
                    };
                    let problem = format!("is {}, accepted is {accepted}", share.get());
                    self.complain(id, &scope, place, problem);
                    self.is_share_wrong = true;
                }
            }
        }
        let settings = tier.settings().ok()?;
        Some((base(*tier), settings, default_share()))
    }

    fn wrong(&mut self, (error, id): Wrong) {
        if self.is_share_wrong && error.field() == "utilization" {
            return;
        }
        // That of a limit: it is the share that is wrong, where it is set.
        let share = (Table::Service, "utilization");
        let is_of_share = error.field() == share.1 && self.entry(share).is_some();
        let id = if is_of_share { Some(share) } else { id };
        let found = id.and_then(|id| {
            let (scope, entry) = self.entry(id)?;
            Some((id, scope.name.clone(), entry.place.clone()))
        });
        match found {
            Some((id, scope, place)) => {
                let problem = about(&error, id.1);
                self.complain(id, &scope, place, problem);
            }
            None => self.of_service(&error),
        }
    }

    /// Where the service is named.
    fn place(&self) -> Place {
        let unnamed = || Place::Variable(Arc::from("SEAWALL"));
        self.scope.place.clone().unwrap_or_else(unnamed)
    }

    /// A mistake that no single setting makes.
    fn of_service(&mut self, error: &InvalidConfig) {
        let place = self.place();
        let (key, problem) = (self.scope.name.clone(), format!("does not fit: {error}"));
        self.mistakes.push(Mistake {
            place,
            key,
            problem,
        });
    }

    /// Checks what no layer sees alone, where the layers themselves are right.
    fn across(&mut self, base: &Base, numbers: &Numbers) {
        let mut checked = numbers.settings.clone();
        while let Err(error) = checked.check() {
            let overall = error.field() == "overall_timeout";
            self.shared(&error, if overall { OVERALL } else { TIMES });
            if overall || !forgive(&mut checked) {
                break;
            }
        }
        if let Base::Tier { tier, .. } = base
            // Without one of the two no call that waits for a token has a permit.
            && !(numbers.off.bulkhead || numbers.off.rate_limit)
            && let Err(error) = tier.check(&numbers.settings)
        {
            self.shared(&error, PERMITS);
        }
    }

    /// A mistake of several settings: it is at the one that is set, the service's own first.
    fn shared(&mut self, error: &InvalidConfig, ids: Shared) {
        let is_broken = |scope: &Scope| ids.iter().any(|id| scope.broken.contains(id));
        let known = |mistake: &Mistake| {
            let key = mistake.key.as_str();
            ids.iter().any(|(_, setting)| key.ends_with(setting))
        };
        if is_broken(self.scope) || is_broken(self.defaults) || self.mistakes.iter().any(known) {
            // What was meant is not known: it may well fit.
            return;
        }
        let of = |scope: &Scope| {
            let id = ids.iter().find(|id| scope.entries.contains_key(*id))?;
            let entry = scope.entries.get(id)?;
            Some((*id, scope.name.clone(), entry.place.clone()))
        };
        match of(self.scope).or_else(|| of(self.defaults)) {
            Some((id, scope, place)) => self.complain(id, &scope, place, about(error, id.1)),
            None => self.of_service(error),
        }
    }

    /// Settings of the service that have no effect.
    fn without_effect(&mut self, base: &Base) {
        let has_limit = self.entry((Table::RateLimit, "limit")).is_some();
        let mut useless = Vec::new();
        for (id, entry) in &*self.scope.entries {
            let accepted = match (id.1, base) {
                ("utilization", Base::Kind(_)) if !has_limit => {
                    "nothing without a `provider` or a `rate_limit.limit`"
                }
                ("shadow", _) if self.is_disabled(id.0) => "nothing where `enabled` is false",
                _ => continue,
            };
            let value = match &entry.value {
                Value::Number(share) => share.to_string(),
                Value::Switch(false) => continue,
                _ => "true".to_owned(),
            };
            useless.push((
                *id,
                entry.place.clone(),
                format!("is {value}, accepted is {accepted}"),
            ));
        }
        let name = self.scope.name.clone();
        for (id, place, problem) in useless {
            self.complain(id, &name, place, problem);
        }
    }

    fn is_disabled(&self, table: Table) -> bool {
        let own = self.scope.entries.get(&(table, "enabled"));
        own.is_some_and(|entry| entry.value == Value::Switch(false))
    }
}

/// The values of a scope, without those that cannot be judged.
fn values(scope: &Scope) -> BTreeMap<Id, &Value> {
    let is_known = |id: Id| !scope.broken.iter().any(|wrong| depends(id, *wrong));
    let entries = scope.entries.iter().filter(|(id, _)| is_known(**id));
    entries.map(|(id, entry)| (*id, &entry.value)).collect()
}

/// What an error says of the setting `key`.
fn about(error: &InvalidConfig, key: &str) -> String {
    let (value, accepted) = (error.value(), error.accepted());
    if error.field() == key {
        format!("is {value}, accepted is {accepted}")
    } else {
        format!(
            "does not fit: `{}` is {value}, accepted is {accepted}",
            error.field()
        )
    }
}

fn named(unknown: &UnknownName) -> String {
    format!("is {:?}: {unknown}", unknown.name())
}

fn default_share() -> Ratio {
    Ratio::new(UTILIZATION).unwrap_or(Ratio::HALF)
}

/// Makes the attempt timeout fit, to find what else does not.
fn forgive(settings: &mut Settings) -> bool {
    let shortest = std::time::Duration::from_nanos(1);
    let before = settings.attempt_timeout;
    if let Ok(config) = seawall_timeout::AttemptTimeoutConfig::fixed(shortest) {
        settings.attempt_timeout = config;
    }
    settings.attempt_timeout != before
}
