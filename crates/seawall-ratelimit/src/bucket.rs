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

use std::sync::atomic::{AtomicU64, Ordering};

/// Sixteenths.
const SHIFT: u32 = 4;

/// What [`Bucket::new`] takes at most as the time from empty to full: 366 days. Far from where
/// sums of two such times could overflow.
pub(crate) const MAX_FILL_NS: u64 = 366 * 24 * 3600 * 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Bucket {
    tat: AtomicU64,
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

impl Bucket {
    /// A full bucket of `burst` tokens into which `rate` tokens flow per `per_ns` nanoseconds.
    pub(crate) fn new(rate: u32, per_ns: u64, burst: u32) -> Self {
        let token = token_time(rate, per_ns);
        Self {
            tat: AtomicU64::new(0),
            token,
            fill: token.saturating_mul(u64::from(burst)),
        }
    }

    /// Takes `cost` tokens, or says how many nanoseconds from `now` they can be taken.
    #[inline]
    pub(crate) fn try_take(&self, now_ns: u64, cost: u32) -> Result<(), u64> {
        let now = units(now_ns);
        let need = self.token.saturating_mul(u64::from(cost));
        let mut tat = self.tat.load(Ordering::Relaxed);
        loop {
            let next = tat.max(now).checked_add(need);
            let (next, late) = self.late(now, next);
            if late > 0 {
                return Err(late.div_ceil(1 << SHIFT));
            }
            // Nothing but the word itself is read by who sees it: relaxed is enough.
            match self
                .tat
                .compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(newer) => tat = newer,
            }
        }
    }

    /// In how many nanoseconds from `now` the last of several costs, `cost` in sum, is granted,
    /// if each is taken as soon as it can be.
    pub(crate) fn wait(&self, now_ns: u64, cost: u64) -> u64 {
        self.wait_from(self.reading(), now_ns, cost)
    }

    /// The bucket as it is now, for [`wait_from`](Self::wait_from).
    pub(crate) fn reading(&self) -> u64 {
        self.tat.load(Ordering::Relaxed)
    }

    /// [`wait`](Self::wait), with the bucket as it was read.
    pub(crate) fn wait_from(&self, reading: u64, now_ns: u64, cost: u64) -> u64 {
        let now = units(now_ns);
        let tat = reading.max(now);
        let next = self
            .token
            .checked_mul(cost)
            .and_then(|need| tat.checked_add(need));
        self.late(now, next).1.div_ceil(1 << SHIFT)
    }

    /// Nanoseconds until one token has flowed in, rounded up.
    pub(crate) const fn token_ns(&self) -> u64 {
        self.token.div_ceil(1 << SHIFT)
    }

    /// By how many nanoseconds a departure of this cost delays those behind it when timers fire
    /// in whole milliseconds. Tokens that come while the timer is late are kept, unless the cost
    /// is the whole burst: a full bucket loses them, and then each departure takes that long.
    pub(crate) const fn delay_ns(&self, cost: u32) -> u64 {
        const TICK: u64 = 1_000_000 << SHIFT;
        let need = self.token.saturating_mul(cost as u64);
        if need < self.fill {
            return 0;
        }
        (TICK - 1 - (need - 1) % TICK).div_ceil(1 << SHIFT)
    }

    /// Tokens in the bucket.
    pub(crate) fn available(&self, now_ns: u64) -> f64 {
        let now = units(now_ns);
        let tat = self.tat.load(Ordering::Relaxed).max(now);
        let left = now.saturating_add(self.fill).saturating_sub(tat);
        left as f64 / self.token as f64
    }

    /// By how much an arrival time is over what is granted `now`. One that does not fit into the
    /// word is never granted.
    #[inline]
    fn late(&self, now: u64, next: Option<u64>) -> (u64, u64) {
        match next {
            Some(next) => (next, next.saturating_sub(now.saturating_add(self.fill))),
            None => (u64::MAX, u64::MAX),
        }
    }
}

/// Saturates after 36 years.
#[inline]
const fn units(ns: u64) -> u64 {
    ns.saturating_mul(1 << SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

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
        let bucket = Bucket::new(10, SECOND, 3);
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
        assert_eq!(Bucket::new(400, SECOND, 1).delay_ns(1), 500_000);
        assert_eq!(Bucket::new(400, SECOND, 2).delay_ns(1), 0);
        assert_eq!(Bucket::new(400, SECOND, 2).delay_ns(2), 0);
        assert_eq!(Bucket::new(20_000, SECOND, 1).delay_ns(1), 950_000);
        assert_eq!(Bucket::new(10, SECOND, 1).delay_ns(1), 0);
        assert_eq!(Bucket::new(10, SECOND, 1).token_ns(), 100_000_000);
        assert!(Bucket::new(3, SECOND, 1).delay_ns(1) < 1_000_000);
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
                let bucket = Bucket::new(rate, per, burst);
                let mut granted = 0;
                while granted < 3 && bucket.try_take(now, burst).is_ok() {
                    granted += 1;
                }
                assert!(granted <= 1, "{rate} per {per}, {burst} at once, at {now}");
                let _ = (bucket.wait(now, u64::MAX), bucket.available(now));
                // A clock that went back refuses and is not tricked into granting.
                assert!(bucket.try_take(0, burst).is_err() || granted == 0);
            }
        }
    }

    #[test]
    fn threads_together_are_granted_no_more_than_the_burst() {
        let bucket = Bucket::new(1, SECOND, 1_000);
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
            let bucket = Bucket::new(rate, SECOND, 2);
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
            let bucket = Bucket::new(rate, per, burst);
            // The model flows at the rounded rate: one token per `token` sixteenths.
            let mut rounded = Model::new(1 << SHIFT, bucket.token, burst);
            let exact = (per << SHIFT).is_multiple_of(u64::from(rate));
            let mut model = Model::new(rate, per, burst);
            let mut now = 0;
            for (gap, cost) in arrivals {
                now += gap;
                let cost = cost.min(burst);
                let granted = bucket.try_take(now, cost).is_ok();
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
            let bucket = Bucket::new(rate, per, burst);
            let mut now = 0;
            let mut grants: Vec<(u64, u32)> = Vec::new();
            for (gap, cost) in gaps {
                now += gap;
                let cost = cost.min(burst);
                if bucket.try_take(now, cost).is_ok() {
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
            let bucket = Bucket::new(rate, per, burst);
            let mut now = 0;
            for (gap, cost) in before {
                now += gap;
                let _ = bucket.try_take(now, cost.min(burst));
            }
            let cost = cost.min(burst);
            prop_assert_eq!(bucket.wait(now, cost.into()) == 0, bucket.available(now) + 1e-6 >= f64::from(cost));
            if let Err(wait) = bucket.try_take(now, cost) {
                prop_assert!(wait > 0);
                prop_assert_eq!(wait, bucket.wait(now, cost.into()));
                prop_assert!(bucket.try_take(now + wait - 1, cost).is_err());
                prop_assert!(bucket.try_take(now + wait, cost).is_ok());
            }
        }
    }
}
