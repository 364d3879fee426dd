//! Decimal numbers and durations, as headers write them.

use std::time::Duration;

/// A decimal number of units, of which `per_second` make a second.
pub(crate) fn decimal(text: &str, per_second: u64) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Only digits are left, so the one way to fail is to be too long.
    let units: u64 = whole.parse().unwrap_or(u64::MAX);
    if units == u64::MAX {
        return Some(Duration::MAX);
    }
    let billionths = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    let seconds = Duration::from_secs(units / per_second);
    let nanos = (units % per_second) * (1_000_000_000 / per_second) + billionths / per_second;
    Some(seconds.saturating_add(Duration::from_nanos(nanos)))
}

/// Numbers with units, largest first or not, as Go has it; a bare `0` has no unit.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let part = match unit {
            "h" => decimal(number, 1)?.saturating_mul(3_600),
            "m" => decimal(number, 1)?.saturating_mul(60),
            "s" => decimal(number, 1)?,
            "ms" => decimal(number, 1_000)?,
            "us" => decimal(number, 1_000_000)?,
            "ns" => decimal(number, 1_000_000_000)?,
            _ => return None,
        };
        sum = sum.saturating_add(part);
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}
