//! One budget for extra attempts, shared by retry and hedge and by several services.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{Clock, InvalidConfig, Ratio};

/// Millionths of a token, so that every ratio of up to six digits is exact.
const TOKEN: u64 = 1_000_000;

/// What a budget is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetConfig {
    ratio: Ratio,
    floor_per_second: f64,
    capacity: u32,
}

impl BudgetConfig {
    /// A budget of `ratio` extra attempts per success plus `floor_per_second` extra attempts per
    /// second whatever the successes, of which at most `capacity` are saved up.
    ///
    /// Ratio and floor count in whole millionths; what is below one is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `ratio` is outside of 0 to 1, when `floor_per_second` is negative,
    /// NaN or over a million, or when `capacity` is 0 or over a million.
    pub fn new(ratio: f64, floor_per_second: f64, capacity: u32) -> Result<Self, InvalidConfig> {
        if !(0.0..=1e6).contains(&floor_per_second) {
            return Err(InvalidConfig::new(
                "floor_per_second",
                floor_per_second,
                "a number from 0 to 1000000",
            ));
        }
        if !(1..=1_000_000).contains(&capacity) {
            return Err(InvalidConfig::new(
                "capacity",
                capacity,
                "a whole number from 1 to 1000000",
            ));
        }
        Ok(Self {
            ratio: Ratio::new(ratio).map_err(|e| e.in_field("ratio"))?,
            floor_per_second,
            capacity,
        })
    }

    /// Extra attempts per success.
    pub const fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// Extra attempts per second whatever the successes.
    pub const fn floor_per_second(&self) -> f64 {
        self.floor_per_second
    }

    /// The most extra attempts that are saved up.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }
}

impl Default for BudgetConfig {
    /// One extra attempt per five successes, one per second as a floor, twenty saved up.
    fn default() -> Self {
        Self {
            ratio: Ratio::new(0.2).unwrap_or(Ratio::ZERO),
            floor_per_second: 1.0,
            capacity: 20,
        }
    }
}

/// A capped token bucket that pays for extra attempts: successes and time fill it, each extra
/// attempt takes one token.
///
/// It starts full. Clones share the tokens. In any stretch of time the tokens taken are at most
/// `capacity + ratio * successes + floor_per_second * seconds`, exactly, also under contention.
/// A deposit into a full bucket is one load and reads no clock.
///
/// ```
/// use seawall_core::{Budget, BudgetConfig};
///
/// let budget = Budget::new(BudgetConfig::new(0.5, 0.0, 1)?);
/// assert!(budget.withdraw(), "it starts full");
/// assert!(!budget.withdraw());
/// budget.deposit();
/// assert!(!budget.withdraw(), "half a token is none");
/// budget.deposit();
/// assert!(budget.withdraw());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: BudgetConfig,
    clock: Clock,
    /// Millionths of a token added per success.
    per_success: u64,
    /// Millionths of a token added per second.
    per_second: u64,
    cap: u64,
    /// Millionths of a token.
    tokens: AtomicU64,
    /// Up to when the floor has been paid out, in the clock's nanoseconds. Held over a payment
    /// and the withdrawal after it, or a payment that is owed to a full bucket could be made to
    /// one that others have emptied meanwhile.
    paid_until: Mutex<u64>,
    refused: AtomicU64,
}

impl Budget {
    /// A full budget.
    pub fn new(config: BudgetConfig) -> Self {
        let cap = u64::from(config.capacity) * TOKEN;
        Self {
            shared: Arc::new(Shared {
                config,
                clock: Clock::start(),
                per_success: millionths(config.ratio.get()),
                per_second: millionths(config.floor_per_second),
                cap,
                tokens: AtomicU64::new(cap),
                paid_until: Mutex::new(0),
                refused: AtomicU64::new(0),
            }),
        }
    }

    /// Counts a success.
    #[inline]
    pub fn deposit(&self) {
        let shared = &*self.shared;
        if shared.per_success != 0 && shared.tokens.load(Ordering::Relaxed) < shared.cap {
            shared.add(shared.per_success);
        }
    }

    /// Takes one token for an extra attempt; `false` when there is none.
    pub fn withdraw(&self) -> bool {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let mut paid_until = shared
            .paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shared.pay_floor(&mut paid_until, now);
        let taken = shared
            .tokens
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |tokens| {
                tokens.checked_sub(TOKEN)
            })
            .is_ok();
        drop(paid_until);
        if !taken {
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Gives a token back that was taken for an attempt which was not made.
    pub fn refund(&self) {
        self.shared.add(TOKEN);
    }

    /// Whole and partial tokens left, as of the last withdrawal.
    pub fn balance(&self) -> f64 {
        self.shared.tokens.load(Ordering::Relaxed) as f64 / TOKEN as f64
    }

    /// How many withdrawals were refused so far.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// What the budget is made of.
    pub fn config(&self) -> BudgetConfig {
        self.shared.config
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BudgetConfig::default())
    }
}

