//! Which alerts are firing: raised, over, acknowledged and silenced.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use seawall_core::InstanceName;
use tokio::time::Instant;

use crate::alert_kind::AlertKind;
use crate::alert_rule::{AlertRule, AlertRules};
use crate::alert_view::{Acknowledgement, AlertState, AlertView, SilenceView};
use crate::overview::number;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AlertKey {
    pub(crate) kind: AlertKind,
    pub(crate) registry: &'static str,
    /// Empty where it is about all.
    pub(crate) service: &'static str,
    /// The check or the limit, else empty.
    pub(crate) detail: &'static str,
}

/// The figure of a rule; `None` where there is nothing to judge by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) key: AlertKey,
    pub(crate) value: Option<f64>,
}

/// The time of an evaluation, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) unix_ms: u64,
}

/// For how long an alert stays as it is without anything to judge by.
const NO_DATA: Duration = Duration::from_secs(300);

/// How long the texts of a command may be, in bytes: they are kept and shown to everybody.
const TEXT: usize = 1_024;

/// How many silences there may be.
const SILENCES: usize = 256;

#[derive(Debug)]
struct Active {
    /// Since when the figure is beyond the threshold.
    since: Instant,
    /// The round in which it was measured last.
    round: u64,
    /// Since when the figure is back.
    back_since: Option<Instant>,
    /// Since when there is nothing to judge by.
    unknown_since: Option<Instant>,
    firing: Option<Firing>,
}

#[derive(Debug)]
struct Firing {
    view: AlertView,
    /// Whether sinks are to be sent it.
    is_due: bool,
    /// Whether they were ever sent it.
    is_sent: bool,
    acknowledged_until: Option<Instant>,
}

impl Firing {
    fn show_silence(&mut self, silence: Option<&Silence>) {
        self.view.silenced = silence.map(|silence| silence.shown.clone());
        self.view.silence = silence.map(|silence| silence.id);
    }
}

/// Which alerts a silence is for; an empty one is for all.
///
/// ```
/// use seawall_monitor::{AlertKind, SilenceMatcher};
///
/// let matcher = SilenceMatcher::all().rule(AlertKind::ManyFailures).service("alpaca");
/// # let _ = matcher;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilenceMatcher {
    rule: Option<AlertKind>,
    service: Option<InstanceName>,
}

impl SilenceMatcher {
    /// Every alert.
    pub const fn all() -> Self {
        Self {
            rule: None,
            service: None,
        }
    }

    /// Only alerts of this rule.
    #[must_use]
    pub const fn rule(mut self, rule: AlertKind) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Only alerts of this service.
    #[must_use]
    pub fn service(mut self, service: impl Into<InstanceName>) -> Self {
        self.service = Some(service.into());
        self
    }

    fn matches(&self, key: AlertKey) -> bool {
        let service = |name: InstanceName| name.as_str() == key.service;
        self.rule.is_none_or(|rule| rule == key.kind) && self.service.is_none_or(service)
    }
}

#[derive(Debug)]
struct Silence {
    id: u64,
    matcher: SilenceMatcher,
    until: Instant,
    shown: Acknowledgement,
}

/// A command about an alert that does nothing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertCommandError {
    /// No alert of that number is firing.
    NotFiring(u64),
    /// There is no silence of that number.
    NoSilence(u64),
    /// There are as many silences as may be, 256.
    TooManySilences,
    /// It would end at once.
    NoTime,
    /// This text, `by` or `reason`, has more than 1,024 bytes.
    TooLong(&'static str),
}

impl fmt::Display for AlertCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFiring(id) => write!(f, "no alert {id} is firing"),
            Self::NoSilence(id) => write!(f, "there is no silence {id}"),
            Self::TooManySilences => write!(f, "there are {SILENCES} silences, end one first"),
            Self::NoTime => f.write_str("the time is zero, accepted is a longer one"),
            Self::TooLong(text) => write!(f, "`{text}` has more than {TEXT} bytes"),
        }
    }
}

impl std::error::Error for AlertCommandError {}

/// Which alerts are firing.
#[derive(Debug)]
pub(crate) struct Engine {
    program: InstanceName,
    pub(crate) rules: AlertRules,
    active: BTreeMap<AlertKey, Active>,
    over: VecDeque<AlertView>,
    keep: usize,
    silences: Vec<Silence>,
    round: u64,
    next: u64,
    pub(crate) raised: u64,
}

impl Engine {
    pub(crate) const fn new(program: InstanceName, rules: AlertRules, keep: usize) -> Self {
        Self {
            program,
            rules,
            active: BTreeMap::new(),
            over: VecDeque::new(),
            keep,
            silences: Vec::new(),
            round: 0,
            next: 1,
            raised: 0,
        }
    }

