//! Client order ids: what a broker accepts, and new ones that are never alike.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use seawall_core::InvalidConfig;

use crate::broker::InvalidOrder;

/// The digits of ids: brokers may compare ids without regard to case.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// 2020-01-01: 32 bits of seconds from then last until 2156.
const EPOCH: Duration = Duration::from_secs(1_577_836_800);
const COUNTER_BITS: u32 = 16;
const TIME_BITS: u32 = 32;
/// The fewest digits behind a prefix: 14 bits are left for chance.
const FEWEST_DIGITS: usize = 12;
/// 124 bits.
const MOST_DIGITS: usize = 24;

/// Which client order ids a broker accepts.
///
/// ```
/// use seawall_orders::ids::IdRules;
///
/// let kite = IdRules::text(20)?;
/// assert!(kite.check("desk1x0042").is_ok());
/// assert!(kite.check("desk-1").is_err());
///
/// let kraken = IdRules::text(18)?.with_characters("-_.").or_uuid();
/// assert!(kraken.check("6d1b345e-2821-40e2-ad83-4ecb18a06876").is_ok());
/// let rejected = kraken.check("an id of too many characters").unwrap_err();
/// assert_eq!(
///     rejected.accepted(),
///     "1 to 18 letters, digits and characters of `-_.`, or a UUID",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRules {
    /// `None`: UUIDs alone.
    text: Option<usize>,
    characters: Cow<'static, str>,
    uuid: bool,
}

impl IdRules {
    /// One to `longest` letters and digits of ASCII.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for 0.
    pub fn text(longest: usize) -> Result<Self, InvalidConfig> {
        if longest == 0 {
            return Err(InvalidConfig::new("max_length", 0, "a whole number from 1"));
        }
        Ok(Self {
            text: Some(longest),
            characters: Cow::Borrowed(""),
            uuid: false,
        })
    }

    /// UUIDs alone, with hyphens or without.
    pub const fn uuid() -> Self {
        Self {
            text: None,
            characters: Cow::Borrowed(""),
            uuid: true,
        }
    }

    /// The same with these characters beside letters and digits.
    #[must_use]
    pub fn with_characters(self, characters: impl Into<Cow<'static, str>>) -> Self {
        let characters = characters.into();
        Self { characters, ..self }
    }

    /// The same, and UUIDs however long a text may be.
    #[must_use]
    pub fn or_uuid(self) -> Self {
        Self { uuid: true, ..self }
    }

    /// Checks an id.
    ///
    /// # Errors
    ///
    /// [`InvalidOrder`], with what is accepted.
    pub fn check(&self, id: &str) -> Result<(), InvalidOrder> {
        if self.fits(id) || (self.uuid && is_uuid(id)) {
            return Ok(());
        }
        let value: String = id.chars().take(64).collect();
        Err(InvalidOrder::new("client order id", value, self.accepted()))
    }

    fn fits(&self, id: &str) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || self.characters.contains(c);
        let longest = self.text.unwrap_or(0);
        (1..=longest).contains(&id.len()) && id.chars().all(allowed)
    }

    fn accepted(&self) -> String {
        let Some(longest) = self.text else {
            return "a UUID".to_owned();
        };
        let characters = &self.characters;
        let and = match characters.is_empty() {
            true => String::new(),
            false => format!(" and characters of `{characters}`"),
        };
        let comma = if and.is_empty() { " and" } else { "," };
        let uuid = if self.uuid { ", or a UUID" } else { "" };
        format!("1 to {longest} letters{comma} digits{and}{uuid}")
    }
}

