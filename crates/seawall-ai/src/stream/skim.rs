//! What has to be known of the JSON of an event, read without keeping any of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The members of an event that say what it is, of all dialects.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Skim<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) event_type: Cow<'a, str>,
    #[serde(default)]
    pub(super) object: IsChunk,
    #[serde(default)]
    pub(super) error: Presence,
    #[serde(default)]
    pub(super) choices: Option<Choices>,
    #[serde(default)]
    pub(super) delta: Presence,
    #[serde(default)]
    pub(super) content_block: Presence,
}

impl<'a> Skim<'a> {
    /// Reads an event; `None` where it is no JSON. One of another shape says nothing.
    pub(super) fn read(data: &'a str) -> Option<Self> {
        match serde_json::from_str(data) {
            Ok(skim) => Some(skim),
            Err(error) if error.is_data() => {
                let is_json = serde_json::from_str::<IgnoredAny>(data).is_ok();
                is_json.then(Self::default)
            }
            Err(_) => None,
        }
    }
}

/// Whether `object` is that of a chunk of a chat, or of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IsChunk(pub(super) bool);

impl<'de> Deserialize<'de> for IsChunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = IsChunk;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_unit<E>(self) -> Result<IsChunk, E> {
                Ok(IsChunk(false))
            }

            fn visit_str<E>(self, name: &str) -> Result<IsChunk, E> {
                let is_chunk = matches!(name, "chat.completion.chunk" | "text_completion");
                Ok(IsChunk(is_chunk))
            }
        }

        deserializer.deserialize_any(Name)
    }
}

/// Whether an event of no dialect has anything in it but members that say what it is, from whom and
/// when, as every dialect has them.
pub(super) fn has_payload(data: &str) -> bool {
    serde_json::from_str(data).is_ok_and(|Payload(found)| found.is_full())
}

struct Payload(Presence);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Payload, A::Error> {
                let mut found = Presence::Empty;
                while let Some(name) = all.next_key::<Cow<'_, str>>()? {
                    let inner = all.next_value()?;
                    let says_what = matches!(
                        &*name,
                        "type"
                            | "role"
                            | "id"
                            | "object"
                            | "model"
                            | "created"
                            | "created_at"
                            | "provider"
                            | "service_tier"
                            | "system_fingerprint"
                            | "usage"
                            | "choices"
                    );
                    if !says_what {
                        found = found.with(inner);
                    }
                }
                Ok(Payload(found))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Whether there is anything in a value, however deep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    /// The member is missing, or `null`.
    #[default]
    Absent,
    /// Nothing but empty texts, numbers, and members that say what kind of value it is.
    Empty,
    /// A text that is not empty.
    Full,
}

impl Presence {
    pub(super) fn is_full(self) -> bool {
        self == Self::Full
    }

    /// What a list or an object is that has this in it, too.
    const fn with(self, inner: Self) -> Self {
        match inner {
            Self::Full => Self::Full,
            _ => self,
        }
    }
}

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Presence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Presence, E> {
                Ok(Presence::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Presence, E> {
                Ok(Presence::Empty)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Presence, E> {
                Ok(Presence::Empty)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Presence, E> {
                Ok(Presence::Empty)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Presence, E> {
                Ok(Presence::Empty)
            }

            fn visit_str<E>(self, text: &str) -> Result<Presence, E> {
                Ok(if text.is_empty() {
                    Presence::Empty
                } else {
                    Presence::Full
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Presence, A::Error> {
                let mut found = Presence::Empty;
                while let Some(inner) = all.next_element()? {
                    found = found.with(inner);
                }
                Ok(found)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Presence, A::Error> {
                let mut found = Presence::Empty;
                while let Some(Member { says_kind }) = all.next_key()? {
                    let inner = all.next_value()?;
                    if !says_kind {
                        found = found.with(inner);
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The name of a member: whether its value says of what kind or from whom something is, as `type` and
/// `role` do, and nothing itself.
struct Member {
    says_kind: bool,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                let says_kind = matches!(name, "type" | "role");
                Ok(Member { says_kind })
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// The choices of a chunk of a chat completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choices {
    /// Whether one of them has content.
    pub(super) has_content: bool,
    /// Those that are there, a bit each. More than 64 count as one.
    pub(super) seen: u64,
    /// Those that have a reason to finish.
    pub(super) finished: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: u32,
    delta: Presence,
    /// Of a completion that is no chat.
    text: Presence,
    finish_reason: Presence,
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Choices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Choices, A::Error> {
                let mut choices = Choices::default();
                while let Some(choice) = all.next_element::<Choice>()? {
                    let bit = 1 << choice.index.min(63);
                    choices.seen |= bit;
                    if choice.finish_reason.is_full() {
                        choices.finished |= bit;
                    }
                    choices.has_content |= choice.delta.is_full() || choice.text.is_full();
                }
                Ok(choices)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(json: &str) -> Presence {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn text_is_content_however_deep_and_kinds_and_numbers_are_none() {
        for full in [
            r#""x""#,
            r#"{"content":"x"}"#,
            r#"{"reasoning_content":"so"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
            r#"{"type":"input_json_delta","partial_json":"{\"a"}"#,
            r#"{"refusal":"no"}"#,
        ] {
            assert_eq!(presence(full), Presence::Full, "{full}");
        }
        for empty in [
            r#""""#,
            "0",
            "true",
            "[]",
            "{}",
            r#"{"role":"assistant","content":""}"#,
            r#"{"role":"assistant","content":null,"refusal":null}"#,
            r#"{"type":"text","text":""}"#,
            r#"{"tool_calls":[{"index":0,"type":"function","function":{"arguments":""}}]}"#,
        ] {
            assert_eq!(presence(empty), Presence::Empty, "{empty}");
        }
        assert_eq!(presence("null"), Presence::Absent);
    }

    #[test]
    fn another_shape_says_nothing_and_half_of_one_is_no_json() {
        for other in [
            "1",
            "[]",
            r#""x""#,
            r#"{"type":null}"#,
            r#"{"choices":"x"}"#,
            r#"{"choices":[{"index":"x"}]}"#,
            r#"{"type":"a","type":"b"}"#,
        ] {
            let skim = Skim::read(other).expect(other);
            assert!(skim.event_type.is_empty() && skim.choices.is_none());
        }
        for broken in [
            "",
            "{",
            r#"{"id":"chatcmpl-1","choices":[{"in"#,
            "<html>",
            "{}x",
        ] {
            assert!(Skim::read(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn choices_are_seen_and_finished_each() {
        let json = r#"{"choices":[
            {"index":0,"delta":{},"finish_reason":"stop"},
            {"index":2,"delta":{"content":"x"},"finish_reason":null},
            {"index":99,"text":""}]}"#;
        let choices = Skim::read(json).expect("JSON").choices.expect("choices");
        assert_eq!(choices.seen, 1 | 1 << 2 | 1 << 63);
        assert_eq!((choices.finished, choices.has_content), (1, true));
    }
}
