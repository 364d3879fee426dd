//! Settings that are changed while the program runs, put over what the file and the environment say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use seawall_core::InvalidConfig;

use crate::mistake::Mistake;

use super::file;
use super::scope::Document;

/// What a setting is changed to: what a file could say in its place.
///
/// ```
/// use seawall::config::SettingValue;
///
/// assert_eq!(SettingValue::from(4), SettingValue::Whole(4));
/// assert_eq!(SettingValue::from("30s"), SettingValue::Text("30s".into()));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text: `"30s"`, `"5/min"`.
    Text(String),
    /// A list.
    List(Vec<Self>),
}

macro_rules! from {
    ($($Type:ty => |$value:ident| $made:expr),+ $(,)?) => {
        $(
            impl From<$Type> for SettingValue {
                fn from($value: $Type) -> Self {
                    $made
                }
            }
        )+
    };
}

from! {
    bool => |value| Self::Switch(value),
    i32 => |value| Self::Whole(value.into()),
    u32 => |value| Self::Whole(value.into()),
    i64 => |value| Self::Whole(value),
    f64 => |value| Self::Number(value),
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
}

impl SettingValue {
    fn write(&self, out: &mut String) {
        match self {
            Self::Switch(on) => write!(out, "{on}"),
            Self::Whole(number) => write!(out, "{number}"),
            // With a point, so that it is read as a number again.
            Self::Number(number) => write!(out, "{number:?}"),
            Self::Text(text) => {
                quote(out, text);
                Ok(())
            }
            Self::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    value.write(out);
                }
                out.push(']');
                Ok(())
            }
        }
        .unwrap_or_default();
    }

    fn of(value: toml::Value) -> Option<Self> {
        Some(match value {
            toml::Value::Boolean(on) => Self::Switch(on),
            toml::Value::Integer(number) => Self::Whole(number),
            toml::Value::Float(number) => Self::Number(number),
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Array(values) => {
                Self::List(values.into_iter().map(Self::of).collect::<Option<_>>()?)
            }
            toml::Value::Table(_) | toml::Value::Datetime(_) => return None,
        })
    }
}

/// A text as a basic string of TOML.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(out, "\\U{:08X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Settings to change while the program runs: each of a service, by its key in the file.
///
/// ```
/// use seawall::config::SettingChanges;
///
/// let changes = SettingChanges::new()
///     .set("feed", "bulkhead.max_concurrent", 2)
///     .set("feed", "breaker.open_for", "30s")
///     .unset("feed", "retry.attempts"); // what the file says
/// assert_eq!(changes.len(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingChanges(BTreeMap<(String, String), Option<SettingValue>>);

impl SettingChanges {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a setting of a service, whatever the file and the environment say.
    #[must_use]
    pub fn set(
        mut self,
        service: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<SettingValue>,
    ) -> Self {
        self.0
            .insert((service.into(), key.into()), Some(value.into()));
        self
    }

    /// Takes a setting back to what the file and the environment say.
    #[must_use]
    pub fn unset(mut self, service: impl Into<String>, key: impl Into<String>) -> Self {
        self.0.insert((service.into(), key.into()), None);
        self
    }

    /// How many settings it is about.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is about none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it sets anything of that service.
    pub(crate) fn sets(&self, service: &str) -> bool {
        let mut all = self.0.iter();
        all.any(|((of, _), value)| of == service && value.is_some())
    }

    /// The services that it is about.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        let names = self.0.keys().map(|(service, _)| service.as_str());
        names.filter(move |name| last.replace(*name) != Some(*name))
    }
}

/// Settings that are put over a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overlay(BTreeMap<(String, String), SettingValue>);

impl Overlay {
    /// The same with `changes`.
    pub(crate) fn changed(&self, changes: &SettingChanges) -> Self {
        let mut overlay = self.0.clone();
        for (id, value) in &changes.0 {
            match value {
                Some(value) => overlay.insert(id.clone(), value.clone()),
                None => overlay.remove(id),
            };
        }
        Self(overlay)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The service and the key of each setting.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .keys()
            .map(|(service, key)| (service.as_str(), key.as_str()))
    }

