//! What requests and responses carry in their extensions.

use std::sync::Arc;

use crate::protocol::{CancelStep, OrderState, Via};

/// In the extensions of a request: the order looks like an earlier one, and is meant. The
/// [duplicate guard](crate::protocol::Caps) lets it pass.
///
/// ```
/// use seawall_orders::IntendedAgain;
///
/// let mut request = http::Request::post("/v2/orders").body(()).unwrap();
/// request.extensions_mut().insert(IntendedAgain);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntendedAgain;

/// In the extensions of a request below the layer: it is a re-send, the copy of this number, from 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend(pub u32);

/// In the extensions of a response that is not the broker's to this request, but what is known of its
/// order from elsewhere. Such a response also has the header `x-seawall-reconciled`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The client order id.
    pub id: Arc<str>,
    /// The number of the order in the journal; `None` where the journal does not have it.
    pub number: Option<u64>,
    /// What is known, and from where.
    pub how: ReconciledHow,
}

/// What is known of the order of a response.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconciledHow {
    /// The order was found, from there and in this state. The body is the broker's order.
    Order(Via, OrderState),
    /// A cancel was not sent, since there is nothing to cancel; or what became of it is not known
    /// yet, and is looked up.
    Cancel(CancelStep),
}
