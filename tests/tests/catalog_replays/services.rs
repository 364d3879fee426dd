//! News, posts, filings and AI models.

use crate::replay::JSON;
use crate::{Ban, Case, Failure, Nothing, Quota, READ, Throttle};

pub(crate) const ANTHROPIC: &[Case] = &[
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            402,
            &[JSON],
            r#"{"type":"error","error":{"type":"billing_error","message":"x"},"request_id":"req_1"}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[JSON, ("retry-after", "5")],
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"},"request_id":"req_1"}"#,
        ),
        Throttle(5_000),
        3,
    ),
    (
        READ,
        (
            529,
            &[JSON],
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
        ),
        Failure,
        3,
    ),
];

pub(crate) const NEWSAPI: &[Case] = &[
    (READ, (429, &[JSON], NEWS_LIMITED), Quota(900), 1),
    (READ, (429, &[JSON], NEWS_EXHAUSTED), Quota(900), 1),
    // Also where the 429 does not show what it is.
    (READ, (429, &[], ""), Quota(900), 1),
    // No quota of hours renews in a second, and it may well take longer than a quarter of one.
    (
        READ,
        (429, &[JSON, ("retry-after", "1")], NEWS_LIMITED),
        Quota(900),
        1,
    ),
    (
        READ,
        (429, &[JSON, ("retry-after", "7200")], NEWS_LIMITED),
        Quota(7_200),
        1,
    ),
    (READ, (429, &[("retry-after", "7200")], ""), Quota(7_200), 1),
    (
        READ,
        (
            401,
            &[JSON],
            r#"{"status":"error","code":"apiKeyInvalid","message":"x"}"#,
        ),
        Nothing,
        1,
    ),
];

const NEWS_LIMITED: &str = r#"{"status":"error","code":"rateLimited","message":"You have made too many requests recently. Developer accounts are limited to 100 requests over a 24 hour period (50 requests available every 12 hours)."}"#;
const NEWS_EXHAUSTED: &str =
    r#"{"status":"error","code":"apiKeyExhausted","message":"no more requests available"}"#;

pub(crate) const OPENAI: &[Case] = &[
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"error":{"type":"x","code":"credit_balance_exhausted"}}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"error":{"type":"x","code":"organization_spend_limit_exceeded"}}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"error":{"type":"x","code":"project_spend_limit_exceeded"}}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[JSON],
            r#"{"error":{"type":"x","code":"organization_usage_limit_exceeded"}}"#,
        ),
        Quota(1),
        1,
    ),
    (
        READ,
        (
            429,
            &[
                JSON,
                ("retry-after-ms", "1500"),
                ("retry-after", "2"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        ),
        Throttle(1_500),
        3,
    ),
    (
        READ,
        (
            429,
            &[JSON, ("retry-after", "3")],
            r#"{"error":{"type":"rate_limit_error","code":"slow_down"}}"#,
        ),
        Throttle(3_000),
        3,
    ),
    // A message that quotes a code.
    (
        READ,
        (
            429,
            &[JSON, ("retry-after", "3")],
            r#"{"error":{"message":"not \"insufficient_quota\", be calm"}}"#,
        ),
        Throttle(3_000),
        3,
    ),
    (
        READ,
        (400, &[JSON], r#"{"error":{"code":"insufficient_quota"}}"#),
        Nothing,
        1,
    ),
    (
        READ,
        (
            503,
            &[JSON],
            r#"{"error":{"type":"service_unavailable_error","code":"server_is_overloaded"}}"#,
        ),
        Failure,
        3,
    ),
];

pub(crate) const REDDIT: &[Case] = &[
    (
        READ,
        (
            429,
            &[
                ("x-ratelimit-used", "1000"),
                ("x-ratelimit-remaining", "0.0"),
                ("x-ratelimit-reset", "43"),
            ],
            "Too Many Requests",
        ),
        Throttle(43_000),
        2,
    ),
    // A write, with its wait in words.
    (
        "POST /api/comment",
        (
            200,
            &[JSON],
            r#"{"json": {"errors": [["RATELIMIT", "you are doing that too much. try again in 9 minutes.", "ratelimit"]]}}"#,
        ),
        Throttle(540_000),
        1,
    ),
    (
        "POST /api/comment",
        (200, &[JSON], r#"{"json": {"errors": []}}"#),
        Nothing,
        1,
    ),
    // A post about it.
    (
        READ,
        (
            200,
            &[JSON],
            r#"{"data": {"title": "[\"RATELIMIT\" in 9 minutes]"}}"#,
        ),
        Nothing,
        1,
    ),
];

const HTML: (&str, &str) = ("content-type", "text/html; charset=UTF-8");
const SEC_RATE: &str = "<html><title>SEC.gov | Request Rate Threshold Exceeded</title></html>";
const SEC_TOOL: &str =
    "<html><h1>Your Request Originates from an Undeclared Automated Tool</h1></html>";

pub(crate) const SEC_EDGAR: &[Case] = &[
    (READ, (403, &[HTML], SEC_TOOL), Ban(600), 1),
    (READ, (403, &[HTML], SEC_RATE), Ban(600), 1),
    (READ, (200, &[HTML], SEC_RATE), Ban(600), 1),
    (READ, (200, &[HTML], SEC_TOOL), Ban(600), 1),
    (READ, (403, &[HTML], "<html>Forbidden</html>"), Ban(600), 1),
    (READ, (429, &[], ""), Ban(600), 1),
    // Where it names a time, that counts.
    (READ, (429, &[("retry-after", "120")], ""), Ban(120), 1),
    // A filing that mentions it.
    (
        READ,
        (
            200,
            &[JSON],
            r#"{"text": "Request Rate Threshold Exceeded"}"#,
        ),
        Nothing,
        1,
    ),
];
