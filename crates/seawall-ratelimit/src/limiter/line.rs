//! Who waits: joins, asks, takes, stands aside, leaves.

use std::sync::atomic::Ordering;
use std::task::Waker;

use seawall_core::ns;
use seawall_core::queue::{Ticket, rank};

use super::{Above, Class, Denial, Inner, Limiter, Place, Turn, Wish};
use crate::costs::Costs;

impl Limiter {
    /// Joins the line.
    ///
    /// # Errors
    ///
    /// Why it is of no use: the wait would be too long or the line is full.
    pub(crate) fn join(&self, now_ns: u64, wish: &Wish, waker: &Waker) -> Result<Ticket, Denial> {
        let waker = waker.clone();
        let mut inner = self.lock();
        // Once more, under the lock, which keeps the bound on the line exact.
        if let Err(rejection) = self.foresee(&mut inner, now_ns, wish) {
            drop(inner);
            return Err(rejection);
        }
        let step = ns(inner.config.priority_aging().get()) / 64;
        let rank = rank(now_ns, wish.priority, step);
        let place = Place {
            priority: wish.priority,
            costs: wish.costs,
        };
        self.gate.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.count(&mut inner, place);
        Ok(inner.queue.join_ranked(rank, place, waker))
    }

    /// Asks whether the turn of a waiter has come. To one who is `late`, whose patience is over,
    /// its rank is of no account.
    pub(crate) fn turn(
        &self,
        now_ns: u64,
        wish: &Wish,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
    ) -> Turn {
        let mut inner = self.lock();
        let turn = if inner.queue.is_aside(ticket) {
            Turn::Go
        } else if late || inner.queue.is_first(ticket) {
            match self.wait_alone(&mut inner, now_ns, &wish.costs) {
                0 => Turn::Go,
                wait => Turn::In(wait),
            }
        } else {
            Turn::Wait
        };
        let old = match turn {
            Turn::Go => None,
            Turn::In(_) | Turn::Wait => inner.queue.wait(ticket, waker),
        };
        drop(inner);
        drop(old);
        turn
    }

    /// Takes the tokens and leaves the line, if it is this waiter's turn or it is `late`.
    ///
    /// # Errors
    ///
    /// What to do instead; it waits in line then, with its waker registered.
    pub(crate) fn take(
        &self,
        now_ns: u64,
        wish: &Wish,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
        above: Option<Above<'_>>,
    ) -> Result<(), Turn> {
        let mut wakes = Wakes::default();
        let asks = Asks {
            now_ns,
            late,
            waker,
        };
        let taken = self.take_quietly(wish, ticket, asks, above, &mut wakes);
        // No lock is held here, neither of this limiter nor of the one above.
        wakes.wake();
        taken
    }

    /// Takes, and leaves it to the caller to wake who is next.
    fn take_quietly(
        &self,
        wish: &Wish,
        ticket: Ticket,
        asks: Asks<'_>,
        above: Option<Above<'_>>,
        wakes: &mut Wakes,
    ) -> Result<(), Turn> {
        let mut inner = self.lock();
        if inner.queue.rejoin(ticket) {
            self.gate.fetch_add(1, Ordering::Relaxed);
            if let Some(place) = inner.queue.item(ticket).copied() {
                self.count(&mut inner, place);
            }
        }
        let taken = if asks.late || inner.queue.is_first(ticket) {
            self.take_both(&mut inner, wish, asks, above, wakes)
        } else {
            Err(Turn::Wait)
        };
        if taken.is_ok() {
            wakes.add(self.remove(&mut inner, ticket));
        } else {
            wakes.add((inner.queue.wait(ticket, asks.waker), None));
        }
        taken
    }

