//! What the texts in requests and responses mean.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::protocol::{Decimal, Side};

/// A number as brokers and programs write it: `"1.50"`, `-3`, `1e-05`.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (digits, exponent) = text.split_once(['e', 'E'])?;
    if !digits.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok().filter(|e| (-64..=64).contains(e))?;
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() as i32 + exponent;
    let all = format!("{whole}{places}");
    let moved = if point <= 0 {
        let zeros = "0".repeat(point.unsigned_abs() as usize);
        format!("{sign}0.{zeros}{all}")
    } else {
        let point = point as usize;
        let (whole, places) = all.split_at_checked(point).unwrap_or((all.as_str(), ""));
        format!("{sign}{whole:0<point$}.{places}")
    };
    moved.parse().ok()
}

/// A side: a word that begins with `buy` or `sell`, as `buy_to_cover`, or is `B` or `S`.
pub(super) fn side(text: &str) -> Option<Side> {
    let begins = |word: &str| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    match text {
        "B" | "b" => Some(Side::Buy),
        "S" | "s" => Some(Side::Sell),
        _ if begins("buy") => Some(Side::Buy),
        _ if begins("sell") => Some(Side::Sell),
        _ => None,
    }
}

/// A time as in RFC 3339, to the second. Days are counted as in Howard Hinnant, chrono-Compatible
/// Low-Level Date Algorithms.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whether a time as in RFC 3339, in UTC, is before another one; `None` if it is none.
pub(super) fn is_before(time: &str, other: &str) -> Option<bool> {
    let (time, zone) = time.split_at_checked(19)?;
    let is_utc = zone.ends_with('Z') || zone.ends_with("+00:00");
    let is_alike = |(a, b): (u8, u8)| a == b || (a.is_ascii_digit() && b.is_ascii_digit());
    let other = other.get(..19)?;
    let is_time = time.bytes().zip(other.bytes()).all(is_alike);
    (is_utc && is_time).then(|| time < other)
}

/// Sets the length of a body that was changed, where the headers have one.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    if let Some(value) = headers.get_mut(CONTENT_LENGTH) {
        *value = length.into();
    }
}
