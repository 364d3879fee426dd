//! A degradation as the value of a header, by RFC 9651.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::Duration;

use super::Degradation;
use crate::InstanceName;

/// The longest header that is read, in bytes: three times the longest name, which may be escaped, and more
/// than the longest word.
const LONGEST: usize = 512;
/// The largest age that is read, in seconds: integers of structured fields have 15 digits.
const OLDEST: u64 = 999_999_999_999_999;

impl fmt::Display for Degradation {
    /// The value of the header: `reason;age=12;source=name`. The age is in whole seconds, rounded down, as
    /// that of the header `Age` is; it is left out where there is none. A name that is no token is a display
    /// string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)?;
        if let Some(age) = self.age {
            write!(f, ";age={}", age.as_secs().min(OLDEST))?;
        }
        let source = self.source.as_str();
        if is_token(source) {
            return write!(f, ";source={source}");
        }
        f.write_str(";source=%\"")?;
        for byte in source.bytes() {
            match byte {
                b'%' | b'"' => write!(f, "%{byte:02x}")?,
                0x20..=0x7e => f.write_char(char::from(byte))?,
                _ => write!(f, "%{byte:02x}")?,
            }
        }
        f.write_char('"')
    }
}

/// Whether `text` is a token of a structured field.
fn is_token(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*');
    begins && text.bytes().all(is_token_byte)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-'..=b'/' | b':' | b'^'..=b'`' | b'|' | b'~')
}

/// What a client reads of the header of a degraded answer.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::ParsedDegradation;
///
/// let header = "circuit_open;age=12;source=last_good";
/// let degraded = ParsedDegradation::parse(header).unwrap();
/// assert_eq!((degraded.reason, &*degraded.source), ("circuit_open", "last_good"));
/// assert_eq!(degraded.age, Some(Duration::from_secs(12)));
/// assert_eq!(ParsedDegradation::parse("12;age=old"), None);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedDegradation<'a> {
    /// The reason: a word of [`Degradation::reason`], or one that this version does not know.
    pub reason: &'a str,
    /// Where the answer comes from; empty where it is not there.
    pub source: Cow<'a, str>,
    /// How old its data was, in whole seconds; `None` where it was made for the call.
    pub age: Option<Duration>,
}

impl<'a> ParsedDegradation<'a> {
    /// Reads the value of a header, of at most 512 bytes; `None` where it is malformed. Parameters that it
    /// does not know are passed over; of one that comes twice the last counts.
    pub fn parse(value: &'a str) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let (reason, mut rest) = token(value.trim_matches(' '))?;
        let mut parsed = Self {
            reason,
            source: Cow::Borrowed(""),
            age: None,
        };
        while !rest.is_empty() {
            let parameter = rest.strip_prefix(';')?.trim_start_matches(' ');
            let (name, after) = key(parameter)?;
            let (value, after) = match after.strip_prefix('=') {
                Some(value) => bare_item(value)?,
                None => (Item::Other, after),
            };
            match (name, value) {
                ("age", Item::Integer(age)) => parsed.age = Some(Duration::from_secs(age)),
                ("source", Item::Text(source)) => parsed.source = source,
                ("age" | "source", _) => return None,
                _ => {}
            }
            rest = after;
        }
        Some(parsed)
    }

    /// What this program says of it: a reason that it does not know is `other`, and a source whose name it
    /// does not know is `upstream`, so that nothing from outside is kept for good.
    pub fn known(&self) -> Degradation {
        let source = InstanceName::known(&self.source);
        Degradation {
            reason: Degradation::known_reason(self.reason),
            source: source.unwrap_or_else(|| InstanceName::new("upstream")),
            age: self.age,
        }
    }
}

/// A value of a parameter.
enum Item<'a> {
    Integer(u64),
    Text(Cow<'a, str>),
    Other,
}

/// Splits off what `is_part` accepts; `None` where that is nothing.
fn split(text: &str, is_part: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is_part(byte));
    let (part, rest) = text.split_at(end.unwrap_or(text.len()));
    (!part.is_empty()).then_some((part, rest))
}

fn token(text: &str) -> Option<(&str, &str)> {
    split(text, is_token_byte).filter(|(token, _)| is_token(token))
}

fn key(text: &str) -> Option<(&str, &str)> {
    let is_key =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
    split(text, is_key)
}

fn bare_item(text: &str) -> Option<(Item<'_>, &str)> {
    match text.as_bytes() {
        [b'%', b'"', ..] => display_string(&text[2..]),
        [b'"', ..] => string(&text[1..]),
        [b'0'..=b'9', ..] => {
            let (digits, rest) = split(text, |byte| byte.is_ascii_digit() || byte == b'.')?;
            let number = digits.parse().ok().filter(|age| *age <= OLDEST);
            Some((number.map_or(Item::Other, Item::Integer), rest))
        }
        [b'?' | b'-' | b'@' | b':', ..] => {
            let (_, rest) = split(text, |byte| byte != b';')?;
            Some((Item::Other, rest))
        }
        _ => token(text).map(|(token, rest)| (Item::Text(Cow::Borrowed(token)), rest)),
    }
}

/// What follows the first quotation mark of a string.
fn string(text: &str) -> Option<(Item<'_>, &str)> {
    let mut unescaped = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Item::Text(Cow::Owned(unescaped)), &text[at + 1..])),
            '\\' => {
                let (_, escaped) = characters.next()?;
                unescaped.push(matches!(escaped, '"' | '\\').then_some(escaped)?);
            }
            ' '..='~' => unescaped.push(character),
            _ => return None,
        }
    }
    None
}

/// What follows `%"` of a display string.
fn display_string(text: &str) -> Option<(Item<'_>, &str)> {
    let (encoded, rest) = text.split_once('"')?;
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| match byte {
                    b'0'..=b'9' => Some(byte - b'0'),
                    b'a'..=b'f' => Some(byte - b'a' + 10),
                    _ => None,
                };
                decoded.push(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?);
            }
            b' '..=b'~' => decoded.push(byte),
            _ => return None,
        }
    }
    let decoded = String::from_utf8(decoded).ok()?;
    Some((Item::Text(Cow::Owned(decoded)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Reason, Rejection};
    use proptest::prelude::*;

    #[test]
    fn other_forms_of_the_same_are_read() {
        let parsed = |value| ParsedDegradation::parse(value).map(|p| (p.reason, p.source, p.age));
        let age = Some(Duration::from_secs(7));
        let same = Some(("timeout", "a \"b\"".into(), age));
        assert_eq!(parsed(r#"timeout;age=7;source="a \"b\"""#), same);
        assert_eq!(
            parsed(r#" timeout; source=%"a %22b%22"; new; age=1;age=7;x=?1;y=-2.5 "#),
            same
        );
        for malformed in [
            "",
            ";age=1",
            "timeout;",
            "timeout;age=-1",
            "timeout;age=1.5",
            "timeout;age",
            "timeout;source=5",
            "timeout;source=\"a",
            "timeout;source=%\"%zz\"",
            "timeout;source=%\"%ff\"",
            "timeout,other",
            "timeout;age=9999999999999999",
            "timeout;AGE=1",
            "time out",
        ] {
            assert_eq!(parsed(malformed), None, "{malformed}");
        }
        let long = format!("timeout;source={}", "x".repeat(LONGEST));
        assert_eq!(parsed(&long), None);
    }

    #[test]
    fn what_the_program_does_not_know_is_not_kept() {
        let parsed = ParsedDegradation::parse("solar_flare;source=nobodys_name_at_all").unwrap();
        let known = parsed.known();
        assert_eq!((known.reason, known.source.as_str()), ("other", "upstream"));
        assert_eq!(InstanceName::known("nobodys_name_at_all"), None);
        for word in ["degraded", "overloaded", "circuit_open"] {
            assert_eq!(Degradation::known_reason(word), word);
        }
    }

    #[test]
    fn a_rejection_says_more_than_its_outcome() {
        let rejection = Rejection::new(Reason::AttemptTimeout, "x");
        let of = Degradation::reason_of;
        assert_eq!(of(Outcome::Unknown, Some(&rejection)), "attempt_timeout");
        assert_eq!(of(Outcome::Unknown, None), "unknown");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            source in ".{0,90}|[a-z_]{1,20}|[\"%\\\\;= é]{1,20}",
            reason in 0..Reason::ALL.len(),
            age in prop::option::of(0..=OLDEST),
        ) {
            let mut written = Degradation::new(Reason::ALL[reason].as_str(), &*source);
            written.age = age.map(Duration::from_secs);
            let value = written.to_string();
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read = ParsedDegradation::parse(&value).expect(&value);
            prop_assert_eq!(&*read.source, written.source.as_str());
            prop_assert_eq!(read.known(), written);
        }

        #[test]
        fn no_text_makes_it_panic(value in ".{0,80}|[a-z;=\"%0-9 \\\\]{0,40}") {
            let _ = ParsedDegradation::parse(&value);
        }
    }
}