    /// Evaluates figures. What of the kinds that are `evaluated` is not among them is gone. Returns what
    /// sinks are to be sent.
    pub(crate) fn evaluate(
        &mut self,
        at: Moment,
        evaluated: impl Fn(AlertKind) -> bool,
        figures: &[Measured],
    ) -> Vec<AlertView> {
        let mut out = Vec::new();
        self.round += 1;
        self.silences.retain(|silence| silence.until > at.now);
        for figure in figures {
            let rule = self.rules.rule(figure.key.kind);
            if rule.enabled() && evaluated(figure.key.kind) {
                self.take(at, &rule, figure, &mut out);
            }
        }
        let round = self.round;
        let is_gone = |key: &AlertKey, it: &Active| {
            it.round != round && (evaluated(key.kind) || !self.rules.rule(key.kind).enabled())
        };
        let gone: Vec<_> = self
            .active
            .iter()
            .filter(|(key, it)| is_gone(key, it))
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.end(at, key, None, &mut out);
        }
        self.send_unsent(at, &mut out);
        out
    }

    fn take(&mut self, at: Moment, rule: &AlertRule, figure: &Measured, out: &mut Vec<AlertView>) {
        let key = figure.key;
        let value = figure.value.and_then(number);
        let is_beyond = value.is_some_and(|value| rule.is_beyond(value));
        if !self.active.contains_key(&key) {
            if !is_beyond {
                return;
            }
            let active = Active {
                since: at.now,
                round: self.round,
                back_since: None,
                unknown_since: None,
                firing: None,
            };
            self.active.insert(key, active);
        }
        let runbook = self.rules.runbook(key.kind);
        let Some(active) = self.active.get_mut(&key) else {
            return;
        };
        active.round = self.round;
        let Some(firing) = &mut active.firing else {
            let Some(value) = value.filter(|_| is_beyond) else {
                self.active.remove(&key);
                return;
            };
            if at.now.saturating_duration_since(active.since) >= rule.lasts() {
                let mut view = view(self.next, at.unix_ms, rule, key, value, runbook);
                // Two programs may alert about the same, to the same Alertmanager.
                let program = self.program.as_str().to_owned();
                view.labels.insert("program", program);
                active.firing = Some(Firing {
                    view,
                    is_due: true,
                    is_sent: false,
                    acknowledged_until: None,
                });
                self.next += 1;
                self.raised += 1;
            }
            return;
        };
        let Some(value) = value else {
            let since = *active.unknown_since.get_or_insert(at.now);
            if at.now.saturating_duration_since(since) >= NO_DATA {
                self.end(at, key, None, out);
            }
            return;
        };
        active.unknown_since = None;
        if !rule.is_back(value) {
            active.back_since = None;
            if rule.is_beyond(value) {
                firing.view.value = value;
                firing.view.words = words(key, value);
            }
            return;
        }
        let since = *active.back_since.get_or_insert(at.now);
        if at.now.saturating_duration_since(since) >= rule.resolve_after() {
            self.end(at, key, Some(value), out);
        }
    }

    fn end(&mut self, at: Moment, key: AlertKey, value: Option<f64>, out: &mut Vec<AlertView>) {
        let Some(firing) = self.active.remove(&key).and_then(|it| it.firing) else {
            return;
        };
        let mut view = firing.view;
        view.state = AlertState::Resolved;
        view.value = value.unwrap_or(view.value);
        // A clock that was set back makes nothing end before it began.
        view.resolved_at_unix_ms = Some(at.unix_ms.max(view.raised_at_unix_ms));
        if firing.is_sent {
            out.push(view.clone());
        }
        if self.over.len() >= self.keep {
            self.over.pop_front();
        }
        self.over.push_back(view);
    }

    /// Sends what is firing and is due, since it is new, or since a silence or an acknowledgement has ended.
    fn send_unsent(&mut self, at: Moment, out: &mut Vec<AlertView>) {
        for (key, active) in &mut self.active {
            let Some(firing) = &mut active.firing else {
                continue;
            };
            if firing
                .acknowledged_until
                .is_some_and(|until| until <= at.now)
            {
                firing.acknowledged_until = None;
                firing.view.acknowledged = None;
                // It may have been forgotten meanwhile.
                firing.is_due = true;
            }
            firing.show_silence(silence_of(&self.silences, *key));
            if firing.view.silence.is_none() && firing.is_due {
                firing.is_due = false;
                firing.is_sent = true;
                out.push(firing.view.clone());
            }
        }
    }

    fn firing(&self) -> impl Iterator<Item = &Firing> {
        self.active.values().filter_map(|it| it.firing.as_ref())
    }

    /// What is firing.
    pub(crate) fn active(&self) -> impl Iterator<Item = &AlertView> {
        self.firing().map(|it| &it.view)
    }

    /// What is firing and what is over, newest first.
    pub(crate) fn views(&self) -> Vec<AlertView> {
        let mut views: Vec<_> = self.firing().map(|it| it.view.clone()).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.id));
        views.extend(self.over.iter().rev().cloned());
        views
    }

    fn find(&mut self, id: u64) -> Result<&mut Firing, AlertCommandError> {
        let mut firing = self.active.values_mut().filter_map(|it| it.firing.as_mut());
        firing
            .find(|it| it.view.id == id)
            .ok_or(AlertCommandError::NotFiring(id))
    }

    pub(crate) fn acknowledge(
        &mut self,
        at: Moment,
        id: u64,
        shown: (&str, &str),
        lasts: Duration,
    ) -> Result<(), AlertCommandError> {
        let firing = self.find(id)?;
        let (until, shown) = until(at, shown, lasts)?;
        firing.acknowledged_until = Some(until);
        firing.view.acknowledged = Some(shown);
        Ok(())
    }

    pub(crate) fn unacknowledge(&mut self, id: u64) -> Result<(), AlertCommandError> {
        let firing = self.find(id)?;
        firing.acknowledged_until = None;
        firing.view.acknowledged = None;
        Ok(())
    }

    pub(crate) fn silence(
        &mut self,
        at: Moment,
        matcher: SilenceMatcher,
        shown: (&str, &str),
        lasts: Duration,
    ) -> Result<u64, AlertCommandError> {
        self.silences.retain(|silence| silence.until > at.now);
        if self.silences.len() >= SILENCES {
            return Err(AlertCommandError::TooManySilences);
        }
        let (until, shown) = until(at, shown, lasts)?;
        let id = self.next;
        self.next += 1;
        self.silences.push(Silence {
            id,
            matcher,
            until,
            shown,
        });
        self.show_silences();
        Ok(id)
    }

    pub(crate) fn unsilence(&mut self, id: u64) -> Result<(), AlertCommandError> {
        let before = self.silences.len();
        self.silences.retain(|silence| silence.id != id);
        if self.silences.len() == before {
            return Err(AlertCommandError::NoSilence(id));
        }
        self.show_silences();
        Ok(())
    }

    /// The silences that hold, the newest first.
    pub(crate) fn silences(&self, at: Moment) -> Vec<SilenceView> {
        let holding = self.silences.iter().rev().filter(|it| it.until > at.now);
        let views = holding.map(|silence| SilenceView {
            id: silence.id,
            rule: silence.matcher.rule.map(AlertKind::as_str),
            service: silence.matcher.service.map(InstanceName::as_str),
            silenced: silence.shown.clone(),
        });
        views.collect()
    }

    fn show_silences(&mut self) {
        for (key, active) in &mut self.active {
            if let Some(firing) = &mut active.firing {
                firing.show_silence(silence_of(&self.silences, *key));
            }
        }
    }
}

