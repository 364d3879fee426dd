//! The layer: owner of the pool.

use std::fmt;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{
    CompleteOnResponse, DefaultMeta, Describe, EventSource, InstanceName, PartitionKey, RequestMeta,
};
use tower_layer::Layer;

use super::permit::Common;
use super::pool::Pool;
use super::{PartitionConfig, PartitionHandle, PartitionedBulkhead};
use crate::observe::Stripe;

/// Limits how many calls run at once, and shares the places fairly by what calls belong to.
///
/// In a plain [bulkhead](crate::BulkheadLayer), whoever calls most has most of the places and of
/// the line: one symbol that is all over the news, or one tenant with a runaway job, is served, and
/// all others wait behind it. Here, each key ([`RequestMeta::key`]) has a [`PartitionShare`](crate::PartitionShare): places
/// that it is guaranteed, a bound, and a weight; it has a line of its own. What nobody was
/// guaranteed is lent. When a place becomes free, a key that has less than it was guaranteed comes
/// first, then the key that has borrowed least for its weight: (places it has - guaranteed) /
/// weight; within a key, the first to come. A key that comes alone has the whole pool but for what
/// is kept for the guaranteed; when others come, it keeps what it has until those calls end, and
/// gets no more.
///
/// Clones of the layer, and every service that they make, share the pool. Keys need not be known
/// before; a key without calls takes no memory. A place is taken and given back under one short
/// lock, without allocating where the key is known or the pool has known as many.
///
/// Readiness, cancellation and order of layers are those of the [bulkhead](crate).
///
/// ```
/// use seawall_bulkhead::{PartitionConfig, PartitionedBulkheadLayer, PartitionShare};
/// use seawall_core::PartitionKey;
///
/// let config = PartitionConfig::builder()
///     .max_concurrent(40)
///     .default_share(PartitionShare::new().max_waiting(20))
///     .share(PartitionKey::of("closing"), PartitionShare::new().guaranteed(5).weight(4))
///     .build()?;
/// let layer = PartitionedBulkheadLayer::new("orders", config)
///     .key_by(|order: &(&str, u32)| PartitionKey::of(order.0));
/// assert_eq!(layer.handle().snapshot().limit, 40);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct PartitionedBulkheadLayer<H = CompleteOnResponse, D = DefaultMeta> {
    shared: Shared<Common, Stripe>,
    hold: H,
    describe: D,
}

impl PartitionedBulkheadLayer {
    /// A layer with a pool of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: PartitionConfig) -> Self {
        let PartitionConfig {
            max_concurrent,
            max_wait,
            default_share,
            shares,
        } = config;
        let pool = Pool::new(max_concurrent.get(), default_share, &shares);
        let observer = EventSource::new("bulkhead", name);
        let common = Common::new(pool, max_wait.get(), observer);
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::default),
            hold: CompleteOnResponse,
            describe: DefaultMeta,
        }
    }
}

impl<H, D> PartitionedBulkheadLayer<H, D> {
    /// Says how long a place stays taken; see [`TrackCompletion`](seawall_core::TrackCompletion). The hold is cloned
    /// once per call.
    #[must_use]
    pub fn track_completion<H2>(self, hold: H2) -> PartitionedBulkheadLayer<H2, D> {
        PartitionedBulkheadLayer {
            shared: self.shared,
            hold,
            describe: self.describe,
        }
    }

    /// Says what a request is; its key and its deadline are what counts here. Asked once per call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> PartitionedBulkheadLayer<H, D2> {
        PartitionedBulkheadLayer {
            shared: self.shared,
            hold: self.hold,
            describe,
        }
    }

    /// As [`describe`](Self::describe), where the key is all that there is to say.
    #[must_use]
    pub fn key_by<F>(self, key: F) -> PartitionedBulkheadLayer<H, KeyFn<F>> {
        self.describe(KeyFn(key))
    }

    /// A handle to read and to control the pool from outside.
    pub fn handle(&self) -> PartitionHandle {
        PartitionHandle::new(self.shared.clone())
    }
}

impl<S, H: Clone, D: Clone> Layer<S> for PartitionedBulkheadLayer<H, D> {
    type Service = PartitionedBulkhead<S, H, D>;

    fn layer(&self, inner: S) -> Self::Service {
        let (hold, describe) = (self.hold.clone(), self.describe.clone());
        PartitionedBulkhead::new(inner, self.shared.anchor(), hold, describe)
    }
}

impl<H, D> fmt::Debug for PartitionedBulkheadLayer<H, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedBulkheadLayer")
            .field("name", &self.shared.common().observer.name())
            .finish_non_exhaustive()
    }
}

/// Describes requests by their key alone; see [`PartitionedBulkheadLayer::key_by`].
#[derive(Clone, Copy, Debug)]
pub struct KeyFn<F>(F);

impl<Req: ?Sized, F: Fn(&Req) -> PartitionKey> Describe<Req> for KeyFn<F> {
    fn describe(&self, request: &Req) -> RequestMeta {
        RequestMeta::default().with_key((self.0)(request))
    }
}
