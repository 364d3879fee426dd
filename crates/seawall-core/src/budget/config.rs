//! What a budget is made of.

use std::time::Duration;

use crate::{FailureKind, InvalidConfig, Outcome, Ratio, Span};

/// Trillionths of a token: every ratio of up to twelve digits is a whole number of them, and a
/// million tokens fit into a word.
pub(super) const TOKEN: u64 = 1_000_000_000_000;

const FREE_OF_CHARGE: &str = "none for a token throttle, where attempts cost nothing";

/// Why an extra attempt is made; a budget may have a price for each.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CostClass {
    /// The upstream failed, or was not reached. A hedge is charged so, too.
    #[default]
    Transient,
    /// It timed out: what the upstream did for it was wasted.
    Timeout,
    /// The upstream asked for fewer requests.
    Throttled,
}

impl CostClass {
    /// What another attempt after such an outcome is charged as.
    pub const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Throttled { .. } | Outcome::QuotaExhausted { .. } => Self::Throttled,
            Outcome::Failure(FailureKind::Timeout) | Outcome::Unknown => Self::Timeout,
            _ => Self::Transient,
        }
    }
}

/// How a budget keeps what it has earned.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keeping {
    /// Up to so many tokens, without a time limit.
    Bucket { capacity: u32 },
    /// For so long.
    Window { length: Duration },
    /// Up to so many tokens; nothing is taken while more than half of them are there.
    Throttle { max: u32 },
}

/// What a budget is made of.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{BudgetConfig, CostClass};
///
/// // One extra attempt per ten successes and two per second, forty saved up; throttles are cheap.
/// let bucket = BudgetConfig::new(0.1, 2.0, 40)?.with_price(CostClass::Throttled, 0.5)?;
/// assert_eq!(bucket.price(CostClass::Transient), 1.0);
///
/// let rejected = BudgetConfig::windowed(0.1, 2.0, Duration::ZERO).unwrap_err();
/// assert_eq!(rejected.to_string(), "`window` is 0s, accepted is 100ms to 1h");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetConfig {
    ratio: Ratio,
    floor_per_second: f64,
    keeping: Keeping,
    /// Trillionths of a token.
    prices: Prices,
    /// Whether a retry that succeeds gets its price back.
    refund_on_success: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Prices {
    transient: u64,
    timeout: u64,
    throttled: u64,
}

impl BudgetConfig {
    /// A budget of `ratio` tokens per success plus `floor_per_second` tokens per second whatever
    /// the successes, of which at most `capacity` are saved up. An extra attempt costs one token
    /// unless a [price](Self::with_price) is set.
    ///
    /// Ratio and floor count in whole trillionths; what is below one is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `ratio` is outside of 0 to 1, when `floor_per_second` is negative,
    /// NaN or over a million, or when `capacity` is 0 or over a million.
    pub fn new(ratio: f64, floor_per_second: f64, capacity: u32) -> Result<Self, InvalidConfig> {
        if !(1..=1_000_000).contains(&capacity) {
            return Err(InvalidConfig::new(
                "capacity",
                capacity,
                "a whole number from 1 to 1000000",
            ));
        }
        Self::keeping(ratio, floor_per_second, Keeping::Bucket { capacity })
    }

