//! Picks the values at a set of paths out of JSON, in one pass and without a tree; and out of forms.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use seawall_core::InvalidConfig;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// How members begin that say an error: `error`, `errors`, `errorCode`.
const ERROR: &str = "error";
/// The most values that one pass picks.
const MOST: usize = 32;

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(Box<str>),
    Any,
    Index(usize),
}

/// The steps of a path such as `orders[0].cOID`; `.` is the value itself.
pub(super) fn steps(field: &str, path: &str) -> Result<Vec<Step>, InvalidConfig> {
    let accepted = "a path such as `order.id`, `orders[0].id` or `fills.*.id`; `.` for all";
    let invalid = || InvalidConfig::new(field.to_owned(), path, accepted);
    let mut steps = Vec::new();
    if path == "." {
        return Ok(steps);
    }
    for part in path.split('.') {
        let (key, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !indexes.is_empty() && !indexes.ends_with(']') {
            return Err(invalid());
        }
        match key {
            "" if steps.is_empty() && !indexes.is_empty() => {}
            "" => return Err(invalid()),
            "*" => steps.push(Step::Any),
            key => steps.push(Step::Key(key.into())),
        }
        for index in indexes.split_terminator(']') {
            let index = index.strip_prefix('[').and_then(|index| index.parse().ok());
            steps.push(Step::Index(index.ok_or_else(invalid)?));
        }
    }
    Ok(steps)
}

/// The places of a value, the first one that has something counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Field(Vec<usize>);

impl Field {
    /// Whether it has no place.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The paths whose values are picked.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    root: Node,
    /// As they are written: the names of fields in forms.
    names: Vec<Box<str>>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    slot: Option<usize>,
    keys: Vec<(Box<str>, Node)>,
    any: Option<Box<Node>>,
    items: Vec<(usize, Node)>,
    /// Whether members that say an error are noted.
    notes_errors: bool,
}

impl Paths {
    /// Adds `path`, or several with `|` between them.
    pub(super) fn add(&mut self, field: &str, path: &str) -> Result<Field, InvalidConfig> {
        let slots = path.split('|').map(|path| self.slot(field, path.trim()));
        slots.collect::<Result<_, _>>().map(Field)
    }

    /// The same for a path that may be missing.
    pub(super) fn add_some(
        &mut self,
        field: &str,
        path: Option<&str>,
    ) -> Result<Field, InvalidConfig> {
        path.map_or_else(|| Ok(Field::default()), |path| self.add(field, path))
    }

    /// Adds a path of one step.
    pub(super) fn add_step(&mut self, step: Step) -> Field {
        self.root.child(step).slot = Some(0);
        Field(vec![0])
    }

    /// Notes error members beside what is at `path`, and further up.
    pub(super) fn note_errors(&mut self, field: &str, path: &str) -> Result<(), InvalidConfig> {
        for path in path.split('|') {
            let mut node = &mut self.root;
            for step in steps(field, path.trim())? {
                node.notes_errors = true;
                node = node.child(step);
            }
        }
        Ok(())
    }

    fn slot(&mut self, field: &str, path: &str) -> Result<usize, InvalidConfig> {
        let mut node = &mut self.root;
        for step in steps(field, path)? {
            node = node.child(step);
        }
        if let Some(slot) = node.slot {
            return Ok(slot);
        }
        let slot = self.names.len();
        if slot == MOST {
            let accepted = format!("up to {MOST} paths in one request or response");
            return Err(InvalidConfig::new(field.to_owned(), path, accepted));
        }
        node.slot = Some(slot);
        self.names.push(path.into());
        Ok(slot)
    }

    /// The values of a JSON text.
    pub(super) fn json<'a>(&self, text: &'a str) -> Result<Picked<'a>, serde_json::Error> {
        let mut picked = Picked::default();
        let mut json = serde_json::Deserializer::from_str(text);
        self.root.walk(&mut picked).deserialize(&mut json)?;
        json.end()?;
        Ok(picked)
    }

    /// The values of a JSON body.
    pub(super) fn body<'a>(&self, body: &'a Bytes) -> Option<Picked<'a>> {
        self.json(std::str::from_utf8(body).ok()?).ok()
    }

    /// The values of a form, or of the query of an address, beside those picked already.
    pub(super) fn form<'a>(&self, form: &'a [u8], picked: &mut Picked<'a>) {
        for (name, value) in form_urlencoded::parse(form) {
            if let Some(slot) = self.names.iter().position(|known| **known == *name) {
                picked.put(slot, Value::Text(value));
            }
        }
    }
}

