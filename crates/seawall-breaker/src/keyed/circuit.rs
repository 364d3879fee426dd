//! The circuit of one key.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{AddAssign, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::evict::{Evict, Rest};
use super::map::Entry;
use crate::access::{Access, CircuitRef};
use crate::config::BreakerConfig;
use crate::control::Control;
use crate::counts::CircuitCounts;
use crate::publish::Publish;
use crate::state::{Common, Locked, Setup};
use crate::state_word::CircuitState;
use crate::stripe::Stripe;
use crate::transition::{Change, Transition, TransitionCounts};

/// A circuit of a [`BreakerRegistry`](crate::BreakerRegistry), with its key; see
/// [`CircuitHandle`](crate::CircuitHandle). As long as it is held, it is not evicted.
pub struct Keyed<K: ToOwned + ?Sized>(pub(super) Arc<KeyedEntry<K>>);

pub(super) type KeyedEntry<K> = Entry<<K as ToOwned>::Owned, KeyedCircuit<K>>;

/// The circuit of one key: a common part and one stripe. Many keys share the load of many threads
/// better than many stripes would.
// In this order, so that the words which every call touches lie side by side, next to the key.
#[repr(C)]
pub(crate) struct KeyedCircuit<K: ToOwned + ?Sized> {
    common: Common,
    stripe: Stripe,
    shared: Arc<RegistryShared<K>>,
}

impl<K: ToOwned + ?Sized> Keyed<K> {
    pub(super) fn key(&self) -> &K {
        self.0.key().borrow()
    }
}

impl<K: ToOwned + ?Sized> Clone for Keyed<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: ToOwned + ?Sized> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common().fmt(f)
    }
}

impl<K: ToOwned + ?Sized> CircuitRef for Keyed<K> {
    type Held = Self;
    const IS_OF_KEY: bool = true;

    fn held(&self) -> Self {
        self.clone()
    }
}

impl<K: ToOwned + ?Sized> Access for Keyed<K> {
    #[inline]
    fn common(&self) -> &Common {
        &self.0.value().common
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.0.value().stripes()
    }

    #[inline]
    fn stripe(&self) -> &Stripe {
        &self.0.value().stripe
    }

    fn report(&self, change: &Change) {
        let circuit = self.0.value();
        circuit.report(change);
        let clock = &circuit.common.setup.clock;
        let transition = || change.to_transition(clock);
        circuit.shared.listeners.emit(self.key(), transition);
    }
}

// To be read by the map, which knows no key.
impl<K: ToOwned + ?Sized> Access for KeyedCircuit<K> {
    fn common(&self) -> &Common {
        &self.common
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        std::iter::once(&self.stripe)
    }

    fn stripe(&self) -> &Stripe {
        &self.stripe
    }
}

impl<K: ToOwned + ?Sized> KeyedCircuit<K> {
    pub(super) fn new(
        setup: &Arc<Setup>,
        config: &Arc<BreakerConfig>,
        shared: &Arc<RegistryShared<K>>,
    ) -> Self {
        Self {
            stripe: Stripe::new(config),
            common: Common::new(Arc::clone(setup), Arc::clone(config)),
            shared: Arc::clone(shared),
        }
    }

    /// What the circuit keeps beside its entry, in bytes, with some for what an allocator keeps
    /// per block.
    fn heap(&self, locked: &Locked) -> usize {
        const BLOCK: usize = 16;
        fn block<T>(of: Option<&T>) -> usize {
            of.map_or(0, |of| size_of_val(of) + BLOCK)
        }
        locked.circuit.heap()
            + self.common.heap()
            + BLOCK
            + block(self.stripe.counters.get())
            + block(self.stripe.in_flight.get().map(AsRef::as_ref))
    }
}

impl<K: ToOwned + ?Sized> Evict for KeyedCircuit<K> {
    type Totals = Totals;

    fn rest(&mut self) -> Rest {
        let state = self.common.word().state();
        let now = self.common.now();
        let locked = self.lock_drained(now);
        let (circuit, config) = (&locked.circuit, &locked.config);
        // Where the registry forces every circuit, this one would be made again in its state.
        let as_made = state == CircuitState::Closed || self.shared.settings().forced == Some(state);
        if !as_made && !circuit.is_deserted(config, now) {
            return Rest::Stays;
        }
        let clean = circuit.windows().is_clean(config.pace.epoch(now));
        if clean && !circuit.remembers_openings(config, now) {
            Rest::Idle
        } else {
            Rest::Remembers
        }
    }

