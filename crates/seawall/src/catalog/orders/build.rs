//! Makes the table of a broker of its file.

use seawall_core::InvalidConfig;
use seawall_orders::broker::{
    BrokerTable, BrokerTableBuilder, ListRequest, Meaning, OrderFields, PositionFields, ReplyRule,
    RequestFields,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::protocol::{
    Coverage, Duplicates, Operation as OrderOperation, OrderState, Query, Rules,
};

use super::data::{
    CoverageName, CursorData, DuplicatesName, IdForm, IdsData, ListData, MeaningName,
    OperationName, OrderData, OrdersData, PositionsData, QueryName, ReplyData, RequestData,
    StateName,
};
use crate::catalog::data::{Operation, ProviderData, RouteData};

/// A builder of the table of a provider that takes orders.
pub(in crate::catalog) fn builder(
    data: &ProviderData,
) -> Result<BrokerTableBuilder, InvalidConfig> {
    let Some(orders) = &data.orders else {
        let accepted = "a provider that takes orders";
        return Err(InvalidConfig::new("orders", data.name.get_ref(), accepted));
    };
    let name = data.name.get_ref().clone();
    let mut table = BrokerTable::builder(
        name,
        rules(orders, OrderOperation::Create)?,
        ids(&orders.ids)?,
    );
    if orders
        .replace
        .as_ref()
        .is_some_and(|replace| replace.id.is_some())
    {
        table = table.rules(rules(orders, OrderOperation::Replace)?);
    }
    table = data.routes.iter().fold(table, route);
    table = table
        .request(OrderOperation::Create, request(&orders.create))
        .reply(order(&orders.reply))
        .order(order(&orders.order));
    for (operation, fields) in [
        (OrderOperation::Replace, &orders.replace),
        (OrderOperation::Cancel, &orders.cancel),
    ] {
        if let Some(fields) = fields {
            table = table.request(operation, request(fields));
        }
    }
    for words in &orders.states {
        let state = state(words.state);
        table = words
            .words
            .iter()
            .fold(table, |table, word| table.state(word.clone(), state));
    }
    for reply in &orders.replies {
        table = table.rule(rule(reply)?);
    }
    for list in &orders.lists {
        table = match list.all {
            true => table.list(query(list.query), request_of(list)),
            false => table.query(query(list.query), request_of(list)),
        };
    }
    for cancel in &orders.cancels {
        table = table.cancel(cancel.request.clone());
    }
    if let Some(list) = &orders.positions {
        let (request, fields) = positions(list);
        table = table.positions(request, fields);
    }
    if let Some(prefix) = &orders.client_prefix {
        table = table.client_prefix(prefix.clone());
    }
    let signatures = orders.signatures.iter();
    Ok(signatures.fold(table, |table, name| table.signature(name.clone())))
}

fn rules(orders: &OrdersData, operation: OrderOperation) -> Result<Rules, InvalidConfig> {
    let look_ups = &orders.look_ups;
    let duplicates = match orders.duplicates {
        DuplicatesName::ReturnFirst => Duplicates::ReturnFirst,
        DuplicatesName::RejectForATime => Duplicates::RejectForATime,
        DuplicatesName::RejectWhileOpen => Duplicates::RejectWhileOpen,
        DuplicatesName::Accept => Duplicates::Accept,
    };
    let coverage = match look_ups.coverage {
        CoverageName::ById => Coverage::ById,
        CoverageName::OpenThenClosed => Coverage::OpenThenClosed,
        CoverageName::IdThenFills => Coverage::IdThenFills,
        CoverageName::OpenClosedFills => Coverage::OpenClosedFills,
    };
    let throttle_rejects = orders
        .throttle
        .as_ref()
        .is_some_and(|throttle| throttle.rejects);
    let mut rules = Rules::builder(duplicates)
        .operation(operation)
        .coverage(coverage)
        .window(look_ups.window.0)
        .throttle_rejects(throttle_rejects);
    if let Some(resends) = look_ups.resends {
        rules = rules.resends(resends);
    }
    if let Some(within) = look_ups.resend_within {
        rules = rules.resend_within(within.0);
    }
    rules.build()
}

fn ids(data: &IdsData) -> Result<OrderIds, InvalidConfig> {
    let longest = usize::try_from(data.max_length).unwrap_or(usize::MAX);
    let mut rules = IdRules::text(longest)?.with_characters(data.characters.clone());
    if data.or_uuid {
        rules = rules.or_uuid();
    }
    match data.form {
        IdForm::Text => OrderIds::text(rules, ""),
        IdForm::UuidV4 => OrderIds::uuid_v4(rules),
        IdForm::UuidV7 => OrderIds::uuid_v7(rules),
    }
}

fn route(table: BrokerTableBuilder, route: &RouteData) -> BrokerTableBuilder {
    let operation = match route.operation {
        Operation::OrderCreate => OrderOperation::Create,
        Operation::OrderReplace => OrderOperation::Replace,
        Operation::OrderCancel => OrderOperation::Cancel,
        _ => return other_route(table, route),
    };
    let method = route.method.as_deref().unwrap_or("*");
    let text = format!("{method} {}", route.path);
    match route.look_up {
        Some(false) => table.rejected_route(operation, text),
        Some(true) | None => table.route(operation, text),
    }
}

/// A route that does nothing to orders. One of all methods and the rest of a path says nothing of what is
/// there: orders may be.
fn other_route(table: BrokerTableBuilder, route: &RouteData) -> BrokerTableBuilder {
    let path = &route.path;
    match route.method.as_deref() {
        Some("GET" | "HEAD") => table,
        Some(method) => table.other_route(format!("{method} {path}")),
        None if path.ends_with("**") => table,
        None => ["POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .fold(table, |table, method| {
                table.other_route(format!("{method} {path}"))
            }),
    }
}

