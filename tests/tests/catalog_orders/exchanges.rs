//! Exchanges, and a broker of currencies.

use seawall::orders::protocol::{Duplicates, OrderState, Query};

use super::Means::{Done, Duplicate, Rejected, Taken, Throttled, Unknown};
use super::Says::{Absent, Found, Next, Nothing};
use super::{Cancel, Create, Replace, Shown};
use seawall::orders::protocol::OrderState::{Cancelled, Filled, Open, PartiallyFilled};

pub(super) const BINANCE: Shown = Shown {
    broker: "binance",
    class: Duplicates::RejectWhileOpen,
    create: (
        "POST /api/v3/order",
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price=0.1&timestamp=1499827319559",
    ),
    id: "desk-1",
    written: "&newClientOrderId=desk-1",
    replies: &[
        (
            Create,
            200,
            r#"{"symbol":"LTCBTC","orderId":7,"clientOrderId":"desk-1","origQty":"2.0","executedQty":"2.0","status":"FILLED","side":"BUY"}"#,
            Taken("7", Filled),
        ),
        (
            Create,
            200,
            r#"{"symbol":"LTCBTC","orderId":7,"clientOrderId":"desk-1"}"#,
            Taken("7", Open),
        ),
        (
            Create,
            400,
            r#"{"code":-2010,"msg":"Duplicate order sent."}"#,
            Duplicate,
        ),
        (
            Create,
            400,
            r#"{"code":-2010,"msg":"Account has insufficient balance for requested action."}"#,
            Rejected,
        ),
        (
            Create,
            400,
            r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#,
            Unknown,
        ),
        (Create, 403, "<html>WAF</html>", Unknown),
        (
            Create,
            400,
            r#"{"code":-1015,"msg":"Too many new orders."}"#,
            Throttled,
        ),
        (Create, 418, "", Throttled),
        (
            Replace,
            200,
            r#"{"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","newOrderResponse":{"orderId":8,"status":"NEW"}}"#,
            Taken("8", Open),
        ),
        (
            Replace,
            409,
            r#"{"code":-2021,"msg":"Order cancel-replace partially failed."}"#,
            Unknown,
        ),
        (
            Cancel,
            400,
            r#"{"code":-2011,"msg":"Unknown order sent."}"#,
            Rejected,
        ),
    ],
    queries: &[(
        Query::ById,
        "GET /api/v3/order?symbol=LTCBTC&origClientOrderId=desk-1",
        &[
            (
                200,
                r#"{"orderId":7,"clientOrderId":"desk-1","origQty":"2","executedQty":"0","status":"EXPIRED"}"#,
                Found("7", OrderState::Expired),
            ),
            (
                400,
                r#"{"code":-2013,"msg":"Order does not exist."}"#,
                Absent,
            ),
            (
                400,
                r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#,
                Nothing,
            ),
        ],
    )],
    cancel: "DELETE /api/v3/order?symbol=LTCBTC&origClientOrderId=desk-1",
    rejected: "POST /api/v3/orderList/oco",
    none: r#"{"balances":[]}"#,
    positions: (
        r#"{"balances":[{"asset":"BTC","free":"1.5","locked":"0.5"}]}"#,
        &[("BTC", "2")],
    ),
};

