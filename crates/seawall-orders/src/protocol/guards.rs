//! The last guards before an order leaves: a kill switch, caps, and no order twice by mistake.

use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{InvalidConfig, getters, setters, state_words};

use super::decimal::Decimal;

const MINUTE: Duration = Duration::from_secs(60);

state_words! {
    /// Which way an order goes.
    pub enum Side {
        /// It buys.
        Buy = "buy",
        /// It sells.
        Sell = "sell",
    }
}

/// What the guards have to know of an order. A hook reads it from the request.
// Exhaustive: what the caps and the duplicate guard are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuardedOrder<'a> {
    /// The symbol.
    pub symbol: &'a str,
    /// The side.
    pub side: Side,
    /// The quantity.
    pub quantity: Decimal,
    /// Its value in the account's currency; `None` where the hook cannot know it.
    pub notional: Option<Decimal>,
    /// Whether the caller knows that it looks like an earlier one.
    pub intended_again: bool,
}

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
///     symbol: "AAPL",
///     side: Side::Buy,
///     quantity: Decimal::from(100),
///     notional: Some(Decimal::from(19_000)),
///     intended_again: false,
/// };
/// let (now, day) = (Duration::ZERO, 20_786);
/// assert!(guards.admit(now, day, order).is_ok());
/// let again = guards.admit(now + Duration::from_secs(1), day, order).unwrap_err();
/// assert_eq!(again, GuardRejection::Duplicate { age: Duration::from_secs(1) });
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    orders_per_minute: Option<u32>,
    orders_per_day: Option<u32>,
    symbol_per_minute: Option<u32>,
    symbol_per_day: Option<u32>,
    notional_per_order: Option<Decimal>,
    notional_per_day: Option<Decimal>,
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
    /// [`InvalidConfig`] for a cap that is zero or below: the kill switch lets nothing pass.
    pub fn build(self) -> Result<Caps, InvalidConfig> {
        let caps = self.caps;
        for (field, count) in [
            ("orders_per_minute", caps.orders_per_minute),
            ("orders_per_day", caps.orders_per_day),
            ("symbol_per_minute", caps.symbol_per_minute),
            ("symbol_per_day", caps.symbol_per_day),
        ] {
            if count == Some(0) {
                return Err(InvalidConfig::new(field, 0, "a whole number from 1"));
            }
        }
        for (field, value) in [
            ("notional_per_order", caps.notional_per_order),
            ("notional_per_day", caps.notional_per_day),
        ] {
            if let Some(value) = value.filter(|value| *value <= Decimal::ZERO) {
                return Err(InvalidConfig::new(field, value, "a value above 0"));
            }
        }
        if caps.duplicate_within == Some(Duration::ZERO) {
            return Err(InvalidConfig::new(
                "duplicate_within",
                "0s",
                "a time above 0s",
            ));
        }
        Ok(caps)
    }
}

/// Why a guard rejected an order.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardRejection {
    /// The kill switch is engaged.
    KillSwitch,
    /// As many orders as may leave in a minute have left.
    OrdersPerMinute {
        /// When the next one may leave.
        after: Duration,
    },
    /// As many orders as may leave on a day have left.
    OrdersPerDay,
    /// As many orders of the symbol as may leave in a minute have left.
    SymbolPerMinute {
        /// When the next one may leave.
        after: Duration,
    },
    /// As many orders of the symbol as may leave on a day have left.
    SymbolPerDay,
    /// The order is worth more than one may be.
    NotionalPerOrder(Decimal),
    /// With the order, those of the day are worth more than they may be: this much.
    NotionalPerDay(Decimal),
    /// There is a cap on the value, and the value is not known.
    NotionalUnknown,
    /// An order of the same symbol, side and quantity was admitted so long ago.
    Duplicate {
        /// How long ago.
        age: Duration,
    },
}

