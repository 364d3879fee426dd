//! Variables of the environment, put over what the file says.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mistake::{Mistake, Place};

use super::file::fold;
use super::flat::{self, Means};
use super::scope::{Document, unknown};
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
    let mut flat = BTreeMap::new();
    for (name, value) in variables {
        flat_name(document, &mut flat, (name.as_str(), value), mistakes);
    }
    let mut seen: Vec<(Option<usize>, &Setting, &str)> = Vec::new();
    for (name, value) in variables {
        let Some(rest) = fold(name).strip_prefix(PREFIX).map(str::to_owned) else {
            continue;
        };
        let place = Place::Variable(Arc::from(name.as_str()));
        let (at, setting) = match target(document, &rest) {
            Ok(target) => target,
            Err((of, problem)) => {
                note(document, of, (place, problem), mistakes);
                continue;
            }
        };
        let first = seen
            .iter()
            .find(|(of, other, _)| *of == at && std::ptr::eq(*other, setting));
        if let Some((_, _, first)) = first {
            let problem = format!("sets the same as {first}, accepted is one of the two");
            let of = at.map_or(Of::All, Of::Service);
            note(document, of, (place, problem), mistakes);
            continue;
        }
        seen.push((at, setting, name));
        let scope = match at {
            Some(at) => &mut document.services[at],
            None => &mut document.defaults,
        };
        scope.set(setting, &Raw::of_variable(value), place, mistakes);
    }
}

/// Notes what is wrong with a variable, and which services are wrong by it.
fn note(
    document: &mut Document,
    of: Of,
    (place, problem): (Place, String),
    mistakes: &mut Vec<Mistake>,
) {
    let mistake = Mistake {
        place,
        key: String::new(),
        problem,
    };
    match of {
        Of::All => mistakes.push(mistake),
        Of::None => document.unrelated.push(mistake),
        Of::Service(at) => {
            document.unrelated.push(mistake);
            document.services[at].is_wrong = true;
        }
    }
}

/// Which services a mistake makes wrong.
#[derive(Clone, Copy)]
enum Of {
    All,
    None,
    Service(usize),
}

/// What `broker__retry__attempts` sets, and of which service; or what is wrong, and of which.
fn target(
    document: &Document,
    rest: &str,
) -> Result<(Option<usize>, &'static Setting), (Of, String)> {
    let parts: Vec<_> = rest.split("__").collect();
    let (service, layer, key) = match *parts.as_slice() {
        [key] => (None, "", key),
        [first, key] if Table::of(first).is_some() => (None, first, key),
        [first, key] => (Some(first), "", key),
        [service, layer, key] => (Some(service), layer, key),
        [service, ..] => (Some(service), "", ""),
        [] => (None, "", ""),
    };
    let services = document.services.iter();
    let at = service.and_then(|service| {
        let mut names = services.clone().map(|scope| fold(&scope.name));
        names.position(|name| name == service)
    });
    let of = match (service, at) {
        (None, _) => Of::All,
        (Some(_), None) => Of::None,
        (Some(_), Some(at)) => Of::Service(at),
    };
    if parts.len() > 3 {
        let accepted = "SEAWALL__SERVICE__LAYER__SETTING, with or without its middle parts";
        return Err((of, format!("leads nowhere, accepted is {accepted}")));
    }
    let table = match layer {
        "" => Some(Table::Service),
        layer => Table::of(layer),
    };
    let Some(table) = table else {
        let layers = Table::LAYERS.iter().map(|layer| layer.name());
        let problem = format!("leads nowhere: `{layer}` {}", unknown(layer, layers));
        return Err((of, problem));
    };
    let Some(setting) = table::find(table, key) else {
        let settings = table::of(table).map(|setting| setting.key);
        let problem = format!("leads nowhere: `{key}` {}", unknown(key, settings));
        return Err((of, problem));
    };
    match (service, at) {
        (Some(service), None) if document.services.is_empty() => {
            let problem = format!("leads nowhere: there is no service `{service}`, and no other");
            Err((of, problem))
        }
        (Some(service), None) => {
            let problem = unknown(service, services.map(|scope| scope.name.as_str()));
            let problem = format!("leads nowhere: the service `{service}` {problem}");
            Err((of, problem))
        }
        _ => Ok((at, setting)),
    }
}

/// Puts a variable of a flat name over the defaults. `seen` are those so far, by what they set.
fn flat_name<'a>(
    document: &mut Document,
    seen: &mut BTreeMap<Id, (&'a str, Raw)>,
    (name, value): (&'a str, &str),
    mistakes: &mut Vec<Mistake>,
) {
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
        Some(Means::Setting(table, key, form)) => {
            let (Some(raw), Some(setting)) = (form.read(value), table::find(table, key)) else {
                return complain(format!("is {value:?}, accepted is {form}"));
            };
            match seen.get(&(table, key)) {
                Some((first, other)) if *other != raw => complain(format!(
                    "sets the same as {first}, and to something else, accepted is one of the two"
                )),
                Some(_) => {}
                None => {
                    seen.insert((table, key), (name, raw.clone()));
                    document.defaults.set(setting, &raw, place, mistakes);
                }
            }
        }
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
