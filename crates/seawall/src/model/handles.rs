//! Reads and controls the stack of a model.

use seawall_ai::estimate::{EstimateHandle, EstimateLayer};
use seawall_ai::route::{Available, Headroom};
use seawall_ai::stream::StreamHandle;
use seawall_core::{AlreadyRegistered, PartitionKey, Registry, RequestMeta};

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
    pub(super) keys: EstimateLayer,
}

impl ModelHandles {
    /// The key of the limits of a model; `None` where the limits are those of all models together.
    ///
    /// ```
    /// let handles = seawall::anthropic()?.model_stack()?.handles();
    /// let opus = handles.key_of("claude-opus-4-1").expect("Anthropic limits each model");
    /// let limits = handles.stack.rate_limit.limits_of(opus);
    /// assert_eq!(limits.len(), 3, "requests, input and output tokens");
    /// handles.stack.rate_limit.pause(opus);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_of(&self, model: &str) -> Option<PartitionKey> {
        self.keys.key_of(model)
    }

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

    fn key_of(&self, model: &str) -> Option<PartitionKey> {
        Self::key_of(self, model)
    }
}
