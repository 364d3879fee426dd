//! The values that are set in one table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::setting::Table;
use super::value::{Rate, Value};

/// A setting, by its table and its key.
pub(super) type Id = (Table, &'static str);

/// The values that are set in one table.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) table: Table,
    pub(super) values: &'a BTreeMap<Id, &'a Value>,
}

impl Set<'_> {
    fn get(&self, key: &'static str) -> Option<&Value> {
        self.values.get(&(self.table, key)).copied()
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Whether one of these is set.
    pub(super) fn has_any(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    /// Whether it is set to `false` in place of a number.
    pub(super) fn is_off(&self, key: &'static str) -> bool {
        self.get(key) == Some(&Value::Off)
    }

    pub(super) fn count(&self, key: &'static str) -> Option<u32> {
        match self.get(key)? {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    pub(super) fn weight(&self, key: &'static str) -> Option<u64> {
        match self.get(key)? {
            Value::Weight(weight) => Some(*weight),
            _ => None,
        }
    }

    /// A count of what is in memory.
    pub(super) fn size(&self, key: &'static str) -> Option<usize> {
        usize::try_from(self.count(key)?).ok()
    }

    pub(super) fn number(&self, key: &'static str) -> Option<f64> {
        match self.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn time(&self, key: &'static str) -> Option<Duration> {
        match self.get(key)? {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }

    pub(super) fn switch(&self, key: &'static str) -> Option<bool> {
        match self.get(key)? {
            Value::Switch(on) => Some(*on),
            _ => None,
        }
    }

    pub(super) fn rates(&self, key: &'static str) -> Option<&[Rate]> {
        match self.get(key)? {
            Value::Rates(rates) => Some(rates),
            _ => None,
        }
    }

    pub(super) fn rate(&self, key: &'static str) -> Option<Rate> {
        self.rates(key)?.first().copied()
    }

    pub(super) fn text(&self, key: &'static str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn word(&self, key: &'static str) -> Option<&'static str> {
        match self.get(key)? {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Calls the setters of a builder whose names are those of the settings.
macro_rules! set_each {
    ($builder:ident, $set:ident: $($read:ident $key:ident),* $(,)?) => {
        $(if let Some(value) = $set.$read(stringify!($key)) {
            $builder = $builder.$key(value);
        })*
    };
}
pub(super) use set_each;
