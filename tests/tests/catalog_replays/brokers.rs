//! Brokers and exchanges.

use crate::replay::JSON;
use crate::{Ban, Case, Failure, Nothing, Quota, READ, Throttle};

const HTML: (&str, &str) = ("content-type", "text/html");
const DATE: (&str, &str) = ("date", "Tue, 21 Mar 2023 16:26:57 GMT");
/// Forty seconds after [`DATE`].
const EPOCH: &str = "1679416057";
const EPOCH_MILLIS: &str = "1679416057000";

pub(crate) const ALPACA: &[Case] = &[
    (
        READ,
        (
            429,
            &[
                JSON,
                DATE,
                ("x-ratelimit-limit", "200"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", EPOCH),
            ],
            r#"{"code":42910000,"message":"too many requests"}"#,
        ),
        Throttle(40_000),
        1,
    ),
    (READ, (429, &[], ""), Throttle(1_000), 3),
    // About the account, and no throttle.
    (
        READ,
        (
            403,
            &[JSON],
            r#"{"code":40310000,"message":"insufficient buying power"}"#,
        ),
        Nothing,
        1,
    ),
    (
        "POST /v2/orders",
        (
            422,
            &[JSON],
            r#"{"code":40010001,"message":"client_order_id must be unique"}"#,
        ),
        Nothing,
        1,
    ),
    ("POST /v2/orders", (504, &[], ""), Failure, 1),
];

const BINANCE_WEIGHT: &str = r#"{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."}"#;
const BINANCE_BAN: &str = r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1679416177000. Please use WebSocket Streams for live updates to avoid bans."}"#;

pub(crate) const BINANCE: &[Case] = &[
    (
        "GET /api/v3/depth",
        (429, &[JSON, ("retry-after", "25")], BINANCE_WEIGHT),
        Throttle(25_000),
        2,
    ),
    (
        "POST /api/v3/order",
        (
            429,
            &[JSON, ("retry-after", "25")],
            r#"{"code":-1015,"msg":"Too many new orders; current limit is 10 orders per 1 SECOND."}"#,
        ),
        Throttle(25_000),
        1,
    ),
    (
        "GET /api/v3/depth",
        (418, &[JSON, ("retry-after", "600")], BINANCE_BAN),
        Ban(600),
        1,
    ),
    // The shortest ban, where no time is named, and the longest one.
    (
        "GET /api/v3/depth",
        (418, &[JSON], BINANCE_BAN),
        Ban(120),
        1,
    ),
    (
        "POST /api/v3/order",
        (418, &[("retry-after", "259200")], ""),
        Ban(3 * 24 * 3_600),
        1,
    ),
    (
        READ,
        (418, &[("retry-after", "999999999")], ""),
        Ban(3 * 24 * 3_600),
        1,
    ),
    // The firewall.
    (
        "GET /api/v3/depth",
        (403, &[HTML], "<html><title>403 Forbidden</title></html>"),
        Ban(300),
        1,
    ),
    // What became of the order is unknown, and it is not sent again.
    (
        "POST /api/v3/order",
        (
            504,
            &[JSON],
            r#"{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}"#,
        ),
        Failure,
        1,
    ),
    (
        "GET /api/v3/account",
        (
            503,
            &[JSON],
            r#"{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}"#,
        ),
        Failure,
        3,
    ),
    (
        "POST /api/v3/order",
        (
            400,
            &[JSON],
            r#"{"code":-2010,"msg":"Duplicate order sent."}"#,
        ),
        Nothing,
        1,
    ),
];

pub(crate) const COINBASE: &[Case] = &[
    (
        "GET /api/v3/brokerage/accounts",
        (429, &[], ""),
        Throttle(1_000),
        3,
    ),
    // By either name, where they come at all.
    (
        "GET /api/v3/brokerage/accounts",
        (
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "40")],
            "",
        ),
        Throttle(40_000),
        1,
    ),
    (
        "POST /api/v3/brokerage/orders",
        (
            429,
            &[
                DATE,
                ("cb-ratelimit-remaining", "0"),
                ("cb-ratelimit-reset", EPOCH),
            ],
            "",
        ),
        Throttle(40_000),
        1,
    ),
    // A missing scope.
    (
        "GET /api/v3/brokerage/accounts",
        (403, &[JSON], "{}"),
        Nothing,
        1,
    ),
];

pub(crate) const IBKR: &[Case] = &[
    ("GET /v1/api/iserver/accounts", (429, &[], ""), Ban(900), 1),
    (
        "POST /v1/api/iserver/account/U1/orders",
        (429, &[JSON], "{}"),
        Ban(900),
        1,
    ),
    (
        "GET /v1/api/portfolio/accounts",
        (429, &[], ""),
        Ban(900),
        1,
    ),
    // The session is lost, or not ready.
    ("GET /v1/api/iserver/accounts", (401, &[], ""), Nothing, 1),
    ("GET /v1/api/iserver/accounts", (503, &[], ""), Failure, 3),
    (
        "POST /v1/api/iserver/account/U1/orders",
        (
            400,
            &[JSON],
            r#"{"error":"Order couldn't be submitted: Local order ID=a1 is already registered."}"#,
        ),
        Nothing,
        1,
    ),
];

