//! Values: as they are written, and what they must be.

use std::fmt;
use std::time::Duration;

use seawall_core::Span;
use toml::de::DeValue;

use crate::catalog::{TIME, parse_time};

/// A value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    /// With its value, where that is not negative and fits.
    Whole(String, Option<u64>),
    Number(String, f64),
    Switch(bool),
    List(Vec<Self>),
    Table,
    Date(String),
}

impl Raw {
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(whole) => {
                let parsed = u64::from_str_radix(whole.as_str(), whole.radix()).ok();
                Self::Whole(whole.to_string(), parsed)
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse().unwrap_or(f64::NAN);
                Self::Number(number.to_string(), parsed)
            }
            DeValue::Boolean(on) => Self::Switch(*on),
            DeValue::Datetime(date) => Self::Date(date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter();
                Self::List(items.map(|item| Self::of(item.get_ref())).collect())
            }
            DeValue::Table(_) => Self::Table,
        }
    }

    /// A variable is a TOML value where it can be read as one, and text otherwise.
    pub(super) fn of_variable(text: &str) -> Self {
        let text = text.trim();
        match DeValue::parse(text).map(|value| Self::of(value.get_ref())) {
            Ok(Self::Table | Self::Date(_)) | Err(_) => Self::Text(text.to_owned()),
            Ok(value) => value,
        }
    }
}

/// As a mistake shows it: short, and in one line.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self {
            Self::Text(text) if text.chars().count() > SHOWN => {
                let shown: String = text.chars().take(SHOWN).collect();
                write!(f, "{shown:?}...")
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Whole(text, _) | Self::Number(text, _) | Self::Date(text) => f.write_str(text),
            Self::Switch(on) => on.fmt(f),
            Self::List(items) => {
                let shown: Vec<_> = items.iter().take(5).map(ToString::to_string).collect();
                let more = if items.len() > 5 { ", ..." } else { "" };
                write!(f, "[{}{more}]", shown.join(", "))
            }
            Self::Table => f.write_str("a table"),
        }
    }
}

/// So many per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) count: u32,
    pub(super) per: Duration,
}

impl Rate {
    const WORDS: [(&'static str, &'static [&'static str], Duration); 4] = [
        ("s", &["sec", "second"], Duration::from_secs(1)),
        ("min", &["m", "minute"], Duration::from_secs(60)),
        ("h", &["hour"], Duration::from_secs(3_600)),
        ("day", &["d"], Duration::from_secs(86_400)),
    ];

    /// `200/min`, `10/s`, `5_000/day`, `3/500ms`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let (count, per) = (count.trim(), per.trim());
        // As in a number of TOML, an underscore stands between digits.
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !count.split('_').all(digits) {
            return None;
        }
        let word = Self::WORDS
            .iter()
            .find(|(word, others, _)| *word == per || others.contains(&per));
        let per = match word {
            Some((_, _, per)) => *per,
            None => parse_time(per).filter(|per| !per.is_zero())?,
        };
        let count = count.replace('_', "").parse().ok()?;
        Some(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::WORDS.iter().find(|(_, _, per)| *per == self.per) {
            Some((word, _, _)) => write!(f, "{}/{word}", self.count),
            None => write!(f, "{}/{}", self.count, Span(self.per)),
        }
    }
}

/// What a setting must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    Count,
    /// Beyond what counts, as bytes are.
    Weight,
    /// From 0 to 1.
    Share,
    /// Above 0 and below 1.
    PartialShare,
    Number,
    Time,
    Switch,
    Rate,
    Rates,
    Word(&'static [&'static str]),
    /// A name of the catalogue, which is looked up later.
    Name,
    Text,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Count(u32),
    Weight(u64),
    Number(f64),
    Time(Duration),
    Switch(bool),
    Rates(Vec<Rate>),
    Word(&'static str),
    Text(String),
    /// `false` in place of a number.
    Off,
}

impl Value {
    /// Whether it is the value in force that is shown so.
    pub(super) fn is(&self, shown: &str) -> bool {
        match self {
            Self::Count(count) => count.to_string() == shown,
            Self::Weight(weight) => weight.to_string() == shown,
            Self::Number(number) => number.to_string() == shown,
            Self::Time(time) => Span(*time).to_string() == shown,
            Self::Switch(on) => on.to_string() == shown,
            Self::Rates(rates) if rates.is_empty() => shown == "none",
            Self::Rates(rates) => {
                let rates: Vec<_> = rates.iter().map(ToString::to_string).collect();
                rates.join(", ") == shown
            }
            Self::Word(word) => *word == shown,
            Self::Text(text) => text == shown,
            Self::Off => matches!(shown, "false" | "none"),
        }
    }
}

impl Accepts {
    /// The value, if it is one.
    pub(super) fn read(self, raw: &Raw) -> Option<Value> {
        match (self, raw) {
            (Self::Count, Raw::Whole(_, count)) => {
                let count = u32::try_from((*count)?).ok()?;
                Some(Value::Count(count))
            }
            (Self::Weight, Raw::Whole(_, weight)) => Some(Value::Weight((*weight)?)),
            (Self::Share | Self::PartialShare | Self::Number, Raw::Number(_, number)) => {
                self.number(*number)
            }
            (Self::Share | Self::PartialShare | Self::Number, Raw::Whole(_, number)) => {
                self.number((*number)? as f64)
            }
            (Self::Time, Raw::Text(text)) => parse_time(text).map(Value::Time),
            (Self::Switch, Raw::Switch(on)) => Some(Value::Switch(*on)),
            (Self::Rate, Raw::Text(text)) => Some(Value::Rates(vec![Rate::parse(text)?])),
            (Self::Rates, Raw::List(items)) => {
                let rate = |item: &Raw| match item {
                    Raw::Text(text) => Rate::parse(text),
                    _ => None,
                };
                Some(Value::Rates(items.iter().map(rate).collect::<Option<_>>()?))
            }
            (Self::Word(words), Raw::Text(text)) => {
                let word = words.iter().find(|word| *word == text)?;
                Some(Value::Word(word))
            }
            (Self::Name | Self::Text, Raw::Text(text)) => Some(Value::Text(text.clone())),
            _ => None,
        }
    }

