//! The orders, and what becomes of them over time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::request::{Change, NewOrder};
use super::rules::{Duplicates, Rules};
use crate::incident::SplitMix64;
use crate::provider::call::Moment;
use crate::provider::price;
use crate::provider::stats::{Order, OrderStatus};
use crate::provider::text::uuid;

/// An order with what only the broker knows. Times are counted from the start of the book.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) order: Order,
    pub(super) time_in_force: String,
    pub(super) limit_price: Option<f64>,
    /// Another one for each order, so that lists can be paged by it.
    pub(super) submitted: Duration,
    pub(super) updated: Duration,
    /// When queries show it.
    visible: Duration,
}

impl Entry {
    pub(super) fn is_visible(&self, now: Duration) -> bool {
        self.visible <= now
    }
}

/// A quantity that was traded.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) id: String,
    /// The index of its order.
    pub(super) order: usize,
    pub(super) qty: f64,
    pub(super) price: f64,
    /// What of the order was filled with this.
    pub(super) filled: f64,
    pub(super) at: Duration,
}

/// What will become of an order, unless it is closed before.
#[derive(Debug, Clone, Copy)]
enum Due {
    Fill(f64),
    Cancel,
}

/// Why an order is not taken or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// The client order id belongs to another order.
    IdTaken,
    /// There is no such order.
    Unknown,
    /// The order is not open.
    Closed(OrderStatus),
    /// No more is asked for than was filled.
    AlreadyFilled,
}

/// The index of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    New(usize),
    /// The first order of the same client order id, in place of another one.
    First(usize),
}

#[derive(Debug)]
pub(super) struct Book {
    seed: u64,
    rules: Rules,
    pub(super) entries: Vec<Entry>,
    pub(super) fills: Vec<Fill>,
    /// Oldest first.
    by_client_id: HashMap<String, Vec<usize>>,
    by_id: HashMap<String, usize>,
    /// In the order of time, then of planning.
    due: BTreeMap<(Duration, u64), (usize, Due)>,
    planned: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_date: u64,
}

/// What is drawn for an order.
#[derive(Debug, Clone, Copy)]
enum Draw {
    Visibility,
    Fills,
    Cancel,
}

const MICROSECOND: Duration = Duration::from_micros(1);

impl Book {
    pub(super) fn new(seed: u64, rules: Rules) -> Self {
        Self {
            seed,
            rules,
            entries: Vec::new(),
            fills: Vec::new(),
            by_client_id: HashMap::new(),
            by_id: HashMap::new(),
            due: BTreeMap::new(),
            planned: 0,
            duplicates: 0,
            out_of_date: 0,
        }
    }

