//! Reads and controls from outside.

use std::hash::Hash;
use std::sync::Arc;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::counts::CacheCounts;
use crate::state::State;
use crate::{CacheConfig, PrefixKey};

/// Reads and controls a cache and all its services, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::{CacheConfig, CacheHandle, CacheLayer};
///
/// let layer = CacheLayer::new("quotes", CacheConfig::new(Duration::from_secs(1))?);
/// let handle: CacheHandle<String, f64> = layer.handle();
/// handle.invalidate(&"SPY".to_owned());
/// handle.invalidate_prefix("AAPL/options/");
/// assert_eq!(handle.snapshot().entries, 0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
pub struct CacheHandle<K, V> {
    pub(crate) state: Arc<State<K, V>>,
}

seawall_core::state_words! {
    /// What a cache does at one moment.
    pub enum CacheState {
        /// Answers are kept and given.
        Ok = "ok",
        /// An operator has switched it off: every call is made.
        Bypassed = "bypassed",
    }
}

/// Everything that a [`CacheHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CacheSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: CacheState,
    /// What it did so far.
    pub counts: CacheCounts,
    /// How many answers are kept, those that are stale included.
    pub entries: usize,
    /// What they weigh together: their number, unless the settings limit their weight.
    pub weight: u64,
    /// Calls whose answer others may share.
    pub under_way: usize,
    /// Callers that wait for the call of another one.
    pub waiting: usize,
}

impl<K, V> CacheHandle<K, V> {
    pub(crate) const fn new(state: Arc<State<K, V>>) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.events.name()
    }

    /// The settings.
    pub fn config(&self) -> CacheConfig {
        self.state.config()
    }

    /// What the cache did so far.
    pub fn counts(&self) -> CacheCounts {
        CacheCounts::sum(&self.state.stripes)
    }

    /// Finds the handle again as long as the layer, a service or another handle is left, and keeps none of them
    /// alive.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_cache::{CacheConfig, CacheLayer};
    ///
    /// let layer: CacheLayer<_, String, f64> = CacheLayer::new("quotes", CacheConfig::new(Duration::from_secs(1))?);
    /// let find = layer.handle().weak();
    /// assert_eq!(find().map(|handle| handle.name()), Some("quotes".into()));
    /// drop(layer);
    /// assert!(find().is_none());
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn weak(&self) -> impl Fn() -> Option<Self> + use<K, V> {
        let state = Arc::downgrade(&self.state);
        move || state.upgrade().map(Self::new)
    }

    fn state(&self) -> CacheState {
        match self.state.is_bypassed() {
            true => CacheState::Bypassed,
            false => CacheState::Ok,
        }
    }

    /// Switches the cache off until [`resume`](Self::resume) or [`reset`](Self::reset): every call is made, and
    /// no answer is kept. What is kept stays, and what becomes of it meanwhile is not noticed.
    pub fn bypass(&self) {
        self.state.set_bypassed(true);
        self.state.events.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back.
    pub fn resume(&self) {
        self.state.set_bypassed(false);
        self.state.events.commanded("resume");
    }
}

impl<K: Clone + Eq + Hash, V> CacheHandle<K, V> {
    /// Changes the settings of every service of the layer, while it is used. What is kept stays as long as was
    /// right when it was kept; what exceeds a smaller capacity is dropped, by number and by weight, also where weight had no
    /// limit before.
    ///
    /// # Errors
    ///
    /// None at present: a [`CacheConfig`] is valid by construction.
    pub fn configure(&self, config: CacheConfig) -> Result<(), InvalidConfig> {
        self.state.configure(config);
        self.state.events.commanded("configure");
        Ok(())
    }

    /// Makes the answer under `key` invalid: no call that is made from now on gets it, nor one that was under way
    /// before.
    pub fn invalidate(&self, key: &K) {
        self.state.invalidate(key);
        self.state.events.commanded("invalidate");
    }

    /// Makes every answer invalid whose key begins so.
    pub fn invalidate_prefix(&self, prefix: &str)
    where
        K: PrefixKey,
    {
        self.invalidate_where(|key| key.has_prefix(prefix));
    }

    /// Makes every answer invalid whose key matches. It looks at each; what is under way is not kept, whatever its
    /// key.
    pub fn invalidate_where(&self, matches: impl Fn(&K) -> bool) {
        self.state.invalidate_where(matches);
        self.state.events.commanded("invalidate");
    }

    /// Makes everything invalid.
    pub fn clear(&self) {
        self.state.clear();
        self.state.events.commanded("clear");
    }

    /// Takes [`bypass`](Self::bypass) back and makes everything invalid. The counters stay.
    pub fn reset(&self) {
        self.state.set_bypassed(false);
        self.state.clear();
        self.state.events.commanded("reset");
    }

    /// Everything at once.
    pub fn snapshot(&self) -> CacheSnapshot {
        CacheSnapshot {
            name: self.name(),
            state: self.state(),
            counts: self.counts(),
            entries: self.state.kept.len(),
            weight: self.state.kept.weight(),
            under_way: self.state.calls.len(),
            waiting: self.state.calls.waiting(),
        }
    }
}

impl<K, V> Clone for CacheHandle<K, V> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

seawall_core::impl_debug!(CacheHandle<K, V>: |this|
    name = this.name(),
    config = this.config(),
);

/// A cache has nothing to [block](seawall_core::Command::Block) with.
impl<K, V> InstanceHandle for CacheHandle<K, V>
where
    K: Clone + Eq + Hash + Send + Sync,
    V: Send + Sync,
{
    seawall_core::handle_methods! { |this|
        pattern: "cache",
        state: this.state().as_str(),
        attach: this.state.events,
        commands: [Bypass => bypass, Resume => resume, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let kept = &self.state.kept;
        sink.gauge("seawall_cache_entries", &[], kept.len() as f64);
        sink.gauge("seawall_cache_weight", &[], kept.weight() as f64);
        let capacity = self.config().capacity();
        sink.gauge("seawall_cache_max_weight", &[], capacity as f64);
        let waiting = self.state.calls.waiting();
        sink.gauge("seawall_cache_waiting", &[], waiting as f64);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.state.events.classifier_setting());
        settings
    }
}
