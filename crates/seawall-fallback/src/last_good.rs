//! The last good answers, learned from successes.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use seawall_core::{InvalidConfig, NonZeroDuration, Span, getters, setters};
use tokio::time::Instant;

use crate::Answer;

/// How old the last good answer may be, and of how many keys it is kept.
///
/// ```
/// use std::time::Duration;
/// use seawall_fallback::LastGoodConfig;
///
/// let config = LastGoodConfig::builder().max_age(Duration::from_secs(30)).build()?;
/// assert_eq!(config.max_keys(), 1_000);
/// let none = LastGoodConfig::builder().max_age(Duration::ZERO).build().unwrap_err();
/// assert_eq!(none.field(), "max_age");
/// # Ok::<(), seawall_fallback::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastGoodConfig {
    max_age: Duration,
    max_keys: usize,
    max_weight: Option<u64>,
}

impl Default for LastGoodConfig {
    /// One minute, of a thousand keys.
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            max_keys: 1_000,
            max_weight: None,
        }
    }
}

impl LastGoodConfig {
    /// The defaults, to be changed.
    pub fn builder() -> LastGoodConfigBuilder {
        LastGoodConfigBuilder::default()
    }

    getters! {
        /// How old an answer may be.
        pub const fn max_age -> Duration;
        /// Of how many keys the last answer is kept.
        pub const fn max_keys -> usize;
        /// What all of them may weigh together.
        pub const fn max_weight -> Option<u64>;
    }
}

/// Builds a [`LastGoodConfig`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LastGoodConfigBuilder {
    config: LastGoodConfig,
}

impl LastGoodConfigBuilder {
    setters! { self.config:
        /// Sets how old an answer may be, from the beginning of the call that brought it; one minute unless
        /// set.
        pub const fn max_age(Duration);
        /// Sets of how many keys the last answer is kept; 1,000 unless set. Beyond that, that of the key is
        /// dropped which was not used for longest.
        pub const fn max_keys(usize);
        /// Sets what all of them may weigh together, in the unit of
        /// [`LastGood::weighed`]; no limit unless set.
        pub const fn max_weight(Some(u64));
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `max_age`, `max_keys` or `max_weight` where it is zero.
    pub fn build(self) -> Result<LastGoodConfig, InvalidConfig> {
        NonZeroDuration::check("max_age", self.config.max_age)?;
        let none = |field| InvalidConfig::new(field, 0, "a whole number from 1");
        if self.config.max_keys == 0 {
            return Err(none("max_keys"));
        }
        if self.config.max_weight == Some(0) {
            return Err(none("max_weight"));
        }
        Ok(self.config)
    }
}

/// Keeps the last good answer of each key, and answers with it while it is not too old.
///
/// Good is what the classifier calls a success and what is not marked as degraded. Of two answers that of the
/// call is kept which began last, whatever the time of its data: it is the upstream's own word. The age counts from
/// the beginning of the call that brought the answer.
///
/// The key is what a request asks for: it must have everything that the answer depends on, credentials
/// included. A request whose key is `None` is neither learned from nor answered.
///
/// Each call copies its request to have the key of it, and each success takes a short lock. For HTTP, whose
/// bodies can be read once, the crate `seawall-cache` keeps answers.
///
/// ```
/// use seawall_fallback::{LastGood, LastGoodConfig, Step};
///
/// let kept: LastGood<&'static str, f64> =
///     LastGood::new(LastGoodConfig::default(), |symbol: &&'static str| Some(*symbol));
/// assert_eq!(Step::last_good(kept).name().as_str(), "last_good");
/// ```
pub struct LastGood<Req, Res> {
    pub(crate) config: LastGoodConfig,
    pub(crate) memory: Arc<dyn Memory<Req, Res>>,
    pub(crate) erased: Arc<dyn Forget>,
    is_weighed: bool,
}

/// What keeps answers.
pub(crate) trait Memory<Req, Res>: Send + Sync {
    fn learn(&self, request: &Req, response: &Res, began: Instant);

    fn recall(&self, request: &Req, now: Instant) -> Option<Answer<Res>>;
}

/// What can be forgotten, whatever it is.
pub(crate) trait Forget: Send + Sync {
    fn forget(&self, now: Instant);

    /// How many keys there are.
    fn keys(&self) -> usize;
}

impl<Req: 'static, Res: Send + 'static> LastGood<Req, Res> {
    /// Keeps clones of answers, by the key of their request. They are not weighed: with a
    /// [`max_weight`](LastGoodConfigBuilder::max_weight) the layer is an error, see [`weighed`](Self::weighed).
    pub fn new<K>(
        config: LastGoodConfig,
        key: impl Fn(&Req) -> Option<K> + Send + Sync + 'static,
    ) -> Self
    where
        K: Hash + Eq + Clone + Send + 'static,
        Res: Clone,
    {
        let copy = |answer: &Res| Some(answer.clone());
        let kept = Self::with(config, key, copy, |_| 0);
        Self {
            is_weighed: false,
            ..kept
        }
    }

    /// Keeps what `copy` makes of an answer, `None` for one that is not to be kept; `weigh` is what a copy
    /// weighs of [`max_weight`](LastGoodConfigBuilder::max_weight), in bytes for example.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `max_weight` where `config` has none.
    pub fn weighed<K>(
        config: LastGoodConfig,
        key: impl Fn(&Req) -> Option<K> + Send + Sync + 'static,
        copy: impl Fn(&Res) -> Option<Res> + Send + Sync + 'static,
        weigh: impl Fn(&Res) -> u64 + Send + Sync + 'static,
    ) -> Result<Self, InvalidConfig>
    where
        K: Hash + Eq + Clone + Send + 'static,
    {
        if config.max_weight.is_none() {
            let accepted = "a whole number from 1, where answers are weighed";
            return Err(InvalidConfig::new("max_weight", "not set", accepted));
        }
        Ok(Self::with(config, key, copy, weigh))
    }

