//! Calendar periods.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

seawall_core::state_words! {
    /// A calendar period over which money is counted.
    pub enum SpendPeriod {
        /// From one full hour to the next.
        Hour = "hour",
        /// From midnight to midnight.
        Day = "day",
        /// From the first of a month to the next.
        Month = "month",
    }
}

impl SpendPeriod {
    /// Every period, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// When the period ends in which `unix_ns` lies, in nanoseconds after 1970 in UTC, where clocks are
    /// `east` seconds ahead of UTC; never, beyond the calendar.
    pub(crate) fn end(self, unix_ns: i128, east: i32) -> i128 {
        self.checked_end(unix_ns, east).unwrap_or(i128::MAX)
    }

    fn checked_end(self, unix_ns: i128, east: i32) -> Option<i128> {
        let zone = TimeZone::fixed(Offset::from_seconds(east).ok()?);
        let local = Timestamp::from_nanosecond(unix_ns).ok()?;
        let local = zone.to_datetime(local);
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        let end = match self {
            Self::Hour => {
                let hour = local.date().at(local.hour(), 0, 0, 0);
                hour.checked_add(1.hour()).ok()?
            }
            Self::Day => midnight(local.date().tomorrow().ok()?),
            Self::Month => midnight(local.date().last_of_month().tomorrow().ok()?),
        };
        Some(zone.to_timestamp(end).ok()?.as_nanosecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ns(text: &str) -> i128 {
        text.parse::<Timestamp>().unwrap().as_nanosecond()
    }

    #[test]
    fn periods_end_by_the_calendar_of_the_offset() {
        let india = 5 * 3_600 + 1_800;
        for (period, now, east, end) in [
            (
                SpendPeriod::Hour,
                "2024-02-29T23:59:59.9Z",
                0,
                "2024-03-01T00:00:00Z",
            ),
            (
                SpendPeriod::Hour,
                "2024-02-29T23:10:00Z",
                india,
                "2024-02-29T23:30:00Z",
            ),
            (
                SpendPeriod::Day,
                "2024-02-28T00:00:00Z",
                0,
                "2024-02-29T00:00:00Z",
            ),
            (
                SpendPeriod::Day,
                "2024-02-28T18:29:59Z",
                india,
                "2024-02-28T18:30:00Z",
            ),
            (
                SpendPeriod::Month,
                "2024-02-01T00:00:00Z",
                0,
                "2024-03-01T00:00:00Z",
            ),
            (
                SpendPeriod::Month,
                "2023-12-31T23:00:00Z",
                0,
                "2024-01-01T00:00:00Z",
            ),
            (
                SpendPeriod::Month,
                "2024-01-01T01:00:00Z",
                -7_200,
                "2024-01-01T02:00:00Z",
            ),
        ] {
            assert_eq!(period.end(ns(now), east), ns(end), "{period:?} {now}");
        }
        assert_eq!(SpendPeriod::Month.end(i128::MAX, 0), i128::MAX);
        assert_eq!(
            SpendPeriod::Day.end(Timestamp::MAX.as_nanosecond(), 0),
            i128::MAX
        );
    }

    proptest! {
        #[test]
        fn the_next_period_begins_where_one_ends(
            seconds in -2_000_000_000_i64..4_000_000_000,
            east in -86_399_i32..=86_399,
        ) {
            let now = i128::from(seconds) * 1_000_000_000;
            for (period, longest) in SpendPeriod::ALL.into_iter().zip([1, 24, 31 * 24]) {
                let end = period.end(now, east);
                prop_assert!(end > now && end <= now + longest * 3_600_000_000_000);
                prop_assert_eq!(period.end(end - 1, east), end);
                prop_assert!(period.end(end, east) > end);
            }
        }
    }
}
