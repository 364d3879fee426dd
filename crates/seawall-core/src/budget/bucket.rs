//! A capped token bucket. Pure: the clock is passed in.

use std::sync::PoisonError;

use super::sync::{AtomicU64, Mutex, Ordering};

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

/// All amounts are in units of a token.
#[derive(Debug)]
pub(super) struct Bucket {
    per_success: u64,
    per_second: u64,
    cap: u64,
    tokens: AtomicU64,
    /// Held over a payment and the withdrawal after it, or a payment that is owed to a full bucket
    /// could be made to one that others have emptied meanwhile.
    floor: Mutex<Floor>,
}

/// What the floor has paid out.
#[derive(Debug)]
struct Floor {
    /// Up to when, in nanoseconds.
    until: u64,
    /// What is left over of a unit, in units times nanoseconds per second; less than [`SECOND`].
    rest: u64,
}

impl Bucket {
    /// A full bucket at time 0.
    pub(super) fn new(per_success: u64, per_second: u64, cap: u64) -> Self {
        Self {
            per_success,
            per_second,
            cap,
            tokens: AtomicU64::new(cap),
            floor: Mutex::new(Floor { until: 0, rest: 0 }),
        }
    }

    #[inline]
    pub(super) fn deposit(&self) {
        if self.per_success != 0 && self.tokens.load(Ordering::Relaxed) < self.cap {
            self.add(self.per_success);
        }
    }

    pub(super) fn withdraw(&self, price: u64, now: impl FnOnce() -> u64) -> bool {
        if self.per_second == 0 {
            return self.take(price);
        }
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        self.pay(&mut floor, now());
        self.take(price)
    }

    /// Adds an amount, up to the cap; whether it came to the cap.
    pub(super) fn add(&self, amount: u64) -> bool {
        let sum = |tokens: u64| tokens.saturating_add(amount).min(self.cap);
        let before = self
            .tokens
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |tokens| {
                Some(sum(tokens))
            });
        // Never an error: the closure always returns a value.
        before.is_ok_and(|before| sum(before) == self.cap)
    }

    /// What is left.
    pub(super) fn balance(&self, now: impl FnOnce() -> u64) -> u64 {
        if self.per_second != 0 {
            let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
            self.pay(&mut floor, now());
        }
        self.tokens.load(Ordering::Relaxed)
    }

    fn take(&self, price: u64) -> bool {
        self.tokens
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |tokens| {
                tokens.checked_sub(price)
            })
            .is_ok()
    }

    /// Adds what the floor has earned since it was last paid.
    ///
    /// Later than it was earned, and it makes no difference: until somebody withdraws, and pays
    /// first, there are only additions below one cap, in whatever order.
    fn pay(&self, floor: &mut Floor, now: u64) {
        let elapsed = now.saturating_sub(floor.until);
        let earned = u128::from(elapsed) * u128::from(self.per_second) + u128::from(floor.rest);
        floor.until = floor.until.max(now);
        let full = self.add(u64::try_from(earned / SECOND).unwrap_or(u64::MAX));
        // What a full bucket earns is lost.
        floor.rest = if full { 0 } else { (earned % SECOND) as u64 };
    }
}
