//! The layer: owner of the places.

use std::fmt;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Name, Observer, UntilAnswered};
use tower_layer::Layer;

use crate::observe::{Common, Stripe};
use crate::places::Places;
use crate::{Bulkhead, BulkheadConfig, BulkheadHandle};

/// Limits how many calls run at once; see the [crate](crate).
///
/// Its clones and every service that they make share one set of places. `H` says how long a
/// place stays taken: by default until the call is answered.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
///
/// let layer = BulkheadLayer::new("orders", BulkheadConfig::builder().max_concurrent(5).build()?);
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct BulkheadLayer<H = UntilAnswered> {
    shared: Shared<Common, Stripe>,
    hold: H,
}

impl BulkheadLayer {
    /// A layer with places of its own. `name` is what refusals and metrics call it.
    pub fn new(name: impl Into<Name>, config: BulkheadConfig) -> Self {
        let common = Common {
            places: Places::new(config.max_concurrent().get(), config.max_waiting()),
            config,
            observer: Observer::new("bulkhead", name),
        };
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::default),
            hold: UntilAnswered,
        }
    }
}

impl<H> BulkheadLayer<H> {
    /// Says how long a place stays taken; see [`Hold`](seawall_core::Hold). The hold is cloned
    /// once per call.
    #[must_use]
    pub fn hold<H2>(self, hold: H2) -> BulkheadLayer<H2> {
        BulkheadLayer {
            shared: self.shared,
            hold,
        }
    }

    /// A handle to read the bulkhead from outside.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle::new(self.shared.clone())
    }
}

impl<S, H: Clone> Layer<S> for BulkheadLayer<H> {
    type Service = Bulkhead<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Bulkhead::new(inner, self.shared.anchor(), self.hold.clone())
    }
}

impl<H> fmt::Debug for BulkheadLayer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadLayer")
            .field("name", &self.shared.common().observer.name())
            .field("config", &self.shared.common().config)
            .finish_non_exhaustive()
    }
}
