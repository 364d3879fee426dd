//! The last guards before an order leaves: caps, and no order twice by mistake.

mod caps;
mod rejection;
mod used;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{getters, state_words};

use super::decimal::Decimal;
pub use caps::{Caps, CapsBuilder};
pub use rejection::GuardRejection;
use used::{MINUTE, Used};

/// The most symbols that are counted one by one.
const MAX_SYMBOLS: usize = 65_536;
/// What stands for all symbols beyond that. No symbol is empty.
const OTHERS: &str = "";

state_words! {
    /// Which way an order goes.
    pub enum Side {
        /// It buys.
        Buy = "buy",
        /// It sells.
        Sell = "sell",
    }
}

/// What the guards have to know of an order.
// Exhaustive: what the caps and the duplicate guard are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GuardedOrder<'a> {
    /// The symbol. Without one only the caps for all orders apply.
    pub symbol: Option<&'a str>,
    /// The side.
    pub side: Option<Side>,
    /// The quantity. An order without symbol, side or quantity is not compared with others.
    pub quantity: Option<Decimal>,
    /// Its value in the account's currency; `None` where it is not known.
    pub notional: Option<Decimal>,
    /// Whether the caller knows that it looks like an earlier one.
    pub intended_again: bool,
}

impl<'a> GuardedOrder<'a> {
    fn symbol(&self) -> Option<&'a str> {
        self.symbol.filter(|symbol| *symbol != OTHERS)
    }
}

type Key = (Arc<str>, Side, Decimal);

/// The last order of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recent {
    at: Duration,
    number: u64,
}

/// When an order left.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    in_minute: bool,
    day: u64,
}

/// The number of a recent order, and the one before it of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    number: u64,
    before: Option<Recent>,
}

#[derive(Debug)]
struct Counted {
    name: Arc<str>,
    used: Used,
}

/// What was admitted, to give it back.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    at: Duration,
    day: u64,
    notional: Decimal,
    /// Where it was counted beside all orders.
    symbol: Option<Arc<str>>,
    recent: Option<(Key, Remembered)>,
}

/// What the orders of a symbol have used.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SymbolUse {
    /// The symbol; empty for all those together that are not counted one by one.
    pub symbol: Box<str>,
    /// Orders in the last minute.
    pub minute: usize,
    /// Orders on this day.
    pub today: u32,
}

/// What is used of the caps.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GuardUse {
    /// The day.
    pub day: u64,
    /// Orders in the last minute.
    pub minute: usize,
    /// Orders on this day.
    pub today: u32,
    /// What the orders of this day are worth, without regard to their side.
    pub notional_today: Decimal,
    /// How many orders a new one is compared with.
    pub recent: usize,
    /// How many symbols are counted.
    pub symbols: usize,
    /// Those of most orders on this day, at most 32, the most first.
    pub busiest: Vec<SymbolUse>,
}

/// The guards of one account. `now` is a duration since any moment that stays the same for the life
/// of the process, `day` a number that grows by one when the day of the account begins.
///
/// What is counted does not depend on the caps, so that a cap that is set later knows the orders before.
/// Only the duplicate guard begins when it is set.
///
/// What is kept is bounded: the orders of the last minute, 65,536 symbols, and the orders within
/// `duplicate_within`. Symbols beyond that are counted together, as if they were one. An order of a known
/// symbol is admitted without allocating, but where a table has to grow.
#[derive(Debug, Default)]
pub struct Guards {
    caps: Caps,
    day: u64,
    number: u64,
    all: Used,
    symbols: HashMap<Arc<str>, Counted>,
    /// From how many entries on `symbols` is looked through for old ones.
    sweep_symbols_at: usize,
    notional_today: Decimal,
    recent: HashMap<Key, Recent>,
    /// From how many entries on `recent` is looked through for old ones.
    sweep_at: usize,
}

