//! The moments of a crontab in a zone whose clocks are changed.
//!
//! The crontab is read, and its next time of day found, in a calendar without changes; only then is that time put on
//! the zone. A time of day that occurs twice counts the first time, one that is skipped counts when the clocks are
//! changed, and several skipped ones are one moment. So a crontab neither repeats itself in the hour that comes
//! twice nor loses its run in the hour that never comes, and a change by half an hour is no special case.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use seawall_core::InvalidConfig;

use crate::times::invalid;

/// A crontab of five fields, minutes first.
#[derive(Clone, Debug)]
pub(crate) struct Crontab {
    cron: Box<Cron>,
    zone: TimeZone,
}

const ACCEPTED: &str = "five fields of a crontab, such as \"30 9 * * MON-FRI\"";

impl Crontab {
    pub(crate) fn new(field: &str, text: &str, zone: TimeZone) -> Result<Self, InvalidConfig> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        // A longer one is no crontab, and is not worth its time.
        let cron = (text.len() <= 256 && has_items(text)).then(|| parser.parse(text));
        match cron {
            Some(Ok(cron)) => Ok(Self {
                cron: Box::new(cron),
                zone,
            }),
            _ => Err(invalid(field, text, ACCEPTED)),
        }
    }

    /// The first moment after `after`; none where there is none before the year 5000.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // What was before the clocks were set back may lie, by its time of day, after what is then.
        let mut local = self.zone.to_datetime(after);
        loop {
            local = self.next_local(local)?;
            let at = moment(&self.zone, local)?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// The next time of day.
    fn next_local(&self, after: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&after, false).ok()
    }
}

/// Whether no item of a list is empty, and no step is longer than its field: the first value alone would be due.
fn has_items(text: &str) -> bool {
    const MOST: [u32; 5] = [59, 23, 31, 12, 7];
    text.split_whitespace().zip(MOST).all(|(field, most)| {
        field.split(',').all(|item| {
            let step = item.split_once('/').map(|(_, step)| step.parse::<u32>());
            !item.is_empty() && step.is_none_or(|step| step.is_ok_and(|step| step <= most))
        })
    })
}

