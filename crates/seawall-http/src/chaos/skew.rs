//! Timestamps in headers.

use std::time::{Duration, SystemTime};

use http::header::{DATE, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED, RETRY_AFTER};
use seawall_chaos::ClockSkew;

/// The first second of the year 10000, which no date in a header can show.
const NO_DATE: u64 = 253_402_300_800;

/// Moves the dates that the server's clock has written; whether there was one.
pub(super) fn skew_headers(headers: &mut HeaderMap, skew: ClockSkew) -> bool {
    let mut is_changed = false;
    for name in [DATE, EXPIRES, LAST_MODIFIED, RETRY_AFTER] {
        let Some(value) = headers.get_mut(&name) else {
            continue;
        };
        if let Some(moved) = moved(value, skew)
            && moved != *value
        {
            *value = moved;
            is_changed = true;
        }
    }
    is_changed
}

fn moved(value: &HeaderValue, skew: ClockSkew) -> Option<HeaderValue> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let moved = skew.apply(time)?;
    let since = moved.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    if since >= Duration::from_secs(NO_DATE) {
        return None;
    }
    HeaderValue::from_str(&httpdate::fmt_http_date(moved)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn dates_move_and_all_else_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        headers.insert(EXPIRES, "0".parse().unwrap());
        assert!(skew_headers(&mut headers, ClockSkew::behind(HOUR).unwrap()));
        assert_eq!(headers[DATE], "Sun, 06 Nov 1994 07:49:37 GMT");
        assert_eq!(
            (&headers[RETRY_AFTER], &headers[EXPIRES]),
            (&"120".parse().unwrap(), &"0".parse().unwrap())
        );
        let until = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
        headers.insert(RETRY_AFTER, until);
        assert!(skew_headers(&mut headers, ClockSkew::ahead(HOUR).unwrap()));
        assert_eq!(headers[RETRY_AFTER], "Sun, 06 Nov 1994 09:49:37 GMT");
    }

    #[test]
    fn without_a_date_that_can_be_moved_nothing_is() {
        let mut headers = HeaderMap::new();
        let hour = ClockSkew::ahead(HOUR).unwrap();
        assert!(!skew_headers(&mut headers, hour));
        for (date, skew) in [
            ("no date", hour),
            ("Fri, 31 Dec 9999 23:30:00 GMT", hour),
            (
                "Thu, 01 Jan 1970 00:30:00 GMT",
                ClockSkew::behind(HOUR).unwrap(),
            ),
        ] {
            headers.insert(DATE, date.parse().unwrap());
            assert!(!skew_headers(&mut headers, skew), "{date}");
            assert_eq!(headers[DATE], date);
        }
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let little = ClockSkew::ahead(Duration::from_millis(1)).unwrap();
        assert!(!skew_headers(&mut headers, little), "it has whole seconds");
    }
}
