//! What matters of the body of a request, read in one pass.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::text::{Text, TextLength};

/// What the body of a request to an AI model asks for.
///
/// It is read by [`Prompt::read`] in one pass over the JSON, without building a tree.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt<'a> {
    /// The whole body.
    pub body: &'a [u8],
    /// The model that is asked for.
    pub model: Option<Cow<'a, str>>,
    /// How many bytes of text the model reads: the strings in `messages`, `prompt`, `input`,
    /// `system`, `instructions` and `contents`, and in `tools`, `functions` and `response_format` names
    /// and strings. The data of images and files is not among them. A number, such as a token of a
    /// prompt of tokens, counts as four bytes.
    pub text_bytes: u64,
    /// How many messages there are, and texts of a list: the elements of `messages`, `prompt`, `input`,
    /// `system` and `contents` that are no numbers.
    pub messages: u32,
    /// How many images it reads.
    pub images: u32,
    /// How many bytes of files it reads: of documents the length of their base64, of audio and video a
    /// tenth of that, and 20,000 at least for each file, since it may be one that is only named.
    pub file_bytes: u64,
    /// The most tokens that the model writes: the greatest of all that are set of `max_tokens`,
    /// `max_completion_tokens` and `max_output_tokens`, times the [choices](Self::choices).
    pub max_output: Option<u32>,
    /// How often the model writes: the greater of `n` and `best_of`, for each text of a list of
    /// `prompt`s.
    pub choices: u32,
    /// Whether the response is to be streamed.
    pub is_stream: bool,
    /// Whether a stream is asked for its usage: `stream_options.include_usage`.
    pub include_usage: bool,
}

impl<'a> Prompt<'a> {
    /// Reads a body; `None` when it is no JSON object, or its text is nested deeper than 127 levels.
    ///
    /// ```
    /// use seawall_ai::estimate::Prompt;
    ///
    /// let body = br#"{
    ///     "model": "m-1", "max_tokens": 300, "temperature": 0.2,
    ///     "messages": [{"role": "user", "content": "Hello there"}]
    /// }"#;
    /// let prompt = Prompt::read(body).unwrap();
    /// assert_eq!(prompt.model.as_deref(), Some("m-1"));
    /// assert_eq!((prompt.text_bytes, prompt.max_output), (11, Some(300)));
    /// assert_eq!(Prompt::read(b"no JSON"), None);
    /// ```
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut prompt = json.deserialize_map(PromptVisitor).ok()?;
        prompt.body = body;
        Some(prompt)
    }
}

struct PromptVisitor;

impl<'de> Visitor<'de> for PromptVisitor {
    type Value = Prompt<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prompt<'de>, A::Error> {
        let mut prompt = Prompt::default();
        let mut text = Text::default();
        let (mut choices, mut prompts) = (1, 1);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "model" => prompt.model = map.next_value::<Scalar<'de>>()?.text,
                "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                    // Which one counts, of several names or of one that is there twice, differs
                    // from provider to provider.
                    prompt.max_output = prompt
                        .max_output
                        .max(map.next_value::<Scalar<'de>>()?.count());
                }
                "n" | "best_of" => {
                    choices = map
                        .next_value::<Scalar<'de>>()?
                        .count()
                        .unwrap_or(1)
                        .max(choices);
                }
                "stream" => prompt.is_stream = map.next_value::<Scalar<'de>>()?.is_true,
                "stream_options" => prompt.include_usage = map.next_value_seed(IncludeUsage)?,
                "prompt" => {
                    let before = text.messages;
                    map.next_value_seed(TextLength::content(&mut text))?;
                    prompts = prompts.max(text.messages - before);
                }
                "messages" | "input" | "system" | "instructions" | "contents" => {
                    map.next_value_seed(TextLength::content(&mut text))?;
                }
                "tools" | "functions" | "response_format" => {
                    map.next_value_seed(TextLength::all(&mut text))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        prompt.text_bytes = text.bytes;
        prompt.images = text.images;
        prompt.file_bytes = text.file_bytes;
        prompt.messages = text.messages;
        prompt.choices = choices.saturating_mul(prompts);
        prompt.max_output = prompt
            .max_output
            .map(|most| most.saturating_mul(prompt.choices));
        Ok(prompt)
    }
}

/// The name of a member, borrowed where it has no escapes.
pub(crate) struct Name<'a>(pub(crate) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(deserializer)?;
        Ok(Self(scalar.text.unwrap_or_default()))
    }
}