/// When a time of day is: the first time, or when the clocks are changed over it.
pub(crate) fn moment(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let earlier = ambiguous.earlier().ok()?;
    let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else {
        return Some(earlier);
    };
    // By the clocks as they will be, it lies before the change.
    let mut changes = zone.following(earlier);
    let change = changes.find(|change| change.offset() == after)?;
    Some(change.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    fn zone(name: &str) -> TimeZone {
        TimeZoneDatabase::bundled().get(name).unwrap()
    }

    fn crontab(text: &str, name: &str) -> Crontab {
        Crontab::new("cron", text, zone(name)).unwrap()
    }

    /// The next moments, by the clocks of the zone.
    fn times(text: &str, name: &str, after: &str, number: usize) -> Vec<String> {
        let crontab = crontab(text, name);
        let mut at: Timestamp = after.parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..number {
            at = crontab.next(at).unwrap();
            let local = at.to_zoned(zone(name));
            times.push(local.strftime("%m-%d %H:%M%:z").to_string());
        }
        times
    }

    #[test]
    fn where_clocks_are_changed_every_run_is_once() {
        let new_york = "America/New_York";
        let lord_howe = "Australia/Lord_Howe";
        for (text, zone, after, expected) in [
            // March 8 2026 has no 02:30: when the clocks are set forward, and the next day as always.
            (
                "30 2 * * *",
                new_york,
                "2026-03-07T08:00:00Z",
                "03-08 03:00-04:00, 03-09 02:30-04:00",
            ),
            // Several times that are skipped are one moment, and that of 03:00 itself is the same.
            (
                "*/30 2,3 * * *",
                new_york,
                "2026-03-08T06:00:00Z",
                "03-08 03:00-04:00, 03-08 03:30-04:00",
            ),
            // November 1 2026 has 01:30 twice.
            (
                "30 1 * * *",
                new_york,
                "2026-10-31T12:00:00Z",
                "11-01 01:30-04:00, 11-02 01:30-05:00",
            ),
            // From within the hour that comes twice, in either pass.
            (
                "30 1 * * *",
                new_york,
                "2026-11-01T05:10:00Z",
                "11-01 01:30-04:00, 11-02 01:30-05:00",
            ),
            (
                "30 1 * * *",
                new_york,
                "2026-11-01T06:10:00Z",
                "11-02 01:30-05:00, 11-03 01:30-05:00",
            ),
            (
                "0 * * * *",
                new_york,
                "2026-11-01T05:00:00Z",
                "11-01 02:00-05:00, 11-01 03:00-05:00",
            ),
            // Lord Howe sets its clocks by half an hour: forward at 02:00 on October 4, back at 02:00 on April 5.
            (
                "15 2 * * *",
                lord_howe,
                "2026-10-03T12:00:00Z",
                "10-04 02:30+11:00, 10-05 02:15+11:00",
            ),
            (
                "45 1 * * *",
                lord_howe,
                "2026-04-04T12:00:00Z",
                "04-05 01:45+11:00, 04-06 01:45+10:30",
            ),
            (
                "*/15 1 * * *",
                lord_howe,
                "2026-04-04T14:29:00Z",
                "04-05 01:30+11:00, 04-05 01:45+11:00",
            ),
            // Samoa had no December 30 2011 at all.
            (
                "0 12 * * *",
                "Pacific/Apia",
                "2011-12-29T23:00:00Z",
                "12-31 00:00+14:00, 12-31 12:00+14:00",
            ),
            (
                "0 0 L * *",
                "UTC",
                "2026-12-01T00:00:00Z",
                "12-31 00:00+00:00, 01-31 00:00+00:00",
            ),
            (
                "0 0 29 2 *",
                "UTC",
                "2096-03-01T00:00:00Z",
                "02-29 00:00+00:00, 02-29 00:00+00:00",
            ),
        ] {
            assert_eq!(
                times(text, zone, after, 2).join(", "),
                expected,
                "{text} {zone}"
            );
        }
    }

    #[test]
    fn what_is_no_crontab_of_five_fields_is_rejected() {
        let long = "1,".repeat(200) + "1 * * * *";
        for text in [
            "",
            " ",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 32 * *",
            "a * * * *",
            "5/0 * * * *",
            "1,,2 0 * * *",
            "1, * * * *",
            ",1 * * * *",
            "*/99 * * * *",
            "*/60 * * * *",
            "0 */24 * * *",
            "1-2-3 * * * *",
            "* * * * 5#6",
            "@never",
            "99999999999999999999 * * * *",
            &long,
        ] {
            let rejected = Crontab::new("schedule.cron", text, TimeZone::UTC).unwrap_err();
            assert_eq!(rejected.field(), "schedule.cron");
            assert_eq!(rejected.value(), format!("{text:?}"));
        }
    }

    #[test]
    fn a_day_that_never_comes_is_no_moment() {
        assert_eq!(
            crontab("0 0 30 2 *", "UTC").next(Timestamp::UNIX_EPOCH),
            None
        );
        assert_eq!(crontab("* * * * *", "UTC").next(Timestamp::MAX), None);
    }

    /// Minute by minute: the first minute of the zone's clocks that matches and has not been before.
    fn slow(minute: i8, hour: i8, name: &str, after: Timestamp) -> Timestamp {
        let zone = zone(name);
        let start = after.as_second().div_euclid(60) * 60;
        let mut latest = None;
        // Long enough before for the times that will be repeated.
        for step in -3 * 60..4 * 24 * 60_i64 {
            let at = Timestamp::from_second(start + step * 60).unwrap();
            let local = zone.to_datetime(at);
            let previous = latest.unwrap_or(local.checked_sub(1.minute()).unwrap());
            if local <= previous {
                continue; // this time of day has been before
            }
            // All times of day since the previous one: more than one where the clocks were set forward.
            let mut passed = previous;
            let mut matches = false;
            while passed < local {
                passed = passed.checked_add(1.minute()).unwrap();
                matches |= (passed.minute(), passed.hour()) == (minute, hour);
            }
            latest = Some(local);
            if matches && at > after {
                return at;
            }
        }
        unreachable!("it is every day");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn a_slow_search_finds_the_same(
            minute in 0..60_i8,
            hour in 0..5_i8,
            // Two years of times near changes, and anywhere.
            seconds in prop_oneof![
                1_767_225_600..1_830_297_600_i64,
                1_772_928_000..1_773_014_400_i64, // New York forward
                1_793_491_200..1_793_577_600_i64, // and back
                1_791_028_800..1_791_115_200_i64, // Lord Howe forward
                1_775_293_200..1_775_379_600_i64, // and back
            ],
            name in prop_oneof![
                Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Europe/Berlin"), Just("UTC"),
                Just("Africa/Casablanca"),
            ],
        ) {
            let after = Timestamp::from_second(seconds).unwrap();
            let crontab = crontab(&format!("{minute} {hour} * * *"), name);
            prop_assert_eq!(crontab.next(after), Some(slow(minute, hour, name, after)));
        }
    }
}
