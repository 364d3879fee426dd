//! The fields `RateLimit` and `RateLimit-Policy` of the IETF's draft.

use std::time::Duration;

use http::header::HeaderName;
use seawall_core::{ServerLimit, Unit};

use super::limit_headers::plausible;
use super::reading::Reading;
use super::reset::LONGEST_RESET;

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many policies are read of one response; any further ones are ignored.
const MOST: usize = 16;

/// A member of either field with its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    /// `q`: the quota.
    pub(super) quota: Option<u64>,
    /// `qu`: what it counts.
    pub(super) unit: Option<&'a str>,
    /// `w`: its window, in seconds.
    pub(super) window: Option<u64>,
    /// `r`: what is left.
    pub(super) remaining: Option<u64>,
    /// `t`: seconds until it resets.
    pub(super) reset: Option<u64>,
}

/// The members of a list, and how many of them there are.
type Items<'a> = ([Item<'a>; MOST], usize);

pub(super) fn read(reading: &Reading<'_>, report: &mut impl FnMut(ServerLimit)) {
    let headers = reading.headers;
    if !headers.contains_key(&RATE_LIMIT) && !headers.contains_key(&RATE_LIMIT_POLICY) {
        return;
    }
    let (policies, n) = list(reading, &RATE_LIMIT_POLICY);
    let policies = policies.get(..n).unwrap_or_default();
    let (limits, n) = list(reading, &RATE_LIMIT);
    let limits = limits.get(..n).unwrap_or_default();
    for limit in limits {
        let policy = policies.iter().find(|policy| policy.name == limit.name);
        let policy = policy.copied().unwrap_or_default();
        report_item(reading, policy, *limit, report);
    }
    for policy in policies {
        if !limits.iter().any(|limit| limit.name == policy.name) {
            report_item(reading, *policy, Item::default(), report);
        }
    }
}

fn report_item(
    reading: &Reading<'_>,
    policy: Item<'_>,
    item: Item<'_>,
    report: &mut impl FnMut(ServerLimit),
) {
    let unit = match policy.unit {
        None | Some("requests") => Unit::Requests,
        Some("content-bytes") => Unit::Other("content-bytes"),
        // Concurrent requests are no rate, and unknown units match no limit.
        Some(_) => return,
    };
    let seconds = |n: Option<u64>| {
        let time = Duration::from_secs(n?);
        reading.counted((time <= LONGEST_RESET).then_some(time))
    };
    let mut limit = ServerLimit::new(unit);
    limit.window = seconds(policy.window).filter(|window| !window.is_zero());
    limit.limit = policy.quota;
    limit.remaining = item.remaining;
    limit.resets_in = seconds(item.reset);
    if let Some(limit) = plausible(reading, limit) {
        report(limit);
    }
}

/// The members of all the lines of a field; none when one of them is malformed, by RFC 9651,
/// section 4.2.
fn list<'a>(reading: &Reading<'a>, name: &HeaderName) -> Items<'a> {
    let mut items = ([Item::default(); MOST], 0);
    for line in reading.headers.get_all(name) {
        let parsed = line.to_str().ok().and_then(|line| {
            let mut rest = line.trim_matches([' ', '\t']);
            while !rest.is_empty() {
                let (item, after) = item(reading, rest)?;
                if let Some(slot) = items.0.get_mut(items.1) {
                    *slot = item;
                    items.1 += 1;
                }
                rest = match after.trim_start_matches([' ', '\t']).strip_prefix(',') {
                    // A comma at the end is an error.
                    Some(more) => {
                        Some(more.trim_start_matches([' ', '\t'])).filter(|m| !m.is_empty())?
                    }
                    None if after.trim_matches([' ', '\t']).is_empty() => "",
                    None => return None,
                };
            }
            Some(())
        });
        if reading.counted(parsed).is_none() {
            return ([Item::default(); MOST], 0);
        }
    }
    items
}

/// One member and what comes after it.
fn item<'a>(reading: &Reading<'_>, text: &'a str) -> Option<(Item<'a>, &'a str)> {
    let (name, mut rest) = bare(text)?;
    let mut item = Item {
        name: match name {
            Bare::Text(name) => name,
            _ => return None,
        },
        ..Item::default()
    };
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start_matches(' ');
        let key = after.len()
            - after
                .trim_start_matches(|c: char| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)
                })
                .len();
        let (key, after) = after.split_at(key);
        if !key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
            return None;
        }
        let value;
        (value, rest) = match after.strip_prefix('=') {
            Some(after) => bare(after)?,
            None => (Bare::Other, after),
        };
        let amount = |value| match value {
            Bare::Integer(n) => Some(n),
            // Negative, a fraction, or no number at all.
            _ => {
                reading.count_unreadable();
                None
            }
        };
        match (key, value) {
            ("q", value) => item.quota = amount(value),
            ("w", value) => item.window = amount(value),
            ("r", value) => item.remaining = amount(value),
            ("t", value) => item.reset = amount(value),
            ("qu", Bare::Text(unit)) => item.unit = Some(unit),
            _ => {}
        }
    }
    Some((item, rest))
}

/// A bare item of RFC 9651, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bare<'a> {
    Integer(u64),
    /// A string without its quotes, escapes as they are written, or a token.
    Text(&'a str),
    /// A negative number, a decimal, bytes, a boolean.
    Other,
}

fn bare(text: &str) -> Option<(Bare<'_>, &str)> {
    match text.bytes().next()? {
        b'"' => {
            let text = text.get(1..)?;
            let mut escaped = false;
            let end = text.bytes().position(|b| {
                let end = b == b'"' && !escaped;
                escaped = b == b'\\' && !escaped;
                end
            })?;
            Some((Bare::Text(text.get(..end)?), text.get(end + 1..)?))
        }
        b'0'..=b'9' | b'-' => {
            let end = text
                .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')
                .unwrap_or(text.len());
            let (number, rest) = text.split_at(end);
            // RFC 9651 knows integers of up to fifteen digits.
            let plain = number.len() <= 15 && number.bytes().all(|b| b.is_ascii_digit());
            let integer = plain.then(|| number.parse().ok()).flatten();
            Some((integer.map_or(Bare::Other, Bare::Integer), rest))
        }
        b'A'..=b'Z' | b'a'..=b'z' | b'*' => {
            let end = text
                .find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~:/".contains(c))
                .unwrap_or(text.len());
            let (token, rest) = text.split_at(end);
            Some((Bare::Text(token), rest))
        }
        b':' => {
            let (_, rest) = text.get(1..)?.split_once(':')?;
            Some((Bare::Other, rest))
        }
        b'?' => Some((
            Bare::Other,
            text.strip_prefix("?0").or(text.strip_prefix("?1"))?,
        )),
        _ => None,
    }
}
