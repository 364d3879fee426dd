//! The layer.

use std::sync::Arc;

use seawall_core::{InstanceName, PartitionKey};
use tower_layer::Layer;

use super::config::EstimateConfig;
use super::estimator::TokenEstimator;
use super::handle::EstimateHandle;
use super::parts::Parts;
use super::service::EstimateService;
use super::tokenizer::{RoughTokenizer, Tokenizer};

/// Estimates the tokens of every call for the rate limits of the stack inside, and settles them by
/// what was really used; see the [module](super).
///
/// ```
/// use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
/// use seawall_core::PartitionKey;
///
/// let layer = EstimateLayer::new("model", EstimateConfig::default())
///     // The provider counts all models of a family together.
///     .group(|model| PartitionKey::of(model.split('-').next().unwrap_or(model)));
/// assert_eq!(layer.handle().counts().settled, 0);
/// ```
#[derive(Clone)]
pub struct EstimateLayer {
    pub(super) parts: Arc<Parts>,
}

impl EstimateLayer {
    /// A layer with an estimator of its own, and the [`RoughTokenizer`].
    pub fn new(name: impl Into<InstanceName>, config: EstimateConfig) -> Self {
        Self::of(TokenEstimator::new(name, config))
    }

    /// A layer with an estimator that others may share.
    pub fn of(estimator: TokenEstimator) -> Self {
        Self {
            parts: Arc::new(Parts {
                estimator,
                tokenizer: Arc::new(RoughTokenizer),
                group: None,
            }),
        }
    }

    fn map_parts(self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = (*self.parts).clone();
        change(&mut parts);
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Counts the tokens of prompts with `tokenizer`.
    #[must_use]
    pub fn tokenizer(self, tokenizer: impl Tokenizer + 'static) -> Self {
        self.map_parts(|parts| parts.tokenizer = Arc::new(tokenizer))
    }

    /// Gives every request the [`PartitionKey`] that `group` makes of its model, which is empty where
    /// the request names none: for a rate limit per key with one limit for each group of models that
    /// the provider counts together. A `ModelStack` of a provider that limits models has groups by
    /// itself, and takes these in place of them.
    ///
    /// In a stack with a rate limit per key of your own (`HttpStack::rate_limit_per_key`) the limit of
    /// all calls holds beside it, so that should have none of tokens.
    #[must_use]
    pub fn group(self, group: impl Fn(&str) -> PartitionKey + Send + Sync + 'static) -> Self {
        self.map_parts(|parts| parts.group = Some(Arc::new(group)))
    }

    /// The key that requests for `model` get; `None` without [`group`](Self::group).
    ///
    /// ```
    /// use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
    /// use seawall_core::PartitionKey;
    ///
    /// let layer = EstimateLayer::new("model", EstimateConfig::default());
    /// assert_eq!(layer.key_of("m-1"), None);
    /// let layer = layer.group(PartitionKey::of);
    /// assert_eq!(layer.key_of("m-1"), Some(PartitionKey::of("m-1")));
    /// ```
    pub fn key_of(&self, model: &str) -> Option<PartitionKey> {
        self.parts.group.as_ref().map(|group| group(model))
    }

    /// A handle to read and to control the estimator from outside.
    pub fn handle(&self) -> EstimateHandle {
        self.parts.estimator.handle()
    }
}

impl<S> Layer<S> for EstimateLayer {
    type Service = EstimateService<S>;

    fn layer(&self, inner: S) -> EstimateService<S> {
        EstimateService::new(inner, Arc::clone(&self.parts))
    }
}

seawall_core::impl_debug!(EstimateLayer: |this| name = this.handle().name());
