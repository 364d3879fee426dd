//! What happens to orders, with their ids.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::lists::OwnedDifference;
use crate::protocol::Notice;

/// What happened to one order.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderNotice {
    /// Its client order id.
    pub id: Arc<str>,
    /// Its number in the journal; `None` until the journal has it.
    pub number: Option<u64>,
    /// What happened.
    pub notice: Notice,
}

/// A difference between our own orders and the broker's lists.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferenceNotice {
    /// What differs, with the figures of both sides.
    pub difference: Arc<OwnedDifference>,
    /// Whether it was reported before, and is gone.
    pub is_gone: bool,
}

/// What is published.
#[derive(Clone, Debug)]
pub(super) enum Published {
    Order(OrderNotice),
    Difference(DifferenceNotice),
}

/// What a subscription receives.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedNotice {
    /// What happened to an order.
    Notice(OrderNotice),
    /// Our own orders and the broker's lists differ, or agree again.
    Difference(DifferenceNotice),
    /// So many notices were lost, since the subscription lagged behind; the
    /// [orders](super::OrderHandle::orders) have the present state.
    Missed(u64),
}

/// A stream of what happens to orders; see [`OrderHandle::subscribe`](super::OrderHandle::subscribe).
#[derive(Debug)]
pub struct OrderNotices {
    receiver: broadcast::Receiver<Published>,
    /// How many there are.
    subscribed: Arc<AtomicUsize>,
}

impl Drop for OrderNotices {
    fn drop(&mut self) {
        self.subscribed.fetch_sub(1, Relaxed);
    }
}

impl OrderNotices {
    /// Notices from now on; `subscribed` counts those that receive them.
    pub(super) fn of(
        notices: &broadcast::Sender<Published>,
        subscribed: &Arc<AtomicUsize>,
    ) -> Self {
        subscribed.fetch_add(1, Relaxed);
        Self {
            receiver: notices.subscribe(),
            subscribed: Arc::clone(subscribed),
        }
    }

    /// Waits for the next one; `None` when no more can come. Cancel-safe.
    pub async fn next(&mut self) -> Option<ReceivedNotice> {
        match self.receiver.recv().await {
            Ok(Published::Order(notice)) => Some(ReceivedNotice::Notice(notice)),
            Ok(Published::Difference(notice)) => Some(ReceivedNotice::Difference(notice)),
            Err(RecvError::Lagged(missed)) => Some(ReceivedNotice::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
