//! The generic cell rate algorithm in one word, without clock and executor.
//!
//! The word is the *theoretical arrival time*: when the bucket is full again if nothing more is
//! taken. A cost of `n` is granted at `now` when `max(tat, now) + n * T <= now + burst * T`,
//! with `T` the time of one token, and moves the word to the left side of that. A rejection writes
//! nothing and returns the first instant at which the same cost is granted. The algorithm is that
//! of ITU-T I.371, "virtual scheduling"; one word per bucket as in the crate `governor`.
//!
//! Time is counted in sixteenths of a nanosecond, and `T` is rounded up to a whole one: in any
//! stretch of time `t`, at most `burst + rate * t` is granted, whatever the rate, and the rate
//! falls short by less than a sixteenth of a nanosecond per token. A word lasts for 36 years.
//!
//! [`Rate`] is the arithmetic on a word by value, [`Bucket`] the word with its rate.

use crate::pause::{Pause, Start};
use crate::sync::{AtomicU64, Ordering};

/// Time is counted in sixteenths of a nanosecond.
const SHIFT: u32 = 4;

/// The longest time from empty to full: 366 days. Sums of two such times are far from overflow.
pub(crate) const MAX_FILL_NS: u64 = 366 * 24 * 3600 * 1_000_000_000;

/// The word of a bucket that grants nothing while its rate is changed.
const CLOSED: u64 = u64::MAX;

/// The latest arrival time: with room to step aside of a word that was there before.
const LATEST: u64 = CLOSED - 2;

/// What flows into a bucket, and how much of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time of one token, in sixteenths of a nanosecond.
    token: u64,
    /// The time from empty to full, in the same unit.
    fill: u64,
}

/// The time of one token in sixteenths of a nanosecond, rounded up.
fn token_time(rate: u32, per_ns: u64) -> u64 {
    let token = (u128::from(per_ns) << SHIFT).div_ceil(u128::from(rate.max(1)));
    u64::try_from(token).unwrap_or(u64::MAX).max(1)
}

/// The time from empty to full in nanoseconds, rounded up; `None` when it overflows.
pub(crate) fn fill_ns(rate: u32, per_ns: u64, burst: u32) -> Option<u64> {
    let fill = token_time(rate, per_ns).checked_mul(u64::from(burst))?;
    Some(fill.div_ceil(1 << SHIFT))
}

impl Rate {
    /// `rate` tokens per `per_ns` nanoseconds into a bucket of `burst` tokens.
    pub(crate) fn new(rate: u32, per_ns: u64, burst: u32) -> Self {
        let token = token_time(rate, per_ns);
        Self {
            token,
            fill: token.saturating_mul(u64::from(burst)),
        }
    }

    /// The word after `cost` tokens were taken, or in how many nanoseconds from `now` they can be.
    #[inline]
    pub(crate) fn take(self, tat: u64, now_ns: u64, cost: u64) -> Result<u64, u64> {
        let now = units(now_ns);
        let need = self.token.saturating_mul(cost);
        let (next, late) = self.late(now, tat.max(now).checked_add(need));
        if late > 0 {
            Err(late.div_ceil(1 << SHIFT))
        } else {
            Ok(next)
        }
    }

    /// In how many nanoseconds from now the last of several costs, `cost` in sum, is granted, if
    /// each is taken as soon as it can be.
    pub(crate) fn wait(self, tat: u64, start: Start, cost: u64) -> u64 {
        let at = units(start.at);
        let tat = self.after(tat, start.pause).max(at);
        let next = self.token.checked_mul(cost);
        let next = next.and_then(|need| tat.checked_add(need));
        let late = self.late(at, next).1.div_ceil(1 << SHIFT);
        (start.at - start.now).saturating_add(late)
    }

    /// The word after a pause, in which nothing has flowed in.
    pub(crate) fn after(self, tat: u64, pause: Pause) -> u64 {
        match units(pause.ease()).min(self.fill) {
            0 => tat,
            missing => tat.max(units(pause.until()).saturating_add(missing).min(LATEST)),
        }
    }

    /// The word after a debit, which may be more than the bucket holds: what is owed must flow in
    /// before anything is granted again.
    pub(crate) fn debit(self, tat: u64, now_ns: u64, cost: u64) -> u64 {
        let need = self.token.saturating_mul(cost);
        tat.max(units(now_ns)).saturating_add(need).min(LATEST)
    }

