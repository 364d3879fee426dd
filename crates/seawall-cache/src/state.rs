//! What all services of a cache and its handles share.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::striped::{Anchor, Local, StripeSet};
use seawall_core::{Clock, EventSource, InstanceName};

use crate::CacheConfig;
use crate::calls::Calls;
use crate::counts::CacheStripe;
use crate::kept::{Entry, Kept, Moment};

/// The settings, what is kept, the calls under way, the counters and the events of one layer value.
pub(crate) struct State<K, V> {
    pub(crate) events: EventSource,
    pub(crate) stripes: StripeSet<CacheStripe>,
    pub(crate) kept: Kept<K, V>,
    pub(crate) calls: Arc<Calls<K, Answer<V>>>,
    clock: Clock,
    config: Mutex<CacheConfig>,
    /// Whether callers share calls.
    coalesces: AtomicBool,
    /// Whether an operator has switched the cache off.
    bypassed: AtomicBool,
    /// Refreshes in the background that are under way.
    refreshing: AtomicUsize,
}

/// What the waiters of a call get.
pub(crate) enum Answer<V> {
    /// Its answer.
    Kept(Arc<Entry<V>>),
    /// It has failed for this reason: what is stale may be used.
    Failed(&'static str),
    /// Its answer may not be given to others.
    Alone,
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Kept(entry) => Self::Kept(Arc::clone(entry)),
            Self::Failed(reason) => Self::Failed(reason),
            Self::Alone => Self::Alone,
        }
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    pub(crate) fn new(name: InstanceName, config: CacheConfig) -> Arc<Self> {
        Arc::new(Self {
            events: EventSource::new("cache", name),
            stripes: StripeSet::new(),
            kept: Kept::new(&config),
            calls: Arc::new(Calls::new()),
            clock: Clock::start(),
            coalesces: AtomicBool::new(config.coalesce()),
            bypassed: AtomicBool::new(false),
            refreshing: AtomicUsize::new(0),
            config: Mutex::new(config),
        })
    }

    pub(crate) fn configure(&self, config: CacheConfig) {
        let mut current = self.lock();
        self.coalesces.store(config.coalesce(), Ordering::Relaxed);
        *current = config;
        let mut bounds = (current.share(), current.capacity());
        drop(current);
        // Outside of the lock, since it drops what has no place any more; so another one may come in between.
        loop {
            let (share, capacity) = bounds;
            let is_other = self.kept.set_share(share);
            if is_other {
                // What is being kept now is counted as before.
                self.calls.barrier();
            }
            self.kept.set_capacity(capacity, is_other);
            let current = self.lock();
            let now = (current.share(), current.capacity());
            drop(current);
            if now == bounds {
                break;
            }
            bounds = now;
        }
    }

    /// Makes everything invalid, also what is under way.
    pub(crate) fn clear(&self) {
        self.invalidate_where(|_| true);
    }

    /// Makes invalid what matches, also what is under way.
    pub(crate) fn invalidate_where(&self, matches: impl Fn(&K) -> bool) {
        self.kept.invalidate_pending();
        // What is being kept now was checked before; it is taken out with the rest.
        self.calls.barrier();
        self.kept.remove_where(matches);
    }

    /// Makes what is kept under `key` invalid, also where its call is under way.
    pub(crate) fn invalidate(&self, key: &K) {
        self.kept.invalidate(self.kept.hash(key));
        self.kept.remove(key);
    }
}

impl<K, V> State<K, V> {
    /// Makes everything of a group invalid, also what is under way.
    pub(crate) fn invalidate_group(&self, group: u64) {
        self.kept.invalidate(group);
    }

    fn lock(&self) -> MutexGuard<'_, CacheConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> CacheConfig {
        self.lock().clone()
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment::at(self.clock.now())
    }

    #[inline]
    pub(crate) fn coalesces(&self) -> bool {
        self.coalesces.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_bypassed(&self) -> bool {
        self.bypassed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.bypassed.store(bypassed, Ordering::Relaxed);
    }

    /// The right to refresh one answer in the background, while fewer than the most do so.
    pub(crate) fn refresh_permit(self: &Arc<Self>) -> Option<RefreshPermit<K, V>> {
        let most = self.config().max_refreshes();
        let take = |now: usize| (now < most).then_some(now + 1);
        let taken = self
            .refreshing
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, take);
        taken.ok().map(|_| RefreshPermit(Arc::clone(self)))
    }
}

/// Given back when it is dropped.
pub(crate) struct RefreshPermit<K, V>(Arc<State<K, V>>);

impl<K, V> Drop for RefreshPermit<K, V> {
    fn drop(&mut self) {
        self.0.refreshing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<X, H, K, V> {
    pub(crate) policy: X,
    pub(crate) hooks: H,
    pub(crate) state: Arc<State<K, V>>,
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<X, H, K, V> = Anchor<Common<X, H, K, V>, Arc<CacheStripe>>;
pub(crate) type CommonLocal<X, H, K, V> = Local<Common<X, H, K, V>, Arc<CacheStripe>>;
