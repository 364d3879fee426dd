//! The incident file: which keys there are, and what they mean.

use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::error::IncidentError;
use super::fault::{Fault, LateResponse, Latency, OutageMode, RetryAfterForm};
use super::reader::{DURATION, POSITIVE, Reader, SPAN, STATUS, Source, quoted};
use super::route::{ProviderKind, Route};
use super::timeline::{DEFAULT_LENGTH, End, Entry, Incidents, Span};

/// The keys of a delay and its distribution.
const DELAY: [&str; 9] = [
    "distribution",
    "delay",
    "min",
    "max",
    "mean",
    "deviation",
    "median",
    "sigma",
    "shape",
];

/// Every fault with the keys that only it has; `DELAY` comes with those in `DELAYED`.
const FAULTS: &[(&str, &[&str])] = &[
    ("latency", &[]),
    ("status", &["code", "retry_after", "execute"]),
    ("throttle", &["retry_after", "retry_after_form"]),
    ("hidden_throttle", &[]),
    ("quota_exhausted", &[]),
    ("stall", &["execute"]),
    ("reset_before_read", &[]),
    ("reset_after_execute", &[]),
    ("execute_late", &["response", "code"]),
    ("reset_during_body", &["share"]),
    ("truncate_body", &["share"]),
    ("slow_body", &["pause", "pieces"]),
    ("refuse", &[]),
    ("ban", &["status", "lasts"]),
    ("outage", &["mode"]),
    ("slow_recovery", &["latency", "errors", "code"]),
];

const DELAYED: [&str; 2] = ["latency", "execute_late"];

const DISTRIBUTIONS: &[(&str, &[&str])] = &[
    ("constant", &["delay"]),
    ("uniform", &["min", "max"]),
    ("normal", &["mean", "deviation"]),
    ("lognormal", &["median", "sigma"]),
    ("exponential", &["mean"]),
    ("pareto", &["min", "shape"]),
];

impl Incidents {
    /// Reads a script from the text of an incident file.
    ///
    /// # Errors
    ///
    /// The text is not TOML, a key is not known, is missing or has an impossible value. The error
    /// is one line with the line, the value and what is accepted.
    pub fn from_toml(text: &str) -> Result<Self, IncidentError> {
        parse(text, None)
    }

    /// Reads a script from an incident file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its text is not valid, as for [`from_toml`](Self::from_toml).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, IncidentError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => parse(&text, Some(&name)),
            Err(error) => Err(IncidentError::unreadable(name, &error)),
        }
    }

    /// The script in [`DEFAULT_SCENARIO`](super::DEFAULT_SCENARIO).
    #[must_use]
    pub fn default_scenario() -> Self {
        // A test parses the constant, so the fallback is never taken.
        Self::from_toml(super::DEFAULT_SCENARIO).unwrap_or_default()
    }
}

fn parse(text: &str, file: Option<&str>) -> Result<Incidents, IncidentError> {
    let source = Source { text, file };
    let table = DeTable::parse(text).map_err(|error| IncidentError {
        file: file.map(str::to_owned),
        line: error.span().map(|span| source.line(&span)),
        key: None,
        value: None,
        message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
    })?;
    let root = Reader {
        source,
        path: String::new(),
        table: table.get_ref(),
        span: 0..0,
    };
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
        for (index, item) in list
            .get_ref()
            .as_array()
            .ok_or_else(wrong)?
            .iter()
            .enumerate()
        {
            let table = item.get_ref().as_table().ok_or_else(wrong)?;
            let path = format!("incident[{index}].");
            entries.push(entry(&Reader {
                source,
                path,
                table,
                span: item.span(),
            })?);
        }
    }
    Ok(Incidents {
        seed,
        length,
        entries,
    })
}

