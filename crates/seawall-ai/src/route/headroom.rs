//! What is left of the limits of a deployment.

use std::time::Duration;

use seawall_core::{PartitionKey, RequestMeta};

/// How much a deployment could take now: the share that is left of its tightest limit, or when it can
/// take a request again.
///
/// ```
/// use std::time::Duration;
/// use seawall_ai::route::Available;
///
/// assert_eq!(Available::FULL.share(), 1.0);
/// assert_eq!(Available::of_share(f64::NAN).share(), 0.0);
/// let later = Available::after(Duration::from_secs(2));
/// assert_eq!(later.wait(), Some(Duration::from_secs(2)));
/// assert_eq!(Available::NEVER.wait(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Available {
    share: f64,
    /// Zero where it can take a request now.
    wait: Duration,
}

/// The wait of what does not come back by itself.
const NEVER: Duration = Duration::MAX;

impl Available {
    /// Nothing of its limits is used, or it has none.
    pub const FULL: Self = Self {
        share: 1.0,
        wait: Duration::ZERO,
    };

    /// It takes nothing, and nobody knows until when: paused by an operator, or the request costs more
    /// than a limit ever grants.
    pub const NEVER: Self = Self {
        share: 0.0,
        wait: NEVER,
    };

    /// It takes a request now, and this share of its tightest limit is left, from 0 to 1. What is
    /// outside is brought into that range, and what is no number is 0.
    #[must_use]
    pub const fn of_share(share: f64) -> Self {
        // `clamp` keeps what is no number.
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        Self {
            share,
            wait: Duration::ZERO,
        }
    }

    /// It takes a request after this wait; with zero now, of the last that is left.
    #[must_use]
    pub const fn after(wait: Duration) -> Self {
        Self { share: 0.0, wait }
    }

    /// The tighter of two limits.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            share: self.share.min(other.share),
            wait: self.wait.max(other.wait),
        }
    }

    /// The share that is left of the tightest limit, from 0 to 1.
    pub const fn share(&self) -> f64 {
        self.share
    }

    /// When it takes a request, from now: zero for now, `None` when that is unknown.
    pub fn wait(&self) -> Option<Duration> {
        (self.wait != NEVER).then_some(self.wait)
    }
}

/// Knows what is left of the limits of a deployment, so that a router can choose without a call.
///
/// A router asks at each choice, so the answer must be quick: a few atomic loads, or a lock that is
/// held for a moment. Closures and `fn` pointers `Fn(&RequestMeta) -> Available` do.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use seawall_ai::route::{Available, Headroom};
/// use seawall_core::RequestMeta;
///
/// static LEFT: AtomicU32 = AtomicU32::new(30);
///
/// let headroom = |_: &RequestMeta| Available::of_share(f64::from(LEFT.load(Ordering::Relaxed)) / 100.0);
/// assert_eq!(headroom.available(&RequestMeta::default()).share(), 0.3);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know what is left of the limits of a deployment",
    note = "it is a `Fn(&RequestMeta) -> Available`, the handles of a stack of the crate `seawall`, or a type that implements `Headroom`"
)]
pub trait Headroom: Send + Sync {
    /// What the deployment could take now of requests like this one.
    fn available(&self, meta: &RequestMeta) -> Available;

    /// The key of the limits of a model, where the deployment has limits of each model: then
    /// [`available`](Self::available) is asked with a request of that key. None unless implemented.
    fn key_of(&self, model: &str) -> Option<PartitionKey> {
        let _ = model;
        None
    }
}

#[diagnostic::do_not_recommend]
impl<F> Headroom for F
where
    F: Fn(&RequestMeta) -> Available + Send + Sync,
{
    fn available(&self, meta: &RequestMeta) -> Available {
        self(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_counts() {
        let half = Available::of_share(0.5);
        let soon = Available::after(Duration::from_secs(1));
        assert_eq!(Available::FULL.and(half), half);
        assert_eq!(half.and(soon), soon);
        assert_eq!(soon.and(Available::NEVER), Available::NEVER);
        for (share, expected) in [(-1.0, 0.0), (2.0, 1.0), (f64::NAN, 0.0), (0.25, 0.25)] {
            assert_eq!(Available::of_share(share).share(), expected);
        }
    }
}
