//! All limits of a layer and the queue of the calls that wait for them, without executor: `now` is
//! an argument.
//!
//! While the word `slow_path` is zero, tokens are taken from a single bucket without the lock. In
//! every other case (several limits, another kind than a bucket, queued calls, a pause) the lock
//! decides, so that a call takes from all limits or from none.
//!
//! As many waiters are notified as there are tokens for, in the order of the
//! [queue](seawall_core::queue): each has a claim on what it costs, and takes it at its next poll, at
//! the moment of departure. The first of the others has a timer for its tokens. One that is not
//! polled costs the others at most its claim, and that for a few milliseconds. At its deadline a
//! waiter takes the tokens that are there, whatever its rank and the claims of others.

mod admission;
mod control;
mod forecast;
mod lazy;
mod queue;
mod settle;
mod signals;
mod supply;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::queue::Turn;
use seawall_core::{Priority, Unit, ns};

use self::lazy::LazyQueue;
use crate::bucket::{Bucket, Rate};
use crate::cap::Caps;
use crate::config::RateLimitConfig;
use crate::costs::{Call, Costs, Sums};
use crate::denial::Denial;
use crate::keyed::all_keys::AllKeys;
use crate::limit::{Limit, MAX_LIMITS};
use crate::meter::{Meter, WallClock};
use crate::pause::Pause;
use crate::rates::EarlierRates;
use crate::reported::Reported;

/// The decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The tokens are taken.
    Granted,
    /// The tokens will be there in time: the call may wait.
    Wait,
    Denied(Denial),
    /// It would be denied outside of shadow mode, and has taken so much.
    Shadowed(Denial, Taken),
}

/// Where the tokens of a call that passes in shadow mode were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) own: bool,
    pub(crate) account: bool,
}

/// What a waiter does after a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) turn: Turn,
    /// The generation of the watchdog that it has to start before it sleeps.
    pub(crate) watchdog: Option<u64>,
}

/// What a call asks of a limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRequest {
    pub(crate) costs: Costs,
    pub(crate) priority: Priority,
    /// The moment after which its result is of no use; `u64::MAX` without one.
    pub(crate) deadline_ns: u64,
    pub(crate) max_wait_ns: u64,
}

impl TokenRequest {
    #[inline]
    const fn call(&self) -> Call<'_> {
        (&self.costs, self.priority)
    }
}

/// The limiter of an account, which grants together with the limiter of one of its keys, or neither
/// does.
#[derive(Clone, Copy)]
pub(crate) struct AccountRequest<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) request: &'a TokenRequest,
}

// The word `slow_path`: how many wait for their turn or have a claim in the lower half, and what
// else closes the fast path.
/// There is more than a single bucket, or an account-wide limit.
const SEVERAL: u64 = 1 << 32;
/// The upstream has reported something that the word of a bucket cannot hold.
const CAPPED: u64 = 1 << 33;
const PAUSED: u64 = 1 << 34;
const DRAINING: u64 = 1 << 35;
const SHADOW: u64 = 1 << 36;
/// An operator lets calls pass as in shadow mode, whatever the settings are.
const BYPASS: u64 = 1 << 37;
/// A share is for calls of reserved priority alone.
const RESERVES: u64 = 1 << 38;

// On cache lines of its own, with what every call reads next to what every call writes.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Limiter {
    /// The first limit, where that is a bucket and the only one.
    bucket: Bucket,
    /// Changed under the lock. It only keeps the order, wake-ups do not depend on it: relaxed is
    /// enough.
    slow_path: AtomicU64,
    max_wait_ns: AtomicU64,
    max_waiting: AtomicU32,
    first_unit: Unit,
    /// What each limit counts, in their order.
    units: Box<[Unit]>,
    /// What holds for all keys, in the limiter of one.
    all_keys: Option<Arc<AllKeys>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: LazyQueue,
    /// None when a single bucket is the only limit.
    meters: Vec<Meter>,
    /// What the upstream has reported of each limit; empty until it does.
    caps: Vec<Caps>,
    /// How many tokens of each limit are for calls of reserved priority alone; made where there is a share.
    reserved: Option<Box<Sums>>,
    /// The last that the upstream reported of each; made when it does. One word: most keys have none.
    reported: Option<Box<[Option<Reported>; MAX_LIMITS]>>,
    /// The costs of queued calls by priority, the highest first. Only of those that wait for their
    /// turn or have a claim: others may be stuck for long, and nobody waits for them.
    ahead: Vec<Ahead>,
    /// The costs of those that have a claim.
    claimed: Sums,
    pause: Pause,
    /// It was commanded for this key after a bypass of all keys, and holds in spite of that.
    pause_holds_in_bypass: bool,
    earlier_rates: EarlierRates,
    config: RateLimitConfig,
}

