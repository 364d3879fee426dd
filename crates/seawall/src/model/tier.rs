//! The layers between deadline and client.

use seawall_ai::{ErrorTable, NoteDeparture};
use seawall_breaker::BreakerLayer;
use seawall_bulkhead::BulkheadLayer;
use seawall_core::DepartureLayer;
use seawall_ratelimit::KeyedRateLimitLayer;
use seawall_retry::RetryLayer;
use seawall_timeout::AttemptTimeoutLayer;

use crate::{HttpHandles, HttpPolicy, HttpStack, NoLayer, Slots, StackHandles};

/// The slots of a [`TierStack`].
pub type TierSlots = Slots<
    RetryLayer,
    NoLayer,
    NoLayer,
    BulkheadLayer,
    KeyedRateLimitLayer,
    BreakerLayer,
    NoLayer,
    AttemptTimeoutLayer,
    DepartureLayer<NoteDeparture>,
>;

/// The layers of a [`ModelStack`](super::ModelStack) but for the estimates: those of a provider, with errors by a table.
pub type TierStack = HttpStack<HttpPolicy, ErrorTable, TierSlots>;

/// The handles of a [`TierStack`].
pub type TierHandles = StackHandles<TierSlots, HttpHandles>;
