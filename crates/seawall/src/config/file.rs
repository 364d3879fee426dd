//! Reads a file.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Lines, Mistake, is_near};

use super::scope::{Document, Scope};
use super::setting::Table;
use super::table;
use super::value::Raw;

/// The table that everything is in.
const ROOT: &str = "resilience";

/// Reads a file, and notes what is wrong with it. A file that is no TOML has all mistakes that the
/// parser finds, and nothing of it is read.
pub(super) fn read(file: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Document {
    let lines = Lines::new(file, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        lines: &lines,
        mistakes,
        document: Document::default(),
        names: HashMap::new(),
    };
    if errors.is_empty() {
        reader.root(root.get_ref());
        return reader.document;
    }
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        let message = error.message().trim();
        mistakes.push(lines.mistake(at, format!("no TOML: {message}")));
    }
    Document::default()
}

struct Reader<'a> {
    lines: &'a Lines<'a>,
    mistakes: &'a mut Vec<Mistake>,
    document: Document,
    /// The services so far, by their names as variables have them.
    names: HashMap<String, String>,
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        match root.get(ROOT) {
            Some(value) => match value.get_ref().as_table() {
                Some(table) => self.resilience(table),
                None => {
                    let kind = value.get_ref().type_str();
                    let problem = format!("`{ROOT}` is of the type {kind}, accepted is a table");
                    self.mistakes
                        .push(self.lines.mistake(value.span().start, problem));
                }
            },
            None => {
                // Other tables may be those of somebody else.
                let near = root.keys().find(|key| is_near(key.get_ref(), ROOT));
                let (at, problem) = match near {
                    Some(key) => {
                        let problem =
                            format!("`{}` is unknown: did you mean `{ROOT}`?", key.get_ref());
                        (key.span().start, problem)
                    }
                    None => (0, format!("there is no table `{ROOT}`")),
                };
                self.mistakes.push(self.lines.mistake(at, problem));
            }
        }
    }

    fn resilience(&mut self, table: &DeTable<'_>) {
        let mut defaults = Scope::default();
        for (key, value) in table {
            let name = &**key.get_ref();
            let is_service = Table::of(name).is_none()
                && table::find(Table::Service, name).is_none()
                && value.get_ref().is_table();
            if is_service {
                self.service(key, value.get_ref());
            } else if value.get_ref().is_array() && Table::of(name).is_none() {
                self.mistakes.push(Mistake {
                    place: self.lines.place(key.span().start),
                    key: name.to_owned(),
                    problem: "is a list, accepted is a table".to_owned(),
                });
            } else {
                self.entry(&mut defaults, key, value);
            }
        }
        self.document.defaults = defaults;
    }

    fn service(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &DeValue<'_>) {
        let name = key.get_ref();
        let at = key.span().start;
        if name.trim().is_empty() || name.contains("__") {
            let accepted = "the name of a service: not empty, and without `__`";
            let problem = format!("the table {name:?} is one of a service, accepted is {accepted}");
            self.mistakes.push(self.lines.mistake(at, problem));
            return;
        }
        // A variable would mean the layer or the setting.
        let layers = Table::LAYERS.iter().map(|layer| layer.name());
        let settings = table::of(Table::Service).map(|setting| setting.key);
        let folded = fold(name);
        if let Some(known) = layers.chain(settings).find(|known| *known == folded) {
            let problem = format!("`{name}` is no name of a service: did you mean `{known}`?");
            self.mistakes.push(self.lines.mistake(at, problem));
            return;
        }
        if let Some(other) = self.names.get(&folded) {
            let problem = format!(
                "there are two services of one name: `{other}` and `{name}` are alike in variables"
            );
            self.mistakes.push(self.lines.mistake(at, problem));
        }
        let mut scope = Scope {
            name: name.to_string(),
            place: Some(self.lines.place(at)),
            ..Scope::default()
        };
        let before = self.mistakes.len();
        for (key, value) in value.as_table().into_iter().flatten() {
            self.entry(&mut scope, key, value);
        }
        // A table whose keys are all unknown to a service is rather that of a layer.
        let layer = Table::LAYERS
            .iter()
            .find(|layer| is_near(name, layer.name()));
        if let Some(layer) = layer.filter(|_| self.mistakes.len() > before) {
            self.mistakes.truncate(before);
            let problem = format!("`{name}` is unknown: did you mean `{}`?", layer.name());
            self.mistakes.push(self.lines.mistake(at, problem));
            return;
        }
        self.names.entry(folded).or_insert_with(|| name.to_string());
        self.document.services.push(scope);
    }

    /// A key of `[resilience]` or of a service: a setting, or the table of a layer.
    fn entry(
        &mut self,
        scope: &mut Scope,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let name = &**key.get_ref();
        let Some(layer) = Table::of(name) else {
            return self.setting(scope, Table::Service, key, value);
        };
        match value.get_ref().as_table() {
            Some(table) => {
                let place = self.lines.place(key.span().start);
                match layer.level().misplaced(scope.is_defaults()) {
                    Some(accepted) if table.is_empty() => self.mistakes.push(Mistake {
                        place,
                        key: scope.path(name),
                        problem: format!("is here, accepted is {accepted}"),
                    }),
                    _ => drop(scope.tables.insert(layer, place)),
                }
                for (key, value) in table {
                    self.setting(scope, layer, key, value);
                }
            }
            None => {
                self.mistakes.push(Mistake {
                    place: self.lines.place(value.span().start),
                    key: scope.path(name),
                    problem: format!("is {}, accepted is a table", Raw::of(value.get_ref())),
                });
            }
        }
    }

    fn setting(
        &mut self,
        scope: &mut Scope,
        table: Table,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        match table::find(table, key.get_ref()) {
            Some(setting) => {
                let place = self.lines.place(value.span().start);
                let raw = Raw::of(value.get_ref());
                scope.set(setting, &raw, place, self.mistakes);
            }
            None => {
                let place = self.lines.place(key.span().start);
                self.mistakes
                    .push(scope.unknown(table, key.get_ref(), place));
            }
        }
    }
}

/// A name as variables have it.
pub(super) fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}
