//! The layer: owner of the places.

use std::fmt;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{CompleteOnResponse, DefaultMeta, ErrorIsFailure, EventSource, InstanceName};
use tower_layer::Layer;

use crate::observe::{Common, Stripe};
use crate::scaling::Scaler;
use crate::service::Hooks;
use crate::tune::Tuning;
use crate::{
    Bulkhead, BulkheadConfig, BulkheadHandle, LimitAlgorithm, ReservingBulkheadLayer, Scaling,
};

/// Limits how many calls run at once; see the [crate](crate).
///
/// Its clones and every service that they make share one set of places. `H` says how long a
/// place stays taken: by default until the call is answered. `D` says how much a request matters
/// and until when: by default all the same, and for ever. `C` says what an answer means: by
/// default, an error is a failure.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
/// use seawall_core::{RequestMeta, Priority, Replay};
///
/// let config = BulkheadConfig::builder().max_concurrent(5).max_waiting(50).build()?;
/// let layer = BulkheadLayer::new("orders", config).describe(|order: &&str| {
///     let meta = RequestMeta::new(Replay::Never);
///     // In the line, cancels go first.
///     if order.starts_with("cancel") { meta.with_priority(Priority::HIGH) } else { meta }
/// });
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct BulkheadLayer<H = CompleteOnResponse, D = DefaultMeta, C = ErrorIsFailure> {
    shared: Shared<Common, Stripe>,
    hold: H,
    describe: D,
    classify: C,
}

impl BulkheadLayer {
    /// A layer with places of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: BulkheadConfig) -> Self {
        let common = Common::new(config, EventSource::new("bulkhead", name));
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::default),
            hold: CompleteOnResponse,
            describe: DefaultMeta,
            classify: ErrorIsFailure,
        }
    }
}

impl<H, D, C> BulkheadLayer<H, D, C> {
    /// Says how long a place stays taken; see [`TrackCompletion`](seawall_core::TrackCompletion). The hold is cloned
    /// once per call.
    #[must_use]
    pub fn track_completion<H2>(self, hold: H2) -> BulkheadLayer<H2, D, C> {
        BulkheadLayer {
            shared: self.shared,
            hold,
            describe: self.describe,
            classify: self.classify,
        }
    }

    /// Says what a request is; its priority and its deadline are what counts here. Asked once per
    /// call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> BulkheadLayer<H, D2, C> {
        BulkheadLayer {
            shared: self.shared,
            hold: self.hold,
            describe,
            classify: self.classify,
        }
    }

    /// Says what an answer means, for the counters and for a [`LimitAlgorithm`]. Cloned once per call.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> BulkheadLayer<H, D, C2> {
        BulkheadLayer {
            shared: self.shared,
            hold: self.hold,
            describe: self.describe,
            classify,
        }
    }

    /// Lets `tuner` change the number of places by what it sees of the calls. It costs each call
    /// two readings of the clock. Of effect on services that are made after it, and once: the first
    /// tuner of a layer and its clones stays.
    #[must_use]
    pub fn limit_algorithm(self, tuner: impl LimitAlgorithm + 'static) -> Self {
        self.tuned_from(tuner, |limit| limit)
    }

    /// With a number of places to begin with, if this is the tuner that stays: the first.
    pub(crate) fn tuned_from(
        self,
        tuner: impl LimitAlgorithm + 'static,
        initial: impl FnOnce(u32) -> u32,
    ) -> Self {
        let common = self.shared.common();
        if common.tuning.set(Tuning::new(tuner)).is_ok() {
            common.places.set_limit(initial(common.places.limit()));
        }
        self
    }

    /// Scales the number of places with how much of them is used; see [`Scaling`]. The number of
    /// the configuration is what it begins with, as far as the bounds allow.
    #[must_use]
    pub fn scaling(self, scaling: Scaling) -> Self {
        self.tuned_from(Scaler::new(scaling), |limit| scaling.within(limit))
    }

    /// A layer over the same places, whose services wait for one in `poll_ready` and not in the
    /// future of a call; see [`ReservingBulkheadLayer`].
    pub fn reserving(&self) -> ReservingBulkheadLayer<H, C>
    where
        H: Clone,
        C: Clone,
    {
        let (hold, classify) = (self.hold.clone(), self.classify.clone());
        ReservingBulkheadLayer::new(self.shared.clone(), hold, classify)
    }

    /// A handle to read and to control the bulkhead from outside.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle::new(self.shared.clone())
    }
}

impl<S, H: Clone, D: Clone, C: Clone> Layer<S> for BulkheadLayer<H, D, C> {
    type Service = Bulkhead<S, H, D, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let hooks = Hooks {
            hold: self.hold.clone(),
            describe: self.describe.clone(),
            classify: self.classify.clone(),
            measured: self.shared.common().tuning.get().is_some(),
        };
        Bulkhead::new(inner, self.shared.anchor(), hooks)
    }
}

impl<H, D, C> fmt::Debug for BulkheadLayer<H, D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadLayer")
            .field("name", &self.shared.common().observer.name())
            .field("config", &self.shared.common().config())
            .finish_non_exhaustive()
    }
}