/// Sets a path.
type Set<T> = fn(T, String) -> T;

fn request(data: &RequestData) -> RequestFields {
    let mut fields = RequestFields::new();
    let texts: [(_, Set<RequestFields>); 8] = [
        (&data.id, RequestFields::id),
        (&data.target_id, RequestFields::target_id),
        (&data.target_broker_id, RequestFields::target_broker_id),
        (&data.symbol, RequestFields::symbol),
        (&data.side, RequestFields::side),
        (&data.quantity, RequestFields::quantity),
        (&data.price, RequestFields::price),
        (&data.notional, RequestFields::notional),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            fields = set(fields, text.clone());
        }
    }
    match &data.reduces {
        Some((path, word)) => fields.reduces(path.clone(), word.clone()),
        None => fields,
    }
}

fn order(data: &OrderData) -> OrderFields {
    let mut fields = OrderFields::default();
    let texts: [(_, Set<OrderFields>); 7] = [
        (&data.broker_id, OrderFields::broker_id),
        (&data.id, OrderFields::id),
        (&data.symbol, OrderFields::symbol),
        (&data.side, OrderFields::side),
        (&data.state, OrderFields::state),
        (&data.quantity, OrderFields::quantity),
        (&data.filled, OrderFields::filled),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            fields = set(fields, text.clone());
        }
    }
    match data.state_unless_set {
        Some(name) => fields.state_unless_set(state(name)),
        None => fields,
    }
}

fn rule(data: &ReplyData) -> Result<ReplyRule, InvalidConfig> {
    let means = match (data.means, data.state) {
        (MeaningName::Accepted, Some(name)) => Meaning::Accepted(state(name)),
        (MeaningName::Accepted, None) => {
            let accepted = "one where `means` is `accepted`";
            return Err(InvalidConfig::new("replies.state", "not set", accepted));
        }
        (_, Some(name)) => {
            let accepted = "none where `means` is not `accepted`";
            return Err(InvalidConfig::new("replies.state", name.as_str(), accepted));
        }
        (MeaningName::Rejected, None) => Meaning::Rejected,
        (MeaningName::Duplicate, None) => Meaning::Duplicate,
        (MeaningName::Throttled, None) => Meaning::Throttled,
        (MeaningName::Unknown, None) => Meaning::Unknown,
        (MeaningName::NotFound, None) => Meaning::NotFound,
    };
    let mut rule = ReplyRule::new(means)
        .statuses(data.statuses.iter().copied())
        .equals(data.equals.iter().cloned())
        .contains(data.contains.iter().cloned());
    if let Some(of) = data.of {
        rule = rule.of(match of {
            OperationName::Create => OrderOperation::Create,
            OperationName::Replace => OrderOperation::Replace,
            OperationName::Cancel => OrderOperation::Cancel,
        });
    }
    Ok(match &data.at {
        Some(path) => rule.at(path.clone()),
        None => rule,
    })
}

fn request_of(data: &ListData) -> ListRequest {
    let mut list = list(&data.request, data.at.as_deref(), data.keyed);
    if let Some(most) = data.most {
        list = list.most(most);
    }
    if let Some(path) = &data.latest_first {
        list = list.latest_first(path.clone());
    }
    if let Some(reach) = data.reach {
        list = list.reach(reach.0);
    }
    if let Some(after) = &data.after_last {
        list = list.after_last(after.parameter.clone(), after.field.clone());
    }
    if let Some(fields) = &data.fields {
        list = list.fields(order(fields));
    }
    with_cursor(list, data.cursor.as_ref())
}

fn positions(data: &PositionsData) -> (ListRequest, PositionFields) {
    let mut list = list(&data.request, data.at.as_deref(), data.keyed);
    if let Some(most) = data.most {
        list = list.most(most);
    }
    let fields = PositionFields::new(data.symbol.clone(), data.quantity.clone());
    let fields = match &data.side {
        Some(side) => fields.side(side.clone()),
        None => fields,
    };
    (with_cursor(list, data.cursor.as_ref()), fields)
}

fn list(request: &str, at: Option<&str>, is_keyed: bool) -> ListRequest {
    let list = ListRequest::new(request.to_owned());
    let list = match at {
        Some(at) => list.at(at.to_owned()),
        None => list,
    };
    if is_keyed { list.keyed() } else { list }
}

fn with_cursor(list: ListRequest, cursor: Option<&CursorData>) -> ListRequest {
    match cursor.cloned() {
        Some(CursorData {
            parameter,
            at,
            more,
        }) => list.cursor(parameter, at, more.map(Into::into)),
        None => list,
    }
}

const fn state(name: StateName) -> OrderState {
    match name {
        StateName::Open => OrderState::Open,
        StateName::PartiallyFilled => OrderState::PartiallyFilled,
        StateName::Filled => OrderState::Filled,
        StateName::Cancelled => OrderState::Cancelled,
        StateName::Expired => OrderState::Expired,
        StateName::Rejected => OrderState::Rejected,
    }
}

const fn query(name: QueryName) -> Query {
    match name {
        QueryName::ById => Query::ById,
        QueryName::Open => Query::Open,
        QueryName::Closed => Query::Closed,
        QueryName::Fills => Query::Fills,
    }
}
