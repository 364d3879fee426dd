//! What is written for one service, or for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mistake::{Mistake, Names, Place, is_near, nearest};

use super::set::Id;
use super::setting::{Level, Setting, Table};
use super::table;
use super::value::{Raw, Value};

/// A value that is set, and where.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What is set, by setting.
pub(super) type Entries = BTreeMap<Id, Entry>;

/// What is written for one service, or in `[resilience]` for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The service; empty for all of them.
    pub(super) name: String,
    /// Where the service is named.
    pub(super) place: Option<Place>,
    /// Shared with the service that is made of it.
    pub(super) entries: Arc<Entries>,
    /// Where the tables of layers are that something is written in, or that are empty.
    pub(super) tables: BTreeMap<Table, Place>,
    /// What was meant to be set, and cannot be read.
    pub(super) broken: BTreeSet<Id>,
    /// Whether a variable for it leads nowhere.
    pub(super) is_wrong: bool,
}

/// A file and the environment, as they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) defaults: Scope,
    pub(super) services: Vec<Scope>,
    /// Mistakes that make no service wrong, or only those that are [noted](Scope::is_wrong).
    pub(super) unrelated: Vec<Mistake>,
}

impl Document {
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.defaults.entries.is_empty()
    }

    /// Whether a mistake is about one service alone.
    pub(super) fn is_of_service(&self, mistake: &Mistake) -> bool {
        self.services.iter().any(|scope| scope.has(mistake))
    }
}

impl Scope {
    /// Whether a mistake is about this service.
    pub(super) fn has(&self, mistake: &Mistake) -> bool {
        let rest = mistake.key.strip_prefix(self.name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The key of a setting in this scope: `broker.retry.attempts`.
    pub(super) fn path(&self, rest: &str) -> String {
        match self.name.as_str() {
            "" => rest.to_owned(),
            name => format!("{name}.{rest}"),
        }
    }

    pub(super) const fn is_defaults(&self) -> bool {
        self.name.is_empty()
    }

    /// Reads the value of a setting, or notes what is wrong with it.
    pub(super) fn set(
        &mut self,
        setting: &Setting,
        raw: &Raw,
        place: Place,
        mistakes: &mut Vec<Mistake>,
    ) {
        if let Some(accepted) = setting.level.misplaced(self.is_defaults()) {
            self.complain(
                setting,
                place,
                format!("is here, accepted is {accepted}"),
                mistakes,
            );
            return;
        }
        let table = self.tables.entry(setting.table);
        table.or_insert_with(|| place.clone());
        let value = match raw {
            Raw::Switch(false) if setting.or_false => Some(Value::Off),
            raw => setting.accepts.read(raw),
        };
        match value {
            Some(value) => {
                let id = (setting.table, setting.key);
                let entries = Arc::make_mut(&mut self.entries);
                entries.insert(id, Entry { value, place });
            }
            None => {
                let problem = format!("is {raw}, accepted is {}", setting.accepted());
                self.complain(setting, place, problem, mistakes);
            }
        }
    }

    fn complain(
        &mut self,
        setting: &Setting,
        place: Place,
        problem: String,
        mistakes: &mut Vec<Mistake>,
    ) {
        self.broken.insert((setting.table, setting.key));
        mistakes.push(Mistake {
            place,
            key: self.path(&setting.path()),
            problem,
        });
    }

    /// A mistake about a key that is no setting of `table`.
    pub(super) fn unknown(&mut self, table: Table, key: &str, place: Place) -> Mistake {
        let path = match table {
            Table::Service => key.to_owned(),
            table => format!("{}.{key}", table.name()),
        };
        if table != Table::Service && matches!(key, "provider" | "kind" | "tier") {
            return Mistake {
                place,
                key: self.path(&path),
                problem: format!("is unknown: no service can be called `{}`", table.name()),
            };
        }
        let other = if self.is_defaults() {
            Level::Own
        } else {
            Level::Defaults
        };
        let here = move |setting: &&Setting| setting.level != other;
        let settings = table::of(table).filter(here).map(|setting| setting.key);
        let near = settings.clone().filter(|known| is_near(key, known));
        self.broken.extend(near.map(|known| (table, known)));
        let layers = Table::LAYERS.iter().filter(|layer| layer.level() != other);
        let layers = layers.map(|layer| layer.name());
        let layers = layers.filter(|_| table == Table::Service);
        Mistake {
            place,
            key: self.path(&path),
            problem: unknown(key, settings.chain(layers)),
        }
    }
}

/// That a name is unknown, and which ones are known.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let names = nearest(name, known);
    match names.first() {
        Some(first) if is_near(name, first) => {
            let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("is unknown: did you mean {}?", quoted.join(" or "))
        }
        _ => format!("is unknown, accepted is {}", Names(&names)),
    }
}
