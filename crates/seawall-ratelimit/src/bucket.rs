//! The generic cell rate algorithm in one word, without clock and executor.
//!
//! The word is the *theoretical arrival time*: when the bucket will be full again if nothing more
//! is taken. A cost of `n` is granted at `now` when `max(tat, now) + n * T <= now + burst * T`,
//! with `T` the time of one token, and moves the word to the left side of that. A refusal writes
//! nothing and knows the first instant at which the same cost is granted. The algorithm is that
//! of ITU-T I.371, "virtual scheduling"; one word per bucket as in the crate `governor`.
//!
//! Time is counted in sixteenths of a nanosecond, and `T` is rounded up to a whole one: in any
//! stretch of time `t`, at most `burst + rate * t` is granted, whatever the rate, and the rate
//! falls short by less than a sixteenth of a nanosecond per token. A word lasts for 36 years.
//!
//! [`Rate`] is the arithmetic on a word by value, [`Bucket`] the word with its rate.

use crate::sync::{AtomicU64, Ordering};

/// Sixteenths.
const SHIFT: u32 = 4;

/// What [`Bucket::new`] takes at most as the time from empty to full: 366 days. Far from where
/// sums of two such times could overflow.
pub(crate) const MAX_FILL_NS: u64 = 366 * 24 * 3600 * 1_000_000_000;

/// The word of a bucket that grants nothing to anybody, while its rate is changed.
const SHUT: u64 = u64::MAX;

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

/// The time from empty to full in nanoseconds, rounded up; `None` when it cannot be told.
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

    /// In how many nanoseconds from `now` the last of several costs, `cost` in sum, is granted,
    /// if each is taken as soon as it can be.
    pub(crate) fn wait(self, tat: u64, now_ns: u64, cost: u64) -> u64 {
        let now = units(now_ns);
        let next = self.token.checked_mul(cost);
        let next = next.and_then(|need| tat.max(now).checked_add(need));
        self.late(now, next).1.div_ceil(1 << SHIFT)
    }

    /// The word after a debit, which may be more than the bucket holds: what is owed flows in
    /// before anything is granted again.
    fn debit(self, tat: u64, now_ns: u64, cost: u64) -> u64 {
        let need = self.token.saturating_mul(cost);
        tat.max(units(now_ns)).saturating_add(need).min(SHUT - 1)
    }

    /// The word after a refund. What is more than the bucket holds is lost.
    const fn refund(self, tat: u64, cost: u64) -> u64 {
        tat.saturating_sub(self.token.saturating_mul(cost))
    }

    /// The word of a bucket that has at most so many tokens.
    fn at_most(self, tat: u64, now_ns: u64, tokens: u64) -> u64 {
        let left = self.token.saturating_mul(tokens).min(self.fill);
        let lowered = units(now_ns).saturating_add(self.fill - left);
        tat.max(lowered).min(SHUT - 1)
    }

    /// The word with the same number of tokens missing at another rate.
    pub(crate) fn carry(self, tat: u64, now_ns: u64, to: Self) -> u64 {
        let now = units(now_ns);
        let missing = u128::from(tat.saturating_sub(now)) * u128::from(to.token);
        let missing = missing.div_ceil(u128::from(self.token));
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        now.saturating_add(missing).min(SHUT - 1)
    }

    /// Whether a word says that the bucket is full.
    pub(crate) const fn is_full(tat: u64, now_ns: u64) -> bool {
        tat <= units(now_ns)
    }

    /// Nanoseconds until one token has flowed in, rounded up.
    pub(crate) const fn token_ns(self) -> u64 {
        self.token.div_ceil(1 << SHIFT)
    }

    /// How many tokens flow in within so many nanoseconds, rounded down.
    pub(crate) const fn inflow(self, ns: u64) -> u64 {
        units(ns) / self.token
    }

    /// By how many nanoseconds a departure of this cost delays those behind it when timers fire
    /// in whole milliseconds. Tokens that come while the timer is late are kept, unless the cost
    /// is the whole burst: a full bucket loses them, and then each departure takes that long.
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
        // Apart, so that what is there is exact: the difference is far smaller than the two.
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
            None => (SHUT, SHUT),
        }
    }
}

/// A bucket that threads take from without a lock. All else is done under the lock of the line.
#[derive(Debug)]
pub(crate) struct Bucket {
    tat: AtomicU64,
    // Read after the word, so that who sees a word of a new rate sees the rate, too.
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