pub(crate) const KITE: &[Case] = &[
    (
        "GET /quote/ltp",
        (
            429,
            &[JSON],
            r#"{"status":"error","message":"Too many requests","data":null,"error_type":"NetworkException"}"#,
        ),
        Throttle(1_000),
        3,
    ),
    // The orders of the day.
    (
        "POST /orders/regular",
        (
            429,
            &[JSON],
            r#"{"status":"error","message":"Maximum allowed order requests exceeded.","data":null}"#,
        ),
        Quota(1),
        1,
    ),
    (
        "GET /orders",
        (
            403,
            &[JSON],
            r#"{"status":"error","message":"Incorrect `api_key` or `access_token`.","error_type":"TokenException"}"#,
        ),
        Nothing,
        1,
    ),
    (
        "GET /orders",
        (
            502,
            &[JSON],
            r#"{"status":"error","error_type":"DataException"}"#,
        ),
        Failure,
        3,
    ),
    (
        "POST /orders/regular",
        (
            503,
            &[JSON],
            r#"{"status":"error","error_type":"NetworkException"}"#,
        ),
        Failure,
        1,
    ),
];

const KRAKEN_BUSY: &str = r#"{"error":["EService:Busy"]}"#;

pub(crate) const KRAKEN: &[Case] = &[
    (
        "POST /0/private/OpenOrders",
        (200, &[JSON], r#"{"error":["EAPI:Rate limit exceeded"]}"#),
        Throttle(5_000),
        3,
    ),
    (
        "POST /0/private/AddOrder",
        (200, &[JSON], r#"{"error":["EOrder:Rate limit exceeded"]}"#),
        Throttle(5_000),
        1,
    ),
    (
        "GET /0/public/Ticker",
        (200, &[JSON], r#"{"error":["EService:Throttled"]}"#),
        Throttle(5_000),
        3,
    ),
    (
        "GET /derivatives/api/v3/tickers",
        (
            200,
            &[JSON],
            r#"{"result":"error","error":"apiLimitExceeded"}"#,
        ),
        Throttle(5_000),
        3,
    ),
    // It names no time.
    (
        "POST /0/private/Balance",
        (200, &[JSON], r#"{"error":["EGeneral:Temporary lockout"]}"#),
        Ban(30),
        1,
    ),
    (
        "GET /0/public/Ticker",
        (200, &[JSON], KRAKEN_BUSY),
        Failure,
        3,
    ),
    (
        "POST /0/private/AddOrder",
        (200, &[JSON], r#"{"error":["EService:Unavailable"]}"#),
        Failure,
        1,
    ),
    (
        "POST /0/private/AddOrder",
        (200, &[JSON], r#"{"error":["EOrder:Insufficient funds"]}"#),
        Nothing,
        1,
    ),
    // The data behind an empty list of errors is no error.
    (
        "GET /0/public/Ticker",
        (
            200,
            &[JSON],
            r#"{"error":[],"result":{"a":["EService:Busy"]}}"#,
        ),
        Nothing,
        1,
    ),
];

pub(crate) const OANDA: &[Case] = &[
    (
        "GET /v3/accounts/1/pricing",
        (429, &[], ""),
        Throttle(1_000),
        3,
    ),
    (
        "POST /v3/accounts/1/orders",
        (429, &[("retry-after", "25")], ""),
        Throttle(25_000),
        1,
    ),
    ("GET /v3/accounts/1/pricing", (503, &[], ""), Failure, 3),
    ("POST /v3/accounts/1/orders", (500, &[], ""), Failure, 1),
    (
        "POST /v3/accounts/1/orders",
        (
            400,
            &[JSON],
            r#"{"rejectReason":"CLIENT_ORDER_ID_ALREADY_EXISTS"}"#,
        ),
        Nothing,
        1,
    ),
];

pub(crate) const TRADIER: &[Case] = &[
    (
        "GET /v1/markets/quotes",
        (
            429,
            &[
                DATE,
                ("x-ratelimit-allowed", "120"),
                ("x-ratelimit-used", "120"),
                ("x-ratelimit-available", "0"),
                ("x-ratelimit-expiry", EPOCH_MILLIS),
            ],
            "Quota Violation",
        ),
        Throttle(40_000),
        1,
    ),
    (
        "POST /v1/accounts/1/orders",
        (
            429,
            &[
                DATE,
                ("x-ratelimit-available", "0"),
                ("x-ratelimit-expiry", EPOCH),
            ],
            "",
        ),
        Throttle(40_000),
        1,
    ),
    ("GET /v1/user/profile", (429, &[], ""), Throttle(1_000), 3),
    ("POST /v1/accounts/1/orders", (502, &[], ""), Failure, 1),
];
