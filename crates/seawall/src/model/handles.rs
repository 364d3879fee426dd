//! Reads and controls the stack of a model.

use seawall_ai::estimate::EstimateHandle;
use seawall_ai::route::{Available, Headroom};
use seawall_ai::stream::StreamHandle;
use seawall_core::{AlreadyRegistered, Registry, RequestMeta};

use super::tier::TierHandles;
use crate::stack::remove;

/// Handles of a [`ModelStack`](super::ModelStack).
///
/// A router chooses by them: what is left is what the [stack](Self::stack) has left.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ModelHandles {
    /// Those of the layers between deadline and client.
    pub stack: TierHandles,
    /// What is estimated, and what became of it.
    pub estimates: EstimateHandle,
    /// What became of streams.
    pub streams: StreamHandle,
}

impl ModelHandles {
    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.stack.register(registry)?;
        registry.register(self.estimates.clone())?;
        registry.register(self.streams.clone())
    }

    /// The inverse of [`register`](Self::register): see
    /// [`StackHandles::unregister`](crate::StackHandles::unregister).
    pub fn unregister(&self, registry: &Registry) {
        self.stack.unregister(registry);
        remove(registry, &self.estimates);
        remove(registry, &self.streams);
    }

    /// Makes everything automatic again: forgets what was learned and every command; counters stay.
    pub fn reset(&self) {
        self.stack.reset();
        self.estimates.reset();
        self.streams.reset();
    }
}

impl Headroom for ModelHandles {
    fn available(&self, meta: &RequestMeta) -> Available {
        self.stack.available(meta)
    }
}
