//! The incident file: reading, and saying in one line what is wrong with it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, LONGEST, Latency, OutageMode, RetryAfterForm};
use super::timeline::{DEFAULT_LENGTH, End, Entry, Incidents, Provider, Route, Span};

/// What is wrong with an incident file, and where.
///
/// Its `Display` is one line: file and line, the key, the value, and what is accepted.
///
/// ```
/// use seawall_testkit::incident::Incidents;
///
/// let error = Incidents::from_toml("seed = -1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "incidents: line 1: seed = -1: expected a whole number from 0 to 9223372036854775807"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentError {
    file: Option<String>,
    line: Option<usize>,
    key: Option<String>,
    value: Option<String>,
    message: String,
}

impl IncidentError {
    pub(crate) fn unreadable(file: String, error: &io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        Self { file: Some(file), line: None, key: None, value: None, message }
    }

    /// The file, if the text came from one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key with its path, e.g. `incident[2].probability`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The value as it stands in the file.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What is wrong, and what is accepted.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for IncidentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.as_deref().unwrap_or("incidents"))?;
        if let Some(line) = self.line {
            write!(f, ": line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for IncidentError {}

/// Every fault with the keys that only it has.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "latency",
        &["distribution", "delay", "min", "max", "mean", "deviation", "median", "sigma", "shape"],
    ),
    ("status", &["code", "retry_after", "execute"]),
    ("throttle", &["retry_after", "retry_after_form"]),
    ("hidden_throttle", &[]),
    ("quota_exhausted", &[]),
    ("stall", &["execute"]),
    ("reset_before_read", &[]),
    ("reset_after_execute", &[]),
    ("reset_during_body", &["share"]),
    ("truncate_body", &["share"]),
    ("slow_body", &["pause", "pieces"]),
    ("refuse", &[]),
    ("ban", &["status", "lasts"]),
    ("outage", &["mode"]),
    ("slow_recovery", &["latency", "errors", "code"]),
];

const DISTRIBUTIONS: &[(&str, &[&str])] = &[
    ("constant", &["delay"]),
    ("uniform", &["min", "max"]),
    ("normal", &["mean", "deviation"]),
    ("lognormal", &["median", "sigma"]),
    ("exponential", &["mean"]),
    ("pareto", &["min", "shape"]),
];

const DURATION: &str =
    "a duration like \"250ms\", \"1.5s\", \"2m\" or \"1h\", from 0 to 24h";
const SPAN: &str =
    "a duration like \"250ms\", \"1.5s\", \"2m\" or \"1h\" from 0 to 24h, or a share of the run from \"0%\" to \"100%\"";

pub(crate) fn parse(text: &str, file: Option<&str>) -> Result<Incidents, IncidentError> {
    let source = Source { text, file };
    let table = DeTable::parse(text).map_err(|error| IncidentError {
        file: file.map(str::to_owned),
        line: error.span().map(|span| source.line(&span)),
        key: None,
        value: None,
        message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
    })?;
    let root = Reader { source, path: String::new(), table: table.get_ref(), span: 0..0 };
    root.only(&["seed", "length", "incident"], "")?;
    let seed = root.whole("seed", 0..=i64::MAX as u64)?.unwrap_or(0);
    let length = match root.duration("length")? {
        Some(Duration::ZERO) => return Err(root.wrong("length", "expected more than 0".into())),
        Some(length) => length,
        None => DEFAULT_LENGTH,
    };
    let mut entries = Vec::new();
    if let Some(list) = root.find("incident") {
        let wrong = || root.wrong("incident", "expected tables headed [[incident]]".into());
        for (index, item) in list.get_ref().as_array().ok_or_else(wrong)?.iter().enumerate() {
            let table = item.get_ref().as_table().ok_or_else(wrong)?;
            let path = format!("incident[{index}].");
            entries.push(entry(&Reader { source, path, table, span: item.span() })?);
        }
    }
    Ok(Incidents { seed, length, entries })
}

fn entry(reader: &Reader<'_>) -> Result<Entry, IncidentError> {
    let names: Vec<_> = FAULTS.iter().map(|(name, _)| *name).collect();
    let fault_name = reader.required("fault", reader.one_of("fault", &names)?, &quoted(&names))?;
    let own = FAULTS.iter().find(|(name, _)| *name == fault_name).map_or(&[][..], |(_, own)| own);
    let known: Vec<_> =
        ["provider", "route", "from", "to", "for", "fault", "probability"].iter().chain(own).copied().collect();
    reader.only(&known, &format!(" with fault = \"{fault_name}\""))?;

    let names: Vec<_> = Provider::ALL.iter().map(|p| p.name()).chain(["*"]).collect();
    let name = reader.required("provider", reader.one_of("provider", &names)?, &quoted(&names))?;
    let provider = Provider::ALL.into_iter().find(|p| p.name() == name);
    let names: Vec<_> = Route::ALL
        .iter()
        .filter(|route| provider.is_none() || route.provider().is_none_or(|p| Some(p) == provider))
        .map(|route| route.name())
        .collect();
    let name = reader.one_of("route", &names)?;
    let route = Route::ALL.into_iter().find(|route| Some(route.name()) == name);

    let (from, end) = interval(reader)?;
    let probability = reader.fraction("probability")?;
    let fault = fault(reader, fault_name)?;
    if matches!(fault, Fault::Refuse | Fault::Outage(_) ) {
        for key in ["route", "probability"] {
            if reader.find(key).is_some() {
                let message = format!("expected no such key: \"{fault_name}\" hits the whole provider");
                return Err(reader.wrong(key, message));
            }
        }
    }
    let lasts = if fault_name == "ban" { reader.span("lasts")? } else { None };
    Ok(Entry { provider, route, from, end, probability: probability.unwrap_or(1.0), fault, lasts })
}

fn interval(reader: &Reader<'_>) -> Result<(Span, End), IncidentError> {
    let from = reader.required("from", reader.span("from")?, SPAN)?;
    let end = match (reader.span("to")?, reader.span("for")?) {
        (Some(_), Some(_)) => {
            return Err(reader.wrong("for", "expected either to or for, not both".into()));
        }
        (None, None) => return reader.required("to", None, &format!("to or for, each {SPAN}")),
        (None, Some(Span::Time(Duration::ZERO))) => {
            return Err(reader.wrong("for", "expected more than 0".into()));
        }
        (None, Some(Span::Share(share))) if share <= 0.0 => {
            return Err(reader.wrong("for", "expected more than 0".into()));
        }
        (None, Some(length)) => End::After(length),
        (Some(to), None) => End::At(to),
    };
    let later = match (from, end) {
        (Span::Time(from), End::At(Span::Time(to))) => to > from,
        (Span::Share(from), End::At(Span::Share(to))) => to > from,
        (_, End::After(_)) => true,
        (_, End::At(_)) => {
            let message = "expected the form of from: both durations or both percentages";
            return Err(reader.wrong("to", message.into()));
        }
    };
    if later {
        return Ok((from, end));
    }
    let from = reader.text("from");
    Err(reader.wrong("to", format!("expected an end after from = {from}")))
}

fn fault(reader: &Reader<'_>, name: &str) -> Result<Fault, IncidentError> {
    let execute = || reader.boolean("execute").map(|value| value.unwrap_or(false));
    let share = || reader.fraction("share").map(|value| value.unwrap_or(0.5));
    Ok(match name {
        "latency" => Fault::Latency(latency(reader)?),
        "status" => Fault::Status {
            code: reader.required("code", reader.status("code")?, STATUS)?,
            retry_after: reader.duration("retry_after")?,
            execute: execute()?,
        },
        "throttle" => Fault::Throttle {
            retry_after: reader.duration("retry_after")?,
            form: match reader.one_of("retry_after_form", &["seconds", "date"])? {
                Some("date") => RetryAfterForm::Date,
                _ => RetryAfterForm::Seconds,
            },
        },
        "hidden_throttle" => Fault::HiddenThrottle,
        "quota_exhausted" => Fault::QuotaExhausted,
        "stall" => Fault::Stall { execute: execute()? },
        "reset_before_read" => Fault::ResetBeforeRead,
        "reset_after_execute" => Fault::ResetAfterExecute,
        "reset_during_body" => Fault::ResetDuringBody { share: share()? },
        "truncate_body" => Fault::TruncateBody { share: share()? },
        "slow_body" => Fault::SlowBody {
            pause: reader.duration("pause")?.unwrap_or(Duration::from_millis(200)),
            pieces: reader.whole("pieces", 1..=10_000)?.map_or(8, narrow),
        },
        "refuse" => Fault::Refuse,
        "ban" => Fault::Ban { status: reader.status("status")?.unwrap_or(403), lasts: None },
        "outage" => Fault::Outage(match reader.one_of("mode", &["refuse", "reset", "unavailable"])? {
            Some("reset") => OutageMode::Reset,
            Some("unavailable") => OutageMode::Unavailable,
            _ => OutageMode::Refuse,
        }),
        // `one_of` let through only the names of FAULTS; this is the one left.
        _ => Fault::SlowRecovery {
            latency: reader.duration("latency")?.unwrap_or(Duration::from_secs(1)),
            errors: reader.fraction("errors")?.unwrap_or(0.5),
            code: reader.status("code")?.unwrap_or(503),
        },
    })
}

fn latency(reader: &Reader<'_>) -> Result<Latency, IncidentError> {
    let names: Vec<_> = DISTRIBUTIONS.iter().map(|(name, _)| *name).collect();
    let name = reader.one_of("distribution", &names)?.unwrap_or("constant");
    let own = DISTRIBUTIONS.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, own)| own);
    for key in FAULTS[0].1.iter().filter(|key| **key != "distribution") {
        if reader.find(key).is_some() && !own.contains(key) {
            let message = format!("expected no such key: \"{name}\" has {}", own.join(" and "));
            return Err(reader.wrong(key, message));
        }
    }
    let time = |key| reader.duration(key).and_then(|v| reader.required(key, v, DURATION));
    let positive = |key| reader.positive(key).and_then(|v| reader.required(key, v, POSITIVE));
    Ok(match name {
        "uniform" => {
            let (min, max) = (time("min")?, time("max")?);
            if max < min {
                let message = format!("expected at least min = {}", reader.text("min"));
                return Err(reader.wrong("max", message));
            }
            Latency::Uniform { min, max }
        }
        "normal" => Latency::Normal { mean: time("mean")?, deviation: time("deviation")? },
        "lognormal" => Latency::LogNormal { median: time("median")?, sigma: positive("sigma")? },
        "exponential" => Latency::Exponential { mean: time("mean")? },
        "pareto" => Latency::Pareto { min: time("min")?, shape: positive("shape")? },
        _ => Latency::Constant { delay: time("delay")? },
    })
}

