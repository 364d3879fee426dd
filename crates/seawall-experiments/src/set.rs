//! A file of experiments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use jiff::Timestamp;
use seawall_core::InvalidConfig;

use crate::calendar::MarketCalendar;
use crate::error::InvalidExperiment;
use crate::experiment::Experiment;
use crate::hours::sessions;
use crate::raw::{RawCalendar, RawFile};
use crate::times::{date, invalid, time, timestamp, zone};

/// The experiments and market calendars of a file.
///
/// ```
/// use seawall_experiments::ExperimentSet;
///
/// let set = ExperimentSet::from_toml(r#"
///     [[experiment]]
///     name = "the vendor is slow"
///     hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.95 }
///     schedule = { cron = "0 7 * * SAT", zone = "America/New_York" }
///     blast_radius = { services = ["quotes"], traffic = 0.5 }
///     run = { during = "2m" }
///
///     [[experiment.fault]]
///     kind = "delay"
///     intensity = 0.2
///     delay = { median = "400ms", sigma = 0.7, at_most = "5s" }
///
///     [[experiment.guard]]
///     metric = "orders_in_doubt"
///     at_most = 0
/// "#)?;
/// assert_eq!(set.experiments()[0].hypothesis(), "success_ratio of quotes is at least 0.95");
///
/// let error = ExperimentSet::from_toml("[[experiment]]\nnme = 'x'").unwrap_err();
/// assert_eq!((error.line(), error.invalid().value()), (Some(2), "nme"));
/// # Ok::<(), seawall_experiments::InvalidExperiment>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExperimentSet {
    experiments: Vec<Experiment>,
    calendars: BTreeMap<String, MarketCalendar>,
}

impl ExperimentSet {
    /// Reads a file of experiments.
    ///
    /// # Errors
    ///
    /// [`InvalidExperiment`] when the text is no TOML, when a field is missing, unknown or out of range, when a
    /// setting has no effect, a calendar that no experiment names among them, when two experiments have the same name, or
    /// when one can never run: a moment in the past, a crontab that is never due, or never within its hours while
    /// its market is closed.
    pub fn from_toml(text: &str) -> Result<Self, InvalidExperiment> {
        Self::from_toml_at(text, SystemTime::now())
    }

    /// The same by another clock.
    ///
    /// # Errors
    ///
    /// Those of [`from_toml`](Self::from_toml).
    pub fn from_toml_at(text: &str, now: SystemTime) -> Result<Self, InvalidExperiment> {
        let file: RawFile = toml::from_str(text).map_err(|error| no_file(text, &error))?;
        let mut calendars = BTreeMap::new();
        for raw in &file.calendar {
            let (at, raw) = (raw.span().start, raw.get_ref());
            let fails = |invalid| InvalidExperiment::new(Some(&raw.name), line(text, at), invalid);
            let calendar = calendar(raw).map_err(fails)?;
            if calendars.insert(raw.name.clone(), calendar).is_some() {
                return Err(fails(invalid(
                    "name",
                    &raw.name,
                    "a name that no other calendar has",
                )));
            }
        }
        let (mut experiments, mut names) = (Vec::new(), BTreeSet::new());
        let mut used = BTreeSet::new();
        let now: Timestamp = timestamp(now);
        let find = |name: &str| match name {
            "nyse" => Some(MarketCalendar::nyse()),
            name => calendars.get(name).cloned(),
        };
        for raw in &file.experiment {
            let (at, raw) = (raw.span().start, raw.get_ref());
            let fails = |invalid| InvalidExperiment::new(Some(&raw.name), line(text, at), invalid);
            experiments.push(Experiment::new(raw, find, now).map_err(fails)?);
            used.extend(raw.market.as_ref().map(|market| market.calendar.as_str()));
            if !names.insert(raw.name.as_str()) {
                return Err(fails(invalid(
                    "name",
                    &raw.name,
                    "a name that no other experiment has",
                )));
            }
        }
        for raw in &file.calendar {
            let (at, raw) = (raw.span().start, raw.get_ref());
            if !used.contains(raw.name.as_str()) {
                let accepted = "a name that an experiment has as its `market.calendar`";
                let invalid = invalid("name", &raw.name, accepted);
                let line = line(text, at);
                return Err(InvalidExperiment::new(Some(&raw.name), line, invalid));
            }
        }
        Ok(Self {
            experiments,
            calendars,
        })
    }