/// The queued calls of one priority.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    priority: Priority,
    calls: u32,
    sums: Sums,
    /// How much later than by their costs they depart, see [`Rate::delay_ns`].
    delay_ns: u64,
}

impl Inner {
    /// Whether a call of this priority goes before all others, and may use reserved tokens.
    #[inline]
    fn is_reserved(&self, priority: Priority) -> bool {
        self.reserved.is_some() && priority >= Priority::RESERVED
    }

    /// How many queued calls of reserved priority wait for their turn or have a claim.
    fn reserved_ahead(&self) -> usize {
        let ahead = self.ahead.iter();
        let reserved = ahead.take_while(|ahead| ahead.priority >= Priority::RESERVED);
        reserved.map(|ahead| ahead.calls as usize).sum()
    }
}

/// How many tokens of each limit are for calls of reserved priority alone, if there is a share: none of a limit of
/// one, where such calls go first all the same. `burst` is that of
/// a single bucket, which has no meter.
fn reserved(config: &RateLimitConfig, meters: &[Meter], burst: Option<u64>) -> Option<Box<Sums>> {
    config.reserved_share()?;
    let mut reserved = Sums::default();
    let capacities = meters.iter().map(Meter::capacity).chain(burst);
    for (index, capacity) in capacities.enumerate() {
        reserved.add_to(index, config.reserved_of(capacity));
    }
    Some(Box::new(reserved))
}

impl Limiter {
    /// `wall` maps the clock of the limiter to the wall clock.
    pub(crate) fn new(config: RateLimitConfig, now_ns: u64, wall: WallClock) -> Self {
        let limits = config.limits();
        let single = match limits {
            [only] => only.rate(),
            _ => None,
        };
        let meters = match single {
            Some(_) => Vec::new(),
            None => limits
                .iter()
                .map(|limit| Meter::new(limit, now_ns, wall))
                .collect(),
        };
        let mut slow_path = 0;
        if single.is_none() {
            slow_path |= SEVERAL;
        }
        if config.shadow() {
            slow_path |= SHADOW;
        }
        let burst = single.map(Rate::burst);
        let reserved = reserved(&config, &meters, burst);
        if reserved.is_some() {
            slow_path |= RESERVES;
        }
        Self {
            bucket: Bucket::new(single.unwrap_or(Rate::new(1, 1, 1))),
            slow_path: AtomicU64::new(slow_path),
            max_wait_ns: AtomicU64::new(ns(config.max_wait())),
            max_waiting: AtomicU32::new(config.max_waiting()),
            first_unit: limits.first().map_or(Unit::Cost, Limit::unit),
            units: limits.iter().map(Limit::unit).collect(),
            all_keys: None,
            inner: Mutex::new(Inner {
                queue: LazyQueue::new(),
                meters,
                caps: Vec::new(),
                reserved,
                reported: None,
                ahead: Vec::new(),
                claimed: Sums::default(),
                pause: Pause::NONE,
                pause_holds_in_bypass: false,
                earlier_rates: EarlierRates::default(),
                config,
            }),
        }
    }

    /// Closes the fast path: an account-wide limit decides with this one.
    pub(crate) fn within_account(self) -> Self {
        self.set(SEVERAL);
        self
    }