impl fmt::Display for GuardRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillSwitch => f.write_str("the kill switch is engaged"),
            Self::OrdersPerMinute { after } => {
                write!(
                    f,
                    "the orders of a minute are used up, the next may leave in {after:?}"
                )
            }
            Self::OrdersPerDay => f.write_str("the orders of the day are used up"),
            Self::SymbolPerMinute { after } => write!(
                f,
                "the orders of a minute for this symbol are used up, the next may leave in {after:?}"
            ),
            Self::SymbolPerDay => f.write_str("the orders of the day for this symbol are used up"),
            Self::NotionalPerOrder(value) => write!(f, "an order of {value} is worth too much"),
            Self::NotionalPerDay(value) => {
                write!(
                    f,
                    "the orders of the day would be worth {value}, which is too much"
                )
            }
            Self::NotionalUnknown => {
                f.write_str("the value of the order is not known, and there is a cap on it")
            }
            Self::Duplicate { age } => write!(
                f,
                "an order of the same symbol, side and quantity was sent {age:?} ago: mark it as intended"
            ),
        }?;
        f.write_str("; nothing was sent")
    }
}

impl StdError for GuardRejection {}

/// Orders that have left: those of the last minute, and those of the day.
#[derive(Clone, Debug, Default)]
struct Used {
    minute: VecDeque<Duration>,
    today: u32,
}

impl Used {
    /// When the next order may leave, if not now.
    fn wait(&mut self, now: Duration, cap: Option<u32>) -> Option<Duration> {
        while let Some(first) = self.minute.front()
            && now.saturating_sub(*first) >= MINUTE
        {
            self.minute.pop_front();
        }
        let over = cap.is_some_and(|cap| self.minute.len() >= cap as usize);
        let first = self.minute.front().filter(|_| over)?;
        Some((*first + MINUTE).saturating_sub(now))
    }

    fn is_spent(&self, cap: Option<u32>) -> bool {
        cap.is_some_and(|cap| self.today >= cap)
    }

    fn count(&mut self, now: Duration, remembers: bool) {
        self.today = self.today.saturating_add(1);
        if remembers {
            self.minute.push_back(now);
        }
    }

    fn give_back(&mut self, at: Duration) {
        self.today = self.today.saturating_sub(1);
        if let Some(place) = self.minute.iter().rposition(|time| *time == at) {
            self.minute.remove(place);
        }
    }
}

type Key = (Arc<str>, Side, Decimal);

/// What was admitted, to give it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    key: Key,
    at: Duration,
    day: u64,
    notional: Decimal,
}

/// The guards of one account. `now` is a duration since any moment that stays the same for the life
/// of the process, `day` a number that grows by one when the day of the account begins.
///
/// What is kept is bounded by the caps, the symbols, and the orders within `duplicate_within`. An order
/// of a known symbol is admitted without allocating, but where a table has to grow.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    caps: Caps,
    killed: bool,
    day: u64,
    all: Used,
    symbols: HashMap<Arc<str>, Used>,
    notional_today: Decimal,
    recent: HashMap<Key, Duration>,
    /// From how many entries on `recent` is looked through for old ones.
    sweep_at: usize,
}