impl Node {
    fn child(&mut self, step: Step) -> &mut Node {
        match step {
            Step::Any => self.any.get_or_insert_default(),
            Step::Key(key) => entry(&mut self.keys, key),
            Step::Index(index) => entry(&mut self.items, index),
        }
    }

    const fn walk<'n, 'p, 'a>(&'n self, picked: &'p mut Picked<'a>) -> Walk<'n, 'p, 'a> {
        let inside = false;
        Walk {
            node: self,
            picked,
            inside,
        }
    }

    fn has_children(&self) -> bool {
        !self.keys.is_empty() || self.any.is_some() || !self.items.is_empty()
    }
}

/// The node of a key, which is made if there is none.
fn entry<K: PartialEq>(nodes: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = nodes.iter().position(|(known, _)| *known == key);
    let at = at.unwrap_or_else(|| {
        nodes.push((key, Node::default()));
        nodes.len() - 1
    });
    &mut nodes[at].1
}

/// A value that was picked.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// As JSON.
    Json(&'a str),
    /// Of a form.
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// The text of a string, and a number, a truth value, a list or an object as they are written.
    /// `None` for `null`, for what is empty, and for a string that cannot be read.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        let text = match self {
            Value::Text(text) => text.clone(),
            Value::Json("null") => return None,
            Value::Json(json) => match json.strip_prefix('"').and_then(|s| s.strip_suffix('"')) {
                Some(text) if !text.contains('\\') => Cow::Borrowed(text),
                Some(_) => Cow::Owned(serde_json::from_str(json).ok()?),
                None => Cow::Borrowed(*json),
            },
        };
        (!matches!(&*text, "" | "[]" | "{}")).then_some(text)
    }

    /// The JSON, if it is some.
    pub(super) const fn json(&self) -> Option<&'a str> {
        match self {
            Value::Json(json) => Some(json),
            Value::Text(_) => None,
        }
    }
}

/// What was picked.
#[derive(Debug, Default)]
pub(super) struct Picked<'a> {
    values: [Option<Value<'a>>; MOST],
    /// A list of which one element has a path has more than that one.
    pub(super) several: bool,
    /// A value is there twice.
    pub(super) twice: bool,
    /// There is an error member that is not empty.
    pub(super) says_error: bool,
}

impl<'a> Picked<'a> {
    fn put(&mut self, slot: usize, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(slot) {
            self.twice |= place.is_some();
            *place = Some(value);
        }
    }

