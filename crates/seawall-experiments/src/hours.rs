//! The hours within which an experiment may run, and whether it ever can.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seawall_core::{InvalidConfig, Span};

use crate::calendar::{MarketCalendar, Session};
use crate::raw::RawHours;
use crate::schedule::Schedule;
use crate::times::{invalid, later, time, weekdays, zone};

/// The hours within which an experiment may run.
#[derive(Clone, Debug)]
pub(crate) struct Hours(MarketCalendar);

impl Hours {
    /// Those of a table, within which a run that lasts so long has room.
    pub(crate) fn new(raw: &RawHours, lasts: Duration) -> Result<Self, InvalidConfig> {
        let name = raw.zone.as_deref().unwrap_or_default();
        let zone = zone("zone", name)?;
        let sessions = sessions(std::slice::from_ref(raw), "")?;
        let longest = sessions.iter().flatten().map(Session::lasts).max();
        if longest.is_none_or(|longest| longest < lasts) {
            let accepted = format!("so late that all of a run, {}, has room", Span(lasts));
            return Err(InvalidConfig::new("to", format!("{:?}", raw.to), accepted));
        }
        Ok(Self(MarketCalendar {
            name: "hours".to_owned(),
            zone,
            sessions,
            closed: Default::default(),
            early: Default::default(),
            by_rules: false,
        }))
    }

    /// Whether all of a run lies within one stretch of the hours.
    pub(crate) fn include(&self, from: Timestamp, to: Timestamp) -> bool {
        let session = self.0.session_in(from, from);
        session.is_some_and(|(opens, closes)| opens <= from && to <= closes)
    }

    /// Where a run is not within them: the moment before which no later one is, either.
    fn not_before(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        if self.include(from, to) {
            return None;
        }
        let (opens, closes) = self.0.session_in(from, later(from, FORTNIGHT))?;
        Some(if opens <= from { closes } else { opens })
    }
}

/// Every day of the week is in it, whatever clocks are changed.
const FORTNIGHT: Duration = Duration::from_secs(14 * 24 * 3_600);
const YEAR: u64 = 366 * 24 * 3_600;
/// All days of the year have been every day of the week by then.
const LONGEST_SEARCH: Duration = Duration::from_secs(50 * YEAR);
/// What is not within its hours for so long never is.
const SHORTEST_SEARCH: Duration = Duration::from_secs(2 * YEAR);
const MOST_STEPS: usize = 2_000;
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// Whether there is a moment at which it is due, all of the run is within its hours, and the market is not open.
///
/// Many moments are passed over at once: up to when the hours begin, or the market closes. Where that takes too
/// long to find out, it is taken to be so.
pub(crate) fn can_run(
    schedule: &Schedule,
    hours: Option<&Hours>,
    market: Option<&MarketCalendar>,
    lasts: Duration,
    now: Timestamp,
) -> bool {
    let mut after = now;
    for _ in 0..MOST_STEPS {
        let due = match schedule.is_game_day() {
            true => Some(after),
            false => schedule.next(after),
        };
        let Some(due) = due.filter(|due| *due < later(now, LONGEST_SEARCH)) else {
            return false;
        };
        let ends = later(due, lasts);
        let open = market.and_then(|market| market.session_in(due, ends));
        let hours = hours.and_then(|hours| hours.not_before(due, ends));
        let Some(not_before) = hours.max(open.map(|(_, closes)| closes)) else {
            return true;
        };
        after = match schedule.is_game_day() {
            true => not_before,
            // At that moment itself it may be due.
            false => not_before.checked_sub(NANOSECOND).unwrap_or(not_before),
        };
    }
    after < later(now, SHORTEST_SEARCH)
}

/// The sessions of each day of the week.
pub(crate) fn sessions(raw: &[RawHours], table: &str) -> Result<[Vec<Session>; 7], InvalidConfig> {
    let mut sessions: [Vec<Session>; 7] = Default::default();
    for (index, raw) in raw.iter().enumerate() {
        let field = |name: &str| match table {
            "" => name.to_owned(),
            table => format!("{table}[{index}].{name}"),
        };
        let session = Session {
            from: time(&field("from"), &raw.from)?,
            to: time(&field("to"), &raw.to)?,
        };
        for day in weekdays(&field("days"), &raw.days)? {
            let of_day = &mut sessions[usize::from(day.to_monday_zero_offset().unsigned_abs())];
            if of_day.contains(&session) {
                let accepted = "each session of a day once";
                return Err(invalid(&field("from"), &raw.from, accepted));
            }
            of_day.push(session);
        }
    }
    Ok(sessions)
}
