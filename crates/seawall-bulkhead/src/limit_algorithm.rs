//! The hook of the algorithms that change the limit while calls run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};

use seawall_core::{FailureKind, Outcome};

/// Changes the limit of a bulkhead by what it sees of the calls.
///
/// Installed by [`BulkheadLayer::limit_algorithm`](crate::BulkheadLayer::limit_algorithm). It gets
/// a sample of every call that has reached the service and has completed, in the task of that call,
/// one at a time: of two calls that end at the same moment it may get one sample only, but it never
/// misses that one was dropped. It may use the bulkhead's own handle meanwhile.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, CallSample, LimitAlgorithm};
///
/// /// Halves the limit at every drop.
/// struct Halving;
///
/// impl LimitAlgorithm for Halving {
///     fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
///         sample.dropped.then_some(sample.limit / 2)
///     }
/// }
///
/// let layer = BulkheadLayer::new("orders", BulkheadConfig::default()).limit_algorithm(Halving);
/// assert_eq!(layer.handle().limit(), 50);
/// ```
pub trait LimitAlgorithm: Send {
    /// A call has completed. Returns the new limit, if it is to change; 0 means 1.
    fn on_sample(&mut self, sample: &CallSample) -> Option<u32>;

    /// Forgets what was learned and returns the limit to start with, given the `max_concurrent`
    /// of the configuration. Called when the algorithm is installed, and by a
    /// [reset](crate::BulkheadHandle::reset).
    fn start(&mut self, max_concurrent: u32) -> u32 {
        max_concurrent
    }

    /// Whether it asks which calls were [dropped](CallSample::dropped), so that without a classifier
    /// the layer may be [misconfigured](seawall_core::Misconfiguration::Unclassified).
    fn uses_outcomes(&self) -> bool {
        true
    }
}

/// A completed call, as a [`LimitAlgorithm`] sees it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSample {
    /// When it completed, in nanoseconds on the clock of the layer.
    pub now_ns: u64,
    /// How long it held its permit, in nanoseconds; the wait for it is not part of it.
    pub latency_ns: u64,
    /// How many calls held a permit when it completed, itself included.
    pub in_flight: u32,
    /// The limit at that moment.
    pub limit: u32,
    /// Whether the upstream was too busy for it, as far as is known: throttled, overloaded, timed
    /// out, or of unknown outcome.
    pub dropped: bool,
}

impl CallSample {
    /// A call that was not dropped, for tests of a [`LimitAlgorithm`].
    pub const fn new(now_ns: u64, latency_ns: u64, in_flight: u32, limit: u32) -> Self {
        Self {
            now_ns,
            latency_ns,
            in_flight,
            limit,
            dropped: false,
        }
    }

    /// The same call, dropped.
    #[must_use]
    pub const fn dropped(mut self) -> Self {
        self.dropped = true;
        self
    }
}

/// Whether the upstream was too busy; `None` when the call is no evidence of it.
pub(crate) const fn drop_of(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Success => Some(false),
        Outcome::Failure(FailureKind::Overloaded | FailureKind::Timeout)
        | Outcome::Throttled { .. }
        | Outcome::Unknown => Some(true),
        // A failure that comes fast is no fast response.
        _ => None,
    }
}

/// An algorithm at work.
pub(crate) struct InstalledAlgorithm {
    algorithm: Mutex<Box<dyn LimitAlgorithm>>,
    pub(crate) uses_outcomes: bool,
    /// The bits of a mean time in nanoseconds. Beside the lock: an algorithm may read its handle.
    mean_ns: AtomicU64,
    /// A call that was dropped found the algorithm busy.
    missed_drop: AtomicBool,
    /// A restart found the algorithm busy: the holder of the lock does it afterwards.
    restart_requested: AtomicBool,
}

impl InstalledAlgorithm {
    pub(crate) fn new(algorithm: impl LimitAlgorithm + 'static) -> Self {
        Self {
            uses_outcomes: algorithm.uses_outcomes(),
            algorithm: Mutex::new(Box::new(algorithm)),
            mean_ns: AtomicU64::new(0),
            missed_drop: AtomicBool::new(false),
            restart_requested: AtomicBool::new(false),
        }
    }