    /// The word after a refund of what was taken, without what has `flowed` in since, as
    /// [`EarlierRates::flowed`](crate::rates::EarlierRates::flowed) has it: that
    /// may be taken again already, or was lost to a full bucket. All that remains is still missing
    /// because of that departure, so the bound for any stretch of time holds for what was used.
    pub(crate) const fn refund(self, tat: u64, cost: u64, flowed: u64) -> u64 {
        tat.saturating_sub(self.token.saturating_mul(cost).saturating_sub(flowed))
    }

    /// The time in which as much flows in as at the `other` rate in so many nanoseconds, rounded up.
    pub(crate) fn time_to_flow(self, other: Self, ns: u64) -> u64 {
        let time = u128::from(units(ns)) * u128::from(self.token);
        u64::try_from(time.div_ceil(other.token.into())).unwrap_or(u64::MAX)
    }

    /// The word with what a call used in place of what was estimated, after so much has `flowed` in
    /// since it was taken.
    pub(crate) fn correct(
        self,
        tat: u64,
        now_ns: u64,
        (estimate, used): (u64, u64),
        flowed: u64,
    ) -> u64 {
        match used.checked_sub(estimate) {
            Some(more) => self.debit(tat, now_ns, more),
            None => self.refund(tat, estimate - used, flowed),
        }
    }

    /// The word of a bucket that owes nothing that would take longer than this to flow in again.
    pub(crate) fn owe_at_most(self, tat: u64, now_ns: u64, longest_ns: u64) -> u64 {
        let longest = units(now_ns).saturating_add(units(longest_ns));
        tat.min(longest.saturating_add(self.fill).min(LATEST))
    }

    /// The word of a bucket that has at most so many tokens.
    pub(crate) fn at_most(self, tat: u64, now_ns: u64, tokens: u64) -> u64 {
        let left = self.token.saturating_mul(tokens).min(self.fill);
        let lowered = units(now_ns).saturating_add(self.fill - left);
        tat.max(lowered).min(LATEST)
    }

    /// The word with the same number of tokens missing at another rate.
    pub(crate) fn carry(self, tat: u64, now_ns: u64, to: Self) -> u64 {
        let now = units(now_ns);
        let missing = u128::from(tat.saturating_sub(now)) * u128::from(to.token);
        let missing = missing.div_ceil(u128::from(self.token));
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        now.saturating_add(missing).min(LATEST)
    }

    /// Whether a word means that the bucket is full.
    pub(crate) const fn is_full(tat: u64, now_ns: u64) -> bool {
        tat <= units(now_ns)
    }

    /// How many tokens are there at most within so many nanoseconds, from a full bucket on.
    pub(crate) const fn at_most_within(self, ns: u64) -> u64 {
        self.burst().saturating_add(units(ns) / self.token)
    }

    /// By how many nanoseconds a departure of this cost delays the next ones when timers fire in
    /// whole milliseconds. Tokens that come while the timer is late are kept, unless the cost is
    /// the full burst: a full bucket loses them, and then each departure takes that long.
    pub(crate) const fn delay_ns(self, cost: u32) -> u64 {
        const TICK: u64 = 1_000_000 << SHIFT;
        let need = self.token.saturating_mul(cost as u64);
        if need < self.fill || need == 0 {
            return 0;
        }
        (TICK - 1 - (need - 1) % TICK).div_ceil(1 << SHIFT)
    }

    /// Tokens in the bucket; below zero by what is owed.
    pub(crate) fn available(self, tat: u64, now_ns: u64) -> f64 {
        let now = units(now_ns);
        let (full, tat) = (now.saturating_add(self.fill), tat.max(now));
        // In two terms, so that the result is exact: the difference is far smaller than both.
        let left = full.saturating_sub(tat) as f64 - tat.saturating_sub(full) as f64;
        left / self.token as f64
    }

    /// The most that the bucket holds.
    pub(crate) const fn burst(self) -> u64 {
        self.fill / self.token
    }

    /// By how much an arrival time is over what is granted `now`. One that does not fit into the
    /// word is never granted.
    #[inline]
    fn late(self, now: u64, next: Option<u64>) -> (u64, u64) {
        match next {
            Some(next) => (next, next.saturating_sub(now.saturating_add(self.fill))),
            None => (CLOSED, CLOSED),
        }
    }
}

