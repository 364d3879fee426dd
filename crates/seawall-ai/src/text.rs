//! How much text a JSON value has, without building a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) bytes: u64,
    pub(crate) images: u32,
}

/// What a number counts as: a token, in a prompt of tokens.
const NUMBER_BYTES: u64 = 4;

#[derive(Clone, Copy, PartialEq)]
enum Counted {
    /// Strings, except for those that no model reads.
    Content,
    /// Names and strings: a schema.
    All,
    /// The strings of a part of a response that a model has written, and nothing beside.
    Written,
}

/// Adds the length of the text of a value.
pub(crate) struct TextLength<'a> {
    text: &'a mut Text,
    counted: Counted,
    /// Whether strings here are text.
    is_text: bool,
}

impl<'a> TextLength<'a> {
    pub(crate) const fn content(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::Content,
            is_text: true,
        }
    }

    pub(crate) const fn all(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::All,
            is_text: true,
        }
    }

    pub(crate) const fn written(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::Written,
            is_text: false,
        }
    }

    const fn inner(&mut self, is_text: bool) -> TextLength<'_> {
        TextLength {
            text: self.text,
            counted: self.counted,
            is_text,
        }
    }

    fn is_text_of(&self, name: &str) -> bool {
        match self.counted {
            Counted::All => true,
            Counted::Content => !matches!(
                name,
                "type"
                    | "role"
                    | "id"
                    | "data"
                    | "url"
                    | "image_url"
                    | "file_data"
                    | "media_type"
                    | "detail"
                    | "tool_call_id"
                    | "tool_use_id"
                    | "signature"
            ),
            Counted::Written => matches!(
                name,
                "content"
                    | "text"
                    | "delta"
                    | "partial_json"
                    | "thinking"
                    | "arguments"
                    | "reasoning_content"
                    | "refusal"
            ),
        }
    }
}

impl<'de> DeserializeSeed<'de> for TextLength<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextLength<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.is_text {
            self.text.bytes = self.text.bytes.saturating_add(text.len() as u64);
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        if self.counted == Counted::Content && self.is_text {
            self.text.bytes = self.text.bytes.saturating_add(NUMBER_BYTES);
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let is_text = self.is_text;
        while seq.next_element_seed(self.inner(is_text))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let is_text = self.is_text_of(name.as_str());
            if self.counted == Counted::All {
                self.text.bytes = self.text.bytes.saturating_add(name.len as u64);
            }
            if self.counted == Counted::Content && name.as_str() == "type" {
                let is_image = map.next_value_seed(IsImage)?;
                self.text.images = self.text.images.saturating_add(is_image.into());
            } else {
                map.next_value_seed(self.inner(is_text))?;
            }
        }
        Ok(())
    }
}

/// The beginning of a name: as much as the longest that matters has.
struct ShortName {
    bytes: [u8; 20],
    len: usize,
}

impl ShortName {
    /// Empty when it is too long to matter.
    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = ShortName;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ShortName, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = ShortName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<ShortName, E> {
        let mut bytes = [0; 20];
        if let Some(start) = bytes.get_mut(..name.len()) {
            start.copy_from_slice(name.as_bytes());
        }
        let len = name.len();
        Ok(ShortName { bytes, len })
    }
}

/// Whether a `type` is one of an image: `image`, `image_url`, `input_image`.
struct IsImage;

impl<'de> DeserializeSeed<'de> for IsImage {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IsImage {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, kind: &str) -> Result<bool, E> {
        Ok(matches!(kind, "image" | "image_url" | "input_image"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}
