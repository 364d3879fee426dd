//! A token of the adaptive sending rate, held by a call.

use crate::AdaptiveRate;

/// A token of the sending rate, given back unless it is spent.
#[derive(Debug)]
pub(crate) struct RateToken(Option<AdaptiveRate>);

impl RateToken {
    /// For an attempt that needs none.
    pub(crate) const FREE: Self = Self(None);

    /// Takes a token; the wait until it comes, or the wait that is longer than `longest`, all in
    /// nanoseconds.
    pub(crate) fn take(rate: &AdaptiveRate, longest: u64) -> Result<(u64, Self), u64> {
        let (wait, taken) = rate.take(rate.now(), longest)?;
        // What was let through before the first throttle has taken nothing, and must not give
        // anything back after it.
        Ok((wait, Self(taken.then(|| rate.clone()))))
    }

    /// The attempt is made now; whether it has taken a token.
    #[inline(always)]
    pub(crate) fn spend(mut self) -> bool {
        self.0.take().is_some()
    }
}

impl Drop for RateToken {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(rate) = &self.0 {
            rate.release();
        }
    }
}
