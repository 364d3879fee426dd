//! What a broker does with orders, beyond taking them.

use std::time::Duration;

use crate::provider::settings::InvalidSetting;

/// What a broker does with a second order of one client order id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// It returns the first order, as Coinbase Advanced does.
    ReturnFirst,
    /// It rejects the second one for this long after the first one, also when that is filled, as
    /// Interactive Brokers does for a day.
    RejectFor(Duration),
    /// It rejects the second one while the first one is open, and executes it afterwards, as
    /// Binance and Kraken do. Of little use for market orders, which are filled immediately.
    RejectWhileOpen,
    /// It executes the second one: the id is a label, as at Kite and Tradier.
    #[default]
    Accept,
}

/// How orders are filled over time, in pieces.
///
/// Without it market orders are filled immediately, and all others rest until they are cancelled.
///
/// ```
/// use std::time::Duration;
/// use seawall_sim::provider::{Broker, Fills};
///
/// // Filled within 50 ms in up to three pieces; a third of the limit orders is never filled.
/// let fills = Fills::new(Duration::from_millis(50), 3)?.resting(0.33)?;
/// let broker = Broker::alpaca().fills(fills);
/// # let _ = broker;
/// assert!(Fills::new(Duration::from_millis(50), 0).is_err());
/// # Ok::<(), seawall_sim::provider::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fills {
    pub(super) within: Duration,
    pub(super) pieces: u32,
    pub(super) resting: f64,
}

impl Fills {
    /// Every order is filled between 0 and `within` after it was accepted, in 1 to `pieces` pieces.
    /// A quantity that is not a whole number is filled in one.
    ///
    /// # Errors
    ///
    /// `pieces` is not 1 to 1000.
    pub fn new(within: Duration, pieces: u32) -> Result<Self, InvalidSetting> {
        if !(1..=1_000).contains(&pieces) {
            return Err(InvalidSetting::new("pieces", &pieces, "1 to 1000"));
        }
        let resting = 0.0;
        Ok(Self {
            within,
            pieces,
            resting,
        })
    }

    /// The share of the orders that are no market orders and are never filled; 0 without this.
    ///
    /// # Errors
    ///
    /// The share is not 0 to 1.
    pub fn resting(mut self, share: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidSetting::new("resting", &share, "0 to 1"));
        }
        self.resting = share;
        Ok(self)
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) duplicates: Duplicates,
    /// `None`: market orders immediately, others never.
    pub(crate) fills: Option<Fills>,
    pub(crate) visible_within: Duration,
    pub(crate) cancels_within: Duration,
}
