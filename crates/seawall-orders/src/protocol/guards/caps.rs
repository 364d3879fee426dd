//! How many orders, and of what value, may leave.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, getters, setters};

use crate::protocol::decimal::Decimal;

/// How many orders, and of what value, may leave. No cap is set by default.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::protocol::{Caps, Decimal, GuardRejection, GuardedOrder, Guards, Side};
///
/// let caps = Caps::builder()
///     .orders_per_minute(100)
///     .notional_per_order("25000".parse().unwrap())
///     .duplicate_within(Duration::from_secs(5))
///     .build()?;
/// let mut guards = Guards::new(caps);
/// let order = GuardedOrder {
///     symbol: Some("AAPL"),
///     side: Some(Side::Buy),
///     quantity: Some(Decimal::from(100)),
///     notional: Some(Decimal::from(19_000)),
///     intended_again: false,
/// };
/// let (now, day) = (Duration::ZERO, 20_786);
/// assert!(guards.admit(now, day, order).is_ok());
/// let age = Duration::from_secs(1);
/// let again = guards.admit(now + age, day, order).unwrap_err();
/// assert_eq!(again, GuardRejection::Duplicate { within: Duration::from_secs(5), age });
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Caps {
    orders_per_minute: Option<u32>,
    orders_per_day: Option<u32>,
    symbol_per_minute: Option<u32>,
    symbol_per_day: Option<u32>,
    notional_per_order: Option<Decimal>,
    notional_per_day: Option<Decimal>,
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    duplicate_within: Option<Duration>,
}

impl Caps {
    /// A builder without any cap.
    pub fn builder() -> CapsBuilder {
        CapsBuilder::default()
    }

    getters! {
        /// How many orders may leave in any minute.
        pub const fn orders_per_minute -> Option<u32>;
        /// How many orders may leave on a day.
        pub const fn orders_per_day -> Option<u32>;
        /// How many orders of one symbol may leave in any minute.
        pub const fn symbol_per_minute -> Option<u32>;
        /// How many orders of one symbol may leave on a day.
        pub const fn symbol_per_day -> Option<u32>;
        /// The highest value of an order.
        pub const fn notional_per_order -> Option<Decimal>;
        /// The highest value of all orders of a day.
        pub const fn notional_per_day -> Option<Decimal>;
        /// How long an order of the same symbol, side and quantity counts as a mistake.
        pub const fn duplicate_within -> Option<Duration>;
    }
}

/// Makes [`Caps`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CapsBuilder {
    caps: Caps,
}

impl CapsBuilder {
    setters! { self.caps:
        /// Sets how many orders may leave in any minute.
        pub const fn orders_per_minute(Some(u32));
        /// Sets how many orders may leave on a day.
        pub const fn orders_per_day(Some(u32));
        /// Sets how many orders of one symbol may leave in any minute.
        pub const fn symbol_per_minute(Some(u32));
        /// Sets how many orders of one symbol may leave on a day.
        pub const fn symbol_per_day(Some(u32));
        /// Sets the highest value of an order.
        pub const fn notional_per_order(Some(Decimal));
        /// Sets the highest value of all orders of a day, without regard to their side.
        pub const fn notional_per_day(Some(Decimal));
        /// Sets how long an order of the same symbol, side and quantity is rejected.
        pub const fn duplicate_within(Some(Duration));
    }

    /// The caps.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a cap that is zero or below: what lets nothing pass is a mode.
    pub fn build(self) -> Result<Caps, InvalidConfig> {
        let caps = self.caps;
        for (field, count) in [
            ("orders_per_minute", caps.orders_per_minute),
            ("orders_per_day", caps.orders_per_day),
            ("symbol_per_minute", caps.symbol_per_minute),
            ("symbol_per_day", caps.symbol_per_day),
        ] {
            NonZeroCount::check(field, count.unwrap_or(1))?;
        }
        for (field, value) in [
            ("notional_per_order", caps.notional_per_order),
            ("notional_per_day", caps.notional_per_day),
        ] {
            if let Some(value) = value.filter(|value| *value <= Decimal::ZERO) {
                return Err(InvalidConfig::new(field, value, "a value above 0"));
            }
        }
        if let Some(within) = caps.duplicate_within {
            NonZeroDuration::check("duplicate_within", within)?;
        }
        Ok(caps)
    }
}
