//! The meters and the line in front of them, without executor: `now` is an argument.
//!
//! While nothing stands in the way (the gate's word is zero), the tokens of a single bucket are
//! taken from its one word. In every other case, be it several limits, another kind than a
//! bucket, somebody in line, or a pause, the lock decides, so that a call takes from all limits or
//! from none.
//!
//! The first in line alone takes, at the moment of departure. It has a timer for its tokens, and
//! whoever ceases to be the first calls the next, which arms its own. All have one for their
//! patience: a first one that nobody polls calls nobody. Who is called by that timer takes what is
//! there, whatever its rank.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use seawall_core::queue::{Queue, Ticket, rank};
use seawall_core::{InvalidConfig, Priority, Reason, ServerLimit, Unit, ns};

use crate::RateLimitConfig;
use crate::bucket::{Bucket, Rate};
use crate::config::MAX_LIMITS;
use crate::costs::{Costs, Sums};
use crate::meter::{Meter, WallClock};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The tokens are taken.
    Granted,
    /// Its tokens will be there in time.
    Wait,
    /// Not before so many nanoseconds from now; `u64::MAX` when nobody knows.
    Later(Refusal),
    /// It would be `Later`, but the layer only watches.
    Watched(Refusal),
    /// It costs more than a limit can ever grant.
    Never,
    /// It would be `Never`, but the layer only watches.
    NeverWatched,
}

/// Why a call does not depart now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// `u64::MAX` when nobody knows.
    pub(crate) wait_ns: u64,
}

impl Refusal {
    /// The rate is used up for so long.
    pub(crate) const fn used_up(wait_ns: u64) -> Self {
        Self {
            reason: Reason::RateLimited,
            wait_ns,
        }
    }
}

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: others go first, and its waker is registered.
    Wait,
    /// It is the first: sleep for so many nanoseconds.
    In(u64),
    /// Poll its service, then [`Limiter::take`] or [`Limiter::stand_aside`].
    Go,
}

/// What a call wants of a limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) costs: Costs,
    pub(crate) priority: Priority,
    /// When its answer is of no use any more; `u64::MAX` when it is always.
    pub(crate) deadline_ns: u64,
}

/// A limiter over several others, which grants what one of them grants, or neither does.
#[derive(Clone, Copy)]
pub(crate) struct Above<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) wish: &'a Wish,
    /// The place in its line, if there is one.
    pub(crate) ticket: Option<Ticket>,
}

// The gate: how many are in line, and what else keeps calls from the short way.
const IN_LINE: u64 = u32::MAX as u64;
/// More than a single bucket.
const MANY: u64 = 1 << 32;
/// The upstream has said something that a bucket's word cannot say.
const CAREFUL: u64 = 1 << 33;
const PAUSED: u64 = 1 << 34;
const DRAINING: u64 = 1 << 35;
const SHADOW: u64 = 1 << 36;

/// An end of a pause that nobody knows.
const OPEN_END: u64 = u64::MAX;

// A line of its own (and the one that the prefetcher fetches with it), with what every call
// reads next to what every call writes.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Of the first limit, where that is a bucket and the only one.
    bucket: Bucket,
    /// Changed under the lock. It only keeps the order, wake-ups do not depend on it: relaxed is
    /// enough.
    gate: AtomicU64,
    max_wait_ns: AtomicU64,
    max_waiting: AtomicU32,
    /// Those in line and those who stand aside; a copy of the queue's length.
    waiting: AtomicU32,
    first_unit: Unit,
    /// Of all limits, in their order.
    units: Box<[Unit]>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue<Place>,
    /// None when a single bucket is the only limit.
    meters: Vec<Meter>,
    /// What the upstream has said of that single bucket.
    cap: Option<Cap>,
    /// What those in line cost, by priority, the highest first. Those who stand aside are left
    /// out: they may be stuck for long, and nobody waits for them.
    classes: Vec<Class>,
    /// Nothing is granted before.
    paused_until: u64,
    config: RateLimitConfig,
}

/// What a waiter brings along.
#[derive(Clone, Copy, Debug)]
struct Place {
    priority: Priority,
    costs: Costs,
}