    /// The experiments, as they are in the file.
    pub fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    /// The experiment of that name.
    pub fn get(&self, name: &str) -> Option<&Experiment> {
        self.experiments
            .iter()
            .find(|experiment| experiment.name == name)
    }

    /// The market calendar of that name, of the file or built in.
    pub fn calendar(&self, name: &str) -> Option<MarketCalendar> {
        match name {
            "nyse" => Some(MarketCalendar::nyse()),
            name => self.calendars.get(name).cloned(),
        }
    }
}

/// The line of an offset, from 1.
fn line(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// What TOML, or a table of an unknown shape, was not understood.
fn no_file(text: &str, error: &toml::de::Error) -> InvalidExperiment {
    let span = error.span().unwrap_or_default();
    let at = line(text, span.start);
    // A whole table is no value for a message.
    let value = text.get(span).unwrap_or_default();
    let value = value.lines().next().unwrap_or_default().trim();
    let message = error.message().to_owned();
    InvalidExperiment::new(None, at, InvalidConfig::new("file", value, message))
}

fn calendar(raw: &RawCalendar) -> Result<MarketCalendar, InvalidConfig> {
    if raw.name.trim().is_empty() || ["nyse", "none"].contains(&raw.name.as_str()) {
        return Err(invalid(
            "name",
            &raw.name,
            "a name other than \"nyse\" and \"none\"",
        ));
    }
    const SOURCE: &str = "where the calendar comes from";
    let source = raw.source.as_deref();
    let source = source.ok_or_else(|| InvalidConfig::new("source", "missing", SOURCE))?;
    if source.trim().is_empty() {
        return Err(invalid("source", source, SOURCE));
    }
    let session = raw.session.as_deref();
    let session =
        session.ok_or_else(|| InvalidConfig::new("session", "missing", "at least one session"))?;
    if session.is_empty() {
        return Err(InvalidConfig::new("session", "[]", "at least one session"));
    }
    for (index, session) in session.iter().enumerate() {
        if let Some(zone) = &session.zone {
            let field = format!("session[{index}].zone");
            return Err(invalid(&field, zone, "nothing: the calendar has the zone"));
        }
    }
    let mut closed = BTreeSet::new();
    for (index, text) in raw.closed.iter().enumerate() {
        let field = format!("closed[{index}]");
        if !closed.insert(date(&field, text)?) {
            return Err(invalid(&field, text, "each day once"));
        }
    }
    let mut early = BTreeMap::new();
    for (index, day) in raw.early.iter().enumerate() {
        let field = format!("early[{index}].date");
        let on = date(&field, &day.date)?;
        let to = time(&format!("early[{index}].to"), &day.to)?;
        if closed.contains(&on) || early.insert(on, to).is_some() {
            return Err(invalid(
                &field,
                &day.date,
                "a day that is not closed, and each day once",
            ));
        }
    }
    let calendar = MarketCalendar {
        name: raw.name.clone(),
        zone: zone("zone", &raw.zone)?,
        sessions: sessions(session, "session")?,
        closed,
        early,
        by_rules: false,
    };
    has_effect(raw, &calendar)?;
    Ok(calendar)
}

/// Rejects days of a calendar on which nothing is as it says, or would be the same without it.
fn has_effect(raw: &RawCalendar, calendar: &MarketCalendar) -> Result<(), InvalidConfig> {
    const SESSION: &str = "a day on which there is a session";
    for (index, text) in raw.closed.iter().enumerate() {
        let field = format!("closed[{index}]");
        if calendar.usual_sessions(date(&field, text)?).is_empty() {
            return Err(invalid(&field, text, SESSION));
        }
    }
    for (index, day) in raw.early.iter().enumerate() {
        let field = format!("early[{index}].date");
        let on = date(&field, &day.date)?;
        let usual = calendar.usual_sessions(on);
        if usual.is_empty() {
            return Err(invalid(&field, &day.date, SESSION));
        }
        let left: Vec<_> = calendar.sessions_of(on).collect();
        if left.is_empty() || left == usual {
            let field = format!("early[{index}].to");
            let accepted = "a time within a session, or the day in `closed`";
            return Err(invalid(&field, &day.to, accepted));
        }
    }
    Ok(())
}
