//! The circuit of one key, and what the circuits of all keys have in common.

use std::borrow::{Borrow, Cow};
use std::hash::{BuildHasher, Hash};
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use seawall_core::InstanceName;

use super::map::{Entry, Evict, Map, Rest};
use crate::cause::{Change, Transition};
use crate::circuits::Circuits;
use crate::config::BreakerConfig;
use crate::control::Control;
use crate::counts::Counts;
use crate::shared::{Cold, Common, Setup, Stripe};
use crate::word::State;

/// The circuit of one key: a common part and one stripe. Many keys share the load of many threads
/// better than many stripes would.
pub(crate) struct Single<K: ToOwned + ?Sized> {
    common: Common,
    stripe: Stripe,
    listeners: Arc<Listeners<K>>,
}

/// A circuit with its key, held by a call or a handle. As long as it is, the circuit stays.
pub(crate) type Held<K> = Arc<Of<K>>;
pub(crate) type Of<K> = Entry<<K as ToOwned>::Owned, Single<K>>;

impl<K: ToOwned + ?Sized> Circuits for Held<K> {
    #[inline]
    fn common(&self) -> &Common {
        &self.value().common
    }

    fn each(&self) -> impl Iterator<Item = &Stripe> {
        std::iter::once(&self.value().stripe)
    }

    #[inline]
    fn stripe(&self) -> &Stripe {
        &self.value().stripe
    }

    fn told(&self, change: &Change) {
        let single = self.value();
        single.told(change);
        let key = self.key().borrow();
        let clock = &single.common.setup.clock;
        single.listeners.emit(key, || change.on(clock));
    }
}

// To be read by the map, which knows no key.
impl<K: ToOwned + ?Sized> Circuits for Single<K> {
    fn common(&self) -> &Common {
        &self.common
    }

    fn each(&self) -> impl Iterator<Item = &Stripe> {
        std::iter::once(&self.stripe)
    }

    fn stripe(&self) -> &Stripe {
        &self.stripe
    }
}

impl<K: ToOwned + ?Sized> Single<K> {
    /// What the circuit keeps beside its entry, in bytes, with some for what an allocator keeps
    /// per block.
    fn heap(&self, cold: &Cold) -> usize {
        const BLOCK: usize = 16;
        let circuit = &cold.circuit;
        let log = match circuit.log().len() {
            0 => 0,
            logged => logged.next_power_of_two().max(4) * size_of::<Change>() + BLOCK,
        };
        let transitions = cold.transitions.as_ref();
        let flights = self.stripe.flights.get();
        circuit.windows().heap()
            + log
            + transitions.map_or(0, |by| size_of_val(&**by) + BLOCK)
            + flights.map_or(0, |line| size_of_val(&**line) + BLOCK)
    }
}

impl<K: ToOwned + ?Sized> Evict for Single<K> {
    type Totals = Totals;

    fn rest(&mut self) -> Rest {
        if self.common.word().state() != State::Closed {
            return Rest::Stays;
        }
        let now = self.common.now();
        let mut cold = self.common.lock();
        self.drain(&mut cold, now);
        let epoch = cold.config.pace.epoch(now);
        if cold.circuit.streak() == 0 && cold.circuit.windows().is_clean(epoch) {
            Rest::Idle
        } else {
            Rest::Remembers
        }
    }

    fn add_to(&self, totals: &mut Totals, goes: bool) {
        let mut cold = self.common.lock();
        add(&mut totals.counts, &self.counts(&mut cold));
        for transition in cold.transitions() {
            totals.transitions.add(transition);
        }
        if goes {
            return;
        }
        totals.heap += self.heap(&cold);
        let keys = match cold.circuit.word.state() {
            State::Closed | State::Disabled => &mut totals.closed,
            State::HalfOpen => &mut totals.half_open,
            State::Open | State::ForcedOpen => &mut totals.open,
        };
        *keys += 1;
    }
}

/// The sums over all keys, those included that are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) counts: Counts,
    pub(crate) transitions: Transitions,
    pub(crate) closed: usize,
    pub(crate) half_open: usize,
    pub(crate) open: usize,
    /// What the circuits keep beside their entries, in bytes.
    pub(crate) heap: usize,
}

/// How often each transition happened: few pairs of states ever do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transitions(pub(crate) Vec<(State, State, u64)>);

