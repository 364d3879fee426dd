//! Inspectors for providers whose answers say in the body what the status does not.

use std::time::Duration;

use http::StatusCode;
use http::response::Parts;
use seawall_core::{Outcome, Scope};

/// Alpha Vantage answers 200 with one `Note` or `Information` in place of the data.
///
/// | text | outcome |
/// |---|---|
/// | one request per second, or a detected burst | throttled for 1 s |
/// | calls per minute (keys of older plans) | throttled for 60 s |
/// | requests per day | quota exhausted |
/// | anything else: a premium endpoint, an invalid key | ignored |
///
/// The message about the burst names the daily quota too, so the burst is looked for first. An
/// `Error Message`, which is about the request itself, is ignored likewise.
pub fn alpha_vantage(head: &Parts, body: &[u8]) -> Option<Outcome> {
    if head.status != StatusCode::OK {
        return None;
    }
    let throttled = |seconds| Outcome::Throttled {
        retry_after: Some(Duration::from_secs(seconds)),
        scope: Scope::Account,
    };
    Some(match first_key(body)? {
        b"Note" | b"Information" => {
            if contains(body, b"per second") || contains(body, b"burst pattern") {
                throttled(1)
            } else if contains(body, b"per minute") {
                throttled(60)
            } else if contains(body, b"per day") {
                Outcome::QuotaExhausted { renews_in: None }
            } else {
                Outcome::Ignored
            }
        }
        b"Error Message" => Outcome::Ignored,
        _ => return None,
    })
}

/// OpenAI answers 429 also when the money is gone: no wait will help.
///
/// The codes are those of the family `insufficient_quota`. Any other answer is left to its
/// status.
pub fn openai(head: &Parts, body: &[u8]) -> Option<Outcome> {
    const GONE: [&[u8]; 5] = [
        b"\"insufficient_quota\"",
        b"\"credit_balance_exhausted\"",
        b"\"organization_spend_limit_exceeded\"",
        b"\"project_spend_limit_exceeded\"",
        b"\"organization_usage_limit_exceeded\"",
    ];
    let throttle = head.status == StatusCode::TOO_MANY_REQUESTS;
    (throttle && GONE.iter().any(|code| contains(body, code)))
        .then_some(Outcome::QuotaExhausted { renews_in: None })
}

/// Anthropic answers 429 with `enforced_spend_limit_reached` when the month's money is spent,
/// and 402 with `billing_error`: no wait will help. Any other answer is left to its status.
pub fn anthropic(head: &Parts, body: &[u8]) -> Option<Outcome> {
    let gone = match head.status {
        StatusCode::TOO_MANY_REQUESTS => contains(body, b"\"enforced_spend_limit_reached\""),
        StatusCode::PAYMENT_REQUIRED => contains(body, b"\"billing_error\""),
        _ => false,
    };
    gone.then_some(Outcome::QuotaExhausted { renews_in: None })
}

/// Polygon (Massive) says all in the status: 429 is a throttle, and nothing hides in a body.
pub const fn polygon(_: &Parts, _: &[u8]) -> Option<Outcome> {
    None
}

/// The first key of the object that `body` begins with, as it is written.
fn first_key(body: &[u8]) -> Option<&[u8]> {
    let object = body.trim_ascii_start().strip_prefix(b"{")?;
    let key = object.trim_ascii_start().strip_prefix(b"\"")?;
    let end = key.iter().position(|b| *b == b'"')?;
    key.get(..end)
}

/// Whether `text` has `part` in it, in whatever case. A part in quotes is only found as a whole
/// JSON string, since quotes within a string are escaped.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(status: u16) -> Parts {
        let mut parts = Response::new(()).into_parts().0;
        parts.status = StatusCode::from_u16(status).unwrap();
        parts
    }

    const GONE: Option<Outcome> = Some(Outcome::QuotaExhausted { renews_in: None });

    #[test]
    fn alpha_vantage_names_the_burst_first_and_the_day_second() {
        let says = |text: &str| alpha_vantage(&head(200), text.as_bytes());
        let throttled = |seconds| {
            Some(Outcome::Throttled {
                retry_after: Some(Duration::from_secs(seconds)),
                scope: Scope::Account,
            })
        };
        let burst = r#"{ "Information": "Please consider spreading out your free API requests more
            sparingly (1 request per second). You may subscribe to lift the free key rate limit
            (25 requests per day)" }"#;
        assert_eq!(says(burst), throttled(1));
        assert_eq!(says(r#"{"Note":"Burst pattern detected"}"#), throttled(1));
        let older = r#"{"Note": "5 calls per minute and 500 calls per day"}"#;
        assert_eq!(says(older), throttled(60));
        let day = r#"{"Information": "our standard API rate limit is 25 requests per day."}"#;
        assert_eq!(says(day), GONE);
        let premium = r#"{"Information": "This is a premium endpoint."}"#;
        assert_eq!(says(premium), Some(Outcome::Ignored));
        assert_eq!(
            says(r#"{"Error Message": "Invalid API call."}"#),
            Some(Outcome::Ignored)
        );
    }

    #[test]
    fn data_that_speaks_of_seconds_is_data() {
        let says = |status, text: &str| alpha_vantage(&head(status), text.as_bytes());
        let data =
            r#"{"RequestMeta Data": {"1. Information": "Daily", "note": "25 requests per day"}}"#;
        assert_eq!(says(200, data), None);
        assert_eq!(says(200, "[]"), None);
        assert_eq!(says(200, ""), None);
        assert_eq!(says(200, "{"), None);
        assert_eq!(says(200, "{\"Note"), None);
        assert_eq!(says(500, r#"{"Note": "1 request per second"}"#), None);
    }

    #[test]
    fn openai_tells_an_empty_purse_from_a_throttle() {
        let quota = br#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(openai(&head(429), quota), GONE);
        let code = br#"{"error":{"type":"x","code":"project_spend_limit_exceeded"}}"#;
        assert_eq!(openai(&head(429), code), GONE);
        assert_eq!(openai(&head(400), quota), None);
        let throttle = br#"{"error":{"code":"rate_limit_exceeded"}}"#;
        assert_eq!(openai(&head(429), throttle), None);
        let quoted = br#"{"error":{"message":"not \"insufficient_quota\", be calm"}}"#;
        assert_eq!(openai(&head(429), quoted), None);
    }

    #[test]
    fn anthropic_tells_a_spend_limit_from_a_throttle() {
        let spent = br#"{"error":{"details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        assert_eq!(anthropic(&head(429), spent), GONE);
        let throttle = br#"{"error":{"type":"rate_limit_error"}}"#;
        assert_eq!(anthropic(&head(429), throttle), None);
        let billing = br#"{"error":{"type":"billing_error"}}"#;
        assert_eq!(anthropic(&head(402), billing), GONE);
        assert_eq!(polygon(&head(429), spent), None);
    }
}
