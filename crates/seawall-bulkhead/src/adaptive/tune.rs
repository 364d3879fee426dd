//! How an adaptive limit sits in a bulkhead.

use seawall_core::striped::Stripes;

use super::{Adaptive, AdaptiveLimit, SampleKind};
use crate::{BulkheadLayer, CallSample, LimitAlgorithm};

impl LimitAlgorithm for AdaptiveLimit {
    fn ended(&mut self, end: &CallSample) -> Option<u32> {
        if end.limit != self.limit() {
            // Somebody else has moved it: between two calls, a tuner's own limit is set.
            let limit = self.set(end.limit);
            return (limit != end.limit).then_some(limit);
        }
        let seen = if end.dropped {
            SampleKind::Dropped
        } else {
            SampleKind::Answered
        };
        self.finished(end.now_ns, end.latency_ns, end.in_flight, seen)
    }
}

impl<H, D, C> BulkheadLayer<H, D, C> {
    /// Lets the number of places find the load that the upstream bears; see [`Adaptive`]. It
    /// begins with [`Adaptive::initial`] in place of the number of the configuration. When the
    /// handle resizes the bulkhead, it goes on from there, within its bounds.
    ///
    /// Like every [`LimitAlgorithm`], of effect on services that are made after it, and once.
    ///
    /// ```
    /// use seawall_bulkhead::{Adaptive, BulkheadConfig, BulkheadLayer};
    ///
    /// let adaptive = Adaptive::builder().initial(10).max(100).build()?;
    /// let layer = BulkheadLayer::new("orders", BulkheadConfig::default()).adaptive(adaptive);
    /// assert_eq!(layer.handle().limit(), 10);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn adaptive(self, adaptive: Adaptive) -> Self {
        // A tuner is told of one call at a time: one stripe does.
        let limit = AdaptiveLimit::with_stripes(&adaptive, Stripes::ONE);
        let initial = limit.limit();
        self.tuned_from(limit, |_| initial)
    }
}