#[derive(Clone, Copy, Debug)]
struct Class {
    priority: Priority,
    calls: u32,
    sums: Sums,
    /// How much later than their cost says they depart, see [`Rate::delay_ns`].
    delay_ns: u64,
}

/// So much at most until then, whatever flows into a bucket: what the upstream says is left of
/// its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) left: u64,
    pub(crate) until: u64,
}

/// [`Bucket::wait`], with a cap over it.
pub(crate) fn capped_wait(bucket: &Bucket, cap: Option<Cap>, now_ns: u64, cost: u64) -> u64 {
    match cap {
        Some(cap) if now_ns < cap.until && cost > cap.left => {
            let rest = bucket
                .rate()
                .wait(bucket.reading(), cap.until, cost - cap.left);
            (cap.until - now_ns).saturating_add(rest)
        }
        _ => bucket.wait(now_ns, cost),
    }
}

/// What the upstream says is left of its window, put over a bucket: at once, and, where more would
/// flow in before the window ends than is left, as a cap until then.
pub(crate) fn lower(
    bucket: &Bucket,
    cap: &mut Option<Cap>,
    now_ns: u64,
    left: u64,
    until: Option<u64>,
) {
    bucket.at_most(now_ns, left);
    let Some(until) = until.filter(|until| *until > now_ns) else {
        return;
    };
    let flows = bucket.rate().inflow(until - now_ns);
    let comes = (bucket.available(now_ns) as u64).saturating_add(flows);
    let known = cap.filter(|cap| now_ns < cap.until);
    // What was said before may have been said of another window, and lasts: the tighter holds.
    if left < comes && known.is_none_or(|known| left < known.left || until > known.until) {
        let left = known.map_or(left, |known| left.min(known.left));
        *cap = Some(Cap { left, until });
    }
}

impl Limiter {
    /// `wall` maps the clock of the limiter to that of the wall.
    pub(crate) fn new(config: &RateLimitConfig, now_ns: u64, wall: WallClock) -> Self {
        let limits = config.limits();
        let single = match limits {
            [only] => only.rate(),
            _ => None,
        };
        let meters = if single.is_some() {
            Vec::new()
        } else {
            limits
                .iter()
                .map(|limit| Meter::new(limit, now_ns, wall))
                .collect()
        };
        let mut gate = 0;
        if single.is_none() {
            gate |= MANY;
        }
        if config.shadow() {
            gate |= SHADOW;
        }
        Self {
            bucket: Bucket::new(single.unwrap_or(Rate::new(1, 1, 1))),
            gate: AtomicU64::new(gate),
            max_wait_ns: AtomicU64::new(ns(config.max_wait())),
            max_waiting: AtomicU32::new(config.max_waiting()),
            waiting: AtomicU32::new(0),
            first_unit: limits.first().map_or(Unit::Cost, crate::Limit::unit),
            units: limits.iter().map(crate::Limit::unit).collect(),
            inner: Mutex::new(Inner {
                queue: Queue::new(),
                meters,
                cap: None,
                classes: Vec::new(),
                paused_until: 0,
                config: config.clone(),
            }),
        }
    }

    /// Closes the short way: there is a limiter above this one.
    pub(crate) fn below_another(self) -> Self {
        self.set(MANY);
        self
    }

    /// A limiter of a single bucket with this word in it.
    pub(crate) fn with_word(config: &RateLimitConfig, word: u64, wall: WallClock) -> Self {
        let mut limiter = Self::new(config, 0, wall);
        limiter.bucket = Bucket::at(limiter.bucket.rate(), word);
        limiter
    }

    /// What the first limit counts.
    #[inline]
    pub(crate) const fn first_unit(&self) -> Unit {
        self.first_unit
    }

    /// What each limit counts.
    pub(crate) const fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Whether a call needs to be asked for what it costs of the first limit alone.
    #[inline]
    pub(crate) const fn is_single(&self) -> bool {
        self.units.len() == 1
    }

    /// Takes the tokens of a new call from a single bucket, if nothing stands in the way. `None`
    /// when [`admit`](Self::admit) must decide.
    #[inline]
    pub(crate) fn try_admit(&self, now_ns: u64, cost: u32) -> Option<Result<(), u64>> {
        if self.gate.load(Ordering::Relaxed) != 0 {
            return None;
        }
        match self.bucket.try_take(now_ns, cost.into()) {
            Ok(()) => Some(Ok(())),
            Err(wait) => self.refused_at_once(cost, wait),
        }
    }