    /// Allocates at once what its limits may need, so that no call does later.
    pub(crate) fn reserved(mut self) -> Self {
        let inner = self.inner.get_mut();
        let inner = inner.unwrap_or_else(PoisonError::into_inner);
        inner.meters.iter_mut().for_each(Meter::reserve);
        self
    }

    /// Its memory, in bytes, without what waits in its queue.
    pub(crate) fn bytes(&self) -> usize {
        let inner = self.lock();
        let meters = inner.meters.capacity() * size_of::<Meter>();
        let caps = inner.caps.capacity() * size_of::<Caps>();
        let logs: usize = inner.meters.iter().map(Meter::heap_bytes).sum();
        let limits = size_of_val(inner.config.limits());
        let rates = inner.earlier_rates.heap_bytes();
        let heap = meters + caps + logs + limits + rates + inner.queue.bytes();
        size_of::<Self>() + size_of_val(&*self.units) + heap
    }

    /// The limiter of one key: what holds for all of them holds for it.
    pub(crate) fn of_key(mut self, all_keys: &Arc<AllKeys>) -> Self {
        self.all_keys = Some(Arc::clone(all_keys));
        self
    }

    /// With the earlier rates of its buckets.
    pub(crate) fn with_earlier_rates(mut self, rates: EarlierRates) -> Self {
        let inner = self.inner.get_mut();
        inner.unwrap_or_else(PoisonError::into_inner).earlier_rates = rates;
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

    /// Whether the cost of the first limit is all that a call costs.
    #[inline]
    pub(crate) const fn is_single(&self) -> bool {
        self.units.len() == 1
    }

    /// Takes the tokens of a new call from a single bucket, if the fast path is open. `None` when
    /// [`admit`](Self::admit) must decide.
    #[inline]
    pub(crate) fn try_admit(&self, now_ns: u64, cost: u32) -> Option<Result<(), u64>> {
        if self.slow_path.load(Ordering::Relaxed) != 0 {
            return None;
        }
        match self.bucket.try_take(now_ns, cost.into()) {
            Ok(()) => Some(Ok(())),
            Err(wait) => self.deny_at_once(cost, wait),
        }
    }

    /// Without a lock, since a limiter that is used up is asked often.
    // Inlined: a call of its own costs as much as what it does.
    #[inline]
    fn deny_at_once(&self, cost: u32, wait: u64) -> Option<Result<(), u64>> {
        /// More than an empty bucket waits: its word is closed while the rate is being changed.
        const TOO_FAR: u64 = u64::MAX >> 6;
        let no_waiting = self.max_wait_ns.load(Ordering::Relaxed) == 0;
        let fits = u64::from(cost) <= self.bucket.rate().burst();
        (no_waiting && fits && wait < TOO_FAR).then_some(Err(wait))
    }

    pub(crate) fn max_wait_ns(&self) -> u64 {
        self.max_wait_ns.load(Ordering::Relaxed)
    }

    fn set(&self, flag: u64) {
        self.slow_path.fetch_or(flag, Ordering::Relaxed);
    }

    fn unset(&self, flag: u64) {
        self.slow_path.fetch_and(!flag, Ordering::Relaxed);
    }

    fn has(&self, flag: u64) -> bool {
        self.slow_path.load(Ordering::Relaxed) & flag != 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what has ended until now, so that the fast path is open again.
    fn lock_at(&self, now_ns: u64) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if self.has(PAUSED | CAPPED) {
            self.forget_past(&mut inner, now_ns);
        }
        inner
    }

    #[cold]
    fn forget_past(&self, inner: &mut Inner, now_ns: u64) {
        if now_ns >= inner.pause.recovered_at() {
            if inner.meters.is_empty() {
                self.bucket.settle(now_ns, inner.pause);
            }
            inner.pause = Pause::NONE;
            self.unset(PAUSED);
        }
        for caps in &mut inner.caps {
            caps.prune(now_ns);
        }
        if inner.caps.iter().all(Caps::is_empty) {
            self.unset(CAPPED);
        }
    }
}
