//! Tokens that are taken before it is known how many are used.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use seawall_core::queue::{Stopped, Target, Waiter};
use seawall_core::{Rejection, RequestMeta, Unit};

use crate::costs::{Granted, MetaCost};
use crate::limiter::Limiter;
use crate::limiter_ref::{Decision, LimiterRef, TokenRequests};
use crate::queued::Queued;

/// Tokens of a rate limit that are taken, until the real usage is known.
///
/// Made by [`RateLimitHandle::reserve`](crate::RateLimitHandle::reserve) for work that is not a call
/// of a Tower service: a WebSocket message, a batch, a streamed response. It knows when they were
/// taken, and corrects the windows of that time, however late. Dropped without
/// [`correct_usage`](Self::correct_usage) or [`commit`](Self::commit), it gives back everything that
/// still counts.
///
/// A bucket gives back what has not flowed in since; a strict limit gives back all of it, as long as
/// it counts. Where estimates are corrected late, use strict limits.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Replay, RequestMeta, TokenCount, Unit};
/// use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Duration::from_secs(60);
/// let config = RateLimitConfig::builder()
///     .limit(Limit::bucket(100_000, minute).burst(10_000).with_unit(Unit::Tokens))
///     .build()?;
/// let tokens = RateLimitLayer::new("model", config).handle();
///
/// let estimate = RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(1_000, 4_000));
/// let reserved = tokens.reserve(&estimate).await?;
/// assert_eq!(tokens.tokens(), 5_000.0);
/// // The response was shorter than estimated.
/// reserved.correct_usage(&[(Unit::Tokens, 1_250)]);
/// assert_eq!(tokens.tokens(), 8_750.0);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it gives back what was taken"]
pub struct Reservation {
    limiter: LimiterRef,
    requests: TokenRequests,
    granted_at: u64,
    /// Whether it has given back already, or never will.
    over: bool,
}

impl Reservation {
    /// Takes or gives back the differences between what was reserved of some units and what was used
    /// of them in total; what was reserved of other units stays taken.
    ///
    /// A difference counts at the time of the reservation: a window that has ended since changes no
    /// more. A bucket has no windows: what was used in addition is owed, and the next calls wait for
    /// it; of what was not used, it gives back what has not flowed in since, `amount - rate * time`, at the
    /// rates of that time (of the last 16 that were set).
    pub fn correct_usage(mut self, used: &[(Unit, u64)]) {
        self.over = true;
        let now = self.limiter.now();
        self.for_each(|limiter, granted| {
            limiter.correct_usage(now, granted, used);
        });
    }

    /// Leaves everything taken as it was estimated.
    pub fn commit(mut self) {
        self.over = true;
    }

    fn for_each(&self, mut each: impl FnMut(&Limiter, Granted)) {
        let granted = |costs| Granted {
            costs,
            at_ns: self.granted_at,
        };
        each(self.limiter.limiter(), granted(self.requests.own.costs));
        if let (Some(account), Some(request)) = (self.limiter.account(), &self.requests.account) {
            each(account, granted(request.costs));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.over {
            let now = self.limiter.now();
            self.for_each(|limiter, granted| limiter.give_back(now, granted));
        }
    }
}

seawall_core::impl_debug!(Reservation: |this| costs = this.requests.own.costs);

/// Nothing besides tokens.
struct NoTarget;

impl Target for NoTarget {
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn release(&mut self) {}
}

impl LimiterRef {
    /// Takes what a request costs, and waits for it as calls do.
    pub(crate) async fn reserve(self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        let mut requests = TokenRequests::new(&self, meta, |unit| MetaCost::of(meta, unit));
        let mut granted_at = self.now();
        match self.decide(granted_at, &mut requests) {
            Decision::Depart => {}
            Decision::Reject(rejection) => return Err(rejection),
            Decision::Wait(requests) => {
                let mut waiter = pin!(Waiter::new(Queued::new(self.clone(), requests)));
                let granted = poll_fn(|cx| waiter.as_mut().poll(cx, &mut NoTarget)).await;
                if let Err(Stopped::Rejected(rejection)) = granted {
                    return Err(rejection);
                }
                granted_at = self.now();
            }
        }
        Ok(self.reservation(requests, granted_at))
    }

    /// Takes what a request costs, if it is there now.
    pub(crate) fn try_reserve(self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        let mut requests = TokenRequests::new(&self, meta, |unit| MetaCost::of(meta, unit));
        let now = self.now();
        match self.decide(now, &mut requests) {
            Decision::Depart => Ok(self.reservation(requests, now)),
            Decision::Reject(rejection) => Err(rejection),
            Decision::Wait(requests) => Err(self.reject(self.denial_of(now, &requests))),
        }
    }

    const fn reservation(self, requests: TokenRequests, granted_at: u64) -> Reservation {
        Reservation {
            limiter: self,
            requests,
            granted_at,
            over: false,
        }
    }
}