fn entry(reader: &Reader<'_>) -> Result<Entry, IncidentError> {
    let names: Vec<_> = FAULTS.iter().map(|(name, _)| *name).collect();
    let fault_name = reader.required("fault", reader.one_of("fault", &names)?, &quoted(&names))?;
    let own = FAULTS
        .iter()
        .find(|(name, _)| *name == fault_name)
        .map_or(&[][..], |(_, own)| own);
    let delay = if DELAYED.contains(&fault_name) {
        &DELAY[..]
    } else {
        &[]
    };
    let known: Vec<_> = [
        "provider",
        "route",
        "from",
        "to",
        "for",
        "fault",
        "probability",
    ]
    .iter()
    .chain(delay)
    .chain(own)
    .copied()
    .collect();
    reader.only(&known, &format!(" with fault = \"{fault_name}\""))?;

    let names: Vec<_> = ProviderKind::ALL
        .iter()
        .map(|p| p.name())
        .chain(["*"])
        .collect();
    let name = reader.required(
        "provider",
        reader.one_of("provider", &names)?,
        &quoted(&names),
    )?;
    let provider = ProviderKind::ALL.into_iter().find(|p| p.name() == name);
    let names: Vec<_> = Route::ALL
        .iter()
        .filter(|route| provider.is_none() || route.provider().is_none_or(|p| Some(p) == provider))
        .map(|route| route.name())
        .collect();
    let name = reader.one_of("route", &names)?;
    let route = Route::ALL
        .into_iter()
        .find(|route| Some(route.name()) == name);

    let (from, end) = interval(reader)?;
    let probability = reader.fraction("probability")?;
    let fault = fault(reader, fault_name)?;
    if matches!(fault, Fault::Refuse | Fault::Outage(_)) {
        for key in ["route", "probability"] {
            if reader.find(key).is_some() {
                let message =
                    format!("expected no such key: \"{fault_name}\" affects all of the provider");
                return Err(reader.wrong(key, message));
            }
        }
    }
    let lasts = if fault_name == "ban" {
        reader.span("lasts")?
    } else {
        None
    };
    Ok(Entry {
        provider,
        route,
        from,
        end,
        probability: probability.unwrap_or(1.0),
        fault,
        lasts,
    })
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
        (None, Some(Span::Fraction(share))) if share <= 0.0 => {
            return Err(reader.wrong("for", "expected more than 0".into()));
        }
        (None, Some(length)) => End::After(length),
        (Some(to), None) => End::At(to),
    };
    let later = match (from, end) {
        (Span::Time(from), End::At(Span::Time(to))) => to > from,
        (Span::Fraction(from), End::At(Span::Fraction(to))) => to > from,
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
    let execute = || {
        reader
            .boolean("execute")
            .map(|value| value.unwrap_or(false))
    };
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
        "stall" => Fault::Stall {
            execute: execute()?,
        },
        "reset_before_read" => Fault::ResetBeforeRead,
        "reset_after_execute" => Fault::ResetAfterExecute,
        "execute_late" => Fault::ExecuteLate {
            delay: latency(reader)?,
            response: late_response(reader)?,
        },
        "reset_during_body" => Fault::ResetDuringBody { share: share()? },
        "truncate_body" => Fault::TruncateBody { share: share()? },
        "slow_body" => Fault::SlowBody {
            pause: reader
                .duration("pause")?
                .unwrap_or(Duration::from_millis(200)),
            pieces: reader.whole("pieces", 1..=10_000)?.map_or(8, narrow),
        },
        "refuse" => Fault::Refuse,
        "ban" => Fault::Ban {
            status: reader.status("status")?.unwrap_or(403),
            lasts: None,
        },
        "outage" => Fault::Outage(
            match reader.one_of("mode", &["refuse", "reset", "unavailable"])? {
                Some("reset") => OutageMode::Reset,
                Some("unavailable") => OutageMode::Unavailable,
                _ => OutageMode::Refuse,
            },
        ),
        // `one_of` let through only the names of FAULTS; this is the one left.
        _ => Fault::SlowRecovery {
            latency: reader
                .duration("latency")?
                .unwrap_or(Duration::from_secs(1)),
            errors: reader.fraction("errors")?.unwrap_or(0.5),
            code: reader.status("code")?.unwrap_or(503),
        },
    })
}

fn late_response(reader: &Reader<'_>) -> Result<LateResponse, IncidentError> {
    let response = reader.one_of("response", &["stall", "reset", "status"])?;
    let code = reader.status("code")?;
    if code.is_some() && response != Some("status") {
        let message = "expected no such key: only response = \"status\" has code";
        return Err(reader.wrong("code", message.into()));
    }
    Ok(match response {
        Some("status") => LateResponse::Status(code.unwrap_or(504)),
        Some("reset") => LateResponse::Reset,
        _ => LateResponse::Stall,
    })
}

fn latency(reader: &Reader<'_>) -> Result<Latency, IncidentError> {
    let names: Vec<_> = DISTRIBUTIONS.iter().map(|(name, _)| *name).collect();
    let name = reader.one_of("distribution", &names)?.unwrap_or("constant");
    let own = DISTRIBUTIONS
        .iter()
        .find(|(n, _)| *n == name)
        .map_or(&[][..], |(_, own)| own);
    for key in DELAY.iter().filter(|key| **key != "distribution") {
        if reader.find(key).is_some() && !own.contains(key) {
            let message = format!("expected no such key: \"{name}\" has {}", own.join(" and "));
            return Err(reader.wrong(key, message));
        }
    }
    let time = |key| {
        reader
            .duration(key)
            .and_then(|v| reader.required(key, v, DURATION))
    };
    let positive = |key| {
        reader
            .positive(key)
            .and_then(|v| reader.required(key, v, POSITIVE))
    };
    Ok(match name {
        "uniform" => {
            let (min, max) = (time("min")?, time("max")?);
            if max < min {
                let message = format!("expected at least min = {}", reader.text("min"));
                return Err(reader.wrong("max", message));
            }
            Latency::Uniform { min, max }
        }
        "normal" => Latency::Normal {
            mean: time("mean")?,
            deviation: time("deviation")?,
        },
        "lognormal" => Latency::LogNormal {
            median: time("median")?,
            sigma: positive("sigma")?,
        },
        "exponential" => Latency::Exponential {
            mean: time("mean")?,
        },
        "pareto" => Latency::Pareto {
            min: time("min")?,
            shape: positive("shape")?,
        },
        _ => Latency::Constant {
            delay: time("delay")?,
        },
    })
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