/// A value of which only a string, a number or `true` matters; anything else is none of them.
#[derive(Default)]
struct Scalar<'a> {
    text: Option<Cow<'a, str>>,
    number: Option<u32>,
    is_true: bool,
}

impl Scalar<'_> {
    /// A number, also one that is written as a text, which some servers accept.
    fn count(&self) -> Option<u32> {
        let text = self.text.as_deref();
        self.number
            .or_else(|| text.and_then(|text| text.parse().ok()))
    }
}

impl<'de> serde::Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar {
            text: Some(Cow::Borrowed(text)),
            ..Scalar::default()
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar {
            text: Some(Cow::Owned(text.to_owned())),
            ..Scalar::default()
        })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar {
            number: Some(u32::try_from(number).unwrap_or(u32::MAX)),
            ..Scalar::default()
        })
    }

    // A maximum below zero, or with a fraction, is none: the provider rejects it.
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Scalar::default())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        let is_whole = number >= 0.0 && number.fract() == 0.0;
        Ok(Scalar {
            number: is_whole.then_some(number as u32),
            ..Scalar::default()
        })
    }

    fn visit_bool<E>(self, is_true: bool) -> Result<Self::Value, E> {
        Ok(Scalar {
            is_true,
            ..Scalar::default()
        })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }
}

/// Finds `include_usage`.
struct IncludeUsage;

impl<'de> DeserializeSeed<'de> for IncludeUsage {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IncludeUsage {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value::<Scalar<'de>>()?;
            found |= name == "include_usage" && value.is_true;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(body: &Value) -> Prompt<'static> {
        let body: &'static [u8] = Box::leak(body.to_string().into_bytes().into_boxed_slice());
        Prompt::read(body).unwrap()
    }

