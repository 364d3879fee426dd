//! What all services of a layer share.

use std::sync::Arc;

use seawall_core::PartitionKey;

use super::estimator::TokenEstimator;
use super::tokenizer::Tokenizer;

/// The limit that a model belongs to.
pub(super) type Group = dyn Fn(&str) -> PartitionKey + Send + Sync;

/// Estimator, tokenizer and groups.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) estimator: TokenEstimator,
    pub(super) tokenizer: Arc<dyn Tokenizer>,
    pub(super) group: Option<Arc<Group>>,
}
