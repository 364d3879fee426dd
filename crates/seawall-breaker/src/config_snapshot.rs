//! The settings of one generation that are read without the lock.
//!
//! There are two snapshots, used by generations in turn. That of the next generation is written
//! before its state word is stored, and is written again two generations later. So a reader that
//! reads the snapshot of its generation and *then* finds the state word of that generation
//! unchanged has read the right one: the loads and stores are acquire and release, and a reader
//! that sees a value of two generations later also sees a later state word.

use crate::config::BreakerConfig;
use crate::sync::{AtomicU64, Ordering};

/// The settings of one generation that are read without the lock.
#[derive(Debug)]
pub(crate) struct ConfigSnapshot {
    /// The multiplier that makes a bucket of a time (see [`crate::buckets::epoch_by`]); 0 without
    /// a time window.
    window: AtomicU64,
    /// The same for the buckets in which calls in flight are counted; 0 when slow calls are not
    /// watched.
    in_flight: AtomicU64,
    /// Which watch the calls in flight belong to; see [`crate::in_flight`].
    watch: AtomicU64,
    /// From when on a call is slow, in nanoseconds.
    slow_after: AtomicU64,
}

impl ConfigSnapshot {
    pub(crate) fn empty() -> Self {
        Self {
            window: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            watch: AtomicU64::new(0),
            slow_after: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes the settings of a generation that does not exist yet.
    pub(crate) fn write(&self, config: &BreakerConfig, watch: u64) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Release);
        store(&self.window, config.pace.reciprocal());
        store(&self.in_flight, config.in_flight_pace().reciprocal());
        store(&self.watch, watch);
        store(&self.slow_after, config.slow_after_ns());
    }

    #[inline]
    pub(crate) fn window(&self) -> u64 {
        self.window.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn watch(&self) -> u64 {
        self.watch.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn slow_after(&self) -> u64 {
        self.slow_after.load(Ordering::Acquire)
    }
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use crate::state_word::StateWord;
    use loom::sync::Arc;
    use loom::thread;
    use std::time::Duration;

    fn settings(seconds: u64) -> BreakerConfig {
        BreakerConfig::builder()
            .failure_rate_over(0.5, Duration::from_secs(seconds))
            .build()
            .unwrap()
    }

    /// Two changes of settings, so that the snapshot of the reader's generation is written again.
    #[test]
    fn a_reader_that_finds_its_state_word_unchanged_has_read_the_settings_of_its_generation() {
        let configs = [settings(10), settings(20), settings(30)];
        loom::model(move || {
            let shared = Arc::new((
                AtomicU64::new(0),
                [ConfigSnapshot::empty(), ConfigSnapshot::empty()],
            ));
            shared.1[0].write(&configs[0], 0);
            let reader = {
                let (shared, expected) = (Arc::clone(&shared), configs.clone());
                thread::spawn(move || {
                    let (state, snapshots) = &*shared;
                    let word = StateWord(state.load(Ordering::Acquire));
                    let generation = word.generation() as usize;
                    let window = snapshots[generation & 1].window();
                    if state.load(Ordering::Acquire) == word.0 {
                        assert_eq!(window, expected[generation].pace.reciprocal());
                    }
                })
            };
            let mut word = StateWord::FIRST;
            for config in &configs[1..] {
                word = word.same_state();
                shared.1[(word.generation() & 1) as usize].write(config, 0);
                shared.0.store(word.0, Ordering::Release);
            }
            reader.join().unwrap();
        });
    }
}
