//! What changes the limit while calls run: the hook of the algorithms that do.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};

use seawall_core::{FailureKind, Outcome};

/// Changes the number of places by what it sees of the calls.
///
/// Set by [`BulkheadLayer::limit_algorithm`](crate::BulkheadLayer::limit_algorithm). It is told of every call that has
/// reached the service and was answered, by the task of that call, one at a time: of two calls that
/// end at the same moment, it may be told of one only, but never misses that one was dropped.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, CallSample, LimitAlgorithm};
///
/// /// Halves the limit at every drop.
/// struct Meek;
///
/// impl LimitAlgorithm for Meek {
///     fn ended(&mut self, end: &CallSample) -> Option<u32> {
///         end.dropped.then_some(end.limit / 2)
///     }
/// }
///
/// let layer = BulkheadLayer::new("orders", BulkheadConfig::default()).limit_algorithm(Meek);
/// assert_eq!(layer.handle().limit(), 50);
/// ```
pub trait LimitAlgorithm: Send {
    /// A call has ended. Answers with the limit from now on, if it is to change; 0 means 1.
    fn ended(&mut self, end: &CallSample) -> Option<u32>;
}

/// A call that has ended, as a [`LimitAlgorithm`] sees it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSample {
    /// When it ended, in nanoseconds on the clock of the layer.
    pub now_ns: u64,
    /// How long it had its place, in nanoseconds; the wait for it is not part of it.
    pub latency_ns: u64,
    /// How many had a place when it ended, itself included.
    pub in_flight: u32,
    /// The limit at that moment.
    pub limit: u32,
    /// Whether the upstream was too busy for it, for all that is known: throttled, overloaded,
    /// timed out, or of unknown fate.
    pub dropped: bool,
}

impl CallSample {
    /// The end of a call, for tests of a [`LimitAlgorithm`].
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

/// Whether the upstream was too busy; `None` when the call says nothing of it.
pub(crate) const fn drop_of(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Success => Some(false),
        Outcome::Failure(FailureKind::Overloaded | FailureKind::Timeout)
        | Outcome::Throttled { .. }
        | Outcome::Unknown => Some(true),
        // A failure that comes fast is no fast answer.
        _ => None,
    }
}

/// A tuner at work.
pub(crate) struct Tuning {
    tuner: Mutex<Box<dyn LimitAlgorithm>>,
    /// The bits of a mean time in nanoseconds. Beside the lock: a tuner may ask its own handle.
    mean_ns: AtomicU64,
    /// A call that was dropped found the tuner busy.
    missed_drop: AtomicBool,
}

impl Tuning {
    pub(crate) fn new(tuner: impl LimitAlgorithm + 'static) -> Self {
        Self {
            tuner: Mutex::new(Box::new(tuner)),
            mean_ns: AtomicU64::new(0),
            missed_drop: AtomicBool::new(false),
        }
    }

    /// Tells the tuner, and sets the limit that it wants. Both before anybody else tells it: of two
    /// limits, the older one would otherwise be set last, or be taken for that of somebody else.
    pub(crate) fn ended<T>(
        &self,
        mut end: CallSample,
        limit: impl Fn() -> u32,
        set: impl FnOnce(u32) -> T,
    ) -> Option<T> {
        let mut tuner = match self.tuner.try_lock() {
            Ok(tuner) => tuner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if end.dropped {
                    self.missed_drop.store(true, Ordering::Relaxed);
                }
                return None;
            }
        };
        end.dropped |= self.missed_drop.load(Ordering::Relaxed)
            && self.missed_drop.swap(false, Ordering::Relaxed);
        end.limit = limit();
        let latency = end.latency_ns as f64;
        let mean_ns = match f64::from_bits(self.mean_ns.load(Ordering::Relaxed)) {
            0.0 => latency,
            mean_ns => mean_ns + (latency - mean_ns) / 32.0,
        };
        self.mean_ns.store(mean_ns.to_bits(), Ordering::Relaxed);
        let wanted = tuner.ended(&end)?.max(1);
        // It may have resized the bulkhead itself.
        (wanted != limit()).then(|| set(wanted))
    }

    /// The mean time for which a place was held of late, if any was.
    pub(crate) fn mean_hold_ns(&self) -> Option<u64> {
        let mean_ns = f64::from_bits(self.mean_ns.load(Ordering::Relaxed));
        (mean_ns > 0.0).then_some(mean_ns as u64)
    }
}

impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuning").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drops;

    impl LimitAlgorithm for Drops {
        fn ended(&mut self, end: &CallSample) -> Option<u32> {
            Some(if end.dropped { 1 } else { end.limit })
        }
    }

    #[test]
    fn a_drop_that_finds_the_tuner_busy_is_told_with_the_next_call() {
        let tuning = Tuning::new(Drops);
        let end = CallSample::new(9, 5, 2, 4);
        let busy = tuning.tuner.lock().expect("nobody panics");
        assert_eq!(tuning.ended(end.dropped(), || 4, |limit| limit), None);
        drop(busy);
        assert_eq!(tuning.ended(end, || 4, |limit| limit), Some(1));
        assert_eq!(
            tuning.ended(end, || 4, |limit| limit),
            None,
            "the limit that is there is no change"
        );
        assert_eq!(tuning.mean_hold_ns(), Some(5));
    }
}
