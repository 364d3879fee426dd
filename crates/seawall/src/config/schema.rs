//! The schema of a file, from the table of settings.

use std::fmt::Write as _;

use super::setting::{Level, Setting, Table};
use super::table;
use super::value::Accepts;

/// A value of JSON, whose objects keep their order.
enum Json {
    Text(String),
    /// A number, a boolean.
    Plain(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// The JSON Schema of a file, by which editors complete and check it: made of the settings that the
/// loader reads. `docs/seawall.schema.json` has it.
///
/// ```
/// let schema = seawall::config::json_schema();
/// assert!(schema.contains("\"consecutive_failures\""));
/// ```
pub fn json_schema() -> String {
    let mut tables = vec![("service".to_owned(), service())];
    for layer in Table::LAYERS {
        let settings = table::of(layer).map(property).collect();
        tables.push((layer.name().to_owned(), closed(layer.about(), settings)));
    }
    let resilience = object([
        ("type", text("object")),
        (
            "description",
            text("What holds for all services, and a table for each of them."),
        ),
        ("properties", Json::Object(properties(Level::Own))),
        ("additionalProperties", reference("service")),
    ]);
    let schema = object([
        (
            "$schema",
            text("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", text("Configuration of Seawall")),
        ("type", text("object")),
        ("required", Json::List(vec![text("resilience")])),
        ("properties", object([("resilience", resilience)])),
        ("$defs", Json::Object(tables)),
    ]);
    let mut out = String::new();
    schema.write(&mut out, 0);
    out.push('\n');
    out
}

fn service() -> Json {
    closed(Table::Service.about(), properties(Level::Defaults))
}

/// The settings beside the tables of layers, without those of a level, and these tables.
fn properties(without: Level) -> Vec<(String, Json)> {
    let settings = table::of(Table::Service).filter(|setting| setting.level != without);
    let here = |table: &&Table| table.level() != without;
    let layers = Table::LAYERS.iter().filter(here).map(|layer| {
        let name = layer.name();
        (name.to_owned(), reference(name))
    });
    settings.map(property).chain(layers).collect()
}

fn property(setting: &'static Setting) -> (String, Json) {
    let mut schema = vec![("description".to_owned(), text(setting.about))];
    let value = accepts(setting.accepts);
    if setting.or_false {
        let off = object([("const", Json::Plain("false".to_owned()))]);
        schema.push((
            "anyOf".to_owned(),
            Json::List(vec![Json::Object(value), off]),
        ));
    } else {
        schema.extend(value);
    }
    (setting.key.to_owned(), Json::Object(schema))
}

fn accepts(accepts: Accepts) -> Vec<(String, Json)> {
    let plain = |number: &str| Json::Plain(number.to_owned());
    let strings = |examples: &[&str]| {
        let examples = examples.iter().map(|example| text(example)).collect();
        vec![("type", text("string")), ("examples", Json::List(examples))]
    };
    let rate = || {
        let mut schema = strings(&["200/min", "10/s", "5000/day", "3/500ms"]);
        schema.push(("pattern", text("^\\s*[0-9]+(_[0-9]+)*\\s*/\\s*\\S")));
        schema
    };
    let schema = match accepts {
        Accepts::Count => vec![
            ("type", text("integer")),
            ("minimum", plain("0")),
            ("maximum", Json::Plain(u32::MAX.to_string())),
        ],
        Accepts::Weight => vec![("type", text("integer")), ("minimum", plain("0"))],
        Accepts::Share => vec![
            ("type", text("number")),
            ("minimum", plain("0")),
            ("maximum", plain("1")),
        ],
        Accepts::PartialShare => vec![
            ("type", text("number")),
            ("exclusiveMinimum", plain("0")),
            ("exclusiveMaximum", plain("1")),
        ],
        Accepts::Number => vec![("type", text("number")), ("minimum", plain("0"))],
        Accepts::Switch => vec![("type", text("boolean"))],
        Accepts::Time => strings(&["30s", "1m 30s", "500ms", "24h"]),
        Accepts::Name | Accepts::Text => vec![("type", text("string"))],
        Accepts::Rate => rate(),
        Accepts::Rates => vec![("type", text("array")), ("items", object(rate()))],
        Accepts::Word(words) => {
            let words = words.iter().map(|word| text(word)).collect();
            vec![("enum", Json::List(words))]
        }
    };
    let keyed = schema.into_iter();
    keyed.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A table with these keys and no others.
fn closed(about: &str, properties: Vec<(String, Json)>) -> Json {
    object([
        ("type", text("object")),
        ("description", text(about)),
        ("additionalProperties", Json::Plain("false".to_owned())),
        ("properties", Json::Object(properties)),
    ])
}

fn reference(name: &str) -> Json {
    object([("$ref", Json::Text(format!("#/$defs/{name}")))])
}

fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let fields = fields.into_iter();
    Json::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Json {
    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Self::Text(text) => quote(text, out),
            Self::Plain(plain) => out.push_str(plain),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.write(out, depth);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    let end = if at == 0 { "" } else { "," };
                    let _ = write!(out, "{end}\n{:indent$}", "", indent = 2 * (depth + 1));
                    quote(key, out);
                    out.push_str(": ");
                    value.write(out, depth + 1);
                }
                let _ = write!(out, "\n{:indent$}}}", "", indent = 2 * depth);
            }
        }
    }
}

/// Texts of this crate: there are no characters below a space in them.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}
