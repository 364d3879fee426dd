//! The days on which the New York Stock Exchange is closed, and those on which it closes early.
//!
//! The rules are those of the exchange's Rule 7.2 and of its calendar, <https://www.nyse.com/markets/hours-calendars>:
//! a holiday on a Saturday is observed on the Friday before and one on a Sunday on the Monday after, but New Year's Day
//! is not observed in the old year. It closes at 13:00 on July 3, on the day after Thanksgiving and on December 24,
//! where these are days of trading and the holiday is not observed on a Monday. They hold since 2022, when
//! Juneteenth became a holiday of the exchange; years before are by the same rules without it. What the exchange decides for a single day, such as a day of mourning,
//! no rule has.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

/// What an exchange does on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Day {
    Full,
    Early,
    Closed,
}

/// The year in which Juneteenth was a holiday of the exchange first.
const FIRST_JUNETEENTH: i16 = 2022;

/// What it does on a day that is no weekend.
pub(crate) fn day(date: Date) -> Day {
    if is_holiday(date) {
        Day::Closed
    } else if closes_early(date) {
        Day::Early
    } else {
        Day::Full
    }
}

fn is_holiday(date: Date) -> bool {
    let (month, day) = (date.month(), date.day());
    let nth_monday = |nth| date.weekday() == Weekday::Monday && (day - 1) / 7 + 1 == nth;
    let last_monday = date.weekday() == Weekday::Monday && day + 7 > date.days_in_month();
    match month {
        1 if nth_monday(3) => return true,
        2 if nth_monday(3) => return true,
        5 if last_monday => return true,
        9 if nth_monday(1) => return true,
        11 if is_thanksgiving(date) => return true,
        _ => {}
    }
    // A Saturday's is observed a day earlier, a Sunday's a day later; New Year's Day never in the old year.
    let is_fixed = |date: Date| {
        matches!((date.month(), date.day()), (1, 1) | (7, 4) | (12, 25))
            || (date.month(), date.day()) == (6, 19) && date.year() >= FIRST_JUNETEENTH
    };
    let observed = match date.weekday() {
        Weekday::Friday => date
            .tomorrow()
            .is_ok_and(|next| is_fixed(next) && next.month() != 1),
        Weekday::Monday => date.yesterday().is_ok_and(is_fixed),
        _ => false,
    };
    is_fixed(date) || observed || is_good_friday(date)
}

fn closes_early(date: Date) -> bool {
    match (date.month(), date.day()) {
        // On a Friday both are holidays that were moved.
        (7, 3) | (12, 24) => true,
        (11, _) => date.yesterday().is_ok_and(is_thanksgiving),
        _ => false,
    }
}

fn is_thanksgiving(date: Date) -> bool {
    date.month() == 11 && date.weekday() == Weekday::Thursday && (date.day() - 1) / 7 + 1 == 4
}

fn is_good_friday(date: Date) -> bool {
    date.weekday() == Weekday::Friday
        && date
            .checked_add(2.days())
            .is_ok_and(|sunday| Some(sunday) == easter(date.year()))
}

/// Easter Sunday of the Gregorian calendar, after the anonymous algorithm that J. Meeus gives in "Astronomical
/// Algorithms", chapter 8.
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let g = (b - (b + 8) / 25 + 1) / 3;
    let h = (19 * a + b - b / 4 - g + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let sum = h + l - 7 * m + 114;
    Date::new(
        year,
        i8::try_from(sum / 31).ok()?,
        i8::try_from(sum % 31 + 1).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn closed_and_early(year: i16) -> (Vec<String>, Vec<String>) {
        let (mut closed, mut early) = (Vec::new(), Vec::new());
        let mut at = date(year, 1, 1);
        while at.year() == year {
            let weekend = matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday);
            let text = at.strftime("%m-%d").to_string();
            match day(at) {
                Day::Closed if !weekend => closed.push(text),
                Day::Early if !weekend => early.push(text),
                _ => {}
            }
            at = at.tomorrow().unwrap();
        }
        (closed, early)
    }

    /// As the exchange has announced them, on 2024-11-08 for 2025 and on 2025-12-23 for the others.
    #[test]
    fn the_days_are_those_that_the_exchange_has_announced() {
        for (year, closed, early) in [
            (
                2025,
                "01-01 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
                "07-03 11-28 12-24",
            ),
            (
                2026,
                "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
                "11-27 12-24",
            ),
            (
                2027,
                "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24",
                "11-26",
            ),
            (
                2028,
                "01-17 02-21 04-14 05-29 06-19 07-04 09-04 11-23 12-25",
                "07-03 11-24",
            ),
        ] {
            let (is_closed, is_early) = closed_and_early(year);
            assert_eq!(is_closed.join(" "), closed, "{year}");
            assert_eq!(is_early.join(" "), early, "{year}");
        }
    }

    #[test]
    fn a_holiday_on_a_sunday_is_observed_on_monday_and_nothing_closes_early_before() {
        let (closed, early) = closed_and_early(2022);
        assert!(closed.contains(&"12-26".to_owned()) && closed.contains(&"06-20".to_owned()));
        assert_eq!(early.join(" "), "11-25");
        let (closed, _) = closed_and_early(2023);
        assert!(closed.contains(&"01-02".to_owned()));
    }

    #[test]
    fn juneteenth_is_a_holiday_since_2022() {
        for (year, day_of_june, expected) in [
            (2019, 19, Day::Full),
            (2020, 19, Day::Full),
            (2021, 18, Day::Full),
            (2022, 20, Day::Closed),
            (2023, 19, Day::Closed),
        ] {
            assert_eq!(day(date(year, 6, day_of_june)), expected, "{year}");
        }
    }

    #[test]
    fn no_year_panics() {
        for year in [-9999, -1, 0, 1, 9999] {
            day(Date::new(year, 7, 3).unwrap());
            day(Date::new(year, 12, 31).unwrap());
        }
        assert_eq!(day(Date::MAX), Day::Full);
        day(Date::MIN);
    }
}
