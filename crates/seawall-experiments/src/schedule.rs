//! When an experiment runs.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use seawall_core::InvalidConfig;

use crate::cron::Crontab;
use crate::raw::RawSchedule;
use crate::times::{invalid, timestamp, zone};

/// When an experiment runs: by a crontab, once, or when somebody starts it, on a game day.
///
/// Of a crontab whose clocks are changed, a time of day that occurs twice counts the first time, and one that is
/// skipped when the clocks are changed.
#[derive(Clone, Debug)]
pub struct Schedule {
    when: When,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum When {
    Cron(Box<Crontab>),
    Once(Timestamp),
    GameDay,
}

impl Schedule {
    pub(crate) fn new(raw: &RawSchedule, now: Timestamp) -> Result<Self, InvalidConfig> {
        let tz = raw.zone.as_deref();
        let tz = tz.map(|name| zone("zone", name)).transpose()?;
        let at = |field: &'static str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| instant(field, text, tz.as_ref()))
                .transpose()
        };
        let (from, until) = (at("from", &raw.from)?, at("until", &raw.until)?);
        if raw.game_day == Some(false) {
            let accepted = "true, or nothing";
            return Err(InvalidConfig::new("game_day", false, accepted));
        }
        let when = match (&raw.cron, at("at", &raw.at)?, raw.game_day) {
            (Some(cron), None, None) => {
                let zone = tz.clone().ok_or_else(|| {
                    let accepted = "a zone of IANA such as \"America/New_York\"";
                    InvalidConfig::new("zone", "missing", accepted)
                })?;
                When::Cron(Box::new(Crontab::new("cron", cron, zone)?))
            }
            (None, Some(at), None) => When::Once(at),
            (None, None, Some(_)) => When::GameDay,
            (None, None, None) => {
                let accepted = "one of `cron`, `at` and `game_day`";
                return Err(InvalidConfig::new("cron", "missing", accepted));
            }
            (cron, _, game_day) => {
                // The second one of them.
                let (field, value, accepted) = match (cron, &raw.at, game_day) {
                    (Some(_), Some(at), _) => ("at", format!("{at:?}"), "nothing beside `cron`"),
                    (Some(_), ..) => ("game_day", "true".to_owned(), "nothing beside `cron`"),
                    _ => ("game_day", "true".to_owned(), "nothing beside `at`"),
                };
                return Err(InvalidConfig::new(field, value, accepted));
            }
        };
        let schedule = Self { when, from, until };
        schedule.check(raw, now)?;
        Ok(schedule)
    }

    /// Rejects what has no effect, and what never runs.
    fn check(&self, raw: &RawSchedule, now: Timestamp) -> Result<(), InvalidConfig> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        if !matches!(self.when, When::Cron(_)) {
            let set = [("from", &raw.from), ("until", &raw.until)];
            for (field, set) in set {
                if let Some(set) = set {
                    let accepted = "nothing: it has no effect without `cron`";
                    return Err(invalid(field, set, accepted));
                }
            }
        }
        match &self.when {
            When::GameDay => {
                if let Some(zone) = &raw.zone {
                    return Err(invalid(
                        "zone",
                        zone,
                        "nothing: it has no effect on a game day",
                    ));
                }
            }
            When::Once(at) if *at <= now => {
                return Err(invalid("at", &text(&raw.at), "a moment in the future"));
            }
            When::Once(_) => {}
            When::Cron(_) => {
                let until = text(&raw.until);
                if let (Some(from), Some(end)) = (self.from, self.until)
                    && end <= from
                {
                    return Err(invalid("until", &until, "later than `from`"));
                }
                if self.until.is_some_and(|until| until <= now) {
                    return Err(invalid("until", &until, "a moment in the future"));
                }
                if self.next(now).is_none() {
                    let accepted = "a crontab that is due some day, before `until`";
                    return Err(invalid("cron", &text(&raw.cron), accepted));
                }
            }
        }
        Ok(())
    }

    /// The first moment after `after` at which it is due; none on a game day, and where there is none any more.
    pub fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        self.next(timestamp(after)).map(Into::into)
    }

    /// Whether it runs only when somebody starts it.
    pub const fn is_game_day(&self) -> bool {
        matches!(self.when, When::GameDay)
    }

    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::GameDay => None,
            When::Once(at) => (*at > after).then_some(*at),
            When::Cron(crontab) => {
                // At `from` itself it may be due.
                let before_from = self.from.and_then(|from| from.checked_sub(NANOSECOND).ok());
                let after = before_from.map_or(after, |from| from.max(after));
                let next = crontab.next(after)?;
                let is_over = self.until.is_some_and(|until| next > until);
                (!is_over).then_some(next)
            }
        }
    }
}

const NANOSECOND: jiff::SignedDuration = jiff::SignedDuration::from_nanos(1);

/// A moment: with an offset from UTC, or by the clocks of the zone.
fn instant(field: &str, text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, InvalidConfig> {
    const ACCEPTED: &str =
        "a moment such as \"2027-01-09T08:00:00Z\", or \"2027-01-09T03:00:00\" with `zone`";
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text.parse::<DateTime>().ok().zip(zone);
    let (local, zone) = local.ok_or_else(|| invalid(field, text, ACCEPTED))?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            let at = ambiguous.earlier().ok();
            at.ok_or_else(|| invalid(field, text, ACCEPTED))
        }
        _ => {
            let accepted = "a time of day that is there once, or one with an offset: the clocks are changed then";
            Err(invalid(field, text, accepted))
        }
    }
}
