//! What the lock-free part must know of the settings of one generation.
//!
//! There are two beats, used in turn. That of the next generation is filled in before its state
//! word is stored, and it is filled in again two generations later. So who reads the beat of its
//! generation and *then* finds the state word of that generation unchanged has read the right one:
//! the loads and stores are acquire and release, and having seen a value of two generations later
//! implies seeing a later state word.

use crate::config::BreakerConfig;
use crate::sync::{AtomicU64, Ordering};

/// The settings of one generation that are read without the lock.
#[derive(Debug)]
pub(crate) struct Beat {
    /// The multiplier that makes a bucket of a time (see [`crate::buckets::epoch_by`]); 0 without
    /// a time window.
    window: AtomicU64,
    /// The same for the buckets in which calls under way are counted; 0 when slow calls are not
    /// watched.
    flight: AtomicU64,
    /// Which watch the calls under way belong to; see [`crate::flights`].
    watch: AtomicU64,
    /// Whether the start of a call is noted.
    measures: AtomicU64,
    /// From when on a call is slow, in nanoseconds.
    slow_after: AtomicU64,
}

impl Beat {
    pub(crate) fn empty() -> Self {
        Self {
            window: AtomicU64::new(0),
            flight: AtomicU64::new(0),
            watch: AtomicU64::new(0),
            measures: AtomicU64::new(0),
            slow_after: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes the settings of a generation that does not exist yet.
    pub(crate) fn fill(&self, config: &BreakerConfig, watch: u64) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Release);
        store(&self.window, config.pace.reciprocal());
        store(&self.flight, config.flight_pace().reciprocal());
        store(&self.watch, watch);
        store(&self.measures, u64::from(config.measures()));
        store(&self.slow_after, config.slow_after_ns());
    }

    /// Whether there is no time window.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.window() == 0
    }

    #[inline]
    pub(crate) fn window(&self) -> u64 {
        self.window.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn flight(&self) -> u64 {
        self.flight.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn watch(&self) -> u64 {
        self.watch.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn slow_after(&self) -> u64 {
        self.slow_after.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn measures(&self) -> bool {
        self.measures.load(Ordering::Acquire) != 0
    }
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use crate::word::Word;
    use loom::sync::Arc;
    use loom::thread;
    use std::time::Duration;

    fn settings(seconds: u64) -> BreakerConfig {
        BreakerConfig::builder()
            .failure_rate_over(0.5, Duration::from_secs(seconds))
            .build()
            .unwrap()
    }

    /// Two changes of settings, so that the beat of the reader's generation is filled in again.
    #[test]
    fn who_finds_its_state_word_unchanged_has_read_the_settings_of_its_generation() {
        let configs = [settings(10), settings(20), settings(30)];
        loom::model(move || {
            let shared = Arc::new((AtomicU64::new(0), [Beat::empty(), Beat::empty()]));
            shared.1[0].fill(&configs[0], 0);
            let reader = {
                let (shared, expected) = (Arc::clone(&shared), configs.clone());
                thread::spawn(move || {
                    let (state, beats) = &*shared;
                    let word = Word(state.load(Ordering::Acquire));
                    let generation = word.generation() as usize;
                    let window = beats[generation & 1].window();
                    if state.load(Ordering::Acquire) == word.0 {
                        assert_eq!(window, expected[generation].pace.reciprocal());
                    }
                })
            };
            let mut word = Word::FIRST;
            for config in &configs[1..] {
                word = word.again();
                shared.1[(word.generation() & 1) as usize].fill(config, 0);
                shared.0.store(word.0, Ordering::Release);
            }
            reader.join().unwrap();
        });
    }
}
