//! The segment that all threads read, without a lock and without a shared write.

use std::sync::TryLockError;

use super::segment::{Follower, Sample, Segment};
use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence, spin_loop};

/// How often a thread looks for the segment that another one is about to publish: about as long as
/// taking a sample lasts.
const LOOKS: usize = 16;

/// What the readings come from.
pub(super) trait Source {
    /// The counter.
    fn counter(&self) -> u64;

    /// Nanoseconds of the operating system's clock.
    fn ns(&self) -> u64;

    /// Both.
    fn sample(&self) -> Sample {
        let counter = self.counter();
        let ns = self.ns();
        let bracket = self.counter().wrapping_sub(counter);
        Sample {
            counter,
            ns,
            bracket,
        }
    }
}

/// One segment, word by word.
#[derive(Debug, Default)]
struct Slot {
    counter: AtomicU64,
    ns: AtomicU64,
    rate: AtomicU64,
    reach: AtomicU64,
}

impl Slot {
    #[inline]
    fn load(&self) -> Segment {
        Segment {
            counter: self.counter.load(Ordering::Relaxed),
            ns: self.ns.load(Ordering::Relaxed),
            rate: self.rate.load(Ordering::Relaxed),
            reach: self.reach.load(Ordering::Relaxed),
        }
    }

    fn store(&self, segment: &Segment) {
        self.counter.store(segment.counter, Ordering::Relaxed);
        self.ns.store(segment.ns, Ordering::Relaxed);
        self.rate.store(segment.rate, Ordering::Relaxed);
        self.reach.store(segment.reach, Ordering::Relaxed);
    }
}

/// The segment in force in one of two slots, so that a thread that writes the next one holds up
/// nobody, not even when it is interrupted.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Segments {
    /// How many segments there were; the last bit is the slot of the one in force.
    version: AtomicUsize,
    slots: [Slot; 2],
    follower: Mutex<Follower>,
}

impl Segments {
    pub(super) fn new() -> Self {
        Self {
            version: AtomicUsize::new(0),
            slots: [Slot::default(), Slot::default()],
            follower: Mutex::new(Follower::default()),
        }
    }

    /// Nanoseconds by the counter.
    #[inline]
    pub(super) fn read(&self, source: &impl Source) -> u64 {
        match self.look(source) {
            Ok(reading) => reading,
            Err(_) => self.take_sample(source),
        }
    }

    /// The reading by the segment in force, or the latest one that it can have given.
    #[inline]
    fn look(&self, source: &impl Source) -> Result<u64, u64> {
        loop {
            // First: a segment that is put in force after this begins later, and is then asked again.
            let counter = source.counter();
            let version = self.version.load(Ordering::Acquire);
            let segment = self.slots[version & 1].load();
            // The slot may have been written twice meanwhile: who sees any of that sees the version.
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return segment.at(counter).ok_or_else(|| segment.latest(counter));
            }
        }
    }

    /// Beyond the reach of the segment: one thread takes a sample, the others see its segment.
    #[cold]
    fn take_sample(&self, source: &impl Source) -> u64 {
        for _ in 0..LOOKS {
            let mut follower = match self.follower.try_lock() {
                Ok(follower) => follower,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    spin_loop();
                    if let Ok(reading) = self.look(source) {
                        return reading;
                    }
                    continue;
                }
            };
            // Another thread may have been here first.
            if let Ok(reading) = self.look(source) {
                return reading;
            }
            let (reading, segment) = follower.take(source.sample());
            if let Some(segment) = segment {
                self.publish(&segment);
            }
            return reading;
        }
        // That thread is interrupted.
        match self.look(source) {
            Ok(reading) => reading,
            Err(latest) => latest.max(source.ns()),
        }
    }

    /// Puts a segment in force. Only who holds the follower's lock does.
    fn publish(&self, segment: &Segment) {
        let version = self.version.load(Ordering::Relaxed);
        // A thread that reads any word of the new segment sees the version that it replaces.
        fence(Ordering::Release);
        self.slots[version.wrapping_add(1) & 1].store(segment);
        self.version
            .store(version.wrapping_add(1), Ordering::Release);
    }
}