fn is_uuid(id: &str) -> bool {
    let bytes = id.as_bytes();
    let hyphens = [8, 13, 18, 23];
    match bytes.len() {
        32 => bytes.iter().all(u8::is_ascii_hexdigit),
        36 => bytes.iter().enumerate().all(|(at, byte)| {
            if hyphens.contains(&at) {
                *byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        }),
        _ => false,
    }
}

/// Makes client order ids: no two are alike, whatever process makes them.
///
/// A text is a prefix and up to 24 digits to the base 36: the second at which counting began, a
/// random number, and a count of 16 bits. The count begins again with another second and another
/// random number. Two processes that begin in the same second differ in the random number; in their
/// prefix too, if each has one. UUIDs are random (version 4), or the time and a random number
/// (version 7).
///
/// ```
/// use seawall_orders::ids::{IdRules, OrderIds};
///
/// let ids = OrderIds::text(IdRules::text(36)?.with_characters("-"), "desk1-")?;
/// let id = ids.next_id();
/// assert!(id.starts_with("desk1-"));
/// assert_eq!(id.len(), 30);
/// assert!(ids.rules().check(&id).is_ok());
///
/// let rejected = OrderIds::text(IdRules::text(20)?, "desk-one-").unwrap_err();
/// assert_eq!(rejected.to_string(), "`prefix` is desk-one-, accepted is up to 8 letters and digits");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Debug)]
pub struct OrderIds {
    rules: IdRules,
    form: Form,
    random: RandomState,
    drawn: AtomicU64,
}

#[derive(Debug)]
enum Form {
    Text {
        prefix: Box<str>,
        digits: usize,
        series: Mutex<Option<Series>>,
    },
    Uuid(UuidVersion),
}

#[derive(Clone, Copy, Debug)]
enum UuidVersion {
    Four,
    Seven,
}

/// Ids of the same second and random number.
#[derive(Clone, Copy, Debug)]
struct Series {
    second: u32,
    random: u128,
    count: u128,
}

impl OrderIds {
    /// Texts by these rules, with this prefix; `""` for none.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `prefix` where it has a character that the rules forbid, or leaves fewer
    /// than 12 of the characters that they allow; of `max_length` where they allow fewer than that,
    /// or UUIDs alone.
    pub fn text(rules: IdRules, prefix: &str) -> Result<Self, InvalidConfig> {
        let longest = rules.text.unwrap_or(0);
        let Some(room) = longest.checked_sub(FEWEST_DIGITS) else {
            let accepted = format!("from {FEWEST_DIGITS}, or UUIDs");
            return Err(InvalidConfig::new("max_length", longest, accepted));
        };
        if prefix.len() > room || !(prefix.is_empty() || rules.fits(prefix)) {
            let longest = IdRules {
                uuid: false,
                text: Some(room),
                ..rules
            };
            let accepted = longest.accepted().replacen("1 to", "up to", 1);
            return Err(InvalidConfig::new("prefix", prefix, accepted));
        }
        let form = Form::Text {
            prefix: prefix.into(),
            digits: (longest - prefix.len()).min(MOST_DIGITS),
            series: Mutex::new(None),
        };
        Ok(Self::of(rules, form))
    }

    /// Random UUIDs: version 4 of RFC 9562.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `ids` where the rules do not allow UUIDs.
    pub fn uuid_v4(rules: IdRules) -> Result<Self, InvalidConfig> {
        Self::uuids(rules, UuidVersion::Four)
    }

    /// UUIDs that begin with the time: version 7 of RFC 9562.
    ///
    /// # Errors
    ///
    /// As [`uuid_v4`](Self::uuid_v4).
    pub fn uuid_v7(rules: IdRules) -> Result<Self, InvalidConfig> {
        Self::uuids(rules, UuidVersion::Seven)
    }

    fn uuids(rules: IdRules, version: UuidVersion) -> Result<Self, InvalidConfig> {
        let example = "00000000-0000-4000-8000-000000000000";
        if rules.check(example).is_err() {
            let accepted = rules.accepted();
            return Err(InvalidConfig::new("ids", "UUIDs", accepted));
        }
        Ok(Self::of(rules, Form::Uuid(version)))
    }

    fn of(rules: IdRules, form: Form) -> Self {
        Self {
            rules,
            form,
            random: RandomState::new(),
            drawn: AtomicU64::new(0),
        }
    }

    /// The rules that every id fits.
    pub const fn rules(&self) -> &IdRules {
        &self.rules
    }

    /// The same rules with texts of this prefix, also where ids were UUIDs.
    ///
    /// # Errors
    ///
    /// As [`text`](Self::text); [`InvalidConfig`] of `prefix` where the rules allow UUIDs alone.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, InvalidConfig> {
        if self.rules.text.is_none() {
            let accepted = "none where the broker accepts UUIDs alone";
            return Err(InvalidConfig::new("prefix", prefix, accepted));
        }
        Self::text(self.rules, prefix)
    }

    /// A new id.
    #[must_use]
    pub fn next_id(&self) -> String {
        match &self.form {
            Form::Text {
                prefix,
                digits,
                series,
            } => {
                let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
                let next = self.following(*series, since_epoch(), *digits);
                *series = Some(next);
                drop(series);
                text(prefix, *digits, next.number(*digits))
            }
            Form::Uuid(version) => uuid(*version, self.draw(), since_epoch()),
        }
    }

    fn following(&self, last: Option<Series>, now: Duration, digits: usize) -> Series {
        let second = now.saturating_sub(EPOCH).as_secs() as u32;
        match last {
            Some(last) if last.count + 1 < 1 << COUNTER_BITS => Series {
                count: last.count + 1,
                ..last
            },
            // Later than the last series, however the wall clock was set.
            last => Series {
                second: last.map_or(second, |last| second.max(last.second.saturating_add(1))),
                random: self.draw() & ((1 << random_bits(digits)) - 1),
                count: 0,
            },
        }
    }

    /// 128 bits: a keyed hash of a count, with a key from the operating system.
    fn draw(&self) -> u128 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let half = |side: u8| u128::from(self.random.hash_one((drawn, side)));
        half(0) << 64 | half(1)
    }
}

impl Series {
    fn number(self, digits: usize) -> u128 {
        let random_bits = random_bits(digits);
        u128::from(self.second) << (random_bits + COUNTER_BITS)
            | self.random << COUNTER_BITS
            | self.count
    }
}

/// The bits that so many digits hold, without those of time and count. A digit to the base 36 holds
/// 5.1699 bits.
const fn random_bits(digits: usize) -> u32 {
    (digits * 51_699 / 10_000) as u32 - TIME_BITS - COUNTER_BITS
}

fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(EPOCH)
}

fn text(prefix: &str, digits: usize, mut number: u128) -> String {
    let mut tail = [b'0'; MOST_DIGITS];
    for digit in tail.iter_mut().take(digits).rev() {
        *digit = DIGITS.get((number % 36) as usize).copied().unwrap_or(b'0');
        number /= 36;
    }
    let mut id = String::with_capacity(prefix.len() + digits);
    id.push_str(prefix);
    id.extend(tail.iter().take(digits).map(|byte| char::from(*byte)));
    id
}

fn uuid(version: UuidVersion, random: u128, now: Duration) -> String {
    let (number, version) = match version {
        UuidVersion::Four => (random, 4),
        UuidVersion::Seven => (now.as_millis() << 80 | (random & ((1 << 80) - 1)), 7),
    };
    let number = number & !(0xf << 76) | version << 76;
    let number = number & !(0b11 << 62) | 0b10 << 62;
    let part = |shift: u32, digits: u32| number >> shift & ((1 << (4 * digits)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}

#[cfg(test)]
mod tests;
