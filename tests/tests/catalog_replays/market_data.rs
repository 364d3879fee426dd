//! Market data.

use crate::replay::JSON;
use crate::{Ban, Case, Nothing, Quota, READ, Throttle};

const DATE: (&str, &str) = ("date", "Tue, 21 Mar 2023 16:26:57 GMT");
/// Forty seconds after [`DATE`].
const EPOCH: &str = "1679416057";

pub(crate) const ALPACA_DATA: &[Case] = &[
    (
        "GET /v2/stocks/quotes/latest",
        (
            429,
            &[
                JSON,
                DATE,
                ("x-ratelimit-limit", "200"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", EPOCH),
            ],
            r#"{"message":"too many requests."}"#,
        ),
        Throttle(40_000),
        1,
    ),
    (
        "GET /v2/stocks/AAPL/bars",
        (429, &[], ""),
        Throttle(1_000),
        3,
    ),
    // A subscription that does not permit it.
    ("GET /v2/stocks/AAPL/bars", (403, &[JSON], "{}"), Nothing, 1),
];

/// Names the quota of the day as well.
const AV_BURST: &str = r#"{"Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests per day), raise the per-second burst limit, ..."}"#;
const AV_DAY: &str = r#"{"Information": "We have detected your API key as X and our standard API rate limit is 25 requests per day."}"#;

pub(crate) const ALPHA_VANTAGE: &[Case] = &[
    (READ, (200, &[JSON], AV_BURST), Throttle(1_000), 2),
    (
        READ,
        (200, &[JSON], r#"{"Note":"Burst pattern detected"}"#),
        Throttle(1_000),
        2,
    ),
    // Of older plans.
    (
        READ,
        (
            200,
            &[JSON],
            r#"{"Note": "5 calls per minute and 500 calls per day"}"#,
        ),
        Throttle(60_000),
        1,
    ),
    (READ, (200, &[JSON], AV_DAY), Quota(3_600), 1),
    (READ, (200, &[], AV_DAY), Quota(3_600), 1),
    (
        READ,
        (
            200,
            &[JSON],
            r#"{"Information": "This is a premium endpoint."}"#,
        ),
        Nothing,
        1,
    ),
    (
        READ,
        (200, &[JSON], r#"{"Error Message": "Invalid API call."}"#),
        Nothing,
        1,
    ),
    // Data that speaks of limits.
    (
        READ,
        (
            200,
            &[JSON],
            r#"{"Meta Data": {"1. Information": "Daily", "note": "25 requests per day"}}"#,
        ),
        Nothing,
        1,
    ),
];

pub(crate) const FINNHUB: &[Case] = &[
    (
        "GET /api/v1/quote",
        (
            429,
            &[
                JSON,
                DATE,
                ("x-ratelimit-limit", "60"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", EPOCH),
            ],
            r#"{"error":"API limit reached. Please try again later. Remaining Limit: 0"}"#,
        ),
        Throttle(40_000),
        1,
    ),
    ("GET /api/v1/quote", (429, &[], ""), Throttle(1_000), 3),
    (
        "GET /api/v1/stock/candle",
        (
            403,
            &[JSON],
            r#"{"error":"You don't have access to this resource."}"#,
        ),
        Nothing,
        1,
    ),
];

const POLYGON_MINUTE: &str = r#"{"status":"ERROR","request_id":"1","error":"You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."}"#;

pub(crate) const POLYGON: &[Case] = &[
    // Every twelve seconds, as the free plan's five per minute allow, within the deadline.
    (READ, (429, &[JSON], POLYGON_MINUTE), Throttle(12_000), 3),
    (READ, (429, &[], ""), Throttle(1_000), 5),
    (
        READ,
        (403, &[JSON], r#"{"status":"NOT_AUTHORIZED"}"#),
        Nothing,
        1,
    ),
];

const TEXT: (&str, &str) = ("content-type", "text/plain;charset=utf-8");
const HTML: (&str, &str) = ("content-type", "text/html");

pub(crate) const YAHOO_FINANCE: &[Case] = &[
    (READ, (429, &[TEXT], "Edge: Too Many Requests"), Ban(900), 1),
    (
        READ,
        (999, &[HTML], "<html>Unable to process request</html>"),
        Ban(900),
        1,
    ),
    // In place of the crumb that was asked for, which is text as well.
    (
        "GET /v1/test/getcrumb",
        (200, &[TEXT], "Too Many Requests\r\n"),
        Ban(900),
        1,
    ),
    (
        "GET /v1/test/getcrumb",
        (200, &[TEXT], "a1B2c3D4e5F"),
        Nothing,
        1,
    ),
    (
        READ,
        (200, &[JSON], r#"{"title": "Too Many Requests"}"#),
        Nothing,
        1,
    ),
];