const STATUS: &str = "a status from 400 to 599";
const POSITIVE: &str = "a number above 0, at most 100";

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("one of {}", names.join(", "))
}

#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    file: Option<&'a str>,
}

impl Source<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// The text of a span, short enough for one line.
    fn slice(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("...".chars()).collect() }
    }
}

/// One table of the file, with the way to it.
#[derive(Debug)]
struct Reader<'a> {
    source: Source<'a>,
    path: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
}

impl<'a> Reader<'a> {
    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> String {
        self.find(key).map_or_else(String::new, |value| self.source.slice(&value.span()))
    }

    fn error(&self, key: &str, span: &Range<usize>, value: Option<String>, message: String) -> IncidentError {
        IncidentError {
            file: self.source.file.map(str::to_owned),
            line: Some(self.source.line(span)),
            key: Some(format!("{}{key}", self.path)),
            value,
            message,
        }
    }

    fn wrong(&self, key: &str, message: String) -> IncidentError {
        let span = self.find(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.error(key, &span, self.find(key).map(|_| self.source.slice(&span)), message)
    }

    fn required<T>(&self, key: &str, value: Option<T>, accepted: &str) -> Result<T, IncidentError> {
        value.ok_or_else(|| self.error(key, &self.span, None, format!("missing: expected {accepted}")))
    }

    fn only(&self, known: &[&str], when: &str) -> Result<(), IncidentError> {
        match self.table.iter().find(|(name, _)| !known.contains(&&**name.get_ref())) {
            None => Ok(()),
            Some((name, value)) => Err(self.error(
                name.get_ref(),
                &name.span(),
                Some(self.source.slice(&value.span())),
                format!("unknown key{when}: expected one of {}", known.join(", ")),
            )),
        }
    }

    fn one_of<'n>(&self, key: &str, names: &[&'n str]) -> Result<Option<&'n str>, IncidentError> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let found = value.get_ref().as_str().and_then(|text| names.iter().find(|name| **name == text));
        match found {
            Some(name) => Ok(Some(name)),
            None => Err(self.wrong(key, format!("expected {}", quoted(names)))),
        }
    }

    fn whole(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, IncidentError> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let found = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        let message = || format!("expected a whole number from {} to {}", range.start(), range.end());
        found.map(Some).ok_or_else(|| self.wrong(key, message()))
    }

    fn status(&self, key: &str) -> Result<Option<u16>, IncidentError> {
        let wrong = |_| self.wrong(key, format!("expected {STATUS}"));
        let found = self.whole(key, 400..=599).map_err(wrong)?;
        Ok(found.and_then(|code| u16::try_from(code).ok()))
    }

    fn number(&self, key: &str) -> Option<f64> {
        let value = self.find(key)?.get_ref();
        let text = match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return None,
        };
        text.parse().ok()
    }

    fn fraction(&self, key: &str) -> Result<Option<f64>, IncidentError> {
        match self.number(key) {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
            None if self.find(key).is_none() => Ok(None),
            _ => Err(self.wrong(key, "expected a number from 0 to 1".into())),
        }
    }

    fn positive(&self, key: &str) -> Result<Option<f64>, IncidentError> {
        match self.number(key) {
            Some(number) if number > 0.0 && number <= 100.0 => Ok(Some(number)),
            None if self.find(key).is_none() => Ok(None),
            _ => Err(self.wrong(key, format!("expected {POSITIVE}"))),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, IncidentError> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let wrong = || self.wrong(key, "expected true or false".into());
        value.get_ref().as_bool().map(Some).ok_or_else(wrong)
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>, IncidentError> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let found = value.get_ref().as_str().and_then(duration);
        found.map(Some).ok_or_else(|| self.wrong(key, format!("expected {DURATION}")))
    }

    fn span(&self, key: &str) -> Result<Option<Span>, IncidentError> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let found = value.get_ref().as_str().and_then(|text| match text.strip_suffix('%') {
            Some(percent) => decimal(percent).filter(|p| *p <= 100.0).map(|p| Span::Share(p / 100.0)),
            None => duration(text).map(Span::Time),
        });
        found.map(Some).ok_or_else(|| self.wrong(key, format!("expected {SPAN}")))
    }
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits && text.starts_with(|c: char| c.is_ascii_digit()) { text.parse().ok() } else { None }
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