    /// Takes here and above, or nowhere.
    fn take_both(
        &self,
        inner: &mut Inner,
        wish: &Wish,
        asks: Asks<'_>,
        above: Option<Above<'_>>,
        wakes: &mut Wakes,
    ) -> Result<(), Turn> {
        if let Some(above) = above {
            match self.wait_alone(inner, asks.now_ns, &wish.costs) {
                0 => {}
                wait => return Err(Turn::In(wait)),
            }
            let ticket = above.ticket.ok_or(Turn::Wait)?;
            let limiter = above.limiter;
            limiter.take_quietly(above.wish, ticket, asks, None, wakes)?;
        }
        self.take_all(inner, asks.now_ns, &wish.costs)
            .map_err(Turn::In)
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, ticket: Ticket) {
        let mut inner = self.lock();
        if inner.queue.is_aside(ticket) {
            return;
        }
        if let Some(place) = inner.queue.item(ticket).copied() {
            self.uncount(&mut inner, place);
        }
        inner.queue.stand_aside(ticket);
        self.gate.fetch_sub(1, Ordering::Relaxed);
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Leaves without tokens.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut inner = self.lock();
        let gone = self.remove(&mut inner, ticket);
        drop(inner);
        wake(Some(gone));
    }

    fn remove(&self, inner: &mut Inner, ticket: Ticket) -> Gone {
        let was_first = inner.queue.is_first(ticket);
        let was_aside = inner.queue.is_aside(ticket);
        let Some((place, waker)) = inner.queue.leave(ticket) else {
            return (None, None);
        };
        if !was_aside {
            self.gate.fetch_sub(1, Ordering::Relaxed);
            self.uncount(inner, place);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let next = if was_first {
            inner.queue.call_next()
        } else {
            None
        };
        (waker, next)
    }

    /// Adds to what those in line cost.
    fn count(&self, inner: &mut Inner, place: Place) {
        let delay = self.delay_ns(inner, &place.costs);
        let at = inner
            .classes
            .partition_point(|class| class.priority > place.priority);
        match inner.classes.get_mut(at) {
            Some(class) if class.priority == place.priority => {
                class.calls += 1;
                class.sums.add(&place.costs);
                class.delay_ns += delay;
            }
            _ => inner.classes.insert(
                at,
                Class {
                    priority: place.priority,
                    calls: 1,
                    sums: place.costs.sums(),
                    delay_ns: delay,
                },
            ),
        }
    }

    fn uncount(&self, inner: &mut Inner, place: Place) {
        let delay = self.delay_ns(inner, &place.costs);
        let classes = &mut inner.classes;
        let found = classes.iter().position(|c| c.priority == place.priority);
        let Some(at) = found else {
            return;
        };
        let class = &mut classes[at];
        class.calls -= 1;
        class.sums.sub(&place.costs);
        class.delay_ns = class.delay_ns.saturating_sub(delay);
        if class.calls == 0 {
            classes.remove(at);
        }
    }

    fn delay_ns(&self, inner: &Inner, costs: &Costs) -> u64 {
        if inner.meters.is_empty() {
            self.bucket.rate().delay_ns(costs.get(0))
        } else {
            let meters = inner.meters.iter().enumerate();
            let delays = meters.map(|(index, meter)| meter.delay_ns(costs.get(index)));
            delays.max().unwrap_or(0)
        }
    }

    /// The delays of those in line depend on the rate.
    pub(super) fn recount(&self, inner: &mut Inner) {
        let mut classes = std::mem::take(&mut inner.classes);
        for class in &mut classes {
            // Of each call alone it is less than two milliseconds: an average will do.
            let delay = self.delay_ns(inner, &class.sums.mean(class.calls));
            class.delay_ns = delay.saturating_mul(class.calls.into());
        }
        inner.classes = classes;
    }
}

/// Who asks for its tokens, and when.
#[derive(Clone, Copy)]
struct Asks<'a> {
    now_ns: u64,
    late: bool,
    waker: &'a Waker,
}

/// What is to be woken and dropped when no lock is held any more: of a limiter, and of the one
/// above it.
#[derive(Default)]
struct Wakes([Gone; 2]);

impl Wakes {
    fn add(&mut self, gone: Gone) {
        self.0.swap(0, 1);
        self.0[0] = gone;
    }

    fn wake(self) {
        for gone in self.0 {
            wake(Some(gone));
        }
    }
}

/// The waker of who left, to be dropped, and that of the next, to be woken.
pub(super) type Gone = (Option<Waker>, Option<Waker>);

/// Outside of the lock: a waker runs code of the executor.
pub(super) fn wake(gone: Option<Gone>) {
    if let Some((_, Some(next))) = gone {
        next.wake();
    }
}