impl Shared {
    fn add(&self, amount: u64) {
        // Never fails: the closure always returns a value.
        let _ = self
            .tokens
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |tokens| {
                Some(tokens.saturating_add(amount).min(self.cap))
            });
    }

    /// Adds what the floor has earned since it was last paid.
    fn pay_floor(&self, paid_until: &mut u64, now: u64) {
        if self.per_second == 0 {
            return;
        }
        let elapsed = now.saturating_sub(*paid_until);
        let second = Duration::from_secs(1).as_nanos();
        let earned = u128::from(elapsed) * u128::from(self.per_second) / second;
        if earned == 0 {
            return;
        }
        // Paid up to the instant at which the last whole unit was earned: no fraction is lost.
        let spent = earned * second / u128::from(self.per_second);
        *paid_until = paid_until.saturating_add(u64::try_from(spent).unwrap_or(u64::MAX));
        self.add(u64::try_from(earned).unwrap_or(u64::MAX));
    }
}

fn millionths(value: f64) -> u64 {
    // Between 0 and 10^12 by the checks of the constructors. Rounded down, but for the error of
    // the representation: 0.7 is 700,000 millionths.
    (value * TOKEN as f64 + 1e-3).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ratios_that_truncate_elsewhere_are_exact() {
        for tenths in 0..=10_u32 {
            let ratio = f64::from(tenths) / 10.0;
            let budget = Budget::new(BudgetConfig::new(ratio, 0.0, 1_000).unwrap());
            while budget.withdraw() {}
            for _ in 0..1_000 {
                budget.deposit();
            }
            let taken = (0..).take_while(|_| budget.withdraw()).count();
            assert_eq!(taken, 100 * tenths as usize, "ratio {ratio}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_floor_pays_by_time_without_losing_fractions() {
        let budget = Budget::new(BudgetConfig::new(0.0, 0.3, 2).unwrap());
        while budget.withdraw() {}
        let mut taken = 0;
        for _ in 0..10_000 {
            tokio::time::advance(Duration::from_millis(7)).await;
            taken += u32::from(budget.withdraw());
        }
        // 70 s at 0.3 per second, less the token being earned.
        assert!((20..=21).contains(&taken), "{taken}");
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert_eq!((0..).take_while(|_| budget.withdraw()).count(), 2);
    }

    #[test]
    fn threads_never_overdraw() {
        let budget = Budget::new(BudgetConfig::new(0.1, 0.0, 10).unwrap());
        let (deposits, threads) = (20_000_u64, 4_u64);
        let taken: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let mut taken = 0_u64;
                        for _ in 0..deposits {
                            budget.deposit();
                            taken += u64::from(budget.withdraw());
                        }
                        taken
                    })
                })
                .collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert!(taken <= 10 + threads * deposits / 10, "{taken}");
        assert!(taken >= threads * deposits / 10 - 10, "{taken}");
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let field = |r, f, c| BudgetConfig::new(r, f, c).map_err(|e| e.field().to_owned());
        assert_eq!(field(1.1, 0.0, 1).unwrap_err(), "ratio");
        assert_eq!(field(f64::NAN, 0.0, 1).unwrap_err(), "ratio");
        assert_eq!(field(0.1, -1.0, 1).unwrap_err(), "floor_per_second");
        assert_eq!(field(0.1, f64::NAN, 1).unwrap_err(), "floor_per_second");
        assert_eq!(field(0.1, 0.0, 0).unwrap_err(), "capacity");
    }

    proptest! {
        #[test]
        fn what_is_taken_never_passes_what_was_earned(
            ratio in 0.0_f64..=1.0,
            capacity in 1_u32..50,
            steps in proptest::collection::vec(any::<bool>(), 1..400),
        ) {
            let budget = Budget::new(BudgetConfig::new(ratio, 0.0, capacity).unwrap());
            let (mut successes, mut taken) = (0_u32, 0_u32);
            for success in steps {
                if success { budget.deposit(); successes += 1 }
                else if budget.withdraw() { taken += 1 }
                prop_assert!(
                    f64::from(taken)
                        <= f64::from(capacity) + ratio * f64::from(successes) + 1e-6
                );
            }
        }
    }
}