impl Guards {
    /// Guards with these caps, the kill switch not engaged.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            ..Self::default()
        }
    }

    /// Engages or releases the kill switch. Returns whether that is a change: the driver then writes
    /// it durably, and sets it again after a restart before anything passes.
    pub const fn set_kill_switch(&mut self, engaged: bool) -> bool {
        let changed = self.killed != engaged;
        self.killed = engaged;
        changed
    }

    /// Whether the kill switch is engaged.
    pub const fn is_killed(&self) -> bool {
        self.killed
    }

    /// Counts an order that is about to leave.
    ///
    /// # Errors
    ///
    /// [`GuardRejection`]: it must not leave, and is not counted.
    pub fn admit(
        &mut self,
        now: Duration,
        day: u64,
        order: GuardedOrder<'_>,
    ) -> Result<Admitted, GuardRejection> {
        if self.killed {
            return Err(GuardRejection::KillSwitch);
        }
        self.begin_day(day);
        self.check(now, order)?;
        Ok(self.count(now, day, order))
    }

    /// Counts an order without a check: one that has left already, when a process starts.
    pub fn count(&mut self, now: Duration, day: u64, order: GuardedOrder<'_>) -> Admitted {
        self.begin_day(day);
        let key = self.key(order);
        let notional = order.notional.unwrap_or_default().abs();
        if day == self.day {
            self.all.count(now, self.caps.orders_per_minute.is_some());
            self.notional_today = self.notional_today + notional;
            let remembers = self.caps.symbol_per_minute.is_some();
            if let Some(used) = self.symbols.get_mut(order.symbol) {
                used.count(now, remembers);
            }
        }
        if let Some(within) = self.caps.duplicate_within {
            self.recent.insert(key.clone(), now);
            if self.recent.len() > self.sweep_at {
                self.recent.retain(|_, at| now.saturating_sub(*at) < within);
                self.sweep_at = (self.recent.len() * 2).max(64);
            }
        }
        Admitted {
            key,
            at: now,
            day,
            notional,
        }
    }

    /// Takes back what was counted for an order that was certainly not executed.
    pub fn give_back(&mut self, admitted: &Admitted) {
        if admitted.day == self.day {
            self.all.give_back(admitted.at);
            self.notional_today = self.notional_today - admitted.notional;
            if let Some(symbol) = self.symbols.get_mut(&admitted.key.0) {
                symbol.give_back(admitted.at);
            }
        }
        if self.recent.get(&admitted.key) == Some(&admitted.at) {
            self.recent.remove(&admitted.key);
        }
    }

    fn key(&mut self, order: GuardedOrder<'_>) -> Key {
        let symbol = match self.symbols.get_key_value(order.symbol) {
            Some((symbol, _)) => Arc::clone(symbol),
            None => {
                let symbol: Arc<str> = order.symbol.into();
                self.symbols.insert(Arc::clone(&symbol), Used::default());
                symbol
            }
        };
        (symbol, order.side, order.quantity)
    }

    /// A day that is over does not come back, whatever a clock says.
    fn begin_day(&mut self, day: u64) {
        if day <= self.day {
            return;
        }
        self.day = day;
        self.notional_today = Decimal::ZERO;
        self.all.today = 0;
        self.symbols.values_mut().for_each(|used| used.today = 0);
    }

    fn check(&mut self, now: Duration, order: GuardedOrder<'_>) -> Result<(), GuardRejection> {
        let caps = self.caps;
        if caps.notional_per_order.is_some() || caps.notional_per_day.is_some() {
            let value = order.notional.ok_or(GuardRejection::NotionalUnknown)?.abs();
            if caps.notional_per_order.is_some_and(|cap| value > cap) {
                return Err(GuardRejection::NotionalPerOrder(value));
            }
            let sum = self.notional_today + value;
            if caps.notional_per_day.is_some_and(|cap| sum > cap) {
                return Err(GuardRejection::NotionalPerDay(sum));
            }
        }
        if let Some(after) = self.all.wait(now, caps.orders_per_minute) {
            return Err(GuardRejection::OrdersPerMinute { after });
        }
        if self.all.is_spent(caps.orders_per_day) {
            return Err(GuardRejection::OrdersPerDay);
        }
        if let Some(symbol) = self.symbols.get_mut(order.symbol) {
            if let Some(after) = symbol.wait(now, caps.symbol_per_minute) {
                return Err(GuardRejection::SymbolPerMinute { after });
            }
            if symbol.is_spent(caps.symbol_per_day) {
                return Err(GuardRejection::SymbolPerDay);
            }
        }
        if let Some(within) = caps.duplicate_within
            && !order.intended_again
        {
            let key = self.key(order);
            let age = self.recent.get(&key).map(|at| now.saturating_sub(*at));
            if let Some(age) = age.filter(|age| *age < within) {
                return Err(GuardRejection::Duplicate { age });
            }
        }
        Ok(())
    }
}