    /// The service, the key and the value of each setting.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.0.iter().map(|((service, key), value)| {
            let mut text = String::new();
            value.write(&mut text);
            (service.as_str(), key.as_str(), text)
        })
    }

    /// What a file would have to say.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for ((service, key), value) in &self.0 {
            if last.replace(service) != Some(service) {
                text.push_str("[resilience.");
                quote(&mut text, service);
                text.push_str("]\n");
            }
            for (index, part) in key.split('.').enumerate() {
                if index > 0 {
                    text.push('.');
                }
                quote(&mut text, part);
            }
            text.push_str(" = ");
            value.write(&mut text);
            text.push('\n');
        }
        text
    }

    /// Reads what [`to_toml`](Self::to_toml) has written.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where it is anything but settings of services.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, InvalidConfig> {
        let invalid = |value: String| {
            let field = format!("overlay {name}");
            InvalidConfig::new(
                field,
                value,
                "settings of services, in tables of `resilience`",
            )
        };
        let root: toml::Table = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let mut settings = BTreeMap::new();
        for (key, value) in root {
            let toml::Value::Table(services) = value else {
                return Err(invalid(format!("`{key}`")));
            };
            for (service, value) in services {
                if key != "resilience" || !value.is_table() {
                    return Err(invalid(format!("`{key}.{service}`")));
                }
                let mut path = Vec::new();
                read(&mut settings, &service, &mut path, value).map_err(invalid)?;
            }
        }
        Ok(Self(settings))
    }

    /// Puts the settings over a document. Services that it does not have are left alone: they may come back.
    pub(super) fn put(&self, name: &str, document: &mut Document, mistakes: &mut Vec<Mistake>) {
        if self.is_empty() {
            return;
        }
        let over = file::read(name, &self.to_toml(), mistakes);
        for scope in over.services {
            let mut services = document.services.iter_mut();
            let Some(base) = services.find(|base| base.name == scope.name) else {
                mistakes.retain(|mistake| !scope.has(mistake));
                continue;
            };
            let entries = scope.entries.iter().map(|(id, entry)| (*id, entry.clone()));
            Arc::make_mut(&mut base.entries).extend(entries);
            base.broken.extend(scope.broken);
            for (table, place) in scope.tables {
                base.tables.entry(table).or_insert(place);
            }
        }
    }
}

/// Reads a value, or those of a table.
fn read(
    settings: &mut BTreeMap<(String, String), SettingValue>,
    service: &str,
    path: &mut Vec<String>,
    value: toml::Value,
) -> Result<(), String> {
    if let toml::Value::Table(table) = value {
        for (key, value) in table {
            path.push(key);
            read(settings, service, path, value)?;
            path.pop();
        }
        return Ok(());
    }
    let key = path.join(".");
    let Some(value) = SettingValue::of(value) else {
        return Err(format!("a date as `{key}` of `{service}`"));
    };
    settings.insert((service.to_owned(), key), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = SettingValue> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(SettingValue::Switch),
            any::<i64>().prop_map(SettingValue::Whole),
            (-1e300..1e300).prop_map(SettingValue::Number),
            any::<String>().prop_map(SettingValue::Text),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            proptest::collection::vec(inner, 0..4).prop_map(SettingValue::List)
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            settings in proptest::collection::btree_map(
                ("[^.]{1,8}", "[a-z_]{1,8}(\\.[a-z_]{1,8})?"), values(), 0..8,
            ),
        ) {
            let mut changes = SettingChanges::new();
            for ((service, key), value) in settings {
                // A setting cannot be a table as well.
                let clashes = changes.0.keys().any(|(of, other)| {
                    of == &service
                        && (other.starts_with(&format!("{key}.")) || key.starts_with(&format!("{other}.")))
                });
                if !clashes {
                    changes = changes.set(service, key, value);
                }
            }
            let overlay = Overlay::default().changed(&changes);
            let text = overlay.to_toml();
            prop_assert_eq!(Overlay::parse("overlay", &text), Ok(overlay), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Overlay::parse("overlay", &text);
        }
    }

    #[test]
    fn what_is_no_setting_of_a_service_is_rejected() {
        for text in [
            "x = 1",
            "[other.feed]\na = 1",
            "[resilience]\na = 1",
            "[resilience.feed]\na = 1979-05-27",
            "[",
        ] {
            let error = Overlay::parse("overlay.toml", text).unwrap_err();
            assert_eq!(error.field(), "overlay overlay.toml", "{text}");
        }
    }
}