    /// A budget of `ratio` tokens per success plus `floor_per_second` tokens per second, of which
    /// those of the last `window` count: what was earned or spent before is forgotten.
    ///
    /// It follows the traffic: a burst of extra attempts may be as large as the ratio of all
    /// successes in the window, and what was saved up in a good hour is not left for a bad one.
    /// The floor's tokens are there at once, all of a window's; with a floor of 0 there is nothing
    /// to spend before the first success. Time counts in tenths of the window.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `ratio` is outside of 0 to 1, when `floor_per_second` is negative,
    /// NaN or over a million, or when `window` is shorter than 100 ms or longer than an hour.
    pub fn windowed(
        ratio: f64,
        floor_per_second: f64,
        window: Duration,
    ) -> Result<Self, InvalidConfig> {
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&window) {
            return Err(InvalidConfig::new("window", Span(window), "100ms to 1h"));
        }
        Self::keeping(ratio, floor_per_second, Keeping::Window { length: window })
    }

    /// The retry quota of the AWS SDKs (standard mode of 2026): 500 units saved up, one earned per
    /// success, 14 for an extra attempt and 5 for one after a throttle. Here a unit is a token.
    ///
    /// As in the SDKs, a retry that succeeds gets its price back in place of the one unit
    /// ([`with_refund_on_success`](Self::with_refund_on_success)). Source: AWS SDKs and Tools
    /// Reference Guide, "Retry behavior", and the standard retry strategy of `smithy-rs`.
    pub const fn aws() -> Self {
        Self {
            ratio: Ratio::ONE,
            floor_per_second: 0.0,
            keeping: Keeping::Bucket { capacity: 500 },
            prices: Prices {
                transient: 14 * TOKEN,
                timeout: 14 * TOKEN,
                throttled: 5 * TOKEN,
            },
            refund_on_success: true,
        }
    }

    /// The retry throttle of gRPC: it starts with `max_tokens`, each failed attempt takes one, each
    /// success adds `token_ratio`, and extra attempts are made only while more than half of the
    /// tokens are there. An extra attempt itself costs nothing.
    ///
    /// So with 10 tokens and a ratio of 0.1, five failures more than a tenth of the successes stop
    /// all retries and hedges. Failures that this layer does not retry count as well; rejections of
    /// layers below do not. Source: gRFC A6, "Client Retries", section "Throttling Retry Attempts
    /// and Hedged RPCs" (`retryThrottling` of a service config); gRPC has one per server name, so
    /// share one [`Budget`](crate::Budget) among the layers of an upstream.
    ///
    /// The ratio counts in thousandths, as in gRPC; what is below one is dropped.
    ///
    /// ```
    /// use seawall_core::{Budget, BudgetConfig};
    ///
    /// let throttle = Budget::new(BudgetConfig::token_throttle(4, 0.5)?);
    /// throttle.record_failure();
    /// assert!(throttle.withdraw(), "three of four are more than half");
    /// throttle.record_failure();
    /// assert!(!throttle.withdraw());
    /// throttle.deposit();
    /// assert!(throttle.withdraw(), "two and a half");
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_tokens` is not 1 to 1000, or `token_ratio` not 0.001 to 1.
    pub fn token_throttle(max_tokens: u32, token_ratio: f64) -> Result<Self, InvalidConfig> {
        if !(1..=1_000).contains(&max_tokens) {
            return Err(InvalidConfig::new(
                "max_tokens",
                max_tokens,
                "a whole number from 1 to 1000",
            ));
        }
        if !(1e-3..=1.0).contains(&token_ratio) {
            return Err(InvalidConfig::new(
                "token_ratio",
                token_ratio,
                "a number from 0.001 to 1",
            ));
        }
        // Rounded down, but for the error of the representation: 0.007 is seven thousandths.
        let ratio = (token_ratio * 1e3 + 1e-9).floor() / 1e3;
        Self::keeping(ratio, 0.0, Keeping::Throttle { max: max_tokens })
    }

    fn keeping(ratio: f64, floor: f64, keeping: Keeping) -> Result<Self, InvalidConfig> {
        if !(0.0..=1e6).contains(&floor) {
            return Err(InvalidConfig::new(
                "floor_per_second",
                floor,
                "a number from 0 to 1000000",
            ));
        }
        Ok(Self {
            ratio: Ratio::new(ratio).map_err(|e| e.in_field("ratio"))?,
            floor_per_second: floor,
            keeping,
            prices: Prices {
                transient: TOKEN,
                timeout: TOKEN,
                throttled: TOKEN,
            },
            refund_on_success: false,
        })
    }

    /// Sets the price of an extra attempt that is charged so, in tokens; 1 unless set. A price
    /// above what can be saved up forbids such attempts.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `tokens` is NaN, below 0.001 or over a million, and for a
    /// [token throttle](Self::token_throttle), where attempts cost nothing.
    pub fn with_price(mut self, charge: CostClass, tokens: f64) -> Result<Self, InvalidConfig> {
        if self.is_throttle() {
            return Err(InvalidConfig::new("price", tokens, FREE_OF_CHARGE));
        }
        if !(1e-3..=1e6).contains(&tokens) {
            return Err(InvalidConfig::new(
                "price",
                tokens,
                "a number from 0.001 to 1000000",
            ));
        }
        *match charge {
            CostClass::Transient => &mut self.prices.transient,
            CostClass::Timeout => &mut self.prices.timeout,
            CostClass::Throttled => &mut self.prices.throttled,
        } = units(tokens);
        Ok(self)
    }

    /// Sets whether a retry that succeeds gets its price back, in place of what a first attempt
    /// earns by its success; it does not unless set, and does with [`aws`](Self::aws).
    ///
    /// Then only retries that failed are paid for: an upstream that recovers may be retried at full
    /// rate at once. A hedge that wins gets nothing back, since it did cost the upstream a request
    /// more than was needed.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is `true` for a [token throttle](Self::token_throttle), where
    /// attempts cost nothing.
    pub fn with_refund_on_success(mut self, refund: bool) -> Result<Self, InvalidConfig> {
        if refund && self.is_throttle() {
            return Err(InvalidConfig::new(
                "refund_on_success",
                refund,
                FREE_OF_CHARGE,
            ));
        }
        self.refund_on_success = refund;
        Ok(self)
    }

    /// Whether a retry that succeeds gets its price back.
    pub const fn refund_on_success(&self) -> bool {
        self.refund_on_success
    }

    /// Tokens per success; extra attempts per success at a price of one.
    pub const fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// Tokens per second whatever the successes.
    pub const fn floor_per_second(&self) -> f64 {
        self.floor_per_second
    }

    /// The most tokens that are saved up without a success: the capacity of a bucket, the floor's
    /// whole tokens of a window, all tokens of a throttle.
    pub const fn capacity(&self) -> u32 {
        match self.keeping {
            Keeping::Bucket { capacity } | Keeping::Throttle { max: capacity } => capacity,
            Keeping::Window { length } => (self.floor_per_second * length.as_secs_f64()) as u32,
        }
    }

    /// How long a windowed budget remembers; `None` for the others.
    pub const fn window(&self) -> Option<Duration> {
        match self.keeping {
            Keeping::Bucket { .. } | Keeping::Throttle { .. } => None,
            Keeping::Window { length } => Some(length),
        }
    }

    /// Whether it is a [token throttle](Self::token_throttle).
    pub const fn is_throttle(&self) -> bool {
        matches!(self.keeping, Keeping::Throttle { .. })
    }

    /// The price of an extra attempt that is charged so, in tokens; 0 for a throttle.
    pub const fn price(&self, charge: CostClass) -> f64 {
        if self.is_throttle() {
            return 0.0;
        }
        self.price_units(charge) as f64 / TOKEN as f64
    }

    pub(super) const fn price_units(&self, charge: CostClass) -> u64 {
        match charge {
            CostClass::Transient => self.prices.transient,
            CostClass::Timeout => self.prices.timeout,
            CostClass::Throttled => self.prices.throttled,
        }
    }

    pub(super) fn units_per_success(&self) -> u64 {
        units(self.ratio.get())
    }

    pub(super) fn units_per_second(&self) -> u64 {
        units(self.floor_per_second)
    }
}

impl Default for BudgetConfig {
    /// One extra attempt per five successes, one per second as a floor, twenty saved up.
    fn default() -> Self {
        Self {
            ratio: Ratio::new(0.2).unwrap_or(Ratio::ZERO),
            floor_per_second: 1.0,
            keeping: Keeping::Bucket { capacity: 20 },
            prices: Prices {
                transient: TOKEN,
                timeout: TOKEN,
                throttled: TOKEN,
            },
            refund_on_success: false,
        }
    }
}

/// Trillionths of a token.
pub(super) fn units(tokens: f64) -> u64 {
    // Between 0 and 10^18 by the checks of the constructors. Rounded down, but for the error of
    // the representation: 0.7 is 700,000,000,000 trillionths.
    (tokens * TOKEN as f64 + 1e-3).floor() as u64
}
