//! What answers without the upstream: fallback, cache and coalescing, as one slot.

use super::slot::{NoLayer, Slot, sealed};

/// What answers without the upstream, outermost first: fallback `F`, cache `K`, coalescing `Z`.
///
/// Outside of retry, inside of the deadline: an answer of theirs takes no permit, no token and no vote,
/// and a call that fails is answered once all of its attempts have failed. The cache is inside of the
/// fallback, so that what it has is served before a fallback is looked for, and coalescing inside of the
/// cache, so that callers that find nothing in it share one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers<F = NoLayer, K = NoLayer, Z = NoLayer> {
    pub(crate) fallback: F,
    pub(crate) cache: K,
    pub(crate) coalesce: Z,
}

/// The parts of [`Answers`]; implemented for it alone.
pub trait Answering: sealed::Sealed {
    /// The fallback.
    type Fallback: Slot;
    /// The cache.
    type Cache: Slot;
    /// The coalescing.
    type Coalesce: Slot;

    /// The fallback.
    #[doc(hidden)]
    fn fallback(&self) -> &Self::Fallback;

    /// The cache.
    #[doc(hidden)]
    fn cache(&self) -> &Self::Cache;

    /// The coalescing.
    #[doc(hidden)]
    fn coalesce(&self) -> &Self::Coalesce;
}

impl<F, K, Z> Answers<F, K, Z> {
    pub(crate) fn with_fallback<N>(self, fallback: N) -> Answers<N, K, Z> {
        Answers {
            fallback,
            cache: self.cache,
            coalesce: self.coalesce,
        }
    }

    pub(crate) fn with_cache<N>(self, cache: N) -> Answers<F, N, Z> {
        Answers {
            fallback: self.fallback,
            cache,
            coalesce: self.coalesce,
        }
    }

    pub(crate) fn with_coalesce<N>(self, coalesce: N) -> Answers<F, K, N> {
        Answers {
            fallback: self.fallback,
            cache: self.cache,
            coalesce,
        }
    }
}

impl<F, K, Z> sealed::Sealed for Answers<F, K, Z> {}

impl<F: Slot, K: Slot, Z: Slot> Answering for Answers<F, K, Z> {
    type Fallback = F;
    type Cache = K;
    type Coalesce = Z;

    fn fallback(&self) -> &F {
        &self.fallback
    }

    fn cache(&self) -> &K {
        &self.cache
    }

    fn coalesce(&self) -> &Z {
        &self.coalesce
    }
}