    /// Without a lock: a limiter that is used up is asked the more often.
    #[cold]
    fn refused_at_once(&self, cost: u32, wait: u64) -> Option<Result<(), u64>> {
        /// More than a full bucket owes: the word was shut, since the rate is being changed.
        const FAR: u64 = u64::MAX >> 6;
        let nobody_waits = self.max_wait_ns.load(Ordering::Relaxed) == 0;
        let fits = u64::from(cost) <= self.bucket.rate().burst();
        (nobody_waits && fits && wait < FAR).then_some(Err(wait))
    }

    /// Takes what a new call costs, if nobody is in line for it, or says what becomes of it.
    #[cold]
    #[inline(never)]
    pub(crate) fn admit(&self, now_ns: u64, wish: &Wish, above: Option<Above<'_>>) -> Verdict {
        self.judge(&mut self.lock(), now_ns, wish, above)
    }

    fn judge(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        wish: &Wish,
        above: Option<Above<'_>>,
    ) -> Verdict {
        let gate = self.gate.load(Ordering::Relaxed);
        let shadow = gate & SHADOW != 0;
        if gate & DRAINING != 0 {
            let refusal = Refusal {
                reason: Reason::Draining,
                wait_ns: u64::MAX,
            };
            return later(refusal, shadow);
        }
        if !self.fits(inner, &wish.costs) {
            return if shadow {
                Verdict::NeverWatched
            } else {
                Verdict::Never
            };
        }
        if gate & IN_LINE == 0 && self.wait_alone(inner, now_ns, &wish.costs) == 0 {
            // Under this lock, so that the one grants only what the other does. This limiter has
            // no short way that others could take from it meanwhile, if there is one above.
            let over = above.map(|above| above.limiter.admit(now_ns, above.wish, None));
            match over {
                None | Some(Verdict::Granted) => {
                    if self.take_all(inner, now_ns, &wish.costs).is_ok() {
                        return Verdict::Granted;
                    }
                }
                Some(Verdict::Wait) if !shadow => return Verdict::Wait,
                Some(Verdict::Wait) => return Verdict::Granted,
                Some(refused) => return refused,
            }
        } else if let Some(above) = above
            && let Err(refusal) = above.limiter.foretell(now_ns, above.wish)
        {
            return later(refusal, shadow);
        }
        match self.foresee(inner, now_ns, wish) {
            Ok(()) if !shadow => Verdict::Wait,
            // Who only watches keeps nobody waiting. What would have waited passes, and owes what
            // it would have taken, so that the forecast for the next is that of a real line.
            Ok(()) => {
                self.debit_all(inner, now_ns, &wish.costs);
                Verdict::Granted
            }
            Err(refusal) => later(refusal, shadow),
        }
    }

    /// What becomes of a new call that joins the line now.
    ///
    /// # Errors
    ///
    /// Why it would be of no use.
    fn foretell(&self, now_ns: u64, wish: &Wish) -> Result<(), Refusal> {
        self.foresee(&mut self.lock(), now_ns, wish)
    }

    /// [`foretell`](Self::foretell), under the lock.
    fn foresee(&self, inner: &mut Inner, now_ns: u64, wish: &Wish) -> Result<(), Refusal> {
        let refusal = self.forecast(inner, now_ns, wish);
        let patience = wish.deadline_ns.saturating_sub(now_ns);
        let patience = patience.min(self.max_wait_ns.load(Ordering::Relaxed));
        let room = self.waiting.load(Ordering::Relaxed) < self.max_waiting.load(Ordering::Relaxed);
        if room && patience > 0 && refusal.wait_ns <= patience {
            Ok(())
        } else {
            Err(Refusal {
                wait_ns: refusal.wait_ns.max(self.least_wait(inner)),
                ..refusal
            })
        }
    }

