//! Checks the part of a file that is about orders.

use http::Method;
use seawall_core::InvalidConfig;
#[cfg(feature = "orders")]
use seawall_orders::broker::BrokerTableBuilder;

use super::data::OrdersData;
use crate::catalog::build;
use crate::catalog::data::ProviderData;

/// What is wrong, and where: every list is a request that may be sent twice, and the table of the broker
/// can be made.
pub(in crate::catalog) fn mistakes(data: &ProviderData) -> Vec<(usize, String)> {
    let Some(orders) = &data.orders else {
        return Vec::new();
    };
    let mut mistakes = Vec::new();
    let at = orders.source.span().start;
    if orders.lists.iter().all(|list| list.all) {
        let problem = "`orders.lists` is empty, accepted is at least one request by which an order is \
            looked up";
        mistakes.push((at, problem.to_owned()));
    }
    match unsafe_requests(data, orders) {
        Ok(found) => mistakes.extend(found),
        Err(problem) => mistakes.push((at, problem.to_string())),
    }
    #[cfg(feature = "orders")]
    if let Err(problem) = super::builder(data).and_then(BrokerTableBuilder::build) {
        mistakes.push((at, format!("`orders`: {problem}")));
    }
    mistakes
}

/// A look-up is sent again where it failed, so its route must be one that may be.
fn unsafe_requests(
    data: &ProviderData,
    orders: &OrdersData,
) -> Result<Vec<(usize, String)>, InvalidConfig> {
    let routes = build::routes(data)?;
    let lists = orders.lists.iter();
    let lists = lists.map(|list| (&list.request, &list.source));
    let positions = orders.positions.iter();
    let positions = positions.map(|list| (&list.request, &list.source));
    let mut found = Vec::new();
    for (request, source) in lists.chain(positions) {
        let mut words = request.split([' ', '?']);
        let method = words.next().and_then(|method| method.parse().ok());
        let method = method.unwrap_or(Method::POST);
        let path = words.next().unwrap_or_default();
        if !routes.look_up(&method, path).replay.is_safe() {
            let problem = format!("`request` is `{request}`, whose route may not be sent twice");
            found.push((source.span().start, problem));
        }
    }
    Ok(found)
}