    #[test]
    fn every_dialect_is_read() {
        let chat = read(&json!({
            "model": "gpt-x", "n": 3, "max_completion_tokens": 50, "max_tokens": 70, "stream": true,
            "stream_options": {"include_usage": true}, "metadata": {"text": "not read"},
            "messages": [
                {"role": "system", "content": "12345"},
                {"role": "user", "content": [
                    {"type": "text", "text": "67"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }));
        assert_eq!(chat.model.as_deref(), Some("gpt-x"));
        assert_eq!(
            (chat.max_output, chat.choices, chat.messages),
            (Some(210), 3, 2)
        );
        assert!(chat.is_stream && chat.include_usage);
        // 5 + 2, and names and strings of the tools.
        let tools = "type".len() + "function".len() * 2 + "name".len() + "f".len();
        assert_eq!((chat.text_bytes, chat.images), (7 + tools as u64, 1));

        let responses =
            read(&json!({"input": "abc", "instructions": "de", "max_output_tokens": 9}));
        assert_eq!((responses.text_bytes, responses.max_output), (5, Some(9)));
        let messages = read(&json!({
            "system": [{"type": "text", "text": "ab"}], "messages": [{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "tool_result", "tool_use_id": "x", "content": "cd"},
            ]}],
        }));
        assert_eq!((messages.text_bytes, messages.images), (4, 1));
        let tokens = read(&json!({"prompt": [1, 2, 3], "stream": false, "stream_options": null}));
        assert_eq!((tokens.text_bytes, tokens.is_stream), (12, false));
    }

    #[test]
    fn hostile_settings_are_no_maximum_or_the_largest() {
        for (max_tokens, expected) in [
            (json!(-1), None),
            (json!(1.5), None),
            (json!("many"), None),
            (json!("50"), Some(50)),
            (json!(50.0), Some(50)),
            (json!(1e300), Some(u32::MAX)),
            (json!(null), None),
            (json!([1, {"a": 2}]), None),
            (json!(u64::MAX), Some(u32::MAX)),
            (json!(0), Some(0)),
        ] {
            let body = json!({"max_tokens": max_tokens, "n": 2, "model": 7});
            let prompt = read(&body);
            let expected = expected.map(|most: u32| most.saturating_mul(2));
            assert_eq!(
                (prompt.max_output, prompt.model),
                (expected, None),
                "{body}"
            );
        }
        let deep = format!(
            "{{\"messages\":{}{}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(Prompt::read(deep.as_bytes()), None);
        // The object is a level, too.
        for (lists, is_read) in [(126, true), (127, false)] {
            let (open, close) = ("[".repeat(lists), "]".repeat(lists));
            let text = format!("{{\"model\":\"m\",\"messages\":{open}{close}}}");
            let prompt = Prompt::read(text.as_bytes());
            assert_eq!(prompt.is_some(), is_read, "{lists}");
            // What is not looked at may be as deep as it likes.
            let text = text.replace("messages", "metadata");
            assert!(Prompt::read(text.as_bytes()).is_some());
        }
        for text in ["", "[]", "null", "{\"model\":", "{\"model\": \"\\uD800\"}"] {
            assert_eq!(Prompt::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_greatest_of_all_that_may_count_bounds_the_output() {
        for (body, most) in [
            (r#"{"max_tokens":1,"max_completion_tokens":4000}"#, 4_000),
            (r#"{"max_tokens":4000,"max_output_tokens":1}"#, 4_000),
            (r#"{"max_tokens":1,"max_tokens":4000}"#, 4_000),
            (r#"{"max_tokens":4000,"max_tokens":1}"#, 4_000),
            (r#"{"max_tokens":4000,"max_tokens":null}"#, 4_000),
            (
                r#"{"best_of":8,"n":2,"max_tokens":500,"prompt":"x"}"#,
                4_000,
            ),
            (r#"{"n":8,"n":1,"max_tokens":500}"#, 4_000),
            (
                r#"{"n":2,"max_tokens":500,"prompt":["a","b",[1,2],"c"]}"#,
                4_000,
            ),
            (r#"{"n":8,"max_tokens":500,"prompt":[1,2,3]}"#, 4_000),
        ] {
            let prompt = Prompt::read(body.as_bytes()).unwrap();
            assert_eq!(prompt.max_output, Some(most), "{body}");
        }
        let prompt = read(&json!({"n": 3}));
        assert_eq!((prompt.max_output, prompt.choices), (None, 3));
    }

    #[test]
    fn files_count_by_their_length_and_images_do_not() {
        let data = "QUJD".repeat(25_000);
        let part = |part: Value| {
            let prompt = read(&json!({"messages": [{"role": "user", "content": [part]}]}));
            (prompt.file_bytes, prompt.images, prompt.text_bytes)
        };
        let base64 = |media| json!({"type": "base64", "media_type": media, "data": data});
        let pdf = base64("application/pdf");
        assert_eq!(
            part(json!({"type": "document", "source": pdf})),
            (100_000, 0, 0)
        );
        assert_eq!(
            part(json!({"source": pdf, "type": "document"})),
            (100_000, 0, 0)
        );
        let file = json!({"type": "file", "file": {"file_data": data}});
        assert_eq!(part(file), (100_000, 0, 0));
        let by_url = json!({"type": "input_file", "file_url": "https://x/y.pdf"});
        assert_eq!(part(by_url), (20_000, 0, 0));
        let text = json!({"type": "document", "source": {"type": "text", "data": data}});
        assert_eq!(part(text), (100_000, 0, 0));
        let audio = json!({"type": "input_audio", "input_audio": {"data": data.repeat(10)}});
        assert_eq!(part(audio), (100_000, 0, 0));
        let image = base64("image/png");
        assert_eq!(part(json!({"type": "image", "source": image})), (0, 1, 0));
        let url = format!("data:image/png;base64,{data}");
        assert_eq!(
            part(json!({"type": "input_image", "image_url": url})),
            (0, 1, 0)
        );
        let gemini = json!({"inline_data": {"mime_type": "image/png", "data": data}});
        assert_eq!(part(gemini), (0, 1, 0));
    }

    /// The slow, obvious way: a tree.
    fn content(value: &Value) -> u64 {
        match value {
            Value::String(text) => text.len() as u64,
            Value::Number(number) if number.is_u64() => 4,
            Value::Array(items) => items.iter().map(content).sum(),
            Value::Object(fields) => {
                let read = fields
                    .iter()
                    .filter(|(name, _)| *name != "type" && *name != "url");
                // Numbers and strings of a member that no model reads count for nothing; these
                // fields have none of its other names.
                read.map(|(_, value)| content(value)).sum()
            }
            _ => 0,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\\u{e9}]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            let name = prop_oneof![
                Just("text".to_owned()),
                "[a-z]{3}_a_name_that_is_long",
                Just("x\"y".to_owned())
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_is_as_long_as_in_a_tree(messages in value()) {
            let body = json!({"messages": messages});
            prop_assert_eq!(read(&body).text_bytes, content(&messages));
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Prompt::read(&body);
        }
    }
}