pub(super) const COINBASE: Shown = Shown {
    broker: "coinbase",
    class: Duplicates::ReturnFirst,
    create: (
        "POST /api/v3/brokerage/orders",
        r#"{"product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"2","limit_price":"3"}}}"#,
    ),
    id: "desk-1",
    written: r#"{"client_order_id":"desk-1","product_id":"#,
    replies: &[
        (
            Create,
            200,
            r#"{"success":true,"success_response":{"order_id":"7","client_order_id":"desk-1"}}"#,
            Taken("7", Open),
        ),
        (
            Create,
            200,
            r#"{"success":false,"error_response":{"error":"INSUFFICIENT_FUND"}}"#,
            Rejected,
        ),
        (
            Create,
            200,
            r#"{"success":false,"error_response":{"error":"DUPLICATE_CLIENT_ORDER_ID"}}"#,
            Duplicate,
        ),
        (
            Create,
            200,
            r#"{"success":false,"error_response":{"error":"UNKNOWN_FAILURE_REASON"}}"#,
            Unknown,
        ),
        (
            Replace,
            200,
            r#"{"success":false,"errors":[{"edit_failure_reason":"ORDER_NOT_FOUND"}]}"#,
            Rejected,
        ),
        (
            Cancel,
            200,
            r#"{"results":[{"success":true,"order_id":"7"}]}"#,
            Done(Cancelled),
        ),
        (
            Cancel,
            200,
            r#"{"results":[{"success":false,"failure_reason":"UNKNOWN_CANCEL_ORDER","order_id":"7"}]}"#,
            Rejected,
        ),
    ],
    queries: &[
        (
            Query::Open,
            "GET /api/v3/brokerage/orders/historical/batch?order_status=OPEN",
            &[
                (
                    200,
                    r#"{"orders":[{"order_id":"7","client_order_id":"desk-1","status":"OPEN","filled_size":"0"},{"order_id":"8","client_order_id":"desk-2","status":"OPEN","filled_size":"0"}],"has_next":false}"#,
                    Found("7", Open),
                ),
                (200, r#"{"orders":[],"has_next":false,"cursor":""}"#, Absent),
                (
                    200,
                    r#"{"orders":[],"has_next":true,"cursor":"x"}"#,
                    Next("order_status=OPEN&cursor=x"),
                ),
                (200, r#"{"orders":[]}"#, Nothing),
            ],
        ),
        (
            Query::Closed,
            "GET /api/v3/brokerage/orders/historical/batch?product_ids=BTC-USD&start_date=",
            &[],
        ),
    ],
    cancel: r#"POST /api/v3/brokerage/orders/batch_cancel {"order_ids":["7"]}"#,
    rejected: "",
    none: r#"{"accounts":[],"has_next":false}"#,
    positions: (
        r#"{"accounts":[{"currency":"BTC","available_balance":{"value":"1"},"hold":{"value":"0.5"}}],"has_next":false}"#,
        &[("BTC", "1.5")],
    ),
};

pub(super) const KRAKEN: Shown = Shown {
    broker: "kraken",
    class: Duplicates::RejectWhileOpen,
    create: (
        "POST /0/private/AddOrder",
        "nonce=1&ordertype=limit&pair=XBTUSD&price=27500&type=buy&volume=2",
    ),
    id: "desk-1",
    written: "&cl_ord_id=desk-1",
    replies: &[
        (
            Create,
            200,
            r#"{"error":[],"result":{"descr":{"order":"buy 2 XBTUSD"},"txid":["7"]}}"#,
            Taken("7", Open),
        ),
        (
            Create,
            200,
            r#"{"error":["EOrder:Insufficient funds"]}"#,
            Rejected,
        ),
        (
            Create,
            200,
            r#"{"error":["EOrder:Duplicate client order id"]}"#,
            Duplicate,
        ),
        (
            Create,
            200,
            r#"{"error":["EOrder:Rate limit exceeded"]}"#,
            Throttled,
        ),
        (
            Create,
            200,
            r#"{"error":["EService:Unavailable"]}"#,
            Unknown,
        ),
        (Create, 502, "<html>", Unknown),
        (
            Cancel,
            200,
            r#"{"error":[],"result":{"count":1}}"#,
            Done(Cancelled),
        ),
        (
            Cancel,
            200,
            r#"{"error":["EOrder:Unknown order"]}"#,
            Rejected,
        ),
    ],
    queries: &[
        (
            Query::Open,
            "POST /0/private/OpenOrders cl_ord_id=desk-1",
            &[
                (200, r#"{"error":[],"result":{"open":{}}}"#, Absent),
                (200, r#"{"error":["EAPI:Invalid nonce"]}"#, Nothing),
                (
                    200,
                    r#"{"error":[],"result":{"open":{"7":{"status":"open","cl_ord_id":"desk-1","vol":"2","vol_exec":"0.5"}}}}"#,
                    Found("7", PartiallyFilled),
                ),
            ],
        ),
        (
            Query::Closed,
            "POST /0/private/ClosedOrders cl_ord_id=desk-1",
            &[(
                200,
                r#"{"error":[],"result":{"closed":{"7":{"status":"closed","cl_ord_id":"desk-1","vol":"2","vol_exec":"2"}},"count":1}}"#,
                Found("7", Filled),
            )],
        ),
    ],
    cancel: "POST /0/private/CancelOrder txid=7",
    rejected: "POST /0/private/AddOrderBatch",
    none: r#"{"error":[],"result":{}}"#,
    positions: (
        r#"{"error":[],"result":{"ZUSD":"171288.6158"}}"#,
        &[("ZUSD", "171288.6158")],
    ),
};

pub(super) const OANDA: Shown = Shown {
    broker: "oanda",
    class: Duplicates::RejectWhileOpen,
    create: (
        "POST /v3/accounts/101-004/orders",
        r#"{"order":{"units":"2","instrument":"EUR_USD","timeInForce":"FOK","type":"MARKET"}}"#,
    ),
    id: "desk-1",
    written: r#"{"order":{"clientExtensions":{"id":"desk-1"},"units":"#,
    replies: &[
        (
            Create,
            201,
            r#"{"orderCreateTransaction":{"id":"7","units":"2"},"orderFillTransaction":{"id":"8","units":"2"}}"#,
            Taken("7", Filled),
        ),
        (
            Create,
            201,
            r#"{"orderCreateTransaction":{"id":"7","units":"2"},"orderCancelTransaction":{"id":"8","reason":"MARKET_HALTED"}}"#,
            Taken("7", Cancelled),
        ),
        (
            Create,
            201,
            r#"{"orderCreateTransaction":{"id":"7","units":"2"}}"#,
            Taken("7", Open),
        ),
        (
            Create,
            400,
            r#"{"errorCode":"CLIENT_ORDER_ID_ALREADY_EXISTS","orderRejectTransaction":{}}"#,
            Duplicate,
        ),
        (
            Create,
            400,
            r#"{"errorCode":"INSUFFICIENT_MARGIN","orderRejectTransaction":{}}"#,
            Rejected,
        ),
        (
            Cancel,
            404,
            r#"{"errorCode":"ORDER_DOESNT_EXIST"}"#,
            Rejected,
        ),
    ],
    queries: &[
        (
            Query::Open,
            "GET /v3/accounts/101-004/orders/@desk-1",
            &[
                (
                    200,
                    r#"{"order":{"id":"7","units":"2","state":"PENDING","clientExtensions":{"id":"desk-1"}}}"#,
                    Found("7", Open),
                ),
                (
                    404,
                    r#"{"errorCode":"NO_SUCH_ORDER","errorMessage":"The order ID specified does not exist"}"#,
                    Absent,
                ),
                (404, r#"{"errorMessage":"no such path"}"#, Nothing),
            ],
        ),
        (
            Query::Closed,
            "GET /v3/accounts/101-004/orders?state=ALL&instrument=EUR_USD&count=500",
            &[(
                200,
                r#"{"orders":[{"id":"7","createTime":"2026-11-30T01:00:00.2Z","units":"2","state":"FILLED","clientExtensions":{"id":"desk-1"}},{"id":"6","createTime":"2026-11-30T00:00:00.2Z","units":"2","state":"FILLED"}]}"#,
                Found("7", Filled),
            )],
        ),
    ],
    cancel: "PUT /v3/accounts/101-004/orders/7/cancel",
    rejected: "PUT /v3/accounts/101-004/positions/EUR_USD/close",
    none: r#"{"positions":[]}"#,
    positions: (
        r#"{"positions":[{"instrument":"EUR_USD","long":{"units":"10"},"short":{"units":"-4"}}]}"#,
        &[("EUR_USD", "6")],
    ),
};