    /// Feeds the algorithm, and sets the limit that it returns. Both before the next sample: of two
    /// limits, the older one would otherwise be set last, or be taken for somebody else's.
    pub(crate) fn on_sample<T>(
        &self,
        mut sample: CallSample,
        limit: impl Fn() -> u32,
        set: impl FnOnce(u32) -> T,
    ) -> Option<T> {
        let mut algorithm = match self.algorithm.try_lock() {
            Ok(algorithm) => algorithm,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if sample.dropped {
                    self.missed_drop.store(true, Ordering::Relaxed);
                }
                return None;
            }
        };
        sample.dropped |= self.missed_drop.load(Ordering::Relaxed)
            && self.missed_drop.swap(false, Ordering::Relaxed);
        sample.limit = limit();
        let latency = sample.latency_ns as f64;
        let mean_ns = match f64::from_bits(self.mean_ns.load(Ordering::Relaxed)) {
            0.0 => latency,
            mean_ns => mean_ns + (latency - mean_ns) / 32.0,
        };
        self.mean_ns.store(mean_ns.to_bits(), Ordering::Relaxed);
        let wanted = algorithm.on_sample(&sample)?.max(1);
        // It may have changed the limit itself.
        (wanted != limit()).then(|| set(wanted))
    }

    /// Restarts the algorithm, now or as soon as it is no longer busy: the caller may be the
    /// algorithm itself, through its handle.
    pub(crate) fn restart(&self, start: impl FnOnce(&mut dyn LimitAlgorithm)) {
        self.restart_requested.store(true, Ordering::SeqCst);
        self.restart_if_requested(start);
    }

    #[inline]
    pub(crate) fn restart_if_requested(&self, start: impl FnOnce(&mut dyn LimitAlgorithm)) {
        if self.restart_requested.load(Ordering::SeqCst) {
            self.restart_now(start);
        }
    }

    #[cold]
    fn restart_now(&self, start: impl FnOnce(&mut dyn LimitAlgorithm)) {
        let mut algorithm = match self.algorithm.try_lock() {
            Ok(algorithm) => algorithm,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Its holder looks at the request when it has released the lock.
            Err(TryLockError::WouldBlock) => return,
        };
        if self.restart_requested.swap(false, Ordering::SeqCst) {
            self.mean_ns.store(0, Ordering::Relaxed);
            self.missed_drop.store(false, Ordering::Relaxed);
            start(&mut **algorithm);
        }
    }

    /// The mean time for which a permit was held recently, if any was.
    pub(crate) fn mean_hold_ns(&self) -> Option<u64> {
        let mean_ns = f64::from_bits(self.mean_ns.load(Ordering::Relaxed));
        (mean_ns > 0.0).then_some(mean_ns as u64)
    }
}

seawall_core::impl_debug!(InstalledAlgorithm:);

#[cfg(test)]
mod tests {
    use super::*;

    struct OneAtDrops;

    impl LimitAlgorithm for OneAtDrops {
        fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
            Some(if sample.dropped { 1 } else { sample.limit })
        }
    }

    #[test]
    fn a_drop_that_finds_the_algorithm_busy_is_reported_with_the_next_call() {
        let installed = InstalledAlgorithm::new(OneAtDrops);
        let sample = CallSample::new(9, 5, 2, 4);
        let busy = installed.algorithm.lock().expect("nobody panics");
        assert_eq!(
            installed.on_sample(sample.dropped(), || 4, |limit| limit),
            None
        );
        drop(busy);
        assert_eq!(installed.on_sample(sample, || 4, |limit| limit), Some(1));
        assert_eq!(
            installed.on_sample(sample, || 4, |limit| limit),
            None,
            "the limit in force is no change"
        );
        assert_eq!(installed.mean_hold_ns(), Some(5));
    }

    #[test]
    fn a_restart_that_finds_the_algorithm_busy_comes_after_the_next_sample() {
        let installed = InstalledAlgorithm::new(OneAtDrops);
        let busy = installed.algorithm.lock().expect("nobody panics");
        let mut restarts = 0;
        installed.restart(|_| restarts += 1);
        drop(busy);
        assert_eq!(restarts, 0);
        installed.restart_if_requested(|algorithm| restarts += algorithm.start(7));
        installed.restart_if_requested(|_| restarts += 100);
        assert_eq!(restarts, 7);
    }
}