    /// Takes `cost` tokens, or says how many nanoseconds from `now` they can be taken.
    #[inline]
    pub(crate) fn try_take(&self, now_ns: u64, cost: u64) -> Result<(), u64> {
        let mut tat = self.tat.load(Ordering::Acquire);
        loop {
            let next = self.rate().take(tat, now_ns, cost)?;
            // Nothing but the word and the rate is read by who sees it.
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
    pub(crate) fn wait(&self, now_ns: u64, cost: u64) -> u64 {
        self.rate().wait(self.reading(), now_ns, cost)
    }

    /// The word.
    pub(crate) fn reading(&self) -> u64 {
        self.tat.load(Ordering::Acquire)
    }

    /// Takes `cost` tokens whether they are there or not.
    pub(crate) fn debit(&self, now_ns: u64, cost: u64) {
        self.change(|rate, tat| rate.debit(tat, now_ns, cost));
    }

    /// Puts tokens back, as far as they find room.
    pub(crate) fn refund(&self, cost: u64) {
        self.change(|rate, tat| rate.refund(tat, cost));
    }

    /// Takes all tokens but so many.
    pub(crate) fn at_most(&self, now_ns: u64, tokens: u64) {
        self.change(|rate, tat| rate.at_most(tat, now_ns, tokens));
    }

    fn change(&self, change: impl Fn(Rate, u64) -> u64) {
        let mut tat = self.reading();
        while tat != SHUT {
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

    /// Changes the rate; as many tokens as were missing are missing still. Whoever takes at the
    /// same time takes at one of the two rates, or finds the bucket shut and asks again under the
    /// lock, which the caller holds.
    pub(crate) fn set(&self, now_ns: u64, rate: Rate) {
        let (old, tat) = (self.rate(), self.shut());
        self.token.store(rate.token, Ordering::Relaxed);
        self.fill.store(rate.fill, Ordering::Relaxed);
        let carried = old.carry(tat, now_ns, rate);
        // Not the word that was there before: who has read that must not find it again.
        let carried = match (carried == tat, Rate::is_full(tat, now_ns)) {
            (true, true) if tat > 0 => tat - 1,
            (true, _) => tat + 1,
            (false, _) => carried,
        };
        self.tat.store(carried, Ordering::Release);
    }

    /// Lets nobody take any more, and answers the word that was there.
    pub(crate) fn shut(&self) -> u64 {
        self.tat.swap(SHUT, Ordering::AcqRel)
    }

    /// Fills it.
    pub(crate) fn reset(&self, now_ns: u64) {
        self.change(|_, tat| tat.min(units(now_ns)));
    }

    /// Tokens in the bucket.
    pub(crate) fn available(&self, now_ns: u64) -> f64 {
        self.rate().available(self.reading(), now_ns)
    }
}

/// Saturates after 36 years.
#[inline]
const fn units(ns: u64) -> u64 {
    ns.saturating_mul(1 << SHIFT)
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn bucket(rate: u32, per_ns: u64, burst: u32) -> Bucket {
        Bucket::new(Rate::new(rate, per_ns, burst))
    }

    /// Grants as the definition says, in exact whole numbers, with the tokens as a level of
    /// `per` parts each and the clock in nanoseconds.
    struct Model {
        rate: u128,
        per: u128,
        burst: u128,
        /// Times `per`.
        level: u128,
        at: u128,
    }

    impl Model {
        fn new(rate: u32, per: u64, burst: u32) -> Self {
            let (rate, per, burst) = (rate.into(), per.into(), burst.into());
            Self {
                rate,
                per,
                burst,
                level: burst * per,
                at: 0,
            }
        }

        fn flow(&mut self, now: u64) {
            let passed = u128::from(now) - self.at;
            self.level = (self.level + passed * self.rate).min(self.burst * self.per);
            self.at = now.into();
        }

        fn try_take(&mut self, now: u64, cost: u32) -> bool {
            self.flow(now);
            let need = u128::from(cost) * self.per;
            if need > self.level {
                return false;
            }
            self.level -= need;
            true
        }
    }

    #[test]
    fn a_burst_is_granted_and_then_the_rate() {
        let bucket = bucket(10, SECOND, 3);
        for _ in 0..3 {
            assert_eq!(bucket.try_take(0, 1), Ok(()));
        }
        assert_eq!(bucket.try_take(0, 1), Err(100_000_000));
        assert_eq!(bucket.wait(0, 3), 300_000_000);
        assert_eq!(bucket.try_take(99_999_999, 1), Err(1));
        assert_eq!(bucket.try_take(100_000_000, 1), Ok(()));
        assert!(bucket.available(200_000_000) - 1.0 < 1e-9);
    }

    #[test]
    fn who_takes_the_whole_burst_loses_the_rest_of_the_millisecond() {
        // 2.5 ms per token.
        assert_eq!(Rate::new(400, SECOND, 1).delay_ns(1), 500_000);
        assert_eq!(Rate::new(400, SECOND, 2).delay_ns(1), 0);
        assert_eq!(Rate::new(400, SECOND, 2).delay_ns(2), 0);
        assert_eq!(Rate::new(20_000, SECOND, 1).delay_ns(1), 950_000);
        assert_eq!(Rate::new(10, SECOND, 1).delay_ns(1), 0);
        assert_eq!(Rate::new(10, SECOND, 1).token_ns(), 100_000_000);
        assert!(Rate::new(3, SECOND, 1).delay_ns(1) < 1_000_000);
    }

    #[test]
    fn no_extreme_of_time_or_rate_panics_or_grants_for_ever() {
        for (rate, per, burst) in [
            (1, 1, 1),
            (u32::MAX, 1, u32::MAX),
            (1, MAX_FILL_NS, 1),
            (u32::MAX, MAX_FILL_NS, u32::MAX),
            (1, u64::MAX, u32::MAX),
        ] {
            for now in [0, 1, u64::MAX >> SHIFT, u64::MAX] {
                let bucket = bucket(rate, per, burst);
                let mut granted = 0;
                while granted < 3 && bucket.try_take(now, burst.into()).is_ok() {
                    granted += 1;
                }
                assert!(granted <= 1, "{rate} per {per}, {burst} at once, at {now}");
                let _ = (bucket.wait(now, u64::MAX), bucket.available(now));
                // A clock that went back refuses and is not tricked into granting.
                assert!(bucket.try_take(0, burst.into()).is_err() || granted == 0);
            }
        }
    }

    #[test]
    fn threads_together_are_granted_no_more_than_the_burst() {
        let bucket = bucket(1, SECOND, 1_000);
        let granted: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..1_000).filter(|_| bucket.try_take(0, 1).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap() as u32).sum()
        });
        assert_eq!(granted, 1_000);
    }

    /// A token of an odd rate is no whole number of sixteenths. Rounded down, the error would
    /// let one depart early after some fifty tokens.
    #[test]
    fn an_odd_rate_is_never_exceeded_and_hardly_missed_in_the_long_run() {
        for rate in [3_u32, 7, 11, 999] {
            // With a burst of one, the takers' clock would round each token up.
            let bucket = bucket(rate, SECOND, 2);
            let (mut now, rate) = (0, u128::from(rate));
            for taken in 1..=10_000_u128 {
                if let Err(wait) = bucket.try_take(now, 1) {
                    now += wait;
                    assert_eq!(bucket.try_take(now, 1), Ok(()));
                }
                let per = u128::from(SECOND);
                assert!(taken * per <= 2 * per + rate * u128::from(now));
                let ideal = taken.saturating_sub(2) * per / rate;
                assert!(u128::from(now) <= ideal + taken / 16 + 2);
            }
        }
    }

    fn limits() -> impl Strategy<Value = (u32, u64, u32)> {
        (
            1_u32..2_000,
            prop::sample::select(vec![1_000, 999_983, SECOND, 60 * SECOND]),
            1_u32..50,
        )
    }

    proptest! {
        /// Never more than the model, and the same as the model where a token is a whole number
        /// of sixteenths.
        #[test]
        fn grants_are_those_of_exact_arithmetic(
            (rate, per, burst) in limits(),
            arrivals in prop::collection::vec((0_u64..200_000_000, 0_u32..8), 1..200),
        ) {
            let bucket = bucket(rate, per, burst);
            // The model flows at the rounded rate: one token per `token` sixteenths.
            let mut rounded = Model::new(1 << SHIFT, bucket.rate().token, burst);
            let exact = (per << SHIFT).is_multiple_of(u64::from(rate));
            let mut model = Model::new(rate, per, burst);
            let mut now = 0;
            for (gap, cost) in arrivals {
                now += gap;
                let cost = cost.min(burst);
                let granted = bucket.try_take(now, cost.into()).is_ok();
                prop_assert_eq!(granted, rounded.try_take(now, cost));
                if exact {
                    prop_assert_eq!(granted, model.try_take(now, cost));
                }
            }
        }

        /// In any stretch of time at most `burst + rate * t`, in exact whole numbers.
        #[test]
        fn no_stretch_of_time_sees_more_than_burst_and_rate(
            (rate, per, burst) in limits(),
            gaps in prop::collection::vec((0_u64..3_000_000, 1_u32..5), 1..100),
        ) {
            let bucket = bucket(rate, per, burst);
            let mut now = 0;
            let mut grants: Vec<(u64, u32)> = Vec::new();
            for (gap, cost) in gaps {
                now += gap;
                let cost = cost.min(burst);
                if bucket.try_take(now, cost.into()).is_ok() {
                    grants.push((now, cost));
                }
            }
            for from in 0..grants.len() {
                let mut sum = 0_u128;
                for (at, cost) in &grants[from..] {
                    sum += u128::from(*cost);
                    let t = u128::from(at - grants[from].0);
                    prop_assert!(sum * u128::from(per) <= u128::from(burst) * u128::from(per) + u128::from(rate) * t);
                }
            }
        }

        #[test]
        fn a_refusal_names_the_first_instant_that_grants(
            (rate, per, burst) in limits(),
            before in prop::collection::vec((0_u64..1_000_000, 1_u32..5), 0..50),
            cost in 1_u32..5,
        ) {
            let bucket = bucket(rate, per, burst);
            let mut now = 0;
            for (gap, cost) in before {
                now += gap;
                let _ = bucket.try_take(now, cost.min(burst).into());
            }
            let cost = cost.min(burst);
            prop_assert_eq!(bucket.wait(now, cost.into()) == 0, bucket.available(now) + 1e-6 >= f64::from(cost));
            if let Err(wait) = bucket.try_take(now, cost.into()) {
                prop_assert!(wait > 0);
                prop_assert_eq!(wait, bucket.wait(now, cost.into()));
                prop_assert!(bucket.try_take(now + wait - 1, cost.into()).is_err());
                prop_assert!(bucket.try_take(now + wait, cost.into()).is_ok());
            }
        }
    }
}
