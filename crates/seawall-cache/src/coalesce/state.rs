//! What all services of a layer that coalesces, and its handles, share.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::DefaultHashBuilder;
use seawall_core::striped::{Anchor, Local, StripeSet};
use seawall_core::{EventSource, InstanceName};

use super::share::Answer;
use crate::CoalesceConfig;
use crate::calls::{Calls, hash_of};
use crate::counts::CoalesceStripe;

/// The calls under way, the settings, the counters and the events of one layer value.
pub(crate) struct State<K, V, E> {
    pub(crate) events: EventSource,
    pub(crate) stripes: StripeSet<CoalesceStripe>,
    pub(crate) calls: Arc<Calls<K, Answer<V, E>>>,
    hasher: DefaultHashBuilder,
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

    #[inline]
    pub(crate) fn is_bypassed(&self) -> bool {
        self.bypassed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.bypassed.store(bypassed, Ordering::Relaxed);
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
