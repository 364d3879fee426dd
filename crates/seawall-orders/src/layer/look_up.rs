//! Look-ups and cancels: requests that the layer makes itself.

use bytes::Bytes;
use http::{Request, Response, Uri};
use seawall_core::{Rejection, Sent};

use super::order::Order;
use super::shared::Shared;
use super::tracked::{Origin, report_of};
use crate::broker::{FoundOrder, LookedUp};
use crate::client::BoxError;
use crate::protocol::{CancelReply, Event, LookUp, Operation, Query, Reply};

/// Makes one query of a look-up, with all its pages.
pub(super) async fn ask(order: &Order, query: Query) -> LookUp {
    let shared = &order.shared;
    let limit = order.it.rules.look_up_timeout();
    // The share of the limits that look-ups take; it is never closed. One that many others are ahead of is
    // not made, which is no failure; the other half of the time is the query's alone.
    let share = tokio::time::timeout(limit / 2, shared.look_ups.acquire()).await;
    let found = match share {
        Err(_) => Err(Missed::NotMade),
        Ok(_share) => match tokio::time::timeout(limit / 2, pages(order, query)).await {
            Ok(found) => found,
            Err(_) => Err(Missed::Failed("it took too long")),
        },
    };
    match found {
        Ok(orders) => {
            shared.counters.look_ups.add();
            judge(order, orders)
        }
        Err(Missed::NotMade) => LookUp::NotMade,
        Err(Missed::Failed(why)) => {
            shared.counters.failed_look_ups.add();
            order.met(why);
            LookUp::Failed
        }
    }
}

/// Why a query has no answer.
enum Missed {
    /// A layer rejected it before it left.
    NotMade,
    Failed(&'static str),
}

impl From<&'static str> for Missed {
    fn from(why: &'static str) -> Self {
        Self::Failed(why)
    }
}

/// Why a query has failed that met an error.
const UNANSWERED: &str = "the client or a layer failed, or the response broke off";

async fn pages(order: &Order, query: Query) -> Result<Vec<FoundOrder>, Missed> {
    let shared = &order.shared;
    let known = order.it.found();
    let saved = order
        .it
        .saved(known.as_ref().map(|found| &*found.broker_id));
    let request = shared.broker.query(query, &saved);
    let mut next = Some(request.ok_or("the broker has no such query")?);
    let mut all = Vec::new();
    for _ in 0..shared.config().max_pages() {
        let Some(request) = next.take() else { break };
        let response =
            order
                .send(request)
                .await
                .map_err(|error| match error.downcast_ref::<Rejection>() {
                    Some(rejection) if rejection.sent() == Sent::No => Missed::NotMade,
                    _ => Missed::Failed(UNANSWERED),
                })?;
        match shared.broker.looked_up(query, &saved, &response) {
            LookedUp::Orders(found) => {
                all.extend(found);
                return Ok(all);
            }
            LookedUp::Page(found, further) => {
                all.extend(found);
                next = Some(further);
            }
            LookedUp::Failed(why) => return Err(why.into()),
        }
    }
    Err("there are more pages than are read".into())
}

/// Of an order and of copies that were rejected, it is the order.
fn judge(order: &Order, mut orders: Vec<FoundOrder>) -> LookUp {
    // A list that is read page by page may show an order twice: the last view counts.
    let mut distinct: Vec<FoundOrder> = Vec::with_capacity(orders.len());
    for found in orders.drain(..) {
        match distinct
            .iter_mut()
            .find(|seen| seen.broker_id == found.broker_id)
        {
            Some(seen) => *seen = found,
            None => distinct.push(found),
        }
    }
    let accepted = |found: &FoundOrder| found.figures.state.is_accepted();
    let live = distinct.iter().find(|found| found.figures.state.is_live());
    let count = distinct.iter().filter(|found| accepted(found)).count();
    let chosen = match (count, live) {
        (0, _) => distinct.first(),
        (_, Some(live)) => Some(live),
        (_, None) => distinct.iter().find(|found| accepted(found)),
    };
    let Some(chosen) = chosen.cloned() else {
        return LookUp::NotFound;
    };
    let report = report_of(&chosen);
    order.it.learn(chosen);
    match count {
        0 | 1 => LookUp::Found(report),
        _ => LookUp::Several(report.state),
    }
}

/// Sends a request of the layer's own to where an order went.
pub(super) async fn send_to(
    shared: &Shared,
    origin: &Origin,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, BoxError> {
    let mut parts = request.uri().clone().into_parts();
    if parts.authority.is_none() {
        parts.scheme.clone_from(&origin.scheme);
        parts.authority.clone_from(&origin.authority);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    for (name, value) in &origin.credentials {
        request.headers_mut().append(name, value.clone());
    }
    shared.send(request).await
}

impl Order {
    /// Makes one query of a look-up, which counts for the trading mode.
    pub(super) async fn look_up(self, number: u32, query: Query) {
        let found = ask(&self, query).await;
        self.shared.control.queried(found != LookUp::Failed);
        self.feed(Event::LookUp { number, found });
        self.rest();
    }

    /// Sends a request of the layer's own where the order went.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        send_to(&self.shared, &self.it.origin, request).await
    }

    /// Sends a cancel to the broker.
    pub(super) async fn send_cancel(&self) -> CancelReply {
        let known = self.it.found();
        let saved = self.it.saved(known.as_ref().map(|found| &*found.broker_id));
        let Some(request) = self.shared.broker.cancel(&saved) else {
            // Its id is known once it was found.
            return CancelReply::UnknownOrder;
        };
        let limit = self.it.rules.look_up_timeout();
        match tokio::time::timeout(limit, self.send(request)).await {
            Ok(Ok(response)) => self.cancel_reply(&response),
            _ => CancelReply::Unknown,
        }
    }

    /// What the response to a cancel means.
    pub(super) fn cancel_reply(&self, response: &Response<Bytes>) -> CancelReply {
        match self.shared.broker.reply(Operation::Cancel, response).reply {
            Reply::Accepted(_) => CancelReply::Cancelled,
            Reply::Rejected => CancelReply::UnknownOrder,
            _ => CancelReply::Unknown,
        }
    }
}