impl Transitions {
    fn add(&mut self, (from, to, count): (State, State, u64)) {
        match self
            .0
            .iter_mut()
            .find(|known| (known.0, known.1) == (from, to))
        {
            Some(known) => known.2 = known.2.saturating_add(count),
            None => self.0.push((from, to, count)),
        }
    }
}

fn add(total: &mut Counts, more: &Counts) {
    for (total, more) in [
        (&mut total.successes, more.successes),
        (&mut total.failures, more.failures),
        (&mut total.abstained, more.abstained),
        (&mut total.slow, more.slow),
        (&mut total.abandoned, more.abandoned),
        (&mut total.late, more.late),
        (&mut total.unjudged, more.unjudged),
        (&mut total.would_reject, more.would_reject),
        (&mut total.rejected, more.rejected),
        (&mut total.opened, more.opened),
        (&mut total.half_opened, more.half_opened),
        (&mut total.closed, more.closed),
    ] {
        *total = total.saturating_add(more);
    }
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        add(&mut self.counts, &other.counts);
        for transition in &other.transitions.0 {
            self.transitions.add(*transition);
        }
        self.closed += other.closed;
        self.half_open += other.half_open;
        self.open += other.open;
        self.heap += other.heap;
    }
}

/// The circuits of all keys.
pub(crate) struct Keys<K: ToOwned + ?Sized, B> {
    pub(crate) setup: Arc<Setup>,
    pub(crate) map: Map<K::Owned, Single<K>, B>,
    pub(crate) listeners: Arc<Listeners<K>>,
    config: RwLock<Arc<BreakerConfig>>,
}

impl<K: ToOwned + ?Sized, B> Keys<K, B> {
    pub(crate) fn new(name: InstanceName, config: BreakerConfig, max: usize, hasher: B) -> Self {
        Self {
            setup: Setup::new(name),
            map: Map::new(max, hasher),
            listeners: Arc::default(),
            config: RwLock::new(Arc::new(config)),
        }
    }

    pub(crate) fn config(&self) -> Arc<BreakerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The circuit of `key`, made if there is none.
    #[inline]
    pub(crate) fn circuit(&self, key: Cow<'_, K>) -> Held<K>
    where
        K: Hash + Eq,
        B: BuildHasher,
    {
        let mut made = None;
        let held = self.map.get_or_make(key, || {
            let config = made.insert(self.config());
            Single {
                stripe: Stripe::new(config),
                common: Common::new(Arc::clone(&self.setup), Arc::clone(config)),
                listeners: Arc::clone(&self.listeners),
            }
        });
        if made.is_some() {
            // Settings that came in between: their round may not have met this circuit.
            self.keep_up(&held);
        }
        held
    }

    /// Gives every circuit other settings.
    pub(crate) fn configure(&self, config: BreakerConfig) {
        let config = Arc::new(config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.map.for_each(|held| self.keep_up(held));
    }

    /// Brings a circuit up to the present settings. Looks again after it has changed something,
    /// since settings may come from several threads.
    #[cold]
    fn keep_up(&self, held: &Held<K>) {
        loop {
            let present = self.config();
            if Arc::ptr_eq(&held.config(), &present) {
                return;
            }
            held.configure(present);
        }
    }
}

type Listener<K> = Arc<dyn Fn(&K, &Transition) + Send + Sync>;

/// Who is told the transitions with their keys.
pub(crate) struct Listeners<K: ?Sized> {
    listening: AtomicUsize,
    all: RwLock<Arc<[Listener<K>]>>,
    panics: AtomicU64,
}

impl<K: ?Sized> Default for Listeners<K> {
    fn default() -> Self {
        Self {
            listening: AtomicUsize::new(0),
            all: RwLock::new(Arc::new([])),
            panics: AtomicU64::new(0),
        }
    }
}

impl<K: ?Sized> Listeners<K> {
    pub(crate) fn add(&self, listener: Listener<K>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let more: Vec<_> = all.iter().map(Arc::clone).chain([listener]).collect();
        *all = more.into();
        self.listening.store(all.len(), Ordering::Release);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Outside of every lock: a listener may do what it likes.
    fn emit(&self, key: &K, transition: impl FnOnce() -> Transition) {
        if self.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let all = Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner));
        let transition = transition();
        for listener in &*all {
            if catch_unwind(AssertUnwindSafe(|| listener(key, &transition))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