    fn add_to(&self, totals: &mut Totals, evicted: bool) {
        let mut locked = self.common.lock();
        totals.counts.merge(&self.counts_of(&mut locked));
        if let Some(transitions) = locked.circuit.transitions() {
            totals.transitions.merge(transitions);
        }
        if evicted {
            return;
        }
        totals.heap += self.heap(&locked);
        let state = locked.circuit.word.state();
        let keys = match state.gauge() {
            0 => &mut totals.closed,
            1 => &mut totals.half_open,
            _ => &mut totals.open,
        };
        *keys += 1;
    }
}

/// The sums over all keys, the evicted ones included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(super) counts: CircuitCounts,
    pub(super) transitions: TransitionCounts,
    pub(super) closed: usize,
    pub(super) half_open: usize,
    pub(super) open: usize,
    /// What the circuits keep beside their entries, in bytes.
    pub(super) heap: usize,
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.transitions.merge(&other.transitions);
        self.closed += other.closed;
        self.half_open += other.half_open;
        self.open += other.open;
        self.heap += other.heap;
    }
}

/// What the circuits of one registry share.
pub(crate) struct RegistryShared<K: ?Sized> {
    pub(super) listeners: Listeners<K>,
    settings: RwLock<RegistrySettings>,
}

/// What holds for every circuit, present and future.
#[derive(Clone, Debug)]
pub(super) struct RegistrySettings {
    pub(super) config: Arc<BreakerConfig>,
    /// The state that an operator forced all circuits into.
    pub(super) forced: Option<CircuitState>,
    /// How often they changed.
    version: u64,
}

impl<K: ?Sized> RegistryShared<K> {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self {
            listeners: Listeners::default(),
            settings: RwLock::new(RegistrySettings {
                config: Arc::new(config),
                forced: None,
                version: 0,
            }),
        }
    }

    /// Takes a lock under which no code of the user runs and no other lock is taken.
    pub(super) fn settings(&self) -> impl Deref<Target = RegistrySettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the settings. What was replaced is dropped by the caller, outside of the lock.
    pub(super) fn change_settings<T>(&self, change: impl FnOnce(&mut RegistrySettings) -> T) -> T {
        let mut settings = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        settings.version += 1;
        change(&mut settings)
    }
}

impl<K: ToOwned + ?Sized> Keyed<K> {
    /// Applies the present settings, and to a new circuit the present command. Checks again
    /// afterwards, since several threads may change them.
    #[cold]
    pub(super) fn apply_settings(&self, is_new: bool) {
        let shared = &self.0.value().shared;
        let mut forced = None;
        loop {
            let settings = shared.settings().clone();
            self.configure_with(|config| {
                let same = std::ptr::eq(config, &*settings.config);
                (!same).then(|| Arc::clone(&settings.config))
            });
            if is_new && settings.forced != forced {
                match settings.forced {
                    Some(CircuitState::ForcedOpen) => self.force_open(),
                    Some(_) => self.force_closed(),
                    None => self.reset(),
                }
                forced = settings.forced;
            }
            if shared.settings().version == settings.version {
                return;
            }
        }
    }
}

type Listener<K> = Arc<dyn Fn(&K, &Transition) + Send + Sync>;

/// What is called at each transition, with the key.
pub(super) struct Listeners<K: ?Sized> {
    len: AtomicUsize,
    all: RwLock<Arc<[Listener<K>]>>,
    panics: AtomicU64,
}

impl<K: ?Sized> Default for Listeners<K> {
    fn default() -> Self {
        Self {
            len: AtomicUsize::new(0),
            all: RwLock::new(Arc::new([])),
            panics: AtomicU64::new(0),
        }
    }
}

impl<K: ?Sized> Listeners<K> {
    pub(super) fn add(&self, listener: Listener<K>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let more: Vec<_> = all.iter().map(Arc::clone).chain([listener]).collect();
        *all = more.into();
        self.len.store(all.len(), Ordering::Release);
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Outside of every lock: a listener may do anything.
    fn emit(&self, key: &K, transition: impl FnOnce() -> Transition) {
        if self.len.load(Ordering::Acquire) == 0 {
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
