//! A throttle that failures close and successes open.

use super::config::TOKEN;
use super::sync::{AtomicU64, Ordering};

/// The retry throttle of gRPC. All amounts are in units of a token.
#[derive(Debug)]
pub(super) struct TokenThrottle {
    per_success: u64,
    max: u64,
    tokens: AtomicU64,
}

impl TokenThrottle {
    /// Full.
    pub(super) const fn new(per_success: u64, max: u64) -> Self {
        Self {
            per_success,
            max,
            tokens: AtomicU64::new(max),
        }
    }

    #[inline]
    pub(super) fn deposit(&self) {
        if self.tokens.load(Ordering::Relaxed) < self.max {
            self.change(|tokens| tokens.saturating_add(self.per_success).min(self.max));
        }
    }

    pub(super) fn record_failure(&self) {
        self.change(|tokens| tokens.saturating_sub(TOKEN));
    }

    /// Whether extra attempts may be made: more than half of the tokens are there.
    pub(super) fn allows(&self) -> bool {
        self.balance() > self.max / 2
    }

    pub(super) fn balance(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        // Never an error: the closure always returns a value.
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(change(tokens))
            });
    }
}
