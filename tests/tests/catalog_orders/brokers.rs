//! Brokers of stocks, options and futures.

use seawall::orders::protocol::{Duplicates, Query};

use super::Means::{Done, Duplicate, Rejected, Taken, Throttled, Unknown};
use super::Says::{Absent, Found, Nothing, Several};
use super::{Cancel, Create, Shown};
use seawall::orders::protocol::OrderState::{Cancelled, Filled, Open, PartiallyFilled};

pub(super) const ALPACA: Shown = Shown {
    broker: "alpaca",
    class: Duplicates::RejectWhileOpen,
    create: (
        "POST /v2/orders",
        r#"{"symbol":"AAPL","qty":"2","side":"buy","type":"market","time_in_force":"day"}"#,
    ),
    id: "desk-1",
    written: r#"{"client_order_id":"desk-1","symbol":"AAPL","#,
    replies: &[
        (
            Create,
            200,
            r#"{"id":"7","client_order_id":"desk-1","qty":"2","filled_qty":"0","status":"pending_new"}"#,
            Taken("7", Open),
        ),
        (
            Create,
            422,
            r#"{"code":40010001,"message":"client_order_id must be unique"}"#,
            Duplicate,
        ),
        (
            Create,
            403,
            r#"{"code":40310000,"message":"insufficient buying power"}"#,
            Rejected,
        ),
        (
            Create,
            429,
            r#"{"code":42910000,"message":"too many requests"}"#,
            Throttled,
        ),
        (Create, 504, "", Unknown),
        (Cancel, 204, "", Done(Cancelled)),
        (
            Cancel,
            422,
            r#"{"code":42210000,"message":"order is not cancelable"}"#,
            Rejected,
        ),
    ],
    queries: &[(
        Query::ById,
        "GET /v2/orders:by_client_order_id?client_order_id=desk-1",
        &[
            (
                200,
                r#"{"id":"7","client_order_id":"desk-1","qty":"2","filled_qty":"1","status":"accepted"}"#,
                Found("7", PartiallyFilled),
            ),
            (
                404,
                r#"{"code":40410000,"message":"order not found for desk-1"}"#,
                Absent,
            ),
            (404, "", Nothing),
            (401, r#"{"message":"unauthorized."}"#, Nothing),
        ],
    )],
    cancel: "DELETE /v2/orders/7",
    rejected: "DELETE /v2/positions/AAPL",
    none: r#"[]"#,
    positions: (
        r#"[{"symbol":"AAPL","qty":"5","side":"long"},{"symbol":"TSLA","qty":"3","side":"short"}]"#,
        &[("AAPL", "5"), ("TSLA", "-3")],
    ),
};

pub(super) const IBKR: Shown = Shown {
    broker: "ibkr",
    class: Duplicates::RejectForATime,
    create: (
        "POST /v1/api/iserver/account/U1/orders",
        r#"{"orders":[{"conid":265598,"side":"BUY","orderType":"MKT","quantity":2,"tif":"DAY"}]}"#,
    ),
    id: "desk-1",
    written: r#"{"orders":[{"cOID":"desk-1","conid":"#,
    replies: &[
        (
            Create,
            200,
            r#"[{"order_id":"7","order_status":"PreSubmitted","encrypt_message":"1"}]"#,
            Taken("7", Open),
        ),
        (
            Create,
            200,
            r#"[{"id":"07a13a5a","message":["This order exceeds the limit."],"messageIds":["o163"]}]"#,
            Rejected,
        ),
        (
            Create,
            400,
            r#"{"error":"Order couldn't be submitted: Local order ID=desk-1 is already registered."}"#,
            Duplicate,
        ),
        (
            Create,
            200,
            r#"{"error":"The price does not conform."}"#,
            Rejected,
        ),
        (
            Create,
            503,
            r#"{"error":"Service Unavailable","statusCode":503}"#,
            Unknown,
        ),
        (
            Cancel,
            200,
            r#"{"msg":"Request was submitted","order_id":7,"conid":265598}"#,
            Taken("7", Cancelled),
        ),
    ],
    queries: &[
        (
            Query::ById,
            "GET /v1/api/iserver/account/orders",
            &[
                (
                    200,
                    r#"{"orders":[{"orderId":7,"order_ref":"desk-1","status":"Filled","totalSize":2.0,"filledQuantity":2.0}],"snapshot":true}"#,
                    Found("7", Filled),
                ),
                (200, r#"{"orders":[],"snapshot":true}"#, Absent),
                (200, r#"{"orders":[],"snapshot":false}"#, Nothing),
            ],
        ),
        (
            Query::Fills,
            "GET /v1/api/iserver/account/trades?days=7",
            &[
                (
                    200,
                    r#"[{"execution_id":"1","order_ref":"desk-1","side":"B","size":1.0},{"execution_id":"2","order_ref":"desk-1","side":"B","size":0.5}]"#,
                    Found("", PartiallyFilled),
                ),
                (200, "[]", Absent),
            ],
        ),
    ],
    cancel: "DELETE /v1/api/iserver/account/U1/order/7",
    rejected: "POST /v1/api/iserver/reply/07a13a5a",
    none: r#"[]"#,
    positions: (
        r#"[{"conid":265598,"position":-12.5}]"#,
        &[("265598", "-12.5")],
    ),
};

pub(super) const KITE: Shown = Shown {
    broker: "kite",
    class: Duplicates::Accept,
    create: (
        "POST /orders/regular",
        "tradingsymbol=M%26M&exchange=NSE&transaction_type=BUY&order_type=MARKET&quantity=2&product=MIS",
    ),
    id: "desk1",
    written: "&tag=desk1",
    replies: &[
        (
            Create,
            200,
            r#"{"status":"success","data":{"order_id":"7"}}"#,
            Taken("7", Open),
        ),
        (
            Create,
            400,
            r#"{"status":"error","message":"Insufficient funds","error_type":"InputException"}"#,
            Rejected,
        ),
        (
            Create,
            429,
            r#"{"status":"error","error_type":"NetworkException"}"#,
            Throttled,
        ),
        (
            Create,
            503,
            r#"{"status":"error","error_type":"NetworkException"}"#,
            Unknown,
        ),
    ],
    queries: &[(
        Query::ById,
        "GET /orders",
        &[
            (
                200,
                r#"{"status":"success","data":[{"order_id":"7","status":"COMPLETE","quantity":2,"filled_quantity":2,"tag":"desk1"},{"order_id":"8","status":"OPEN","quantity":1,"filled_quantity":0,"tag":null}]}"#,
                Found("7", Filled),
            ),
            (200, r#"{"status":"success","data":[]}"#, Absent),
            (
                200,
                r#"{"status":"success","data":[{"order_id":"7","status":"OPEN","tag":"desk1"},{"order_id":"8","status":"OPEN","tag":"desk1"}]}"#,
                Several(2),
            ),
            (
                403,
                r#"{"status":"error","error_type":"TokenException"}"#,
                Nothing,
            ),
        ],
    )],
    cancel: "DELETE /orders/regular/7",
    rejected: "POST /gtt/triggers",
    none: r#"{"data":{"net":[],"day":[]}}"#,
    positions: (
        r#"{"status":"success","data":{"net":[{"tradingsymbol":"M&M","quantity":-5}],"day":[]}}"#,
        &[("M&M", "-5")],
    ),
};

pub(super) const TRADIER: Shown = Shown {
    broker: "tradier",
    class: Duplicates::Accept,
    create: (
        "POST /v1/accounts/VA1/orders",
        "class=equity&symbol=SPY&side=buy&quantity=2&type=market&duration=day",
    ),
    id: "desk-1",
    written: "&tag=desk-1",
    replies: &[
        (
            Create,
            200,
            r#"{"order":{"id":7,"status":"ok","partner_id":"c4998eb7"}}"#,
            Taken("7", Open),
        ),
        (
            Create,
            200,
            r#"{"order":{"id":7,"status":"rejected"}}"#,
            Rejected,
        ),
        (
            Create,
            200,
            r#"{"errors":{"error":["side is required"]}}"#,
            Rejected,
        ),
        (Create, 500, "", Unknown),
        (
            Cancel,
            200,
            r#"{"order":{"id":7,"status":"ok"}}"#,
            Taken("7", Cancelled),
        ),
    ],
    queries: &[(
        Query::ById,
        "GET /v1/accounts/VA1/orders?includeTags=true&page=1&limit=500",
        &[
            (
                200,
                r#"{"orders":{"order":{"id":7,"status":"filled","quantity":2.0,"exec_quantity":2.0,"tag":"desk-1"}}}"#,
                Found("7", Filled),
            ),
            (200, r#"{"orders":"null"}"#, Absent),
            (200, "<orders><order/></orders>", Nothing),
        ],
    )],
    cancel: "DELETE /v1/accounts/VA1/orders/7",
    rejected: "",
    none: r#"{"positions":"null"}"#,
    positions: (
        r#"{"positions":{"position":{"symbol":"AAPL","quantity":-1.0}}}"#,
        &[("AAPL", "-1")],
    ),
};
