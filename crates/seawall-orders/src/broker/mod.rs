//! What order safety has to know of a broker: how its requests name orders, what its responses mean,
//! and how an order is looked up.
//!
//! [`Broker`] is the trait, and [`BrokerTable`] is one that is made of data. Implementations do no I/O: they read requests and responses, and make the
//! requests of look-ups and cancels, which the layer sends through the stack below it.

mod order;
mod reply;
mod table;

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};

use crate::protocol::{Operation, Query, Rules};

pub use order::{InvalidOrder, OrderRequest, SavedOrder, Target};
pub use reply::{BrokerPosition, FoundOrder, Listed, LookedUp, OrderReply};
pub use table::{
    BrokerTable, BrokerTableBuilder, ListRequest, Meaning, OrderFields, PositionFields, ReplyRule,
    RequestFields,
};

/// What order safety has to know of a broker.
///
/// Requests that an implementation makes have a path and a query, no host and no credentials: the layer
/// adds the host of the order and the credentials of its request or of its own hook.
pub trait Broker: fmt::Debug + Send + Sync {
    /// The name of the broker, as it is written to the journal with each intent.
    fn name(&self) -> &str;

    /// What a request does to orders, by its method and path; `None` for reads and all else, which
    /// pass as they are. Asked for every request, so it must be cheap.
    fn operation(&self, method: &Method, uri: &Uri) -> Option<Operation>;

    /// Whether a request without an [`operation`](Self::operation) is known to be about no order. One that
    /// is not is rejected: it may be an order under another path, as behind the prefix of a gateway. Asked
    /// for requests of methods that are not safe (RFC 9110, section 9.2.1); `true` unless implemented.
    fn is_no_order(&self, method: &Method, uri: &Uri) -> bool {
        let _ = (method, uri);
        true
    }

    /// Reads an order from a request for which [`operation`](Self::operation) is known.
    ///
    /// # Errors
    ///
    /// [`InvalidOrder`] for a body that cannot be read, and for a client order id that breaks the
    /// broker's rules. Nothing is sent then.
    fn read(
        &self,
        operation: Operation,
        request: &Request<Bytes>,
    ) -> Result<OrderRequest, InvalidOrder>;

    /// A new client order id by the broker's rules; no two of them are alike, whatever process makes
    /// them.
    fn new_id(&self) -> String;

    /// Writes a client order id into a request that has none.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn write_id(&self, request: &mut Request<Bytes>, id: &str) -> Result<(), InvalidOrder>;

    /// What may be done about a request whose outcome is unknown. `None`: repeating it is safe, so
    /// that it is not journalled. Creates always have rules.
    fn rules(&self, operation: Operation) -> Option<&Rules>;

    /// What a complete response to an order request means.
    fn reply(&self, operation: Operation, response: &Response<Bytes>) -> OrderReply;

    /// The request of one query of a look-up; `None` where the broker has no such query, which counts
    /// as one that failed.
    fn query(&self, query: Query, order: &SavedOrder<'_>) -> Option<Request<Bytes>>;

    /// What the response of a query says of an order.
    fn looked_up(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> LookedUp;

    /// What the response of a query lists, read once for all orders that share it: their requests are the same,
    /// and so must be what is read for any of them. [`in_page`](Self::in_page) says then what it is of an order.
    /// `None`, unless implemented: [`looked_up`](Self::looked_up) reads it for each order.
    fn page(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> Option<Listed<FoundOrder>> {
        let _ = (query, order, response);
        None
    }

    /// What [`looked_up`](Self::looked_up) would say of an order, by a [`page`](Self::page) that was read
    /// already. A query that failed, unless implemented.
    fn in_page(&self, query: Query, order: &SavedOrder<'_>, page: &Listed<FoundOrder>) -> LookedUp {
        let _ = (query, order, page);
        LookedUp::Failed("the broker reads pages for each order")
    }

    /// The request that cancels an order; `None` where the broker needs its own id for that, and it
    /// is not known.
    fn cancel(&self, order: &SavedOrder<'_>) -> Option<Request<Bytes>>;

    /// The request that lists all orders of a query without an id: open ones, closed ones, fills.
    /// `account` is what the broker has in the paths of an account, from a request or from the
    /// settings. `None` where there is no such list.
    fn list(&self, query: Query, account: Option<&str>) -> Option<Request<Bytes>>;

    /// What a response lists; `account` is that of the request.
    fn listed(
        &self,
        query: Query,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<FoundOrder>;

    /// The request that lists positions.
    fn positions(&self, account: Option<&str>) -> Option<Request<Bytes>>;

    /// What a response lists; `account` is that of the request.
    fn listed_positions(
        &self,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<BrokerPosition>;
}

impl<B: Broker + ?Sized> Broker for std::sync::Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn operation(&self, method: &Method, uri: &Uri) -> Option<Operation> {
        (**self).operation(method, uri)
    }

    fn is_no_order(&self, method: &Method, uri: &Uri) -> bool {
        (**self).is_no_order(method, uri)
    }

    fn read(
        &self,
        operation: Operation,
        request: &Request<Bytes>,
    ) -> Result<OrderRequest, InvalidOrder> {
        (**self).read(operation, request)
    }

    fn new_id(&self) -> String {
        (**self).new_id()
    }

    fn write_id(&self, request: &mut Request<Bytes>, id: &str) -> Result<(), InvalidOrder> {
        (**self).write_id(request, id)
    }

    fn rules(&self, operation: Operation) -> Option<&Rules> {
        (**self).rules(operation)
    }

    fn reply(&self, operation: Operation, response: &Response<Bytes>) -> OrderReply {
        (**self).reply(operation, response)
    }

    fn query(&self, query: Query, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        (**self).query(query, order)
    }

    fn looked_up(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> LookedUp {
        (**self).looked_up(query, order, response)
    }

    fn page(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> Option<Listed<FoundOrder>> {
        (**self).page(query, order, response)
    }

    fn in_page(&self, query: Query, order: &SavedOrder<'_>, page: &Listed<FoundOrder>) -> LookedUp {
        (**self).in_page(query, order, page)
    }

    fn cancel(&self, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        (**self).cancel(order)
    }

    fn list(&self, query: Query, account: Option<&str>) -> Option<Request<Bytes>> {
        (**self).list(query, account)
    }

    fn listed(
        &self,
        query: Query,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<FoundOrder> {
        (**self).listed(query, account, response)
    }

    fn positions(&self, account: Option<&str>) -> Option<Request<Bytes>> {
        (**self).positions(account)
    }

    fn listed_positions(
        &self,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<BrokerPosition> {
        (**self).listed_positions(account, response)
    }
}
