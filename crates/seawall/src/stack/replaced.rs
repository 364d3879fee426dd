//! Which layers options have replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A layer that an option can replace by another one, with settings of its own from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Part {
    Bulkhead = 1,
    RateLimit = 1 << 1,
    Breaker = 1 << 2,
    AttemptTimeout = 1 << 3,
}

impl Part {
    /// The option that replaces it.
    #[cfg(feature = "reload")]
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Bulkhead => "adaptive_concurrency",
            Self::RateLimit => "rate_limit_per_key",
            Self::Breaker => "breaker_per_key",
            Self::AttemptTimeout => "learned_attempt_timeout",
        }
    }
}

/// Those of a stack and of every stack that was made of it by options: shared, so that who changes
/// the settings of the first one can say what does not reach the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replaced(Arc<AtomicU8>);

impl Replaced {
    pub(crate) fn note(&self, part: Part) {
        // It guards nothing else.
        self.0.fetch_or(part as u8, Ordering::Relaxed);
    }

    #[cfg(feature = "reload")]
    pub(crate) fn has(&self, part: Part) -> bool {
        self.0.load(Ordering::Relaxed) & part as u8 != 0
    }
}
