//! How far off a date in a response is, by the clock of the server that sent it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, HeaderValue};

/// The furthest point of time that can be meant, in the future and in the past: 31 days, the
/// longest month that a quota can have.
pub(crate) const FURTHEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Two clocks that differ by more than a time zone and what clocks drift: one of them is absurd.
const ABSURD_SKEW: Duration = Duration::from_secs(24 * 3600);

/// A date that is no further from the `Date` of its response than this was written by the same clock,
/// whatever that clock shows.
const NEAR: Duration = Duration::from_secs(12 * 3600);

/// The clocks by which the dates of one response are measured: the response's own `Date`, so that
/// the server's clock may be off by days, or the local clock where there is none or it is absurd.
///
/// A `Date` that is far from the date, and more than a day from the local clock, is not taken where
/// the local clock makes sense of the date: an upstream whose `Date` stands still since 1970 must not
/// stop a client. Where only the `Date` makes sense of it, the local clock is the absurd one.
///
/// Each is read once per response, and only when it is needed.
pub(crate) struct ServerClock<L> {
    read_local: L,
    date: Option<Option<Duration>>,
    local: Option<Duration>,
}

/// How far off a point of time is; one of the two is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Distance {
    pub(crate) ahead: Duration,
    pub(crate) ago: Duration,
}

impl Distance {
    fn between(from: Duration, to: Duration) -> Self {
        Self {
            ahead: to.saturating_sub(from),
            ago: from.saturating_sub(to),
        }
    }

    /// Whether it is a time of these days.
    pub(crate) fn is_plausible(self) -> bool {
        self.is_within(FURTHEST)
    }

    fn is_within(self, longest: Duration) -> bool {
        self.ahead <= longest && self.ago <= longest
    }
}

impl<L: Fn() -> SystemTime> ServerClock<L> {
    pub(crate) const fn new(read_local: L) -> Self {
        Self {
            read_local,
            date: None,
            local: None,
        }
    }

    /// How far off the point of time `at` (since 1970) is; `date` reads the `Date` of the response.
    pub(crate) fn distance(
        &mut self,
        at: Duration,
        date: impl FnOnce() -> Option<Duration>,
    ) -> Distance {
        let by_date = self
            .date
            .get_or_insert_with(date)
            .map(|date| (date, Distance::between(date, at)));
        if let Some((_, by_date)) = by_date
            && by_date.is_within(NEAR)
        {
            return by_date;
        }
        let local = *self
            .local
            .get_or_insert_with(|| since_epoch((self.read_local)()));
        let by_local = Distance::between(local, at);
        match by_date {
            Some((date, by_date)) => {
                let absurd = local.abs_diff(date) > ABSURD_SKEW;
                if absurd && (by_local.is_plausible() || !by_date.is_plausible()) {
                    by_local
                } else {
                    by_date
                }
            }
            None => by_local,
        }
    }
}

/// The `Date` of a response, as time since 1970.
pub(crate) fn date_of(headers: &HeaderMap) -> Option<Duration> {
    http_date(headers.get(DATE).map(HeaderValue::to_str)?.ok()?.trim())
}

pub(crate) fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// A time of day in one of the three forms of RFC 9110, section 5.6.7, whose second may be 60, a
/// leap second.
pub(crate) fn http_date(text: &str) -> Option<Duration> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(since_epoch(date));
    }
    // The second before, which the parser knows, and one more.
    let seconds = text.rfind(":60")?;
    let mut bytes = [0; 40];
    let same = bytes.get_mut(..text.len())?;
    same.copy_from_slice(text.as_bytes());
    if text.get(seconds + 1..)?.contains(':') || text.matches(':').count() != 2 {
        return None;
    }
    same.get_mut(seconds..seconds + 3)?.copy_from_slice(b":59");
    let before = httpdate::parse_http_date(std::str::from_utf8(same).ok()?).ok()?;
    Some(since_epoch(before).saturating_add(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_795_219_200;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn distance(date: Option<u64>, local: u64, at: u64) -> Distance {
        let mut clock = ServerClock::new(|| SystemTime::UNIX_EPOCH + seconds(local));
        clock.distance(seconds(at), || date.map(seconds))
    }

    fn ahead(n: u64) -> Distance {
        Distance::between(Duration::ZERO, seconds(n))
    }

    #[test]
    fn a_leap_second_is_the_second_after_59_in_every_form() {
        let leap = Some(seconds(1_483_228_800));
        for text in [
            "Sat, 31 Dec 2016 23:59:60 GMT",
            "Saturday, 31-Dec-16 23:59:60 GMT",
            "Sat Dec 31 23:59:60 2016",
        ] {
            assert_eq!(http_date(text), leap, "{text}");
        }
        for text in [
            "Sat, 31 Dec 2016 23:60:00 GMT",
            "Sat, 31 Dec 2016 23:59:61 GMT",
            "Sat, 31 Dec 2016 60:59:59 GMT",
            "Sat, 31 Dec 2016 23:59:60:60 GMT",
            "Sat, 31 Feb 2016 23:59:60 GMT",
            ":60",
            ":60:60:60",
            "",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn the_servers_clock_measures_and_the_local_one_where_it_is_absurd() {
        // Ten minutes, five hours and three days ahead and behind.
        for skew in [-259_200_i64, -18_000, -600, 0, 600, 18_000, 259_200] {
            let server = NOW.checked_add_signed(skew).unwrap();
            assert_eq!(distance(Some(server), NOW, server + 3), ahead(3), "{skew}");
        }
        assert_eq!(distance(None, NOW, NOW + 3), ahead(3));
        for absurd in [0, 784_111_777, 253_402_300_799] {
            assert_eq!(distance(Some(absurd), NOW, NOW + 3), ahead(3), "{absurd}");
        }
        // A date of these days beside a `Date` that stands still for three.
        assert_eq!(distance(Some(NOW - 259_200), NOW, NOW + 3), ahead(3));
        // The local clock is the absurd one.
        assert_eq!(distance(Some(NOW), 0, NOW + 3), ahead(3));
        // Neither makes sense of it.
        assert_eq!(
            distance(Some(0), NOW, NOW + 90 * 86_400),
            ahead(90 * 86_400)
        );
    }

    proptest! {
        #[test]
        fn a_clock_within_a_day_never_matters(skew in -86_400_i64..=86_400, wait in 0..2_000_000_u64) {
            let server = NOW.checked_add_signed(skew).unwrap();
            prop_assert_eq!(distance(Some(server), NOW, server + wait), ahead(wait));
        }

        #[test]
        fn whatever_is_sent_nothing_panics(text in "\\PC{0,44}", digits in "[0-9: GMT,a-z-]{0,44}") {
            let _ = (http_date(&text), http_date(&digits));
        }
    }
}