/// A bucket that threads take from without a lock. All else is done under the lock of the limiter.
#[derive(Debug)]
pub(crate) struct Bucket {
    tat: AtomicU64,
    // Read after the word: a thread that sees the word of a new rate also sees the rate.
    token: AtomicU64,
    fill: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::at(rate, 0)
    }

    /// A bucket with this word.
    pub(crate) fn at(rate: Rate, tat: u64) -> Self {
        Self {
            tat: AtomicU64::new(tat),
            token: AtomicU64::new(rate.token),
            fill: AtomicU64::new(rate.fill),
        }
    }

    #[inline]
    pub(crate) fn rate(&self) -> Rate {
        Rate {
            token: self.token.load(Ordering::Relaxed),
            fill: self.fill.load(Ordering::Relaxed),
        }
    }

    /// Takes `cost` tokens.
    ///
    /// # Errors
    ///
    /// In how many nanoseconds from `now` they are there.
    #[inline]
    pub(crate) fn try_take(&self, now_ns: u64, cost: u64) -> Result<(), u64> {
        let mut tat = self.tat.load(Ordering::Acquire);
        loop {
            let next = self.rate().take(tat, now_ns, cost)?;
            // A thread that sees the new word reads nothing but the word and the rate.
            match self
                .tat
                .compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Acquire)
            {
                Ok(_) => return Ok(()),
                Err(newer) => tat = newer,
            }
        }
    }

    /// In how many nanoseconds from `now` the last of several costs, `cost` in sum, is granted.
    pub(crate) fn wait(&self, start: Start, cost: u64) -> u64 {
        self.rate().wait(self.word(), start, cost)
    }

    /// The word now.
    pub(crate) fn word(&self) -> u64 {
        self.tat.load(Ordering::Acquire)
    }

    /// Takes `cost` tokens whether they are there or not.
    pub(crate) fn debit(&self, now_ns: u64, cost: u64) {
        self.change(|rate, tat| rate.debit(tat, now_ns, cost));
    }

    /// Forgives what would take longer than this to flow in again.
    pub(crate) fn owe_at_most(&self, now_ns: u64, longest_ns: u64) {
        self.change(|rate, tat| rate.owe_at_most(tat, now_ns, longest_ns));
    }

    /// Gives back what was taken and has not flowed in since.
    pub(crate) fn refund(&self, cost: u64, flowed: u64) {
        self.change(|rate, tat| rate.refund(tat, cost, flowed));
    }

    /// Takes what has not flowed in during a pause, once that is over: before, it may be resumed.
    pub(crate) fn settle(&self, now_ns: u64, pause: Pause) {
        if now_ns >= pause.until() {
            self.change(|rate, tat| rate.after(tat, pause));
        }
    }

    fn change(&self, change: impl Fn(Rate, u64) -> u64) {
        let mut tat = self.word();
        while tat != CLOSED {
            match self.tat.compare_exchange_weak(
                tat,
                change(self.rate(), tat),
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(newer) => tat = newer,
            }
        }
    }

    /// Changes the rate; as many tokens are missing as before. A call that takes at the same time
    /// takes at one of the two rates, or finds the bucket closed and asks again under the lock,
    /// which the caller holds.
    pub(crate) fn set(&self, now_ns: u64, rate: Rate) {
        let (old, tat) = (self.rate(), self.close());
        self.token.store(rate.token, Ordering::Relaxed);
        self.fill.store(rate.fill, Ordering::Relaxed);
        let carried = old.carry(tat, now_ns, rate);
        // Never the word that was there before: a thread that has read it must not find it again.
        let carried = match (carried == tat, Rate::is_full(tat, now_ns)) {
            (true, true) if tat > 0 => tat - 1,
            (true, _) => tat + 1,
            (false, _) => carried,
        };
        self.tat.store(carried, Ordering::Release);
    }

    /// Closes the bucket, and returns the word that was there.
    pub(crate) fn close(&self) -> u64 {
        self.tat.swap(CLOSED, Ordering::AcqRel)
    }

    /// Fills it.
    pub(crate) fn reset(&self, now_ns: u64) {
        self.change(|_, tat| tat.min(units(now_ns)));
    }

    /// Tokens in the bucket.
    pub(crate) fn available(&self, start: Start) -> f64 {
        let rate = self.rate();
        rate.available(rate.after(self.word(), start.pause), start.now)
    }
}

/// Saturates after 36 years.
#[inline]
const fn units(ns: u64) -> u64 {
    ns.saturating_mul(1 << SHIFT)
}

// Named, since the model checker takes this file from elsewhere.
#[cfg(all(test, not(seawall_loom)))]
#[path = "bucket/tests.rs"]
mod tests;
