//! What order safety has to know of the simulated brokers: Alpaca's API, with the rules of a class.

use std::time::Duration;

use seawall::InvalidConfig;
use seawall_orders::broker::{
    BrokerTable, ListRequest, Meaning, OrderFields, ReplyRule, RequestFields,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::protocol::{Coverage, Duplicates, Operation, OrderState, Query, Rules};

use crate::http_client::ATTEMPT_TIMEOUT;
use crate::plan::Class;
use crate::world::{REJECTED_FOR, VALID_FOR, VISIBLE_WITHIN};

fn rules(class: Class, operation: Operation) -> Result<Rules, InvalidConfig> {
    let duplicates = match class {
        Class::ReturnFirst => Duplicates::ReturnFirst,
        Class::RejectForATime => Duplicates::RejectForATime,
        Class::RejectWhileOpen => Duplicates::RejectWhileOpen,
        Class::Accept | Class::ListsOnly => Duplicates::Accept,
    };
    let coverage = match class {
        Class::ListsOnly => Coverage::OpenThenClosed,
        _ => Coverage::ById,
    };
    Rules::builder(duplicates)
        .operation(operation)
        .coverage(coverage)
        // Kept by the brokers however busy the machine is: what comes later is not executed.
        .window(VALID_FOR + VISIBLE_WITHIN)
        .first_look_up(Duration::from_millis(70))
        .backoff(Duration::from_millis(70))
        .max_backoff(Duration::from_millis(300))
        .look_up_timeout(ATTEMPT_TIMEOUT * 2)
        .look_ups(30)
        .resend_within(REJECTED_FOR / 2)
        .build()
}

/// The broker of a class.
pub(crate) fn alpaca_like(class: Class) -> Result<BrokerTable, InvalidConfig> {
    let ids = IdRules::text(128)?.with_characters("-");
    let found = OrderFields::new("id")
        .id("client_order_id")
        .symbol("symbol")
        .side("side")
        .state("status")
        .quantity("qty")
        .filled("filled_qty");
    let order = RequestFields::new()
        .id("client_order_id")
        .symbol("symbol")
        .side("side")
        .quantity("qty")
        .price("limit_price");
    let duplicate = ReplyRule::new(Meaning::Duplicate)
        .statuses([422])
        .at("message")
        .contains(["must be unique"]);
    let not_found = ReplyRule::new(Meaning::NotFound)
        .statuses([404])
        .at("code")
        .equals(["40410000"]);
    let change = RequestFields::new()
        .id("client_order_id")
        .quantity("qty")
        .price("limit_price");
    let table = BrokerTable::builder(
        class.name(),
        rules(class, Operation::Create)?,
        OrderIds::text(ids, "torture-")?,
    )
    .rules(rules(class, Operation::Replace)?)
    .route(Operation::Create, "POST /v2/orders")
    .route(Operation::Replace, "PATCH /v2/orders/{order}")
    .route(Operation::Cancel, "DELETE /v2/orders/{order}")
    .request(Operation::Create, order)
    .request(Operation::Replace, change)
    .reply(found.clone())
    .order(found)
    .state("accepted", OrderState::Open)
    .state("new", OrderState::Open)
    .state("pending_cancel", OrderState::Open)
    .state("partially_filled", OrderState::PartiallyFilled)
    .state("filled", OrderState::Filled)
    .state("canceled", OrderState::Cancelled)
    .state("replaced", OrderState::Cancelled)
    .rule(duplicate)
    .rule(not_found)
    .cancel("DELETE /v2/orders/{broker_id}");
    let list = |request: &'static str| {
        let list = ListRequest::new(request).most(500);
        list.after_last("until", "submitted_at")
    };
    match class {
        Class::ListsOnly => table
            .query(Query::Open, list("GET /v2/orders?status=open&limit=500"))
            .query(
                Query::Closed,
                list("GET /v2/orders?status=closed&limit=500&after={since}"),
            ),
        _ => {
            let by_id = "GET /v2/orders:by_client_order_id?client_order_id={id}";
            table.query(Query::ById, ListRequest::new(by_id))
        }
    }
    .build()
}