    fn number(self, number: f64) -> Option<Value> {
        let is_it = match self {
            Self::Share => (0.0..=1.0).contains(&number),
            Self::PartialShare => number > 0.0 && number < 1.0,
            _ => (0.0..=f64::MAX).contains(&number),
        };
        is_it.then_some(Value::Number(number))
    }
}

/// What is accepted, in words.
impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "a whole number up to {}", u32::MAX),
            Self::Weight => f.write_str("a whole number"),
            Self::Share => f.write_str("a share from 0 to 1"),
            Self::PartialShare => f.write_str("a share above 0 and below 1"),
            Self::Number => f.write_str("a number from 0"),
            Self::Time => f.write_str(TIME),
            Self::Switch => f.write_str("true or false"),
            Self::Rate => {
                f.write_str(r#"a rate such as "200/min", "10/s", "5000/day" or "3/500ms""#)
            }
            Self::Rates => f.write_str(r#"a list of rates such as ["25/day", "500/h"]"#),
            Self::Word(words) => {
                for (at, word) in words.iter().enumerate() {
                    let between = match at {
                        0 => "",
                        _ if at + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{between}{word:?}")?;
                }
                Ok(())
            }
            Self::Name => f.write_str("a name in quotes"),
            Self::Text => f.write_str("a text in quotes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rate = |text| Rate::parse(text).map(|rate| (rate.count, rate.per));
        let secs = Duration::from_secs;
        assert_eq!(rate("200/min"), Some((200, secs(60))));
        assert_eq!(rate("10/s"), Some((10, secs(1))));
        assert_eq!(rate(" 5_000 / day "), Some((5_000, secs(86_400))));
        assert_eq!(rate("3/500ms"), Some((3, Duration::from_millis(500))));
        assert_eq!(rate("7/15m"), Some((7, secs(900))));
        assert_eq!(rate("7/minute"), Some((7, secs(60))));
        for wrong in [
            "",
            "/",
            "200",
            "min",
            "200/",
            "-1/s",
            "1.5/s",
            "1/fortnight",
            "1/0s",
            "1/-1s",
            "99999999999/s",
            "1/s/s",
            "+1/s",
            "\u{664}/s",
            "_1/s",
            "1_/s",
            "1__0/s",
            "_/s",
        ] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
        for shown in ["200/min", "10/s", "5000/day", "3/500ms", "1/h"] {
            let rate = Rate::parse(shown).expect("a rate");
            assert_eq!(rate.to_string(), shown);
        }
    }

    #[test]
    fn a_variable_is_a_value_of_toml_or_text() {
        assert_eq!(Raw::of_variable(" 4 "), Raw::Whole("4".into(), Some(4)));
        assert_eq!(Raw::of_variable("0.5"), Raw::Number("0.5".into(), 0.5));
        assert_eq!(Raw::of_variable("true"), Raw::Switch(true));
        assert_eq!(Raw::of_variable("\"20s\""), Raw::Text("20s".into()));
        for text in [
            "20s",
            "200/min",
            "alpaca",
            "",
            "{a = 1}",
            "1979-05-27",
            "[1",
        ] {
            assert_eq!(Raw::of_variable(text), Raw::Text(text.into()));
        }
        let rates = Raw::of_variable(r#"["25/day", "500/h"]"#);
        assert!(matches!(Accepts::Rates.read(&rates), Some(Value::Rates(list)) if list.len() == 2));
    }

    #[test]
    fn numbers_have_bounds() {
        let share = |number| Accepts::Share.read(&Raw::Number(String::new(), number));
        assert_eq!(share(0.8), Some(Value::Number(0.8)));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(share(wrong), None);
        }
        let part = |number| Accepts::PartialShare.read(&Raw::Number(String::new(), number));
        assert_eq!(part(0.1), Some(Value::Number(0.1)));
        for wrong in [0.0, 1.0, f64::NAN] {
            assert_eq!(part(wrong), None);
        }
        let count = |number| Accepts::Count.read(&Raw::Whole(String::new(), number));
        assert_eq!(count(Some(7)), Some(Value::Count(7)));
        assert_eq!(count(Some(1 << 32)), None);
        assert_eq!(count(None), None);
    }
}
