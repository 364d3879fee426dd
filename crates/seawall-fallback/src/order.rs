//! The order of answers by the time of their data.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use seawall_core::InvalidConfig;
use tokio::time::Instant;

use crate::last_good::Forget;

/// Keeps answers in the order of their data: a step's answer that is older than what was returned before for
/// the same key is not returned, and the next step is asked.
///
/// The time of an answer is the upstream's own, such as the time of a quote, in any unit: it is only
/// compared. What the upstream itself answers is always returned, and the next degraded answer is compared with
/// it, whatever was returned before: a time that is far too late stands until the upstream's next success, which
/// a [`LastGood`](crate::LastGood) keeps in its place. Only where calls overlap, a success does not set the time back behind that of a call that began later.
///
/// ```
/// use seawall_fallback::NeverOlder;
///
/// struct Quote { price: f64, at_ms: i64 }
///
/// let order = NeverOlder::new(
///     10_000,
///     |symbol: &&'static str| Some(*symbol),
///     |quote: &Quote| Some(quote.at_ms),
/// )?;
/// # let _ = order;
/// # Ok::<(), seawall_fallback::InvalidConfig>(())
/// ```
pub struct NeverOlder<Req, Res> {
    shown: Arc<dyn Shown<Req, Res>>,
    pub(crate) erased: Arc<dyn Forget>,
}

/// The newest answers that were returned.
trait Shown<Req, Res>: Send + Sync {
    /// Notes that an answer is about to be returned; `false` where a newer one was. `began` is when the call began
    /// that it is the upstream's own answer to, `None` of a step's: of the call that began last it is never `false`.
    fn show(&self, request: &Req, response: &Res, began: Option<Instant>) -> bool;
}

struct Newest<K, F, G> {
    times: Arc<Mutex<LruCache<K, Mark>>>,
    key: F,
    time: G,
}

/// The time of what was returned last.
struct Mark {
    time: i64,
    /// When the last call began whose success was returned; `None` where only steps have answered.
    began: Option<Instant>,
}

impl<Req, Res> NeverOlder<Req, Res> {
    /// Remembers the newest times of the `max_keys` keys that were used last. `key` is what a request asks
    /// for, and `time` that of an answer; where one of them is `None`, the answer is returned as it is.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `max_keys` when it is zero.
    pub fn new<K: Hash + Eq + Send + 'static>(
        max_keys: usize,
        key: impl Fn(&Req) -> Option<K> + Send + Sync + 'static,
        time: impl Fn(&Res) -> Option<i64> + Send + Sync + 'static,
    ) -> Result<Self, InvalidConfig>
    where
        Req: 'static,
        Res: 'static,
    {
        let Some(max) = NonZeroUsize::new(max_keys) else {
            return Err(InvalidConfig::new("max_keys", 0, "a whole number from 1"));
        };
        let times = Arc::new(Mutex::new(LruCache::new(max)));
        Ok(Self {
            erased: Arc::<Mutex<LruCache<K, Mark>>>::clone(&times),
            shown: Arc::new(Newest { times, key, time }),
        })
    }

    /// Notes a success, which is returned in any case; `false` where its data is older than what was returned, and
    /// a call that began later has succeeded.
    pub(crate) fn succeeded(&self, request: &Req, response: &Res, began: Instant) -> bool {
        self.shown.show(request, response, Some(began))
    }

    /// Whether a step's answer may be returned; noted if so.
    pub(crate) fn may_show(&self, request: &Req, response: &Res) -> bool {
        self.shown.show(request, response, None)
    }
}

impl<K, F, G, Req, Res> Shown<Req, Res> for Newest<K, F, G>
where
    K: Hash + Eq + Send,
    F: Fn(&Req) -> Option<K> + Send + Sync,
    G: Fn(&Res) -> Option<i64> + Send + Sync,
{
    fn show(&self, request: &Req, response: &Res, began: Option<Instant>) -> bool {
        let Some((key, time)) = (self.key)(request).zip((self.time)(response)) else {
            return true;
        };
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mark) = times.get_mut(&key) {
            let is_newest = time >= mark.time;
            let is_latest = began.is_some() && began >= mark.began;
            // The time is a remote side's: one that is wrong must not outlast the next success.
            if is_newest || is_latest {
                mark.time = time;
            }
            mark.began = mark.began.max(began);
            return is_newest || is_latest;
        }
        let gone = times.push(key, Mark { time, began });
        // Outside of the lock: keys are the caller's own type.
        drop(times);
        drop(gone);
        true
    }
}

impl<K: Hash + Eq + Send> Forget for Mutex<LruCache<K, Mark>> {
    fn forget(&self, _: Instant) {
        let mut times = self.lock().unwrap_or_else(PoisonError::into_inner);
        let max = times.cap();
        let gone = std::mem::replace(&mut *times, LruCache::new(max));
        drop(times);
        drop(gone);
    }

    fn keys(&self) -> usize {
        self.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

seawall_core::impl_debug!(NeverOlder<Req, Res>:);