    /// Lets everything happen that is due.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(first) = self.due.first_entry() {
            let at = first.key().0;
            if at > now {
                return;
            }
            let (index, due) = first.remove();
            match due {
                Due::Fill(qty) => self.fill(index, qty, at),
                Due::Cancel => self.close(index, OrderStatus::Canceled, at),
            }
        }
    }

    pub(super) fn create(
        &mut self,
        request: NewOrder,
        moment: Moment,
        now: Duration,
    ) -> Result<Placed, Rejected> {
        if let Some(first) = self.duplicate(request.client_order_id.as_deref(), now)? {
            return Ok(Placed::First(first));
        }
        Ok(Placed::New(self.add(request, None, moment, now)))
    }

    /// Closes an order and places another one for what is left of it.
    pub(super) fn replace(
        &mut self,
        id: &str,
        change: Change,
        moment: Moment,
        now: Duration,
    ) -> Result<Placed, Rejected> {
        let index = *self.by_id.get(id).ok_or(Rejected::Unknown)?;
        if let Some(first) = self.duplicate(change.client_order_id.as_deref(), now)? {
            return Ok(Placed::First(first));
        }
        let old = &self.entries[index];
        let order = &old.order;
        if !matches!(
            order.status,
            OrderStatus::New | OrderStatus::PartiallyFilled
        ) {
            return Err(Rejected::Closed(order.status));
        }
        let left = change.qty.unwrap_or(order.qty) - order.filled_qty;
        if left <= 0.0 {
            return Err(Rejected::AlreadyFilled);
        }
        let request = NewOrder {
            symbol: order.symbol.clone(),
            qty: left,
            side: order.side,
            kind: order.kind.clone(),
            time_in_force: change
                .time_in_force
                .unwrap_or_else(|| old.time_in_force.clone()),
            limit_price: change.limit_price.or(old.limit_price),
            client_order_id: change.client_order_id,
        };
        let replaces = Some(order.id.clone());
        self.close(index, OrderStatus::Replaced, now);
        let new = self.add(request, replaces, moment, now);
        let by = self.entries[new].order.id.clone();
        self.entries[index].order.replaced_by = Some(by);
        Ok(Placed::New(new))
    }

    /// Cancels an order now or soon; it may be filled before that.
    pub(super) fn cancel(&mut self, id: &str, now: Duration) -> Result<(), Rejected> {
        let index = *self.by_id.get(id).ok_or(Rejected::Unknown)?;
        let status = self.entries[index].order.status;
        if !status.is_open() {
            return Err(Rejected::Closed(status));
        }
        let delay = self
            .rules
            .cancels_within
            .mul_f64(self.draw(index, Draw::Cancel).unit());
        if delay.is_zero() {
            self.close(index, OrderStatus::Canceled, now);
        } else if status != OrderStatus::PendingCancel {
            self.set(index, OrderStatus::PendingCancel, now);
            self.plan(now.saturating_add(delay), index, Due::Cancel);
        }
        Ok(())
    }

    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The orders of a client order id, oldest first.
    pub(super) fn by_client_id(&self, id: &str) -> &[usize] {
        self.by_client_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// The first order of the same id, where it is returned in place of a second one.
    fn duplicate(&mut self, id: Option<&str>, now: Duration) -> Result<Option<usize>, Rejected> {
        let Some(&[first, ..]) = id.map(|id| self.by_client_id(id)) else {
            return Ok(None);
        };
        let known = id.map_or(&[][..], |id| self.by_client_id(id));
        let mut known = known.iter().map(|index| &self.entries[*index]);
        let taken = match self.rules.duplicates {
            Duplicates::Accept => false,
            Duplicates::ReturnFirst => {
                self.duplicates += 1;
                return Ok(Some(first));
            }
            Duplicates::RejectFor(time) => {
                known.any(|entry| now.saturating_sub(entry.submitted) < time)
            }
            Duplicates::RejectWhileOpen => known.any(|entry| entry.order.status.is_open()),
        };
        if taken {
            self.duplicates += 1;
            return Err(Rejected::IdTaken);
        }
        Ok(None)
    }

    fn add(
        &mut self,
        request: NewOrder,
        replaces: Option<String>,
        moment: Moment,
        now: Duration,
    ) -> usize {
        let index = self.entries.len();
        let id = uuid(&mut SplitMix64::new(&[self.seed, index as u64]));
        let client_order_id = request.client_order_id.unwrap_or_else(|| id.clone());
        let last = self.entries.last().map(|entry| entry.submitted);
        let submitted = last.map_or(now, |last| now.max(last + MICROSECOND));
        self.by_id.insert(id.clone(), index);
        let copies = self
            .by_client_id
            .entry(client_order_id.clone())
            .or_default();
        copies.push(index);
        let order = Order {
            id,
            client_order_id,
            symbol: request.symbol,
            qty: request.qty,
            filled_qty: 0.0,
            side: request.side,
            kind: request.kind,
            status: OrderStatus::New,
            replaces,
            replaced_by: None,
            arrived: moment.arrived,
            at: moment.at,
        };
        self.entries.push(Entry {
            order,
            time_in_force: request.time_in_force,
            limit_price: request.limit_price,
            submitted,
            updated: submitted,
            visible: Duration::ZERO,
        });
        let delay = self
            .rules
            .visible_within
            .mul_f64(self.draw(index, Draw::Visibility).unit());
        self.entries[index].visible = now.saturating_add(delay);
        self.plan_fills(index, now);
        self.advance(now);
        index
    }

    fn plan_fills(&mut self, index: usize, now: Duration) {
        let order = &self.entries[index].order;
        let (market, qty) = (order.kind == "market", order.qty);
        let Some(fills) = self.rules.fills else {
            if market {
                self.plan(now, index, Due::Fill(qty));
            }
            return;
        };
        let mut draw = self.draw(index, Draw::Fills);
        if draw.unit() < fills.resting && !market {
            return;
        }
        let most = if qty.fract() == 0.0 { qty } else { 1.0 };
        let pieces = 1 + draw.next_u64() % u64::from(fills.pieces);
        // A float as a number saturates.
        let pieces = pieces.min(most as u64).max(1);
        let mut times: Vec<_> = (0..pieces)
            .map(|_| now.saturating_add(fills.within.mul_f64(draw.unit())))
            .collect();
        times.sort();
        let piece = (qty / pieces as f64).floor();
        let last = qty - piece * (pieces - 1) as f64;
        for (number, at) in (1..).zip(times) {
            let qty = if number == pieces { last } else { piece };
            self.plan(at, index, Due::Fill(qty));
        }
    }

    fn plan(&mut self, at: Duration, index: usize, due: Due) {
        self.planned += 1;
        self.due.insert((at, self.planned), (index, due));
    }

    fn fill(&mut self, index: usize, qty: f64, at: Duration) {
        let entry = &mut self.entries[index];
        let order = &mut entry.order;
        if !order.status.is_open() {
            return;
        }
        order.filled_qty += qty;
        entry.updated = at;
        let market = price::base(self.seed, &order.symbol);
        let price = entry.limit_price.unwrap_or(price::cents(market));
        let filled = order.filled_qty;
        if filled >= order.qty {
            order.status = OrderStatus::Filled;
        } else if order.status == OrderStatus::New {
            order.status = OrderStatus::PartiallyFilled;
        }
        let id = uuid(&mut SplitMix64::new(&[
            self.seed,
            index as u64,
            self.fills.len() as u64,
        ]));
        self.fills.push(Fill {
            id,
            order: index,
            qty,
            price,
            filled,
            at,
        });
    }

    fn close(&mut self, index: usize, status: OrderStatus, at: Duration) {
        if self.entries[index].order.status.is_open() {
            self.set(index, status, at);
        }
    }

    fn set(&mut self, index: usize, status: OrderStatus, at: Duration) {
        let entry = &mut self.entries[index];
        entry.order.status = status;
        entry.updated = at;
    }

    /// Random numbers of an order that do not depend on those that came before it, but for its own
    /// copies.
    fn draw(&self, index: usize, what: Draw) -> SplitMix64 {
        let id = &self.entries[index].order.client_order_id;
        let copies = self.by_client_id(id).partition_point(|copy| *copy < index);
        let words = [self.seed, what as u64, copies as u64];
        let id = id.bytes().map(u64::from);
        SplitMix64::new(&words.into_iter().chain(id).collect::<Vec<_>>())
    }
}
