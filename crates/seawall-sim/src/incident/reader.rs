//! One table of an incident file, read key by key.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::IncidentError;
use super::fault::LONGEST;
use super::timeline::Span;

pub(super) const DURATION: &str =
    "a duration like \"250ms\", \"1.5s\", \"2m\" or \"1h\", from 0 to 24h";
pub(super) const SPAN: &str = "a duration like \"250ms\", \"1.5s\", \"2m\" or \"1h\" from 0 to 24h, or a share of the run from \"0%\" to \"100%\"";
pub(super) const STATUS: &str = "a status from 400 to 599";
pub(super) const POSITIVE: &str = "a number above 0, at most 100";

pub(super) fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("one of {}", names.join(", "))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: Option<&'a str>,
}

impl Source<'_> {
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// The text of a span, short enough for one line.
    pub(super) fn slice(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= 60 {
            line
        } else {
            line.chars().take(57).chain("...".chars()).collect()
        }
    }
}

/// One table of the file, with the way to it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) path: String,
    pub(super) table: &'a DeTable<'a>,
    pub(super) span: Range<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.find(key)
            .map_or_else(String::new, |value| self.source.slice(&value.span()))
    }

    pub(super) fn error(
        &self,
        key: &str,
        span: &Range<usize>,
        value: Option<String>,
        message: String,
    ) -> IncidentError {
        IncidentError {
            file: self.source.file.map(str::to_owned),
            line: Some(self.source.line(span)),
            key: Some(format!("{}{key}", self.path)),
            value,
            message,
        }
    }

    pub(super) fn wrong(&self, key: &str, message: String) -> IncidentError {
        let span = self
            .find(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.error(
            key,
            &span,
            self.find(key).map(|_| self.source.slice(&span)),
            message,
        )
    }

    pub(super) fn required<T>(
        &self,
        key: &str,
        value: Option<T>,
        accepted: &str,
    ) -> Result<T, IncidentError> {
        value.ok_or_else(|| {
            self.error(
                key,
                &self.span,
                None,
                format!("missing: expected {accepted}"),
            )
        })
    }

    pub(super) fn only(&self, known: &[&str], when: &str) -> Result<(), IncidentError> {
        match self
            .table
            .iter()
            .find(|(name, _)| !known.contains(&&**name.get_ref()))
        {
            None => Ok(()),
            Some((name, value)) => Err(self.error(
                name.get_ref(),
                &name.span(),
                Some(self.source.slice(&value.span())),
                format!("unknown key{when}: expected one of {}", known.join(", ")),
            )),
        }
    }

    pub(super) fn one_of<'n>(
        &self,
        key: &str,
        names: &[&'n str],
    ) -> Result<Option<&'n str>, IncidentError> {
        let Some(value) = self.find(key) else {
            return Ok(None);
        };
        let found = value
            .get_ref()
            .as_str()
            .and_then(|text| names.iter().find(|name| **name == text));
        match found {
            Some(name) => Ok(Some(name)),
            None => Err(self.wrong(key, format!("expected {}", quoted(names)))),
        }
    }

    pub(super) fn whole(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, IncidentError> {
        let Some(value) = self.find(key) else {
            return Ok(None);
        };
        let found = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        let message = || {
            format!(
                "expected a whole number from {} to {}",
                range.start(),
                range.end()
            )
        };
        found.map(Some).ok_or_else(|| self.wrong(key, message()))
    }

    pub(super) fn status(&self, key: &str) -> Result<Option<u16>, IncidentError> {
        let wrong = |_| self.wrong(key, format!("expected {STATUS}"));
        let found = self.whole(key, 400..=599).map_err(wrong)?;
        Ok(found.and_then(|code| u16::try_from(code).ok()))
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let value = self.find(key)?.get_ref();
        let text = match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return None,
        };
        text.parse().ok()
    }

    pub(super) fn fraction(&self, key: &str) -> Result<Option<f64>, IncidentError> {
        match self.number(key) {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
            None if self.find(key).is_none() => Ok(None),
            _ => Err(self.wrong(key, "expected a number from 0 to 1".into())),
        }
    }

    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, IncidentError> {
        match self.number(key) {
            Some(number) if number > 0.0 && number <= 100.0 => Ok(Some(number)),
            None if self.find(key).is_none() => Ok(None),
            _ => Err(self.wrong(key, format!("expected {POSITIVE}"))),
        }
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, IncidentError> {
        let Some(value) = self.find(key) else {
            return Ok(None);
        };
        let wrong = || self.wrong(key, "expected true or false".into());
        value.get_ref().as_bool().map(Some).ok_or_else(wrong)
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, IncidentError> {
        let Some(value) = self.find(key) else {
            return Ok(None);
        };
        let found = value.get_ref().as_str().and_then(duration);
        found
            .map(Some)
            .ok_or_else(|| self.wrong(key, format!("expected {DURATION}")))
    }

    pub(super) fn span(&self, key: &str) -> Result<Option<Span>, IncidentError> {
        let Some(value) = self.find(key) else {
            return Ok(None);
        };
        let found = value
            .get_ref()
            .as_str()
            .and_then(|text| match text.strip_suffix('%') {
                Some(percent) => decimal(percent)
                    .filter(|p| *p <= 100.0)
                    .map(|p| Span::Fraction(p / 100.0)),
                None => duration(text).map(Span::Time),
            });
        found
            .map(Some)
            .ok_or_else(|| self.wrong(key, format!("expected {SPAN}")))
    }
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits && text.starts_with(|c: char| c.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let duration = Duration::try_from_secs_f64(decimal(number)? * seconds).ok()?;
    (duration <= LONGEST).then_some(duration)
}
