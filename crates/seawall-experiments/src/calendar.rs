//! When a market is open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::cron::moment;
use crate::nyse::{self, Day};
use crate::times::{timestamp, zone};

/// When a market is open: its sessions by the day of the week, the days on which it is closed, and those on which it
/// closes early.
///
/// That of the New York Stock Exchange is [built in](Self::nyse); others are tables of a file of experiments. On a
/// day that a calendar does not name, the market is taken to be open as on other days: a calendar that is out of date
/// stops an experiment too often, and never too rarely.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use seawall_experiments::MarketCalendar;
///
/// let nyse = MarketCalendar::nyse();
/// // 2026-11-27, the day after Thanksgiving, at 12:30 and at 13:30 in New York: it closes at 13:00.
/// let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
/// assert!(nyse.is_open(at(1_795_800_600)));
/// assert!(!nyse.is_open(at(1_795_804_200)));
/// ```
#[derive(Clone, Debug)]
pub struct MarketCalendar {
    pub(crate) name: String,
    pub(crate) zone: TimeZone,
    /// The sessions of each day, from Monday on; one that does not end later than it begins ends the next day.
    pub(crate) sessions: [Vec<Session>; 7],
    pub(crate) closed: BTreeSet<Date>,
    pub(crate) early: BTreeMap<Date, Time>,
    pub(crate) by_rules: bool,
}

/// From one time of day to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) from: Time,
    pub(crate) to: Time,
}

impl Session {
    /// How long it lasts, but where clocks are changed.
    pub(crate) fn lasts(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        let since_midnight = |time: Time| {
            Duration::try_from(time.duration_since(Time::midnight())).unwrap_or_default()
        };
        let (from, to) = (since_midnight(self.from), since_midnight(self.to));
        if to > from {
            to - from
        } else {
            to + DAY - from
        }
    }
}

impl MarketCalendar {
    /// The cash session of the New York Stock Exchange, 09:30 to 16:00 of New York on weekdays, with its holidays and
    /// early closes by the rules that hold since 2022
    /// ([hours and calendars](https://www.nyse.com/markets/hours-calendars)). Years before are computed by the same rules, but
    /// Juneteenth, and are no record of what the exchange did.
    ///
    /// What the exchange decides for a single day, as a day of mourning or a storm, is not in it: it is taken to be open
    /// then. For such a day, name the exchange's days in a `[[calendar]]` of the file, with that day in `closed`
    /// ([how](crate::docs::file#market-and-calendar)).
    #[must_use]
    pub fn nyse() -> Self {
        let session = Session {
            from: Time::constant(9, 30, 0, 0),
            to: Time::constant(16, 0, 0, 0),
        };
        Self {
            name: "nyse".to_owned(),
            // The database is part of the program.
            zone: zone("zone", "America/New_York").unwrap_or(TimeZone::UTC),
            sessions: std::array::from_fn(|day| if day < 5 { vec![session] } else { Vec::new() }),
            closed: BTreeSet::new(),
            early: BTreeMap::new(),
            by_rules: true,
        }
    }

    /// The name by which experiments refer to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the market is open at that moment.
    pub fn is_open(&self, at: SystemTime) -> bool {
        let at = timestamp(at);
        self.session_in(at, at).is_some()
    }

    /// The first session of which a part lies between two moments, both included.
    pub(crate) fn session_in(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        let last = self.zone.to_datetime(to).date();
        // A session of the day before may last until the first one.
        let mut date = self.zone.to_datetime(from).date();
        date = date.yesterday().unwrap_or(date);
        loop {
            for session in self.sessions_of(date) {
                let next = date.tomorrow().unwrap_or(date);
                let end = if session.to > session.from {
                    date
                } else {
                    next
                };
                let opens = moment(&self.zone, date.to_datetime(session.from))?;
                let closes = moment(&self.zone, end.to_datetime(session.to))?;
                if opens <= to && from < closes {
                    return Some((opens, closes));
                }
            }
            if date >= last {
                return None;
            }
            date = date.checked_add(1.day()).ok()?;
        }
    }

