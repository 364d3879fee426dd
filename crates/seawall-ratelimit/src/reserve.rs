//! Tokens that are taken before it is known how many are needed.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;

use seawall_core::{Rejection, RequestMeta, Unit};

use crate::MetaCost;
use crate::limiter::{Limiter, Wish};
use crate::observe::reject;
use crate::seat::{Nothing, Seat};
use crate::service::{Decision, decide};
use crate::wait::{Lane, Waiting, Wishes, retry_after};

/// What was taken of a rate limit, until it is settled.
///
/// Made by [`RateLimitHandle::reserve`](crate::RateLimitHandle::reserve) for work that is not a
/// call of a Tower service: a WebSocket message, a batch, a streamed answer. Dropped without being
/// settled or [kept](Self::commit), all of it goes back.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{RequestMeta, Replay, TokenCount, Unit};
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
/// // The answer was shorter than it could have been.
/// reserved.settle(Unit::Tokens, 1_250);
/// assert_eq!(tokens.tokens(), 8_750.0);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it gives back what was taken"]
pub struct Reservation {
    lane: Lane,
    wishes: Wishes,
    taken_at: u64,
    /// Whether it has given back already, or never will.
    over: bool,
}

impl Reservation {
    /// Takes or gives back the difference between what was reserved of `unit` and what was really
    /// used; what was reserved of other units stays taken. Debits go below zero: those who come
    /// next wait for them.
    pub fn settle(mut self, unit: Unit, really: u64) {
        self.over = true;
        let now = self.lane.now();
        self.each(|limiter, wish| {
            let mut units = limiter.units().iter();
            if let Some(index) = units.position(|counted| *counted == unit) {
                let taken = wish.costs.get(index).into();
                limiter.settle(now, unit, taken, really, self.taken_at);
            }
        });
    }

    /// Leaves everything taken as it was estimated.
    pub fn commit(mut self) {
        self.over = true;
    }

    fn each(&self, mut each: impl FnMut(&Limiter, &Wish)) {
        each(self.lane.limiter(), &self.wishes.own);
        if let (Some(limiter), Some(wish)) = (self.lane.above(), &self.wishes.above) {
            each(limiter, wish);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.over {
            let now = self.lane.now();
            self.each(|limiter, wish| limiter.give_back(now, &wish.costs, self.taken_at));
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("costs", &self.wishes.own.costs)
            .finish_non_exhaustive()
    }
}

/// Takes what a request of this kind costs, and waits for it as calls do.
pub(crate) async fn reserve(lane: Lane, meta: &RequestMeta) -> Result<Reservation, Rejection> {
    let wishes = Wishes::of(&lane, meta, |unit| MetaCost::of(meta, unit));
    let mut taken_at = lane.now();
    match decide(&lane, taken_at, wishes) {
        Decision::Depart => {}
        Decision::Reject(rejection) => return Err(rejection),
        Decision::Wait(wishes) => {
            let mut seat = pin!(Seat::new(Waiting::new(lane.clone(), wishes)));
            poll_fn(|cx| seat.as_mut().poll(cx, &mut Nothing)).await?;
            taken_at = lane.now();
        }
    }
    Ok(Reservation {
        lane,
        wishes,
        taken_at,
        over: false,
    })
}

/// Takes what a request of this kind costs, if it is there now.
pub(crate) fn try_reserve(lane: Lane, meta: &RequestMeta) -> Result<Reservation, Rejection> {
    let wishes = Wishes::of(&lane, meta, |unit| MetaCost::of(meta, unit));
    let taken_at = lane.now();
    match decide(&lane, taken_at, wishes) {
        Decision::Depart => Ok(Reservation {
            lane,
            wishes,
            taken_at,
            over: false,
        }),
        Decision::Reject(rejection) => Err(rejection),
        Decision::Wait(wishes) => {
            let rejection = retry_after(&lane, taken_at, &wishes);
            Err(reject(lane.observer(), lane.stripe(), rejection))
        }
    }
}