    /// In how many nanoseconds a call departs if it joins the line now, and what it waits for.
    fn forecast(&self, inner: &mut Inner, now_ns: u64, wish: &Wish) -> Refusal {
        let mut sums = Sums::default();
        let mut delay = 0_u64;
        let ahead = inner.classes.iter();
        for class in ahead.take_while(|class| class.priority >= wish.priority) {
            sums.add_all(&class.sums);
            delay = delay.saturating_add(class.delay_ns);
        }
        sums.add(&wish.costs);
        let (paused, starts) = match inner.paused_until {
            until if until > now_ns => (true, until),
            _ => (false, now_ns),
        };
        if starts == OPEN_END {
            return Refusal {
                reason: Reason::Paused,
                wait_ns: u64::MAX,
            };
        }
        let (wait, by_quota) = self.wait(inner, starts, &sums);
        let reason = match (wait, by_quota) {
            (0, _) if paused => Reason::Paused,
            (_, true) => Reason::QuotaExhausted,
            _ => Reason::RateLimited,
        };
        let wait_ns = (starts - now_ns).saturating_add(wait).saturating_add(delay);
        Refusal { reason, wait_ns }
    }

    /// In how many nanoseconds all limits have granted so much, and whether the last to do so is
    /// the quota of a day.
    fn wait(&self, inner: &mut Inner, now_ns: u64, sums: &Sums) -> (u64, bool) {
        if inner.meters.is_empty() {
            return (
                capped_wait(&self.bucket, inner.cap, now_ns, sums.get(0)),
                false,
            );
        }
        let mut longest = (0, false);
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            let sum = sums.get(index);
            if sum > 0 {
                let wait = meter.wait(now_ns, sum);
                if wait > longest.0 {
                    longest = (wait, meter.is_quota());
                }
            }
        }
        longest
    }

    /// A refused call must not come back at once: there may be a token, but also a full line, or a
    /// service that was not ready to use it.
    fn least_wait(&self, inner: &Inner) -> u64 {
        if inner.meters.is_empty() {
            self.bucket.rate().token_ns()
        } else {
            let least = inner.meters.iter().map(Meter::least_wait);
            least.max().unwrap_or(1)
        }
    }

    fn fits(&self, inner: &Inner, costs: &Costs) -> bool {
        if inner.meters.is_empty() {
            return u64::from(costs.get(0)) <= self.bucket.rate().burst();
        }
        let mut meters = inner.meters.iter().enumerate();
        meters.all(|(index, meter)| u64::from(costs.get(index)) <= meter.capacity())
    }

    /// Takes from every limit, or from none and says for how long there is nothing to be had.
    fn take_all(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> Result<(), u64> {
        match self.wait_alone(inner, now_ns, costs) {
            0 => {}
            wait => return Err(wait),
        }
        if inner.meters.is_empty() {
            let cost = u64::from(costs.get(0));
            // Calls on the short way may have taken meanwhile: what they left decides.
            self.bucket.try_take(now_ns, cost)?;
            if let Some(cap) = &mut inner.cap {
                cap.left = cap.left.saturating_sub(cost);
            }
            self.relax(inner, now_ns);
        } else {
            self.debit_all(inner, now_ns, costs);
        }
        Ok(())
    }

    /// Takes from every limit, whether it is there or not.
    fn debit_all(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        if inner.meters.is_empty() {
            self.bucket.debit(now_ns, costs.get(0).into());
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            let cost = costs.get(index);
            if cost > 0 {
                meter.take(now_ns, cost.into());
            }
        }
    }

    /// Lets calls take the short way again once nothing that was said by the upstream holds.
    fn relax(&self, inner: &mut Inner, now_ns: u64) {
        if inner.cap.is_some_and(|cap| now_ns >= cap.until) {
            inner.cap = None;
        }
        if inner.paused_until != 0 && now_ns >= inner.paused_until {
            inner.paused_until = 0;
            self.unset(PAUSED);
        }
        if inner.cap.is_none() {
            self.unset(CAREFUL);
        }
    }

    /// When a call that was refused may come back.
    pub(crate) fn retry_after(&self, now_ns: u64, wish: &Wish) -> Refusal {
        let mut inner = self.lock();
        let refusal = self.forecast(&mut inner, now_ns, wish);
        let least = self.least_wait(&inner);
        Refusal {
            wait_ns: refusal.wait_ns.max(least),
            ..refusal
        }
    }

    /// In how many nanoseconds a call would depart behind those in line; `u64::MAX` when nobody
    /// knows, or never.
    pub(crate) fn time_to(&self, now_ns: u64, wish: &Wish) -> u64 {
        let mut inner = self.lock();
        if !self.fits(&inner, &wish.costs) {
            return u64::MAX;
        }
        self.forecast(&mut inner, now_ns, wish).wait_ns
    }

    /// Joins the line.
    ///
    /// # Errors
    ///
    /// Why it is of no use: the wait would be too long or the line is full.
    pub(crate) fn join(&self, now_ns: u64, wish: &Wish, waker: &Waker) -> Result<Ticket, Refusal> {
        let waker = waker.clone();
        let mut inner = self.lock();
        // Once more, under the lock, which keeps the bound on the line exact.
        if let Err(refusal) = self.foresee(&mut inner, now_ns, wish) {
            drop(inner);
            return Err(refusal);
        }
        let step = ns(inner.config.ageing().get()) / 64;
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

    /// In how many nanoseconds the first in line may go.
    fn wait_alone(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        let starts = inner.paused_until.max(now_ns);
        if starts == OPEN_END {
            return u64::MAX;
        }
        let (wait, _) = self.wait(inner, starts, &costs.sums());
        (starts - now_ns).saturating_add(wait)
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
        let mut inner = self.lock();
        if inner.queue.rejoin(ticket) {
            self.gate.fetch_add(1, Ordering::Relaxed);
            if let Some(place) = inner.queue.item(ticket).copied() {
                self.count(&mut inner, place);
            }
        }
        let taken = if late || inner.queue.is_first(ticket) {
            self.take_both(&mut inner, now_ns, wish, late, waker, above)
        } else {
            Err(Turn::Wait)
        };
        let (old, gone) = if taken.is_ok() {
            (None, Some(self.remove(&mut inner, ticket)))
        } else {
            (inner.queue.wait(ticket, waker), None)
        };
        drop(inner);
        drop(old);
        wake(gone);
        taken
    }

    /// Takes here and above, or nowhere.
    fn take_both(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        wish: &Wish,
        late: bool,
        waker: &Waker,
        above: Option<Above<'_>>,
    ) -> Result<(), Turn> {
        if let Some(above) = above {
            match self.wait_alone(inner, now_ns, &wish.costs) {
                0 => {}
                wait => return Err(Turn::In(wait)),
            }
            let ticket = above.ticket.ok_or(Turn::Wait)?;
            above
                .limiter
                .take(now_ns, above.wish, ticket, late, waker, None)?;
        }
        self.take_all(inner, now_ns, &wish.costs).map_err(Turn::In)
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

    /// Puts back what was taken at `taken_at` and not used.
    pub(crate) fn give_back(&self, now_ns: u64, costs: &Costs, taken_at: u64) {
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            self.bucket.refund(costs.get(0).into());
            if let Some(cap) = &mut inner.cap
                && taken_at < cap.until
            {
                cap.left = cap.left.saturating_add(costs.get(0).into());
            }
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            if costs.get(index) > 0 {
                meter.give_back(now_ns, costs.get(index).into(), taken_at);
            }
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Corrects an estimate: takes or puts back the difference at every limit that counts `unit`.
    pub(crate) fn settle(&self, now_ns: u64, unit: Unit, taken: u64, really: u64, taken_at: u64) {
        let mut inner = self.lock();
        for index in 0..self.units.len() {
            if self.units[index] != unit {
                continue;
            }
            match inner.meters.get_mut(index) {
                Some(meter) if really > taken => meter.take(now_ns, really - taken),
                Some(meter) => meter.give_back(now_ns, taken - really, taken_at),
                None if really > taken => self.bucket.debit(now_ns, really - taken),
                None => self.bucket.refund(taken - really),
            }
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Takes what the upstream says for true where it is less than what is known here.
    pub(crate) fn heed(&self, now_ns: u64, said: &ServerLimit) {
        let until = said
            .resets_in
            .map(|resets| now_ns.saturating_add(ns(resets)));
        let mut inner = self.lock();
        let Some(index) = meant(&inner.config, said) else {
            return;
        };
        // Where the height is not said, it is that of the settings.
        let height = inner.config.limits()[index].count().into();
        let unused = |used: u64| said.limit.unwrap_or(height).saturating_sub(used);
        let Some(left) = said.remaining.or(said.used.map(unused)) else {
            return;
        };
        if let Some(meter) = inner.meters.get_mut(index) {
            meter.lower_to(now_ns, left, until);
        } else {
            self.set(CAREFUL);
            lower(&self.bucket, &mut inner.cap, now_ns, left, until);
            self.relax(&mut inner, now_ns);
        }
    }

    /// Grants nothing before `until`, and what comes then as if all had just been used up: what a
    /// throttle asks for. A pause that lasts longer already stays.
    pub(crate) fn hush(&self, until: u64) {
        let mut inner = self.lock();
        self.set(PAUSED);
        inner.paused_until = inner.paused_until.max(until.min(OPEN_END - 1));
        self.empty_until(&mut inner, until);
    }

    fn empty_until(&self, inner: &mut Inner, until: u64) {
        if inner.meters.is_empty() {
            self.bucket.at_most(until, 0);
        }
        for meter in &mut inner.meters {
            meter.empty_until(until);
        }
    }

    /// Grants nothing until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        let mut inner = self.lock();
        self.set(PAUSED);
        inner.paused_until = OPEN_END;
    }

    /// Accepts nobody new until [`resume`](Self::resume); those in line are served.
    pub(crate) fn drain(&self) {
        let _inner = self.lock();
        self.set(DRAINING);
    }

    /// Ends pauses and what the upstream has said; what was used stays used.
    pub(crate) fn resume(&self) {
        let mut inner = self.lock();
        inner.paused_until = 0;
        inner.cap = None;
        self.unset(PAUSED | DRAINING | CAREFUL);
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Fills every bucket and forgets what strict limits have seen; the counts of windows and days
    /// stay.
    pub(crate) fn refill(&self, now_ns: u64) {
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            self.bucket.reset(now_ns);
        }
        for meter in &mut inner.meters {
            meter.refill(now_ns);
        }
        drop(inner);
        self.resume();
    }

    pub(crate) fn watch_only(&self, on: bool) {
        let mut inner = self.lock();
        if on {
            self.set(SHADOW);
        } else {
            self.unset(SHADOW);
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Changes the settings; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there are more or fewer limits than before, or limits of other
    /// kinds or units: calls in line have been told their costs by those.
    pub(crate) fn configure(
        &self,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        let mut inner = self.lock();
        inner.config.same_shape(&config)?;
        if let Some(rate) = config.limits()[0].rate().filter(|_| self.is_single()) {
            if rate != self.bucket.rate() {
                self.bucket.set(now_ns, rate);
            }
        }
        for (meter, limit) in inner.meters.iter_mut().zip(config.limits()) {
            meter.set(now_ns, limit);
        }
        self.max_wait_ns
            .store(ns(config.max_wait()), Ordering::Relaxed);
        self.max_waiting
            .store(config.max_waiting(), Ordering::Relaxed);
        if config.shadow() {
            self.set(SHADOW);
        } else {
            self.unset(SHADOW);
        }
        self.recount(&mut inner);
        inner.config = config;
        // Everybody's time may have changed.
        let all = inner.queue.call_all();
        drop(inner);
        for waker in all {
            waker.wake();
        }
        Ok(())
    }

    /// The delays of those in line depend on the rate.
    fn recount(&self, inner: &mut Inner) {
        let mut classes = std::mem::take(&mut inner.classes);
        for class in &mut classes {
            // Of each call alone it is less than two milliseconds: an average will do.
            let delay = self.delay_ns(inner, &class.sums.mean(class.calls));
            class.delay_ns = delay.saturating_mul(class.calls.into());
        }
        inner.classes = classes;
    }

    /// Tells the limits that count by the clock of the wall what time it is.
    pub(crate) fn set_wall_clock(&self, now_ns: u64, wall: WallClock) {
        let mut inner = self.lock();
        for meter in &mut inner.meters {
            meter.set_wall_clock(now_ns, wall);
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> RateLimitConfig {
        self.lock().config.clone()
    }

    /// For each limit what is there now, at most its capacity.
    pub(crate) fn available(&self, now_ns: u64) -> [f64; MAX_LIMITS] {
        let mut all = [0.0; MAX_LIMITS];
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            all[0] = self.bucket.available(now_ns);
            if let Some(cap) = inner.cap.filter(|cap| now_ns < cap.until) {
                all[0] = all[0].min(cap.left as f64);
            }
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            all[index] = meter.available(now_ns);
        }
        if now_ns < inner.paused_until {
            all = [0.0; MAX_LIMITS];
        }
        all
    }

    /// What is there of the limit that has least.
    pub(crate) fn least_available(&self, now_ns: u64) -> f64 {
        let all = self.available(now_ns);
        let all = all[..self.units.len()].iter().copied();
        all.fold(f64::INFINITY, f64::min)
    }

    /// When the pause ends, `u64::MAX` when nobody knows; `None` when there is none.
    pub(crate) fn paused_until(&self, now_ns: u64) -> Option<u64> {
        let until = self.lock().paused_until;
        (now_ns < until).then_some(until)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.gate.load(Ordering::Relaxed) & DRAINING != 0
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.gate.load(Ordering::Relaxed) & SHADOW != 0
    }

    /// How many wait, those who stand aside included.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn max_wait_ns(&self) -> u64 {
        self.max_wait_ns.load(Ordering::Relaxed)
    }

    /// Whether nobody would miss it: nothing is used, nobody waits, and nobody has said anything.
    pub(crate) fn is_idle(&self, now_ns: u64) -> bool {
        if self.gate.load(Ordering::Relaxed) & !(MANY | SHADOW) != 0 || self.waiting() != 0 {
            return false;
        }
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            return Rate::is_full(self.bucket.reading(), now_ns);
        }
        inner.meters.iter_mut().all(|meter| meter.is_unused(now_ns))
    }

    /// The word of a single bucket whose limiter is like a new one otherwise.
    pub(crate) fn plain_word(&self) -> Option<u64> {
        let plain = self.gate.load(Ordering::Relaxed) & !SHADOW == 0 && self.waiting() == 0;
        plain.then(|| self.bucket.reading())
    }

    fn set(&self, flag: u64) {
        self.gate.fetch_or(flag, Ordering::Relaxed);
    }

    fn unset(&self, flag: u64) {
        self.gate.fetch_and(!flag, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn later(refusal: Refusal, shadow: bool) -> Verdict {
    if shadow {
        Verdict::Watched(refusal)
    } else {
        Verdict::Later(refusal)
    }
}

/// Which of the limits an upstream means: of those that count the same, the one with the window or
/// the height that it names, or else the shortest that does not end before the time that it names.
fn meant(config: &RateLimitConfig, said: &ServerLimit) -> Option<usize> {
    let of_unit = |unit: Unit| {
        let limits = config.limits().iter().enumerate();
        limits
            .filter(move |(_, limit)| limit.unit() == unit)
            .collect::<Vec<_>>()
    };
    let mut found = of_unit(said.unit);
    if found.is_empty() {
        // A request that costs 1 is counted as a request.
        found = match said.unit {
            Unit::Requests => of_unit(Unit::Cost),
            Unit::Cost => of_unit(Unit::Requests),
            _ => found,
        };
    }
    if let Some(window) = said.window {
        found.retain(|(_, limit)| limit.per() == window);
    } else if let Some(height) = said.limit {
        let exact = |limit: &crate::Limit| u64::from(limit.count()) == height;
        if found.iter().any(|(_, limit)| exact(limit)) {
            found.retain(|(_, limit)| exact(limit));
        }
    }
    let resets = said.resets_in.unwrap_or_default();
    let fits = found.iter().filter(|(_, limit)| limit.per() >= resets);
    let shortest = fits.min_by_key(|(_, limit)| limit.per());
    let longest = || found.iter().max_by_key(|(_, limit)| limit.per());
    shortest.or_else(longest).map(|(index, _)| *index)
}

/// The waker of who left, to be dropped, and that of the next, to be woken.
type Gone = (Option<Waker>, Option<Waker>);

/// Outside of the lock: a waker runs code of the executor.
fn wake(gone: Option<Gone>) {
    if let Some((_, Some(next))) = gone {
        next.wake();
    }
}