    /// The first value of a field that is there, as it is.
    pub(super) fn value(&self, field: &Field) -> Option<&Value<'a>> {
        let slots = field.0.iter();
        slots
            .filter_map(|slot| self.values.get(*slot)?.as_ref())
            .next()
    }

    /// The first text of a field.
    pub(super) fn text(&self, field: &Field) -> Option<Cow<'a, str>> {
        let slots = field.0.iter();
        slots
            .filter_map(|slot| self.values.get(*slot)?.as_ref()?.text())
            .next()
    }

    /// Whether a field has what is no text and no number, as a list, or a text that cannot be read.
    pub(super) fn is_no_text(&self, field: &Field) -> bool {
        let slots = field.0.iter();
        let mut values = slots.filter_map(|slot| self.values.get(*slot)?.as_ref());
        values.any(|value| match value.json() {
            Some(json) if json.starts_with('"') => json != "\"\"" && value.text().is_none(),
            Some(json) => json.starts_with(['[', '{', 't', 'f']),
            None => false,
        })
    }

    /// All texts of a field.
    pub(super) fn texts(&self, field: &Field) -> impl Iterator<Item = Cow<'a, str>> {
        let slots = field.0.iter();
        slots.filter_map(|slot| self.values.get(*slot)?.as_ref()?.text())
    }

    /// Whether nothing was picked.
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// Reads a value, and picks what its node says.
struct Walk<'n, 'p, 'a> {
    node: &'n Node,
    picked: &'p mut Picked<'a>,
    /// The value itself is picked already.
    inside: bool,
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        let (Some(slot), false) = (self.node.slot, self.inside) else {
            return json.deserialize_any(self);
        };
        let raw: &'a RawValue = serde::Deserialize::deserialize(json)?;
        self.picked.put(slot, Value::Json(raw.get()));
        if !self.node.has_children() {
            return Ok(());
        }
        let (node, picked) = (self.node, self.picked);
        let inside = true;
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let walk = Walk {
            node,
            picked,
            inside,
        };
        walk.deserialize(&mut json).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((child, is_error)) = map.next_key_seed(Key(self.node))? {
            match child {
                _ if is_error => {
                    let error: &'a RawValue = map.next_value()?;
                    self.picked.says_error |= !is_none(error.get());
                    if let Some(node) = child {
                        let mut json = serde_json::Deserializer::from_str(error.get());
                        let walk = node.walk(self.picked);
                        walk.deserialize(&mut json).map_err(M::Error::custom)?;
                    }
                }
                Some(node) => map.next_value_seed(node.walk(self.picked))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<(), S::Error> {
        let items = &self.node.items;
        for index in 0.. {
            let item = items.iter().find(|(at, _)| *at == index);
            let is_there = match item {
                Some((_, node)) => seq.next_element_seed(node.walk(self.picked))?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
            self.picked.several |= index > 0 && item.is_none() && !items.is_empty();
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a value says that there is nothing: also `false`, and the number 0.
fn is_none(json: &str) -> bool {
    let inner = json.trim_matches(['"', '[', ']', '{', '}']).trim();
    matches!(inner, "" | "null" | "false" | "0")
}

/// Reads a key, and finds its node, and whether its value is an error that is noted.
struct Key<'n>(&'n Node);

impl<'a, 'n> DeserializeSeed<'a> for Key<'n> {
    type Value = (Option<&'n Node>, bool);

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a, 'n> Visitor<'a> for Key<'n> {
    type Value = (Option<&'n Node>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let known = self.0.keys.iter().find(|(known, _)| **known == *key);
        let head = key.get(..ERROR.len());
        let is_error =
            self.0.notes_errors && head.is_some_and(|head| head.eq_ignore_ascii_case(ERROR));
        let node = known.map(|(_, node)| node).or(self.0.any.as_deref());
        Ok((node, is_error))
    }
}

/// The elements of a list, with their keys if it is an object; an object counts as a list of itself
/// unless it is `keyed`. `None` for anything else.
pub(super) fn elements(json: &str, keyed: bool) -> Option<Vec<(Cow<'_, str>, &str)>> {
    if keyed {
        let mut all = Vec::new();
        let mut read = serde_json::Deserializer::from_str(json);
        Elements(&mut all).deserialize(&mut read).ok()?;
        return Some(all);
    }
    if json.starts_with('{') {
        return Some(vec![(Cow::Borrowed(""), json)]);
    }
    let all: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let unnamed = all.into_iter().map(|raw| (Cow::Borrowed(""), raw.get()));
    Some(unnamed.collect())
}

struct Elements<'p, 'a>(&'p mut Vec<(Cow<'a, str>, &'a str)>);

impl<'a> DeserializeSeed<'a> for Elements<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((key, raw)) = map.next_entry::<Cow<'a, str>, &'a RawValue>()? {
            self.0.push((key, raw.get()));
        }
        Ok(())
    }
}
