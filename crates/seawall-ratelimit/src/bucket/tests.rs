use super::*;
use crate::rates::EarlierRates;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn bucket(rate: u32, per_ns: u64, burst: u32) -> Bucket {
    Bucket::new(Rate::new(rate, per_ns, burst))
}

/// Grants by the definition, in exact integers, with the tokens as a level of
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
    assert_eq!(bucket.wait(Start::now(0), 3), 300_000_000);
    assert_eq!(bucket.try_take(99_999_999, 1), Err(1));
    assert_eq!(bucket.try_take(100_000_000, 1), Ok(()));
    assert!(bucket.available(Start::now(200_000_000)) - 1.0 < 1e-9);
}

#[test]
fn a_take_of_the_full_burst_loses_the_rest_of_the_millisecond() {
    // 2.5 ms per token.
    assert_eq!(Rate::new(400, SECOND, 1).delay_ns(1), 500_000);
    assert_eq!(Rate::new(400, SECOND, 2).delay_ns(1), 0);
    assert_eq!(Rate::new(400, SECOND, 2).delay_ns(2), 0);
    assert_eq!(Rate::new(20_000, SECOND, 1).delay_ns(1), 950_000);
    assert_eq!(Rate::new(10, SECOND, 1).delay_ns(1), 0);
    assert!(Rate::new(3, SECOND, 1).delay_ns(1) < 1_000_000);
}

#[test]
fn extremes_of_time_and_rate_neither_panic_nor_grant_without_bound() {
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
            let _ = (
                bucket.wait(Start::now(now), u64::MAX),
                bucket.available(Start::now(now)),
            );
            // A clock that went back rejects and grants nothing in addition.
            assert!(bucket.try_take(0, burst.into()).is_err() || granted == 0);
        }
    }
}

#[test]
fn threads_together_are_granted_no_more_than_the_burst() {
    let bucket = bucket(1, SECOND, 1_000);
    let granted: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| bucket.try_take(0, 1).is_ok()).count()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap() as u32).sum()
    });
    assert_eq!(granted, 1_000);
}

/// A token of an odd rate is not an integer number of sixteenths. Rounded down, the error would
/// let one depart early after some fifty tokens.
#[test]
fn an_odd_rate_is_never_exceeded_and_nearly_reached() {
    for rate in [3_u32, 7, 11, 999] {
        // With a burst of one, the clock of the test would round each token up.
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
    /// Never more than the model, and the same as the model where a token is an integer number
    /// of sixteenths.
    #[test]
    fn grants_match_exact_arithmetic(
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

    /// In any stretch of time at most `burst + rate * t`, in exact integers.
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
    fn a_rejection_names_the_first_instant_that_grants(
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
        prop_assert_eq!(bucket.wait(Start::now(now), cost.into()) == 0, bucket.available(Start::now(now)) + 1e-6 >= f64::from(cost));
        if let Err(wait) = bucket.try_take(now, cost.into()) {
            prop_assert!(wait > 0);
            prop_assert_eq!(wait, bucket.wait(Start::now(now), cost.into()));
            prop_assert!(bucket.try_take(now + wait - 1, cost.into()).is_err());
            prop_assert!(bucket.try_take(now + wait, cost.into()).is_ok());
        }
    }

    /// What comes back is the cost without what has flowed in since, at the rates of then, and by the
    /// rounding at most a millionth of a token less.
    #[test]
    fn a_refund_is_exact_whatever_rates_the_bucket_has_had(
        rates in prop::collection::vec((1_u32..2_000, 0_u64..20_000_000), 1..20),
        cost in 1_u32..50,
        before in 0_u32..50,
    ) {
        const BURST: u32 = 100;
        let mut earlier = EarlierRates::default();
        let bucket = Bucket::new(Rate::new(rates[0].0, SECOND, BURST));
        let (mut now, mut flowed) = (0, 0.0);
        bucket.debit(now, before.into());
        bucket.debit(now, cost.into());
        for (nth, (rate, lasts)) in rates.iter().enumerate() {
            let rate = Rate::new(*rate, SECOND, BURST);
            if nth > 0 {
                earlier.add(now, 0, bucket.rate());
                bucket.set(now, rate);
            }
            now += lasts;
            flowed += (lasts << SHIFT) as f64 / rate.token as f64;
        }
        let missing = |bucket: &Bucket| f64::from(BURST) - bucket.available(Start::now(now));
        let held = missing(&bucket);
        bucket.refund(cost.into(), earlier.flowed(0, bucket.rate(), now, 0));
        let less = if rates.len() > 17 { 0.0 } else { (f64::from(cost) - flowed).max(0.0) };
        let expected = (held - less).max(0.0);
        prop_assert!(missing(&bucket) >= expected - 1e-6, "{}, {expected}", missing(&bucket));
        prop_assert!(missing(&bucket) <= expected + 1e-4, "{}, {expected}", missing(&bucket));
    }
}
