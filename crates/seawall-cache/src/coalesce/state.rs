//! What all services of a layer that coalesces, and its handles, share.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::DefaultHashBuilder;
use seawall_core::striped::{Anchor, Local, StripeSet};
use seawall_core::{EventSource, InstanceName};

use super::share::Answer;
use crate::CoalesceConfig;
use crate::calls::{Calls, hash_of};
use crate::counts::CoalesceStripe;

/// How many counters of changes there are: one of another group keeps a call from being shared in one case of so many.
const SLOTS: usize = 256;

/// The calls under way, the settings, the counters and the events of one layer value.
pub(crate) struct State<K, V, E> {
    pub(crate) events: EventSource,
    pub(crate) stripes: StripeSet<CoalesceStripe>,
    pub(crate) calls: Arc<Calls<K, Answer<V, E>>>,
    hasher: DefaultHashBuilder,
    /// Changes that have ended, by group.
    changes: Box<[AtomicU64]>,
    config: Mutex<CoalesceConfig>,
    /// Whether an operator has switched it off.
    bypassed: AtomicBool,
}

impl<K, V, E> State<K, V, E> {
    pub(crate) fn new(name: InstanceName, config: CoalesceConfig) -> Arc<Self> {
        Arc::new(Self {
            events: EventSource::new("coalesce", name),
            stripes: StripeSet::new(),
            calls: Arc::new(Calls::new()),
            hasher: DefaultHashBuilder::default(),
            changes: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            config: Mutex::new(config),
            bypassed: AtomicBool::new(false),
        })
    }

    pub(crate) fn config(&self) -> CoalesceConfig {
        let config = self.config.lock();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn configure(&self, config: CoalesceConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(crate) fn hash(&self, key: &K) -> u64
    where
        K: Hash,
    {
        hash_of(&self.hasher, key)
    }

    /// The counter of a group.
    fn changes_of(&self, group: u64) -> &AtomicU64 {
        &self.changes[(group >> 20) as usize % SLOTS]
    }

    /// How many changes of a group have ended: a call that began before shares its answer with none that comes after.
    pub(crate) fn epoch(&self, group: u64) -> u64 {
        self.changes_of(group).load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_bypassed(&self) -> bool {
        self.bypassed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.bypassed.store(bypassed, Ordering::Relaxed);
    }
}

/// A call that may change what others of its group read. It ends when its response is there, and again when that is at
/// its end: it may be executed as that is read. Dropped, it has ended, however.
pub(crate) struct Change<K, V, E> {
    pub(crate) state: Arc<State<K, V, E>>,
    pub(crate) group: u64,
}

impl<K, V, E> Change<K, V, E> {
    /// No call that comes from now on shares the answer of one that began before.
    pub(crate) fn end(&self) {
        let changes = self.state.changes_of(self.group);
        changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl<K, V, E> Drop for Change<K, V, E> {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<X, K, V, E, H, C> {
    pub(crate) policy: X,
    pub(crate) hooks: H,
    pub(crate) errors: C,
    pub(crate) state: Arc<State<K, V, E>>,
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<X, K, V, E, H, C> =
    Anchor<Common<X, K, V, E, H, C>, Arc<CoalesceStripe>>;
pub(crate) type CommonLocal<X, K, V, E, H, C> =
    Local<Common<X, K, V, E, H, C>, Arc<CoalesceStripe>>;
