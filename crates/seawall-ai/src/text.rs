//! How much text a JSON value has, without building a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) bytes: u64,
    pub(crate) images: u32,
    /// What files count as.
    pub(crate) file_bytes: u64,
    /// Elements of lists of messages, or of texts.
    pub(crate) messages: u32,
}

impl Text {
    /// What was counted since `before` was that of one part of this kind.
    fn part(&mut self, kind: PartKind, before: (u32, u64)) {
        let (images, file_bytes) = before;
        let data = self.file_bytes.saturating_sub(file_bytes);
        match kind {
            PartKind::Other => {}
            PartKind::Image => {
                self.images = images.saturating_add(1);
                self.file_bytes = file_bytes;
            }
            PartKind::File => {
                self.file_bytes = file_bytes.saturating_add(data.max(LEAST_FILE_BYTES));
            }
            PartKind::Recording => {
                let data = (data / RECORDED_BYTES).max(LEAST_FILE_BYTES);
                self.file_bytes = file_bytes.saturating_add(data);
            }
        }
    }
}

/// What a file counts as at least, since one may be named and not be in the request.
const LEAST_FILE_BYTES: u64 = 20_000;
/// So many bytes of a recording count as one.
const RECORDED_BYTES: u64 = 10;

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
    /// What strings here are.
    strings: Strings,
    /// Whether this is a list of messages, or one of them.
    place: Place,
}

#[derive(Clone, Copy, PartialEq)]
enum Strings {
    Text,
    /// The data of an image or a file, or where it is.
    Data,
    Nothing,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    List,
    Message,
    Within,
}

impl<'a> TextLength<'a> {
    pub(crate) const fn content(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::Content,
            strings: Strings::Text,
            place: Place::List,
        }
    }

    pub(crate) const fn all(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::All,
            strings: Strings::Text,
            place: Place::Within,
        }
    }

    pub(crate) const fn written(text: &'a mut Text) -> Self {
        Self {
            text,
            counted: Counted::Written,
            strings: Strings::Nothing,
            place: Place::Within,
        }
    }

    const fn inner(&mut self, strings: Strings, place: Place) -> TextLength<'_> {
        TextLength {
            text: self.text,
            counted: self.counted,
            strings,
            place,
        }
    }

    const fn count_message(&mut self) {
        if matches!(self.place, Place::Message) {
            self.text.messages = self.text.messages.saturating_add(1);
        }
    }

    fn strings_of(&self, name: &str) -> Strings {
        let is_text = match self.counted {
            Counted::All => true,
            Counted::Content => match name {
                "data" | "url" | "image_url" | "file_data" | "file_url" => return Strings::Data,
                "type" | "role" | "id" | "detail" | "tool_call_id" | "tool_use_id"
                | "signature" => false,
                _ => true,
            },
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
        };
        if is_text {
            Strings::Text
        } else {
            Strings::Nothing
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

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.count_message();
        let length = text.len() as u64;
        match self.strings {
            Strings::Text => self.text.bytes = self.text.bytes.saturating_add(length),
            Strings::Data => self.text.file_bytes = self.text.file_bytes.saturating_add(length),
            Strings::Nothing => {}
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        if self.counted == Counted::Content && self.strings == Strings::Text {
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
        self.count_message();
        let place = if self.place == Place::List {
            Place::Message
        } else {
            Place::Within
        };
        let strings = self.strings;
        while seq.next_element_seed(self.inner(strings, place))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.count_message();
        let before = (self.text.images, self.text.file_bytes);
        let mut part = PartKind::Other;
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let strings = self.strings_of(name.as_str());
            if self.counted == Counted::All {
                self.text.bytes = self.text.bytes.saturating_add(name.len as u64);
            }
            let says_kind = matches!(
                name.as_str(),
                "type" | "media_type" | "mime_type" | "mimeType"
            );
            if self.counted == Counted::Content && says_kind {
                part = part.max(map.next_value_seed(KindSeed)?);
            } else {
                map.next_value_seed(self.inner(strings, Place::Within))?;
            }
        }
        self.text.part(part, before);
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

/// What a part of a message is, by its `type` or its type of media.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PartKind {
    Other,
    Image,
    Recording,
    File,
}

impl PartKind {
    fn of(kind: &str) -> Self {
        match kind {
            "image" | "image_url" | "input_image" => Self::Image,
            "audio" | "audio_url" | "input_audio" | "video" | "video_url" | "input_video" => {
                Self::Recording
            }
            "document" | "file" | "input_file" => Self::File,
            _ if kind.starts_with("image/") => Self::Image,
            _ if kind.starts_with("audio/") || kind.starts_with("video/") => Self::Recording,
            _ if kind.starts_with("application/") => Self::File,
            _ => Self::Other,
        }
    }
}

struct KindSeed;

impl<'de> DeserializeSeed<'de> for KindSeed {
    type Value = PartKind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PartKind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KindSeed {
    type Value = PartKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, kind: &str) -> Result<PartKind, E> {
        Ok(PartKind::of(kind))
    }

    fn visit_bool<E>(self, _: bool) -> Result<PartKind, E> {
        Ok(PartKind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<PartKind, E> {
        Ok(PartKind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<PartKind, E> {
        Ok(PartKind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<PartKind, E> {
        Ok(PartKind::Other)
    }

    fn visit_unit<E>(self) -> Result<PartKind, E> {
        Ok(PartKind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PartKind, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(PartKind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PartKind, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(PartKind::Other)
    }
}
