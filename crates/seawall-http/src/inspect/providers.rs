//! Inspectors for providers whose responses have in the body what the status does not show.

use std::time::Duration;

use http::StatusCode;
use http::response::Parts;
use seawall_core::{FailureKind, Outcome, Scope};

use super::content::{is_html, is_plain_text};
use super::inspector::InspectFn;
use super::layer::{CAP, InspectLayer};

const QUOTA: Outcome = Outcome::QuotaExhausted { renews_in: None };

impl InspectLayer<InspectFn> {
    /// A layer that reads no body.
    pub const fn nothing() -> Self {
        Self::new(0, |_, _| None)
    }

    /// Inspects JSON, text and HTML bodies of up to 16 KiB with [`sec_edgar`].
    pub const fn sec_edgar() -> Self {
        Self::new(CAP, sec_edgar as InspectFn).only(is_plain_text)
    }

    /// Inspects JSON, text and HTML bodies of up to 16 KiB with [`yahoo_finance`].
    pub const fn yahoo_finance() -> Self {
        Self::new(CAP, yahoo_finance as InspectFn).only(is_plain_text)
    }
}

macro_rules! of_json {
    ($($provider:ident),*) => {
        impl InspectLayer<InspectFn> {
            $(
                #[doc = concat!(
                    "Inspects JSON bodies of up to 16 KiB with [`", stringify!($provider), "`].",
                )]
                pub const fn $provider() -> Self {
                    Self::new(CAP, $provider)
                }
            )*
        }
    };
}

of_json!(
    alpha_vantage,
    anthropic,
    kite,
    kraken,
    news_api,
    news_api_developer,
    openai,
    polygon,
    reddit
);

/// Alpha Vantage responds with 200 and one `Note` or `Information` in place of the data.
///
/// | text | outcome |
/// |---|---|
/// | one request per second, or a detected burst | throttled for 1 s |
/// | calls per minute (keys of older plans) | throttled for 60 s |
/// | requests per day | quota exhausted |
/// | anything else: a premium endpoint, an invalid key | ignored |
///
/// The message about the burst names the daily quota as well, so the burst is looked for first. An
/// `Error Message`, which is about the request itself, is ignored likewise. When the day begins is
/// not documented.
///
/// Source: `alphavantage.py` of <https://github.com/RomelTorres/alpha_vantage> for the two members,
/// and the messages as their users quote them (2026-07).
pub fn alpha_vantage(head: &Parts, body: &[u8]) -> Option<Outcome> {
    if head.status != StatusCode::OK {
        return None;
    }
    Some(match first_key(body)? {
        b"Note" | b"Information" => {
            if contains(body, b"per second") || contains(body, b"burst pattern") {
                throttled(1, Scope::Account)
            } else if contains(body, b"per minute") {
                throttled(60, Scope::Account)
            } else if contains(body, b"per day") {
                QUOTA
            } else {
                Outcome::Ignored
            }
        }
        b"Error Message" => Outcome::Ignored,
        _ => return None,
    })
}

/// OpenAI responds with 429 also when the money is gone, and then no wait will help.
///
/// The codes are those of the family `insufficient_quota`. Any other response is classified by its
/// status: `rate_limit_exceeded` and `slow_down` are throttles by their 429.
///
/// Source:
/// <https://help.openai.com/en/articles/6614457-troubleshooting-api-usage-and-spend-limits>.
pub fn openai(head: &Parts, body: &[u8]) -> Option<Outcome> {
    const EXHAUSTED: [&[u8]; 5] = [
        b"\"insufficient_quota\"",
        b"\"credit_balance_exhausted\"",
        b"\"organization_spend_limit_exceeded\"",
        b"\"project_spend_limit_exceeded\"",
        b"\"organization_usage_limit_exceeded\"",
    ];
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    (throttle && EXHAUSTED.iter().any(|code| contains(body, code))).then_some(QUOTA)
}

/// Anthropic responds with 429 and `enforced_spend_limit_reached` when the month's money is spent
/// (it resumes at 00:00 UTC on the first of the next month), and with 402 and `billing_error`: no
/// wait will help. Any other response is classified by its status.
///
/// Source: <https://platform.claude.com/docs/en/api/errors>; the spend limit's code is quoted by
/// third parties.
pub fn anthropic(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let exhausted = match head.status {
        StatusCode::TOO_MANY_REQUESTS => contains(body, b"\"enforced_spend_limit_reached\""),
        StatusCode::PAYMENT_REQUIRED => contains(body, b"\"billing_error\""),
        _ => false,
    };
    exhausted.then_some(QUOTA)
}

/// Polygon (Massive) sends no header with its 429. On the free plan of five requests per minute the
/// message names the minute; then the next token is there after 12 s, and an earlier retry only
/// fails again. Any other response is classified by its status.
///
/// Source: the knowledge base at <https://massive.com/knowledge-base> for the limit; the message is
/// as users quote it (<https://github.com/polygon-io/issues/issues/303>).
pub fn polygon(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    (throttle && contains(body, b"maximum requests per minute"))
        .then_some(throttled(12, Scope::Account))
}

/// NewsAPI responds with 429 and `apiKeyExhausted` when no more requests are available.
///
/// Source: <https://newsapi.org/docs/errors>.
pub fn news_api(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    (throttle && contains(body, b"\"apiKeyExhausted\"")).then_some(QUOTA)
}

