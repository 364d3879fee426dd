//! Finds one member of a JSON text that comes in pieces, without keeping the text.

/// The longest value that is kept. Today's have some hundred bytes.
const LONGEST: usize = 8 * 1024;

/// The longest name that is looked for.
const NAME: usize = 8;

/// Follows the structure of a JSON text (RFC 8259) and keeps the object that is the value of
/// `usage`, at the top or in the `message` or `response` at the top.
///
/// Only braces, brackets, commas, colons and the ends of strings matter for that, so a text in
/// which they are correct is read exactly; in any other nothing is found, or a value that then
/// fails to parse. Names with escapes are not recognised.
/// The memory it takes is that of one value, however long the text.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// How many braces and brackets are open.
    depth: u64,
    /// How many of them, from the outside, are objects on the path to the value.
    path: u64,
    string: Str,
    /// The name that was read last in the innermost object on the path, quotes aside.
    name: [u8; NAME],
    /// Its length; more than `NAME` when it is too long to be looked for.
    name_len: usize,
    /// Whether a string here is a name, and not a value.
    names: bool,
    /// The value, while it comes in.
    value: Vec<u8>,
    /// At how many open braces it ends.
    until: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Str {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

impl Members {
    /// Reads further and calls `found` with every complete value.
    pub(super) fn push(&mut self, mut text: &[u8], found: &mut impl FnMut(&[u8])) {
        while let Some((byte, rest)) = text.split_first() {
            // Most of a response is inside of strings that do not matter.
            if self.string == Str::Inside && !self.is_in_name() && self.until.is_none() {
                let skipped = text.iter().position(|b| matches!(b, b'"' | b'\\'));
                if skipped != Some(0) {
                    text = text
                        .get(skipped.unwrap_or(text.len())..)
                        .unwrap_or_default();
                    continue;
                }
            }
            self.step(*byte, found);
            text = rest;
        }
    }

    /// Ends the text that was read; the next one begins.
    pub(super) fn reset(&mut self) {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        *self = Self {
            value,
            ..Self::default()
        };
    }

    fn step(&mut self, byte: u8, found: &mut impl FnMut(&[u8])) {
        if self.until.is_some() && self.value.len() <= LONGEST {
            self.value.push(byte);
        }
        match self.string {
            Str::Outside => self.structure(byte, found),
            Str::Escaped => {
                self.string = Str::Inside;
                self.name(byte);
            }
            Str::Inside => match byte {
                b'"' => {
                    self.string = Str::Outside;
                    if self.is_in_name() {
                        self.names = false;
                    }
                }
                b'\\' => {
                    self.string = Str::Escaped;
                    self.name(byte);
                }
                byte => self.name(byte),
            },
        }
    }

    fn structure(&mut self, byte: u8, found: &mut impl FnMut(&[u8])) {
        match byte {
            b'"' => {
                self.string = Str::Inside;
                if self.is_in_name() {
                    self.name_len = 0;
                }
            }
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'}' | b']' => self.close(found),
            b',' if self.depth == self.path => {
                self.names = true;
                self.name_len = 0;
            }
            _ => {}
        }
    }

    fn open(&mut self, is_object: bool) {
        let value = self.name.get(..self.name_len).unwrap_or_default();
        // An object that is a value on the path, or the text itself.
        let on_path = is_object && self.depth == self.path;
        if on_path && (1..=2).contains(&self.depth) && value == b"usage" {
            self.value.clear();
            self.value.push(b'{');
            self.until = Some(self.depth);
        } else if on_path
            && (self.depth == 0 || (self.depth == 1 && matches!(value, b"message" | b"response")))
        {
            self.path += 1;
            self.names = true;
            self.name_len = 0;
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self, found: &mut impl FnMut(&[u8])) {
        self.depth = self.depth.saturating_sub(1);
        if self.until == Some(self.depth) {
            self.until = None;
            if self.value.len() <= LONGEST {
                found(&self.value);
            }
        }
        self.path = self.path.min(self.depth);
    }

    const fn is_in_name(&self) -> bool {
        self.names && self.depth == self.path && self.depth > 0
    }

    fn name(&mut self, byte: u8) {
        if !self.is_in_name() {
            return;
        }
        if let Some(slot) = self.name.get_mut(self.name_len) {
            *slot = byte;
        }
        self.name_len = (self.name_len + 1).min(NAME + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn found(text: &[u8], pieces: usize) -> Vec<Value> {
        let mut members = Members::default();
        let mut values = Vec::new();
        for piece in text.chunks(pieces.max(1)) {
            members.push(piece, &mut |value| {
                values.push(serde_json::from_slice(value).unwrap());
            });
        }
        values
    }

    /// The slow, obvious way: the complete text at once.
    fn by_value(text: &Value) -> Vec<Value> {
        let mut values = Vec::new();
        for (name, value) in text.as_object().into_iter().flatten() {
            let inner = match name.as_str() {
                "usage" => Some(value),
                "message" | "response" => value.get("usage"),
                _ => None,
            };
            values.extend(inner.filter(|value| value.is_object()).cloned());
        }
        values
    }

    #[test]
    fn only_a_member_counts_and_no_text_that_looks_like_one() {
        let none = [
            r#"{"content": "\"usage\": {\"input_tokens\": 7}"}"#,
            r#"{"choices": [{"usage": {"input_tokens": 7}}]}"#,
            r#"{"delta": {"usage": {"input_tokens": 7}}}"#,
            r#"{"message": [{"usage": {}}]}"#,
            r#"{"message": {"usage": null}}"#,
            r#"{"message": {"message": {"usage": {}}}}"#,
            r#"{"a": "usage", "b": {}}"#,
            r#"{"a": "usage"}"#,
            r#"{"usages": {}, "usag": {}}"#,
            r#"[{"usage": {}}]"#,
            r#""usage""#,
            r#"{"usage"}"#,
            r#"{"usage": {"#,
            "[DONE]",
        ];
        for text in none {
            for pieces in [1, 2, 3, 1_000] {
                assert!(found(text.as_bytes(), pieces).is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_not_kept() {
        let text = format!(r#"{{"usage":{{"a":"{}"}},"b":1}}"#, "x".repeat(2 * LONGEST));
        let mut members = Members::default();
        members.push(text.as_bytes(), &mut |_| panic!("kept"));
        assert!(members.value.len() <= LONGEST + 1);
        members.reset();
        members.push(br#"{"usage":{}}"#, &mut |value| assert_eq!(value, b"{}"));
    }

    fn json() -> impl Strategy<Value = Value> {
        let name = || {
            prop_oneof![
                4 => Just("usage".to_owned()),
                1 => Just("message".to_owned()),
                1 => Just("response".to_owned()),
                2 => "[a-z{}:,\\[\\]]{0,9}",
            ]
        };
        let object = move |inner| {
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|members| Value::Object(Map::from_iter(members)))
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // With quotes and backslashes, and names that are values.
            "[\"\\\\{}\\[\\]:, a\u{e9}\u{1f980}]{0,12}".prop_map(Value::from),
            name().prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                2 => object(inner),
            ]
        });
        prop_oneof![1 => any.clone(), 4 => object(any.boxed())]
    }

    proptest! {
        #[test]
        fn it_finds_what_a_parser_finds(text in json(), pieces in 1..20_usize, pretty: bool) {
            let written = if pretty {
                serde_json::to_vec_pretty(&text)
            } else {
                serde_json::to_vec(&text)
            };
            prop_assert_eq!(found(&written.unwrap(), pieces), by_value(&text));
        }

        #[test]
        fn no_text_makes_it_panic(
            text in prop::collection::vec(
                prop_oneof![
                    Just(b"usage".to_vec()), Just(b"\"usage\":".to_vec()), Just(vec![b'"']),
                    "[{}\\[\\],:\"\\\\]".prop_map(String::into_bytes),
                    any::<[u8; 1]>().prop_map(|b| b.to_vec()),
                ],
                0..60,
            ),
        ) {
            let mut members = Members::default();
            for piece in text {
                members.push(&piece, &mut |_| {});
                prop_assert!(members.path <= members.depth);
            }
        }
    }
}