impl Guards {
    /// Guards with these caps.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            ..Self::default()
        }
    }

    getters! {
        /// The caps.
        pub const fn caps -> Caps;
    }

    /// Sets other caps. What was counted stays.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
        if caps.duplicate_within().is_none() {
            self.recent = HashMap::new();
        }
    }

    /// Counts an order that is about to leave.
    ///
    /// A day that is over does not come back, whatever a clock says: orders of an earlier day count for
    /// the latest one.
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
        self.begin_day(now, day);
        self.check(now, order)?;
        let symbol = match order.symbol() {
            Some(symbol) => Some(self.check_symbol(now, symbol)?),
            None => None,
        };
        let moment = Moment {
            at: now,
            in_minute: true,
            day: self.day,
        };
        let within = self.caps.duplicate_within();
        let recent = match within.and_then(|_| key(&order, symbol.as_ref())) {
            Some(key) => {
                let within = within.filter(|_| !order.intended_again);
                Some(self.remember(key, now, now, within)?)
            }
            None => None,
        };
        Ok(self.count(now, moment, order, symbol, recent))
    }

    /// Counts an order that has left already, so long ago, on that day: one of an earlier process.
    pub fn restore(
        &mut self,
        now: Duration,
        age: Duration,
        day: u64,
        order: GuardedOrder<'_>,
    ) -> Admitted {
        self.begin_day(now, day);
        let moment = Moment {
            at: now.saturating_sub(age),
            in_minute: age < MINUTE,
            day,
        };
        let symbol = order.symbol().map(|symbol| self.shared(symbol));
        let within = self.caps.duplicate_within();
        let key = within
            .filter(|within| age < *within)
            .and_then(|_| key(&order, symbol.as_ref()));
        let recent = key.and_then(|key| self.remember(key, now, moment.at, None).ok());
        let counted = moment.in_minute || day == self.day;
        self.count(now, moment, order, symbol.filter(|_| counted), recent)
    }

    /// Takes back what was counted for an order that was certainly not executed.
    pub fn give_back(&mut self, admitted: &Admitted) {
        let is_today = admitted.day == self.day;
        self.all.give_back(admitted.at, is_today);
        if is_today {
            self.notional_today = self.notional_today - admitted.notional;
        }
        let symbol = admitted.symbol.as_ref();
        if let Some(symbol) = symbol.and_then(|symbol| self.symbols.get_mut(symbol)) {
            symbol.used.give_back(admitted.at, is_today);
        }
        if let Some((key, remembered)) = &admitted.recent
            && let Some(last) = self.recent.get_mut(key)
            && last.number == remembered.number
        {
            match remembered.before {
                Some(before) => *last = before,
                None => drop(self.recent.remove(key)),
            }
        }
    }

    /// What is used of the caps.
    pub fn used(&self, now: Duration) -> GuardUse {
        let mut busiest: Vec<_> = self.symbols.values().collect();
        busiest.sort_by(|a, b| {
            let more = b.used.today.cmp(&a.used.today);
            more.then_with(|| a.name.cmp(&b.name))
        });
        busiest.truncate(32);
        let busiest = busiest.into_iter().map(|Counted { name, used }| SymbolUse {
            symbol: (**name).into(),
            minute: used.in_minute(now),
            today: used.today,
        });
        let within = self.caps.duplicate_within().unwrap_or_default();
        let counts = |last: &&Recent| now.saturating_sub(last.at) < within;
        GuardUse {
            day: self.day,
            minute: self.all.in_minute(now),
            today: self.all.today,
            notional_today: self.notional_today,
            recent: self.recent.values().filter(counts).count(),
            symbols: self.symbols.len(),
            busiest: busiest.collect(),
        }
    }

    fn begin_day(&mut self, now: Duration, day: u64) {
        if day <= self.day {
            return;
        }
        self.day = day;
        self.notional_today = Decimal::ZERO;
        self.all.today = 0;
        self.symbols.values_mut().for_each(|of| of.used.today = 0);
        self.sweep_symbols(now);
    }

    fn sweep_symbols(&mut self, now: Duration) {
        self.symbols.retain(|_, of| !of.used.is_over(now));
        self.sweep_symbols_at = (self.symbols.len() * 2).clamp(64, MAX_SYMBOLS - 1);
    }

    fn check(&mut self, now: Duration, order: GuardedOrder<'_>) -> Result<(), GuardRejection> {
        let caps = self.caps;
        if caps.notional_per_order().is_some() || caps.notional_per_day().is_some() {
            let value = order.notional.ok_or(GuardRejection::NotionalUnknown)?.abs();
            if let Some(cap) = caps.notional_per_order().filter(|cap| value > *cap) {
                return Err(GuardRejection::NotionalPerOrder { cap, value });
            }
            let value = self.notional_today + value;
            if let Some(cap) = caps.notional_per_day().filter(|cap| value > *cap) {
                return Err(GuardRejection::NotionalPerDay { cap, value });
            }
        }
        if let Some((cap, after)) = self.all.wait(now, caps.orders_per_minute()) {
            return Err(GuardRejection::OrdersPerMinute { cap, after });
        }
        if let Some(cap) = self.all.spent(caps.orders_per_day()) {
            return Err(GuardRejection::OrdersPerDay { cap });
        }
        Ok(())
    }

    /// Where orders of a symbol are counted, if one more may leave.
    fn check_symbol(&mut self, now: Duration, symbol: &str) -> Result<Arc<str>, GuardRejection> {
        let (caps, place) = (self.caps, self.place(symbol));
        let Some(Counted { name, used }) = self.symbols.get_mut(place) else {
            return Ok(place.into());
        };
        if let Some((cap, after)) = used.wait(now, caps.symbol_per_minute()) {
            return Err(GuardRejection::SymbolPerMinute { cap, after });
        }
        if let Some(cap) = used.spent(caps.symbol_per_day()) {
            return Err(GuardRejection::SymbolPerDay { cap });
        }
        Ok(Arc::clone(name))
    }

    fn count(
        &mut self,
        now: Duration,
        moment: Moment,
        order: GuardedOrder<'_>,
        symbol: Option<Arc<str>>,
        recent: Option<(Key, Remembered)>,
    ) -> Admitted {
        let is_today = moment.day == self.day;
        let notional = order.notional.unwrap_or_default().abs();
        self.all.count(moment.at, moment.in_minute, is_today);
        if is_today {
            self.notional_today = self.notional_today + notional;
        }
        if let Some(symbol) = &symbol {
            match self.symbols.get_mut(symbol) {
                Some(of) => of.used.count(moment.at, moment.in_minute, is_today),
                None => self.count_first(now, moment, symbol),
            }
        }
        Admitted {
            at: moment.at,
            day: moment.day,
            notional,
            symbol,
            recent,
        }
    }

    /// Counts an order of a symbol that is not known.
    fn count_first(&mut self, now: Duration, moment: Moment, symbol: &Arc<str>) {
        if self.symbols.len() >= self.sweep_symbols_at {
            self.sweep_symbols(now);
        }
        let (name, mut used) = (Arc::clone(symbol), Used::default());
        used.count(moment.at, moment.in_minute, moment.day == self.day);
        let of = Counted { name, used };
        self.symbols.insert(Arc::clone(symbol), of);
    }

    /// Under which symbol an order of `symbol` is counted.
    fn place<'a>(&self, symbol: &'a str) -> &'a str {
        if self.symbols.len() < MAX_SYMBOLS || self.symbols.contains_key(symbol) {
            symbol
        } else {
            OTHERS
        }
    }

    fn shared(&self, symbol: &str) -> Arc<str> {
        let place = self.place(symbol);
        let known = self.symbols.get(place);
        known.map_or_else(|| place.into(), |of| Arc::clone(&of.name))
    }

    /// Keeps the last order of a key, unless the one before is not older than `within`.
    fn remember(
        &mut self,
        key: Key,
        now: Duration,
        at: Duration,
        within: Option<Duration>,
    ) -> Result<(Key, Remembered), GuardRejection> {
        if self.recent.len() >= self.sweep_at {
            let within = self.caps.duplicate_within().unwrap_or_default();
            self.recent
                .retain(|_, last| now.saturating_sub(last.at) < within);
            self.sweep_at = (self.recent.len() * 2).max(64);
        }
        self.number += 1;
        let number = self.number;
        let order = Recent { at, number };
        let mut before = None;
        match self.recent.entry(key.clone()) {
            Entry::Vacant(free) => drop(free.insert(order)),
            Entry::Occupied(mut last) => {
                let age = now.saturating_sub(last.get().at);
                if let Some(within) = within.filter(|within| age < *within) {
                    return Err(GuardRejection::Duplicate { within, age });
                }
                before = Some(*last.get());
                if last.get().at <= at {
                    last.insert(order);
                }
            }
        }
        Ok((key, Remembered { number, before }))
    }
}

/// What distinguishes an order from others, if that is known.
fn key(order: &GuardedOrder<'_>, shared: Option<&Arc<str>>) -> Option<Key> {
    let (symbol, side, quantity) = (order.symbol()?, order.side?, order.quantity?);
    // One that is counted with others is distinguished nevertheless.
    let shared = shared.filter(|shared| ***shared == *symbol);
    let symbol = shared.map_or_else(|| symbol.into(), Arc::clone);
    Some((symbol, side, quantity))
}