/// NewsAPI, the developer plan: as [`news_api`], and its `rateLimited` is a quota of twelve hours
/// (50 requests) and no throttle of seconds.
///
/// Source: the API's own message, "100 requests over a 24 hour period (50 requests available every
/// 12 hours)".
pub fn news_api_developer(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    let limited = throttle && contains(body, b"\"rateLimited\"");
    limited.then_some(QUOTA).or_else(|| news_api(head, body))
}

/// Reddit throttles writes with 200 and an error `RATELIMIT` whose text has the wait, as in "you
/// are doing that too much, try again in 9 minutes".
///
/// Source: `reddit.py` of PRAW (<https://github.com/praw-dev/praw>), which reads it so.
pub fn reddit(head: &Parts, body: &[u8]) -> Option<Outcome> {
    if head.status != StatusCode::OK {
        return None;
    }
    // The start of an error in a list of errors; in a string its quotes would be escaped.
    const ERROR: &[u8] = b"[\"RATELIMIT\"";
    let at = body.windows(ERROR.len()).position(|part| part == ERROR)?;
    Some(Outcome::Throttled {
        retry_after: body.get(at..).and_then(wait_in_words),
        scope: Scope::Endpoint,
    })
}

/// Kraken responds with 200 and a list of errors.
///
/// | error | outcome |
/// |---|---|
/// | `EAPI:Rate limit exceeded`, `EOrder:Rate limit exceeded`, `EService:Throttled`, `apiLimitExceeded` (futures) | throttled for 5 s |
/// | `EGeneral:Temporary lockout` | banned |
/// | `EService:Unavailable`, `EService:Busy` | failure: overloaded |
///
/// Any other error is left to the caller.
///
/// Source: `errors.rs` of <https://github.com/krakenfx/kraken-cli>, which waits 5 to 15 s.
pub fn kraken(_: &Parts, body: &[u8]) -> Option<Outcome> {
    if first_key(body)? != b"error" {
        let futures = contains(body, b"\"apiLimitExceeded\"");
        return futures.then_some(throttled(5, Scope::Account));
    }
    let end = body.iter().position(|b| *b == b']').unwrap_or(body.len());
    let errors = body.get(..end)?;
    if contains(errors, b":Rate limit exceeded") || contains(errors, b"EService:Throttled") {
        Some(throttled(5, Scope::Account))
    } else if contains(errors, b"EGeneral:Temporary lockout") {
        Some(Outcome::Banned { lasts: None })
    } else if contains(errors, b"EService:Unavailable") || contains(errors, b"EService:Busy") {
        Some(Outcome::Failure(FailureKind::Overloaded))
    } else {
        None
    }
}

/// Kite responds with 429 also when the orders of the day are used up.
///
/// Source: <https://kite.trade/docs/connect/v3/exceptions>.
pub fn kite(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    (throttle && contains(body, b"maximum allowed order requests exceeded")).then_some(QUOTA)
}

/// Yahoo blocks with the plain text `Edge: Too Many Requests`, also in place of the token that a
/// client asks for, which must then not be kept. A block lasts a quarter of an hour and more, and
/// 999 is a block of other Yahoo hosts.
///
/// Source: `data.py` of <https://github.com/ranaroussi/yfinance>; the length is reported by its
/// users.
pub fn yahoo_finance(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let text = body.trim_ascii();
    let blocked = matches!(head.status.as_u16(), 429 | 999)
        || begins_with(text, b"Edge: Too Many Requests")
        || begins_with(text, b"Too Many Requests");
    blocked.then_some(banned(900))
}

/// The SEC blocks with a page of HTML, mostly with 403: for too many requests, or for a User-Agent
/// that does not identify the caller. It ends when the address has been below the limit for ten minutes.
///
/// Source: <https://www.sec.gov/os/accessing-edgar-data>; the block page with a 200 is reported by
/// users.
pub fn sec_edgar(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let page = is_html(&head.headers)
        && (contains(body, b"Request Rate Threshold Exceeded")
            || contains(
                body,
                b"Your Request Originates from an Undeclared Automated Tool",
            ));
    page.then_some(banned(600))
}

const fn throttled(seconds: u64, scope: Scope) -> Outcome {
    Outcome::Throttled {
        retry_after: Some(Duration::from_secs(seconds)),
        scope,
    }
}

const fn banned(seconds: u64) -> Outcome {
    Outcome::Banned {
        lasts: Some(Duration::from_secs(seconds)),
    }
}

/// The first key of the object that `body` begins with, as it is written.
fn first_key(body: &[u8]) -> Option<&[u8]> {
    let object = body.trim_ascii_start().strip_prefix(b"{")?;
    let key = object.trim_ascii_start().strip_prefix(b"\"")?;
    let end = key.iter().position(|b| *b == b'"')?;
    key.get(..end)
}

/// Whether `text` contains `part`, in any case. A part in quotes is only found as a complete JSON
/// string, since quotes within a string are escaped.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

fn begins_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// The first time in a text: "9 minutes", "1 second".
fn wait_in_words(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let mut number = None::<u64>;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if let Some(n) = number {
            let unit = word.strip_suffix('s').unwrap_or(word);
            let per_unit = match unit {
                "millisecond" => Some(Duration::from_millis(1)),
                "second" => Some(Duration::from_secs(1)),
                "minute" => Some(Duration::from_secs(60)),
                "hour" => Some(Duration::from_secs(3_600)),
                _ => None,
            };
            if let Some(unit) = per_unit {
                return Some(unit.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)));
            }
        }
        number = word.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests;
