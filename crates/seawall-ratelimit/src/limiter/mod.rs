//! All limits of a layer and the line in front of them, without executor: `now` is an argument.
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
mod control;
mod line;
mod server;

use seawall_core::queue::{Queue, Ticket};
use seawall_core::{Priority, Reason, Unit, ns};

pub(crate) use self::server::{Cap, capped_wait, empty, lower};
use crate::RateLimitConfig;
use crate::bucket::{Bucket, Rate};
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
    Later(Denial),
    /// It would be `Later`, but the layer only watches.
    Watched(Denial),
    /// It costs more than a limit can ever grant.
    Never,
    /// It would be `Never`, but the layer only watches.
    NeverWatched,
}

/// Why a call does not depart now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) reason: Reason,
    /// `u64::MAX` when nobody knows.
    pub(crate) wait_ns: u64,
}

impl Denial {
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
    /// How long it may wait: as long as the limiter that it came to lets it.
    pub(crate) max_wait_ns: u64,
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

impl Limiter {
    /// `wall` maps the clock of the limiter to that of the wall.
    pub(crate) fn new(config: RateLimitConfig, now_ns: u64, wall: WallClock) -> Self {
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
                config,
            }),
        }
    }

    /// Closes the short way: there is a limiter above this one.
    pub(crate) fn below_another(self) -> Self {
        self.set(MANY);
        self
    }

    /// A limiter of a single bucket with this word in it.
    pub(crate) fn with_word(config: RateLimitConfig, word: u64, wall: WallClock) -> Self {
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
            Err(wait) => self.rejected_at_once(cost, wait),
        }
    }

    /// Without a lock: a limiter that is used up is asked the more often.
    #[cold]
    fn rejected_at_once(&self, cost: u32, wait: u64) -> Option<Result<(), u64>> {
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
            let rejection = Denial {
                reason: Reason::Draining,
                wait_ns: u64::MAX,
            };
            return later(rejection, shadow);
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
                Some(rejected) => return rejected,
            }
        } else if let Some(above) = above
            && let Err(rejection) = above.limiter.foretell(now_ns, above.wish)
        {
            return later(rejection, shadow);
        }
        match self.foresee(inner, now_ns, wish) {
            Ok(()) if !shadow => Verdict::Wait,
            // Who only watches keeps nobody waiting. What would have waited passes, and owes what
            // it would have taken, so that the forecast for the next is that of a real line.
            Ok(()) => {
                self.debit_all(inner, now_ns, &wish.costs);
                Verdict::Granted
            }
            Err(rejection) => later(rejection, shadow),
        }
    }

    /// What becomes of a new call that joins the line now.
    ///
    /// # Errors
    ///
    /// Why it would be of no use.
    fn foretell(&self, now_ns: u64, wish: &Wish) -> Result<(), Denial> {
        self.foresee(&mut self.lock(), now_ns, wish)
    }

    /// [`foretell`](Self::foretell), under the lock.
    fn foresee(&self, inner: &mut Inner, now_ns: u64, wish: &Wish) -> Result<(), Denial> {
        let rejection = self.forecast(inner, now_ns, wish);
        let patience = wish.deadline_ns.saturating_sub(now_ns);
        let patience = patience.min(wish.max_wait_ns);
        let room = self.waiting.load(Ordering::Relaxed) < self.max_waiting.load(Ordering::Relaxed);
        if room && rejection.wait_ns <= patience {
            Ok(())
        } else {
            Err(Denial {
                wait_ns: rejection.wait_ns.max(self.least_wait(inner)),
                ..rejection
            })
        }
    }

    /// In how many nanoseconds a call departs if it joins the line now, and what it waits for.
    fn forecast(&self, inner: &mut Inner, now_ns: u64, wish: &Wish) -> Denial {
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
            return Denial {
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
        Denial { reason, wait_ns }
    }

    /// In how many nanoseconds all limits have granted so much, and whether the last to do so is
    /// a quota.
    fn wait(&self, inner: &mut Inner, now_ns: u64, sums: &Sums) -> (u64, bool) {
        if inner.meters.is_empty() {
            return (
                capped_wait(&self.bucket, inner.cap, now_ns, sums.get(0)),
                false,
            );
        }
        let mut longest = (0, false);
        let limits = inner.config.limits().iter();
        for (index, (meter, limit)) in inner.meters.iter_mut().zip(limits).enumerate() {
            let sum = sums.get(index);
            if sum > 0 {
                let wait = meter.wait(now_ns, sum);
                if wait > longest.0 {
                    longest = (wait, limit.is_quota());
                }
            }
        }
        longest
    }

    /// A rejected call must not come back at once: there may be a token, but also a full line, or a
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

    /// When a call that was rejected may come back.
    pub(crate) fn retry_after(&self, now_ns: u64, wish: &Wish) -> Denial {
        let mut inner = self.lock();
        let rejection = self.forecast(&mut inner, now_ns, wish);
        let least = self.least_wait(&inner);
        Denial {
            wait_ns: rejection.wait_ns.max(least),
            ..rejection
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

    /// In how many nanoseconds the first in line may go.
    fn wait_alone(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        let starts = inner.paused_until.max(now_ns);
        if starts == OPEN_END {
            return u64::MAX;
        }
        let (wait, _) = self.wait(inner, starts, &costs.sums());
        (starts - now_ns).saturating_add(wait)
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

const fn later(rejection: Denial, shadow: bool) -> Verdict {
    if shadow {
        Verdict::Watched(rejection)
    } else {
        Verdict::Later(rejection)
    }
}
