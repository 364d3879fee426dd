//! Variables of the environment, put over what the file says.

use std::sync::Arc;

use crate::mistake::{Mistake, Place};

use super::file::fold;
use super::flat::{self, Means};
use super::scope::{Document, Scope, unknown};
use super::set::Id;
use super::setting::{Setting, Table};
use super::table;
use super::value::Raw;

/// What the names of variables begin with.
const PREFIX: &str = "seawall__";

/// Puts the variables over `document`: first those of flat names, which are defaults of all
/// services, then those that name what they set.
pub(super) fn overlay(
    document: &mut Document,
    variables: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) {
    for (name, value) in variables {
        flat_name(document, name, value, mistakes);
    }
    let mut seen: Vec<(String, Id, &str)> = Vec::new();
    for (name, value) in variables {
        let Some(rest) = fold(name).strip_prefix(PREFIX).map(str::to_owned) else {
            continue;
        };
        let place = Place::Variable(Arc::from(name.as_str()));
        match target(document, &rest) {
            Ok((scope, setting)) => {
                let id = (setting.table, setting.key);
                let first = seen
                    .iter()
                    .find(|(of, other, _)| *of == scope.name && *other == id);
                if let Some((_, _, first)) = first {
                    let problem = format!("sets the same as {first}, accepted is one of the two");
                    mistakes.push(Mistake {
                        place,
                        key: String::new(),
                        problem,
                    });
                    continue;
                }
                seen.push((scope.name.clone(), id, name));
                scope.set(setting, &Raw::of_variable(value), place, mistakes);
            }
            Err(problem) => mistakes.push(Mistake {
                place,
                key: String::new(),
                problem,
            }),
        }
    }
}

/// What `broker__retry__attempts` sets, and of which service.
fn target<'a>(
    document: &'a mut Document,
    rest: &str,
) -> Result<(&'a mut Scope, &'static Setting), String> {
    let parts: Vec<_> = rest.split("__").collect();
    let (service, table, key) = match *parts.as_slice() {
        [key] => (None, Table::Service, key),
        [first, key] => match Table::of(first) {
            Some(layer) => (None, layer, key),
            None => (Some(first), Table::Service, key),
        },
        [service, layer, key] => match Table::of(layer) {
            Some(layer) => (Some(service), layer, key),
            None => {
                let layers = Table::LAYERS.iter().map(|layer| layer.name());
                return Err(format!(
                    "leads nowhere: `{layer}` {}",
                    unknown(layer, layers)
                ));
            }
        },
        _ => {
            let accepted = "SEAWALL__SERVICE__LAYER__SETTING, with or without its middle parts";
            return Err(format!("leads nowhere, accepted is {accepted}"));
        }
    };
    let Some(setting) = table::find(table, key) else {
        let settings = table::of(table).map(|setting| setting.key);
        return Err(format!("leads nowhere: `{key}` {}", unknown(key, settings)));
    };
    let Some(service) = service else {
        return Ok((&mut document.defaults, setting));
    };
    match document
        .services
        .iter()
        .position(|scope| fold(&scope.name) == service)
    {
        Some(at) => Ok((&mut document.services[at], setting)),
        None if document.services.is_empty() => Err(format!(
            "leads nowhere: there is no service `{service}`, and no other"
        )),
        None => {
            let services = document.services.iter().map(|scope| scope.name.as_str());
            Err(format!(
                "leads nowhere: the service `{service}` {}",
                unknown(service, services)
            ))
        }
    }
}

fn flat_name(document: &mut Document, name: &str, value: &str, mistakes: &mut Vec<Mistake>) {
    let upper = name.to_uppercase();
    let place = Place::Variable(Arc::from(name));
    let mut complain = |problem: String| {
        let place = place.clone();
        mistakes.push(Mistake {
            place,
            key: String::new(),
            problem,
        });
    };
    match flat::find(&upper) {
        Some(Means::Setting(table, key, form)) => match (form.read(value), table::find(table, key))
        {
            (Some(raw), Some(setting)) => {
                document.defaults.set(setting, &raw, place, mistakes);
            }
            _ => complain(format!("is {value:?}, accepted is {form}")),
        },
        Some(Means::Nothing(part)) => {
            complain(format!(
                "is set, accepted is nothing: there is no part for {part} yet"
            ));
        }
        None if flat::is_meant(&upper) => {
            let short = upper.trim_start_matches("RESILIENCE_").to_lowercase();
            let known: Vec<_> = flat::names().map(str::to_lowercase).collect();
            let problem = unknown(&short, known.iter().map(String::as_str));
            complain(format!("leads nowhere: `{short}` {problem}"));
        }
        None => {}
    }
}