    /// The sessions of its day of the week, closed or not.
    pub(crate) fn usual_sessions(&self, date: Date) -> &[Session] {
        &self.sessions[usize::from(date.weekday().to_monday_zero_offset() as u8)]
    }

    pub(crate) fn sessions_of(&self, date: Date) -> impl Iterator<Item = Session> {
        let early = if self.closed.contains(&date) {
            None
        } else if let Some(to) = self.early.get(&date) {
            Some(Some(*to))
        } else if self.by_rules {
            match nyse::day(date) {
                Day::Full => Some(None),
                Day::Early => Some(Some(Time::constant(13, 0, 0, 0))),
                Day::Closed => None,
            }
        } else {
            Some(None)
        };
        let sessions = match early {
            Some(_) => self.usual_sessions(date),
            None => &[],
        };
        let early = early.flatten();
        sessions.iter().filter_map(move |session| match early {
            // What begins later does not begin, and what would be over is over.
            Some(to) if to <= session.from => None,
            Some(to) if session.to <= session.from || to < session.to => {
                Some(Session { to, ..*session })
            }
            _ => Some(*session),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nyse_is_open(text: &str) -> bool {
        MarketCalendar::nyse().is_open(ts(text).into())
    }

    #[test]
    fn new_york_is_open_by_its_own_clocks() {
        for (at, open) in [
            ("2026-11-30T14:29:59Z", false),
            ("2026-11-30T14:30:00Z", true),
            ("2026-11-30T20:59:59Z", true),
            ("2026-11-30T21:00:00Z", false),
            // In summer an hour earlier.
            ("2026-07-06T13:29:59Z", false),
            ("2026-07-06T13:30:00Z", true),
            ("2026-07-06T20:00:00Z", false),
            ("2026-11-28T16:00:00Z", false), // Saturday
            ("2026-12-25T16:00:00Z", false),
            ("2026-12-24T17:59:59Z", true),
            ("2026-12-24T18:00:00Z", false), // 13:00
        ] {
            assert_eq!(nyse_is_open(at), open, "{at}");
        }
    }

    #[test]
    fn what_lasts_into_a_session_meets_it() {
        let nyse = MarketCalendar::nyse();
        let found = nyse.session_in(ts("2026-11-28T00:00:00Z"), ts("2026-11-30T14:30:00Z"));
        assert_eq!(
            found,
            Some((ts("2026-11-30T14:30:00Z"), ts("2026-11-30T21:00:00Z")))
        );
        let none = nyse.session_in(ts("2026-11-27T18:00:00Z"), ts("2026-11-30T14:29:59Z"));
        assert_eq!(none, None);
    }

    #[test]
    fn a_session_may_last_over_midnight_and_days_have_their_own() {
        let mut futures = MarketCalendar::nyse();
        futures.by_rules = false;
        let night = Session {
            from: Time::constant(18, 0, 0, 0),
            to: Time::constant(17, 0, 0, 0),
        };
        futures.sessions = std::array::from_fn(|_| Vec::new());
        futures.sessions[6] = vec![night];
        for (at, open) in [
            ("2026-11-29T22:59:59Z", false),
            ("2026-11-29T23:00:00Z", true), // Sunday, 18:00
            ("2026-11-30T21:59:59Z", true),
            ("2026-11-30T22:00:00Z", false),
            ("2026-11-30T23:30:00Z", false),
        ] {
            assert_eq!(futures.is_open(ts(at).into()), open, "{at}");
        }
        futures.closed.insert(jiff::civil::date(2026, 11, 29));
        assert!(!futures.is_open(ts("2026-11-30T12:00:00Z").into()));
    }

    #[test]
    fn no_moment_panics() {
        let nyse = MarketCalendar::nyse();
        for at in [Timestamp::MIN, Timestamp::MAX] {
            nyse.session_in(at, at);
        }
    }
}