    fn with<K: Hash + Eq + Clone + Send + 'static>(
        config: LastGoodConfig,
        key: impl Fn(&Req) -> Option<K> + Send + Sync + 'static,
        copy: impl Fn(&Res) -> Option<Res> + Send + Sync + 'static,
        weigh: impl Fn(&Res) -> u64 + Send + Sync + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept::new(config)));
        Self {
            config,
            erased: Arc::<Mutex<Kept<K, Res>>>::clone(&kept),
            memory: Arc::new(Store {
                kept,
                key,
                copy,
                weigh,
            }),
            is_weighed: true,
        }
    }
}

impl<Req, Res> LastGood<Req, Res> {
    /// The bound that has no effect, since nothing is weighed.
    pub(crate) fn idle_weight(&self) -> Option<u64> {
        self.config.max_weight.filter(|_| !self.is_weighed)
    }

    pub(crate) fn settings(&self) -> String {
        let LastGoodConfig {
            max_age, max_keys, ..
        } = self.config;
        format!("at most {} old, of {max_keys} keys", Span(max_age))
    }
}

seawall_core::impl_debug!(LastGood<Req, Res>: |this| config = this.config, keys = this.erased.keys());

struct Store<K, Res, F, C, W> {
    kept: Arc<Mutex<Kept<K, Res>>>,
    key: F,
    copy: C,
    weigh: W,
}

/// The answers that are kept.
struct Kept<K, Res> {
    answers: LruCache<K, Entry<Res>>,
    weight: u64,
    config: LastGoodConfig,
    /// Calls that began before are not learned from.
    forgotten: Option<Instant>,
}

struct Entry<Res> {
    answer: Res,
    weight: u64,
    began: Instant,
}

/// What is not kept any more: that of a key, and what is evicted for it. Both types are the caller's own.
type Gone<K, Res> = (Option<(K, Entry<Res>)>, Vec<(K, Entry<Res>)>);

impl<K: Hash + Eq, Res> Kept<K, Res> {
    fn new(config: LastGoodConfig) -> Self {
        Self {
            answers: LruCache::unbounded(),
            weight: 0,
            config,
            forgotten: None,
        }
    }

    fn is_newest(&self, key: &K, began: Instant) -> bool {
        let kept = self.answers.peek(key).map(|kept| kept.began);
        kept.max(self.forgotten).is_none_or(|last| last <= began)
    }

    /// Puts an answer; what has to go for it is returned, to be dropped outside of the lock: that of its key,
    /// and others.
    fn put(&mut self, key: K, entry: Entry<Res>) -> Gone<K, Res> {
        let max_weight = self.config.max_weight.unwrap_or(u64::MAX);
        let mut evicted = Vec::new();
        if entry.weight > max_weight || !self.is_newest(&key, entry.began) {
            return (Some((key, entry)), evicted);
        }
        self.weight = self.weight.saturating_add(entry.weight);
        let older = self.answers.push(key, entry);
        let gone = older.as_ref().map_or(0, |(_, older)| older.weight);
        self.weight = self.weight.saturating_sub(gone);
        while self.weight > max_weight || self.answers.len() > self.config.max_keys {
            let Some(oldest) = self.answers.pop_lru() else {
                break;
            };
            self.weight = self.weight.saturating_sub(oldest.1.weight);
            evicted.push(oldest);
        }
        (older, evicted)
    }
}

impl<Req, Res, K, F, C, W> Memory<Req, Res> for Store<K, Res, F, C, W>
where
    K: Hash + Eq + Send,
    Res: Send,
    F: Fn(&Req) -> Option<K> + Send + Sync,
    C: Fn(&Res) -> Option<Res> + Send + Sync,
    W: Fn(&Res) -> u64 + Send + Sync,
{
    fn learn(&self, request: &Req, response: &Res, began: Instant) {
        let Some(key) = (self.key)(request) else {
            return;
        };
        let Some(answer) = (self.copy)(response) else {
            return;
        };
        let weight = (self.weigh)(&answer);
        let entry = Entry {
            answer,
            weight,
            began,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = kept.put(key, entry);
        drop(kept);
        drop(gone);
    }

    fn recall(&self, request: &Req, now: Instant) -> Option<Answer<Res>> {
        let key = (self.key)(request)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let max_age = kept.config.max_age;
        let entry = kept.answers.get(&key)?;
        let age = now.saturating_duration_since(entry.began);
        // Under the lock, as a value cannot be shared: a copy is to be as cheap as a clone.
        let answer = (age <= max_age).then(|| (self.copy)(&entry.answer));
        drop(kept);
        answer.flatten().map(|answer| Answer::aged(answer, age))
    }
}

impl<K: Hash + Eq + Send, Res: Send> Forget for Mutex<Kept<K, Res>> {
    fn forget(&self, now: Instant) {
        let mut kept = self.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = std::mem::replace(&mut kept.answers, LruCache::unbounded());
        kept.weight = 0;
        // Under the lock: a call under way does not bring back what is forgotten here.
        kept.forgotten = Some(now);
        drop(kept);
        drop(answers);
    }

    fn keys(&self) -> usize {
        let kept = self.lock().unwrap_or_else(PoisonError::into_inner);
        kept.answers.len()
    }
}