fn silence_of(silences: &[Silence], key: AlertKey) -> Option<&Silence> {
    silences.iter().find(|it| it.matcher.matches(key))
}

fn until(
    at: Moment,
    (by, reason): (&str, &str),
    lasts: Duration,
) -> Result<(Instant, Acknowledgement), AlertCommandError> {
    if lasts.is_zero() {
        return Err(AlertCommandError::NoTime);
    }
    for (name, text) in [("by", by), ("reason", reason)] {
        if text.len() > TEXT {
            return Err(AlertCommandError::TooLong(name));
        }
    }
    // A year is as long as anybody means.
    let lasts = lasts.min(Duration::from_secs(366 * 24 * 3600));
    let shown = Acknowledgement {
        by: by.to_owned(),
        reason: reason.to_owned(),
        until_unix_ms: at.unix_ms.saturating_add(lasts.as_millis() as u64),
    };
    Ok((at.now + lasts, shown))
}

fn words(key: AlertKey, value: f64) -> String {
    let service = (!key.service.is_empty()).then_some(key.service);
    key.kind.words(service, key.detail, value)
}

fn view(
    id: u64,
    unix_ms: u64,
    rule: &AlertRule,
    key: AlertKey,
    value: f64,
    runbook: String,
) -> AlertView {
    let detail = match key.kind {
        AlertKind::CheckFailing => "check",
        _ => "limit",
    };
    let labels = [
        ("service", key.service),
        ("registry", key.registry),
        (detail, key.detail),
    ];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    AlertView {
        id,
        name: key.kind.as_str(),
        severity: rule.severity(),
        state: AlertState::Firing,
        service: (!key.service.is_empty()).then_some(key.service),
        words: words(key, value),
        value,
        threshold: rule.threshold(),
        raised_at_unix_ms: unix_ms,
        resolved_at_unix_ms: None,
        labels: labels
            .map(|(label, value)| (label, value.to_owned()))
            .collect(),
        runbook,
        acknowledged: None,
        silenced: None,
        silence: None,
    }
}

#[cfg(test)]
mod tests;
