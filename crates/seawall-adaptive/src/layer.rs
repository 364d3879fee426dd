//! The layer: a bulkhead with an adaptive limit.

use std::sync::Arc;

use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadLayer, CallSample, LimitAlgorithm, ReservingBulkheadLayer,
};
use seawall_core::striped::Stripes;
use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use crate::config::AdaptiveConfig;
use crate::handle::AdaptiveBulkheadHandle;
use crate::state::AdaptiveLimit;
use crate::window::SampleKind;

/// A bulkhead whose limit finds the load that the upstream can serve; see the [crate](crate).
///
/// Its services are those of a [`BulkheadLayer`], and so are the queue, the order of waiters and
/// what clones share.
///
/// ```
/// use seawall_adaptive::{AdaptiveBulkheadLayer, AdaptiveConfig, BulkheadConfig};
///
/// let config = AdaptiveConfig::builder().initial(10).max(100).build()?;
/// let layer = AdaptiveBulkheadLayer::new("orders", BulkheadConfig::default(), config);
/// assert_eq!(layer.handle().snapshot().limit, 10);
/// # Ok::<(), seawall_adaptive::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveBulkheadLayer<X = Policy> {
    bulkhead: BulkheadLayer<X>,
    limit: Arc<AdaptiveLimit>,
}

impl AdaptiveBulkheadLayer {
    /// A layer with permits of its own. `name` is what rejections and metrics call it.
    ///
    /// The limit starts with [`AdaptiveConfig::initial`], in place of the `max_concurrent` of
    /// `bulkhead`.
    pub fn new(
        name: impl Into<InstanceName>,
        bulkhead: BulkheadConfig,
        adaptive: AdaptiveConfig,
    ) -> Self {
        Self::wrap(BulkheadLayer::new(name, bulkhead), adaptive)
    }
}

policy_setters!(AdaptiveBulkheadLayer: classify, describe, track_completion);

impl<X> AdaptiveBulkheadLayer<X> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> AdaptiveBulkheadLayer<Y> {
        AdaptiveBulkheadLayer {
            bulkhead: self.bulkhead.map_policy(change),
            limit: self.limit,
        }
    }

    /// Lets the limit of a layer adapt that is there already. Do so before it makes services, and
    /// with a layer without a [`LimitAlgorithm`]: the first one stays.
    #[must_use]
    pub fn wrap(bulkhead: BulkheadLayer<X>, adaptive: AdaptiveConfig) -> Self {
        // An algorithm gets one call at a time: one stripe is enough.
        let limit = Arc::new(AdaptiveLimit::with_stripes(&adaptive, Stripes::ONE));
        let installed = Installed(Arc::clone(&limit));
        let bulkhead = bulkhead.limit_algorithm(installed);
        Self { bulkhead, limit }
    }

    /// A layer over the same permits that waits in `poll_ready`; see [`ReservingBulkheadLayer`].
    pub fn reserving(&self) -> ReservingBulkheadLayer<X>
    where
        X: Clone,
    {
        self.bulkhead.reserving()
    }

    /// A handle to read and to control it from outside.
    pub fn handle(&self) -> AdaptiveBulkheadHandle {
        AdaptiveBulkheadHandle::new(self.bulkhead.handle(), Arc::clone(&self.limit))
    }
}

impl<S, X: Clone> Layer<S> for AdaptiveBulkheadLayer<X> {
    type Service = Bulkhead<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.bulkhead.layer(inner)
    }
}

/// A limit that the bulkhead shares with its handles.
#[derive(Debug)]
struct Installed(Arc<AdaptiveLimit>);

impl LimitAlgorithm for Installed {
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
        on_sample(&self.0, sample)
    }

    fn start(&mut self, _max_concurrent: u32) -> u32 {
        self.0.restart()
    }
}

/// For a [`BulkheadLayer`] that is there already; [`AdaptiveBulkheadLayer::wrap`] has a handle,
/// too.
impl LimitAlgorithm for AdaptiveLimit {
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
        on_sample(self, sample)
    }

    fn start(&mut self, _max_concurrent: u32) -> u32 {
        self.restart()
    }
}

fn on_sample(limit: &AdaptiveLimit, sample: &CallSample) -> Option<u32> {
    if sample.limit != limit.limit() {
        // It was set from outside: an algorithm's own limit is set between two calls.
        let set = limit.set_limit(sample.limit);
        return (set != sample.limit).then_some(set);
    }
    let kind = if sample.dropped {
        SampleKind::Dropped
    } else {
        SampleKind::Completed
    };
    let (now, latency) = (sample.now_ns, sample.latency_ns);
    limit.finished(now, latency, sample.in_flight, kind)
}
