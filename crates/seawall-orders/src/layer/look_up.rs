//! Look-ups and cancels: requests that the layer makes itself.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use seawall_core::{Rejection, Sent};
use tokio::time::timeout;

use super::order::Order;
use super::readings::{Answer, Missed, Part};
use super::shared::Shared;
use super::tracked::{Origin, report_of};
use crate::broker::{FoundOrder, LookedUp, SavedOrder};
use crate::client::BoxError;
use crate::protocol::{CancelReply, Event, LookUp, Operation, Query, Reply};

/// The shortest time between two events that a look-up goes on.
const LEAST: Duration = Duration::from_millis(1);

/// Makes one query of a look-up, with all its pages. It counts for the trading mode, once for all orders that
/// share it.
pub(super) async fn ask(order: &Order, query: Query) -> LookUp {
    let shared = &order.shared;
    let known = order.it.found();
    let broker_id = known.as_ref().map(|found| &*found.broker_id);
    let saved = order.it.saved(broker_id);
    let mut shown = Vec::new();
    let (read, counts) = match shared.broker.query(query, &saved) {
        Some(request) => read(order, query, &saved, request, &mut shown).await,
        None => (Err("the broker has no such query".into()), true),
    };
    if counts {
        let counter = match read {
            Ok(()) => &shared.counters.look_ups,
            Err(_) => &shared.counters.failed_look_ups,
        };
        counter.add();
        shared.control.queried(read.is_ok());
    }
    let Err(missed) = read else {
        return judge(order, shown);
    };
    if let Missed::Failed(why) = missed {
        order.met(why);
    }
    // What was accepted exists, whatever the rest would have been.
    shown.retain(|found| !found.unread && found.figures.state.is_accepted());
    match (judge(order, shown), missed) {
        (LookUp::Found(report), _) => LookUp::Shown(report),
        (several @ LookUp::Several(_), _) => several,
        (_, Missed::NotMade) => LookUp::NotMade,
        (_, Missed::Failed(_)) => LookUp::Failed,
    }
}

/// Reads all pages, and says whether the result counts. What was read before a failure is kept.
async fn read(
    order: &Order,
    query: Query,
    saved: &SavedOrder<'_>,
    request: Request<Bytes>,
    shown: &mut Vec<FoundOrder>,
) -> (Result<(), Missed>, bool) {
    let limit = order.it.rules.look_up_timeout();
    let request = addressed(&order.it.origin, request);
    let mut part = order.shared.readings.take_part(&request, limit);
    // As long as the reading that is ahead of it can take. What does not begin then is not made, which is no
    // failure.
    let wait = limit.saturating_mul(order.shared.config().max_pages());
    if !part.begun(wait).await {
        return (Err(Missed::NotMade), false);
    }
    let read = pages(order, query, saved, request, &mut part, shown).await;
    let counts = read != Err(Missed::NotMade) && part.counts(read.is_ok());
    (read, counts)
}

/// Why a query has failed that met an error.
const UNANSWERED: &str = "the client or a layer failed, or the response broke off";

async fn pages(
    order: &Order,
    query: Query,
    saved: &SavedOrder<'_>,
    first: Request<Bytes>,
    part: &mut Part,
    shown: &mut Vec<FoundOrder>,
) -> Result<(), Missed> {
    let shared = &order.shared;
    let mut next = first;
    for _ in 0..shared.config().max_pages() {
        let response = part.next_page(next, |request| send_page(shared, request));
        let response = response.await?;
        let broker = &shared.broker;
        let listed = part.listed(|| broker.page(query, saved, &response)).await;
        let looked_up = match listed {
            Some(page) => broker.in_page(query, saved, page),
            None => broker.looked_up(query, saved, &response),
        };
        // All pages are read, also where the order is on the first: there may be another one of its id, or this
        // one may be a copy that was rejected.
        match looked_up {
            LookedUp::Orders(found) => {
                shown.extend(found);
                return Ok(());
            }
            LookedUp::Page(found, further) => {
                shown.extend(found);
                next = addressed(&order.it.origin, further);
            }
            LookedUp::Failed(why) => return Err(why.into()),
        }
    }
    Err("there are more pages than are read".into())
}

async fn send_page(shared: &Shared, request: Request<Bytes>) -> Answer {
    shared
        .send(request)
        .await
        .map_err(|error| match error.downcast_ref::<Rejection>() {
            Some(rejection) if rejection.sent() == Sent::No => Missed::NotMade,
            _ => Missed::Failed(UNANSWERED),
        })
}

/// Of an order and of copies that were rejected, it is the order.
fn judge(order: &Order, mut orders: Vec<FoundOrder>) -> LookUp {
    let is_unclear = orders.iter().any(|found| found.unread);
    // A list that is read page by page may show an order twice: the last view counts.
    let mut distinct: Vec<FoundOrder> = Vec::with_capacity(orders.len());
    for found in orders.drain(..).filter(|found| !found.unread) {
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
    if count == 0 && is_unclear {
        order.met("an order may be this one, and cannot be read");
        return LookUp::Failed;
    }
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
    request: Request<Bytes>,
) -> Result<Response<Bytes>, BoxError> {
    shared.send(addressed(origin, request)).await
}

/// A request to where an order went, with its credentials.
fn addressed(origin: &Origin, mut request: Request<Bytes>) -> Request<Bytes> {
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
    request
}

impl Order {
    /// Makes one query of a look-up, and says that it goes on while it does: how long it may take depends on
    /// others that are ahead of it, and on how many pages there are.
    pub(super) async fn look_up(self, number: u32, query: Query) {
        let often = (self.it.rules.look_up_timeout() / 4).max(LEAST);
        let found = {
            let mut asking = pin!(ask(&self, query));
            loop {
                match timeout(often, asking.as_mut()).await {
                    Ok(found) => break found,
                    Err(_) => self.feed(Event::LookUpGoesOn { number }),
                }
            }
        };
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
            Ok(Err(error)) => cancel_ended(error.downcast_ref()),
            Err(_) => CancelReply::Unknown,
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

/// What an error says of a cancel, by the rejection that it is, if any.
pub(super) fn cancel_ended(rejection: Option<&Rejection>) -> CancelReply {
    match rejection {
        Some(rejection) if rejection.sent() == Sent::No => CancelReply::NotMade,
        _ => CancelReply::Unknown,
    }
}
