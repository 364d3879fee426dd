//! What the services of a layer and its handles share: the limit, which gathers calls, closes windows and
//! moves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_core::ns;
use seawall_core::striped::Stripes;

use crate::config::AdaptiveConfig;
use crate::rules::{Estimates, RuleState};
use crate::window::{Collector, SampleKind};

/// A limit of calls in flight that moves with what completed calls show.
///
/// It holds no permits: a bulkhead reads the [`limit`](Self::limit) and reports every call to
/// [`finished`](Self::finished). Time is passed in, in nanoseconds of any clock that does not go
/// back.
///
/// A finished call writes three counters of its thread's stripe and reads the end of the window;
/// one call per window finds it over, sums up and moves the limit, and no other waits for it.
///
/// ```
/// use seawall_adaptive::{AdaptiveConfig, AdaptiveLimit, SampleKind};
///
/// let limit = AdaptiveLimit::new(&AdaptiveConfig::default());
/// assert_eq!(limit.limit(), 20);
/// // 20 calls at a time, 10 ms each: all of the limit is used and no call waits.
/// let ms = 1_000_000;
/// for round in 1..=100 {
///     for _ in 0..20 {
///         limit.finished(round * 10 * ms, 10 * ms, 20, SampleKind::Completed);
///     }
/// }
/// assert!(limit.limit() > 20);
/// ```
#[derive(Debug)]
pub struct AdaptiveLimit {
    limit: AtomicU32,
    /// When the open window is looked at next.
    ends: AtomicU64,
    /// When the limit was last lowered. What began before is no evidence about this limit.
    epoch: AtomicU64,
    collector: Collector,
    state: Mutex<Closing>,
}

/// What the one call that closes a window needs.
#[derive(Debug)]
struct Closing {
    config: AdaptiveConfig,
    rule: RuleState,
    opened: u64,
    started: bool,
}

/// How many latencies a window lasts.
const LATENCIES_PER_WINDOW: f64 = 2.0;
/// How many of them after a decrease: a queue is not to stay for the sake of statistics.
const LATENCIES_AFTER_DECREASE: f64 = 1.5;

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self::new(&AdaptiveConfig::default())
    }
}

impl AdaptiveLimit {
    /// A limit at its start.
    pub fn new(config: &AdaptiveConfig) -> Self {
        Self::with_stripes(config, Stripes::auto())
    }

    /// A limit with so many stripes of counters, 2.2 KiB each: [`Stripes::ONE`] where there is one
    /// per key, or where calls are reported one at a time.
    pub fn with_stripes(config: &AdaptiveConfig, stripes: Stripes) -> Self {
        Self {
            limit: AtomicU32::new(config.initial()),
            ends: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            collector: Collector::new(stripes),
            state: Mutex::new(Closing {
                config: *config,
                rule: RuleState::new(config),
                opened: 0,
                started: false,
            }),
        }
    }

    /// How many calls may be in flight now.
    #[inline]
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// The settings in force.
    pub fn config(&self) -> AdaptiveConfig {
        self.lock().config
    }

    /// What the algorithm has learned so far.
    pub fn estimates(&self) -> Estimates {
        self.lock().rule.estimates()
    }

    /// Records a call that finished at `now` after `latency`, both in nanoseconds, when
    /// `in_flight` calls were in flight, this one included. Returns the new limit if this call
    /// ended a window and the limit has moved.
    #[inline]
    pub fn finished(
        &self,
        now: u64,
        latency: u64,
        in_flight: u32,
        kind: SampleKind,
    ) -> Option<u32> {
        let began = now.saturating_sub(latency);
        let kind = if began < self.epoch.load(Ordering::Relaxed) {
            SampleKind::Ignored
        } else {
            kind
        };
        self.collector.add(latency, in_flight, kind);
        if now < self.ends.load(Ordering::Relaxed) {
            return None;
        }
        self.close(now)
    }

    /// Moves the limit to `calls`, or to the nearer bound, and goes on from there, with what was
    /// learned forgotten. Returns the limit.
    pub fn set_limit(&self, calls: u32) -> u32 {
        let mut state = self.lock();
        let limit = calls.clamp(state.config.min(), state.config.max());
        state.rule = RuleState::at(limit, &state.config);
        self.limit.store(limit, Ordering::Relaxed);
        limit
    }

    /// Goes back to the initial limit, and forgets what was learned. Returns the limit.
    pub fn restart(&self) -> u32 {
        let initial = self.config().initial();
        self.set_limit(initial)
    }

    /// Changes the settings. The limit stays, or moves to the nearer of the new bounds, and what
    /// was learned stays unless the algorithm is another one. Returns the limit.
    pub fn configure(&self, config: &AdaptiveConfig) -> u32 {
        let mut state = self.lock();
        let same = state.config.algorithm() == config.algorithm();
        state.config = *config;
        if same {
            state.rule.set_bounds(config);
        } else {
            let limit = self.limit().clamp(config.min(), config.max());
            state.rule = RuleState::at(limit, config);
        }
        let limit = state.rule.limit();
        self.limit.store(limit, Ordering::Relaxed);
        limit
    }

    #[cold]
    fn close(&self, now: u64) -> Option<u32> {
        // Whichever call holds it closes this window.
        let mut state = self.state.try_lock().ok()?;
        if now < self.ends.load(Ordering::Relaxed) {
            return None;
        }
        let config = state.config;
        let open = now.saturating_sub(state.opened);
        let (short, long) = (ns(config.min_window()).max(1), ns(config.max_window()));
        if !state.started {
            state.started = true;
            state.opened = now;
            self.ends
                .store(now.saturating_add(short), Ordering::Relaxed);
            return None;
        }
        let few = self.collector.gathered() < config.min_samples();
        if few && open < long {
            let later = (short / 4).max(1);
            self.ends
                .store(now.saturating_add(later), Ordering::Relaxed);
            return None;
        }
        let length = Duration::from_nanos(open);
        let mut window = self.collector.take(length, config.quantile());
        if few {
            // Too few to know the latency by; drops need no statistics.
            window.samples = 0;
        }
        state.opened = now;
        let before = self.limit();
        let limit = state.rule.on_window(&window);
        if limit < before {
            self.epoch.store(now, Ordering::Relaxed);
        }
        let latencies = if limit < before {
            LATENCIES_AFTER_DECREASE
        } else {
            LATENCIES_PER_WINDOW
        };
        let next = (latencies * window.latency as f64) as u64;
        let next = next.clamp(short, long);
        self.ends.store(now.saturating_add(next), Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        (limit != before).then_some(limit)
    }

    fn lock(&self) -> MutexGuard<'_, Closing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
