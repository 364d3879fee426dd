//! One budget for extra attempts, shared by retry and hedge and by several services.

mod bucket;
mod config;
mod display;
mod handle;
mod sync;
#[cfg(test)]
mod tests;
mod throttle;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Clock, ns};
use bucket::Bucket;
use config::TOKEN;
pub use config::{BudgetConfig, CostClass};
pub use handle::{BudgetHandle, ForeignBudget, Withdrawal};
use throttle::TokenThrottle;
use window::{SLICES, Window};

/// A budget that pays for extra attempts: successes and time fill it, each extra attempt takes
/// its price, one token unless set otherwise. Clones share the tokens.
///
/// Ask it before the wait, not after it: who gets nothing can answer at once.
///
/// # A capped bucket ([`BudgetConfig::new`])
///
/// It starts full. In any stretch of time the tokens taken are at most
/// `capacity + ratio * successes + floor_per_second * seconds`, exactly, also under contention.
/// A deposit into a full bucket is one load, and no deposit reads the clock. What was saved up
/// stays: a good hour pays for `capacity` extra attempts in a bad second.
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
///
/// # A window ([`BudgetConfig::windowed`])
///
/// What counts is the last window, in ten slices: the tokens taken in it are at most
/// `ratio * successes + floor_per_second * window`. Over all its time, they are at most
/// `ratio * successes + floor_per_second * (seconds + window)`. A deposit reads the clock and
/// counts in one word, without a lock; a withdrawal takes a short one. After Finagle's
/// `RetryBudget`, which Tower's `TpsBudget` follows too.
///
/// # A token throttle ([`BudgetConfig::token_throttle`])
///
/// Failures close it and successes open it again; extra attempts are free while it is open. After
/// the retry throttling of gRPC (gRFC A6).
///
/// # Prices
///
/// [`CostClass`] says why an attempt is made, and [`BudgetConfig::with_price`] what it costs then:
/// an attempt that will time out costs the upstream more than one that it turns away. The idea is
/// that of the retry quota of the AWS SDKs ([`BudgetConfig::aws`]).
///
/// ```
/// use seawall_core::{Budget, BudgetConfig, CostClass};
///
/// let quota = Budget::new(BudgetConfig::aws());
/// let outage = (0..1_000).filter(|_| quota.withdraw()).count();
/// assert_eq!(outage, 500 / 14);
/// assert!(quota.withdraw_for(CostClass::Throttled), "the 10 that are left pay for two of these");
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: BudgetConfig,
    clock: Clock,
    tokens: Tokens,
    granted: AtomicU64,
    rejected: AtomicU64,
    refunded: AtomicU64,
}

#[derive(Debug)]
enum Tokens {
    Bucket(Bucket),
    /// Boxed: ten slices would make every bucket as large.
    Window(Box<Window>),
    Throttle(TokenThrottle),
}

impl Budget {
    /// A bucket or a throttle that is full, or a window without a past.
    pub fn new(config: BudgetConfig) -> Self {
        let (per_success, per_second) = (config.units_per_success(), config.units_per_second());
        let cap = u64::from(config.capacity()) * TOKEN;
        let tokens = match config.window() {
            None if config.is_throttle() => Tokens::Throttle(TokenThrottle::new(per_success, cap)),
            None => Tokens::Bucket(Bucket::new(per_success, per_second, cap)),
            Some(window) => {
                let reserve = u128::from(per_second) * window.as_nanos() / 1_000_000_000;
                let slice = ns(window) / SLICES as u64;
                Tokens::Window(Box::new(Window::new(per_success, reserve, slice)))
            }
        };
        Self {
            shared: Arc::new(Shared {
                config,
                clock: Clock::start(),
                tokens,
                granted: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
                refunded: AtomicU64::new(0),
            }),
        }
    }

    /// Counts a success.
    #[inline]
    pub fn deposit(&self) {
        match &self.shared.tokens {
            Tokens::Bucket(bucket) => bucket.deposit(),
            tokens => self.deposit_elsewhere(tokens),
        }
    }

    // Apart, so that the usual deposit is short enough to be inlined.
    #[inline(never)]
    fn deposit_elsewhere(&self, tokens: &Tokens) {
        match tokens {
            Tokens::Bucket(_) => {}
            Tokens::Window(window) => window.deposit(|| self.shared.clock.now()),
            Tokens::Throttle(throttle) => throttle.deposit(),
        }
    }

    /// Counts an attempt that failed. Only a [token throttle](BudgetConfig::token_throttle) takes
    /// note: the others are charged for extra attempts instead.
    pub fn record_failure(&self) {
        if let Tokens::Throttle(throttle) = &self.shared.tokens {
            throttle.record_failure();
        }
    }

    /// Takes the price of an extra attempt after a transient failure; `false` when there is not
    /// enough.
    pub fn withdraw(&self) -> bool {
        self.withdraw_for(CostClass::Transient)
    }

    /// Takes the price of an extra attempt; `false`, and nothing is taken, when there is not
    /// enough.
    pub fn withdraw_for(&self, charge: CostClass) -> bool {
        let shared = &*self.shared;
        let price = shared.config.price_units(charge);
        let now = || shared.clock.now();
        let taken = match &shared.tokens {
            Tokens::Bucket(bucket) => bucket.withdraw(price, now),
            Tokens::Window(window) => window.withdraw(price, now),
            Tokens::Throttle(throttle) => throttle.allows(),
        };
        let counter = if taken {
            &shared.granted
        } else {
            &shared.rejected
        };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// Gives back what [`withdraw`](Self::withdraw) took for an attempt which was not made.
    pub fn refund(&self) {
        self.refund_for(CostClass::Transient);
    }

    /// Gives back what [`withdraw_for`](Self::withdraw_for) took, with the same charge. A window
    /// that has forgotten the withdrawal gets nothing back, and a token throttle has taken nothing.
    pub fn refund_for(&self, charge: CostClass) {
        let shared = &*self.shared;
        let price = shared.config.price_units(charge);
        match &shared.tokens {
            Tokens::Bucket(bucket) => {
                bucket.add(price);
            }
            Tokens::Window(window) => window.refund(price, || shared.clock.now()),
            // Nothing was taken.
            Tokens::Throttle(_) => return,
        }
        shared.refunded.fetch_add(1, Ordering::Relaxed);
    }

    /// Whole and partial tokens that can be taken now.
    pub fn balance(&self) -> f64 {
        let shared = &*self.shared;
        let now = || shared.clock.now();
        let units = match &shared.tokens {
            Tokens::Bucket(bucket) => u128::from(bucket.balance(now)),
            Tokens::Window(window) => window.balance(now),
            Tokens::Throttle(throttle) => u128::from(throttle.balance()),
        };
        units as f64 / TOKEN as f64
    }

    /// Whether there is less than one token, or a token throttle is closed.
    pub fn is_exhausted(&self) -> bool {
        match &self.shared.tokens {
            Tokens::Throttle(throttle) => !throttle.allows(),
            Tokens::Bucket(_) | Tokens::Window(_) => self.balance() < 1.0,
        }
    }

    /// How many withdrawals were granted so far, those that were refunded later included.
    pub fn granted(&self) -> u64 {
        self.shared.granted.load(Ordering::Relaxed)
    }

    /// How many withdrawals were rejected so far.
    pub fn rejected(&self) -> u64 {
        self.shared.rejected.load(Ordering::Relaxed)
    }

    /// How many withdrawals were given back so far.
    pub fn refunded(&self) -> u64 {
        self.shared.refunded.load(Ordering::Relaxed)
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
