//! The limit itself: gathers calls, closes windows, moves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seawall_core::ns;
use seawall_core::striped::Stripes;

use super::gradient::GradientState;
use super::knee::KneeState;
use super::vegas::VegasState;
use super::window::{Collector, SampleKind, Window};
use super::{Adaptive, Aimd, Algorithm};

/// A limit of calls in flight that moves with what finished calls tell it.
///
/// It holds no places: a bulkhead asks it for the [`limit`](Self::limit) and tells it of every
/// call that [`finished`](Self::finished). Time is passed in, in nanoseconds of any clock that
/// does not go back.
///
/// A finished call writes three counters of its thread's stripe and reads the end of the window;
/// one call per window finds it over, sums up and moves the limit, and no other waits for it.
///
/// ```
/// use seawall_bulkhead::{Adaptive, AdaptiveLimit, SampleKind};
///
/// let limit = AdaptiveLimit::new(&Adaptive::default());
/// assert_eq!(limit.limit(), 20);
/// // 20 calls at a time, 10 ms each: all of the limit is used and nobody waits.
/// let ms = 1_000_000;
/// for round in 1..=100 {
///     for _ in 0..20 {
///         limit.finished(round * 10 * ms, 10 * ms, 20, SampleKind::Answered);
///     }
/// }
/// assert!(limit.limit() > 20);
/// ```
#[derive(Debug)]
pub struct AdaptiveLimit {
    limit: AtomicU32,
    /// When the open window is looked at next.
    ends: AtomicU64,
    /// When the limit was last lowered. What began before says nothing about this limit.
    epoch: AtomicU64,
    collector: Collector,
    config: Adaptive,
    state: Mutex<State>,
}

/// How many latencies a window lasts.
const STRETCH: f64 = 2.0;
/// How many of them after a decrease: a queue is not to stand for the sake of statistics.
const HASTE: f64 = 1.5;

impl AdaptiveLimit {
    /// A limit at its start.
    pub fn new(config: &Adaptive) -> Self {
        Self::with_stripes(config, Stripes::auto())
    }

    /// A limit with so many stripes of counters, 2.2 KiB each: [`Stripes::ONE`] where there is one
    /// per key.
    pub fn with_stripes(config: &Adaptive, stripes: Stripes) -> Self {
        Self {
            limit: AtomicU32::new(config.initial()),
            ends: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            collector: Collector::new(stripes, config.quantile()),
            config: *config,
            state: Mutex::new(State::new(config)),
        }
    }

    /// How many calls may be in flight now.
    #[inline]
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// The settings.
    pub const fn config(&self) -> &Adaptive {
        &self.config
    }

    /// Takes note of a call that finished at `now` after `latency`, both in nanoseconds, when
    /// `in_flight` calls were in flight, this one included. Answers with the new limit if this
    /// call ended a window and the limit has moved.
    #[inline]
    pub fn finished(
        &self,
        now: u64,
        latency: u64,
        in_flight: u32,
        seen: SampleKind,
    ) -> Option<u32> {
        let began = now.saturating_sub(latency);
        let seen = if began < self.epoch.load(Ordering::Relaxed) {
            SampleKind::Ignored
        } else {
            seen
        };
        self.collector.add(latency, in_flight, seen);
        if now < self.ends.load(Ordering::Relaxed) {
            return None;
        }
        self.close(now)
    }

    /// Moves the limit to `calls`, or to the nearer bound, and goes on from there. Answers with
    /// the limit.
    pub fn set(&self, calls: u32) -> u32 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = calls.clamp(self.config.min(), self.config.max());
        state.restart(&self.config, limit);
        self.limit.store(limit, Ordering::Relaxed);
        limit
    }

    #[cold]
    fn close(&self, now: u64) -> Option<u32> {
        // Whoever holds it closes this window.
        let mut state = self.state.try_lock().ok()?;
        if now < self.ends.load(Ordering::Relaxed) {
            return None;
        }
        let open = now.saturating_sub(state.opened);
        let (short, long) = (
            ns(self.config.min_window()).max(1),
            ns(self.config.max_window()),
        );
        if !state.started {
            state.started = true;
            state.opened = now;
            self.ends
                .store(now.saturating_add(short), Ordering::Relaxed);
            return None;
        }
        let few = self.collector.gathered() < self.config.min_samples();
        if few && open < long {
            let later = (short / 4).max(1);
            self.ends
                .store(now.saturating_add(later), Ordering::Relaxed);
            return None;
        }
        let mut window = self.collector.take(Duration::from_nanos(open));
        if few {
            // Too few to know the latency by; drops need no statistics.
            window.samples = 0;
        }
        state.opened = now;
        let before = self.limit();
        let limit = state.on_window(&window);
        if limit < before {
            self.epoch.store(now, Ordering::Relaxed);
        }
        let stretch = if limit < before { HASTE } else { STRETCH };
        let next = (stretch * window.latency as f64) as u64;
        let next = next.clamp(short, long);
        self.ends.store(now.saturating_add(next), Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        (limit != before).then_some(limit)
    }
}

/// The algorithms, one at a time, without clock and threads.
#[derive(Debug)]
pub(super) struct State {
    /// The exact limit: steps of less than one add up.
    limit: f64,
    min: f64,
    max: f64,
    rule: Rule,
    opened: u64,
    started: bool,
}

#[derive(Debug)]
pub(super) enum Rule {
    Knee(KneeState),
    Aimd(Aimd),
    Vegas(VegasState),
    Gradient(GradientState),
}

impl State {
    pub(super) fn new(config: &Adaptive) -> Self {
        Self {
            limit: f64::from(config.initial()),
            min: f64::from(config.min()),
            max: f64::from(config.max()),
            rule: Rule::new(config),
            opened: 0,
            started: false,
        }
    }

    fn restart(&mut self, config: &Adaptive, limit: u32) {
        self.limit = f64::from(limit);
        self.rule = Rule::new(config);
    }

    /// Moves the limit by what a window says, and answers with it.
    pub(super) fn on_window(&mut self, window: &Window) -> u32 {
        let (limit, min) = (self.limit, self.min);
        let next = match &mut self.rule {
            Rule::Knee(state) => state.next(limit, min, window),
            Rule::Aimd(params) => params.next(limit, window),
            Rule::Vegas(state) => state.next(limit, window),
            Rule::Gradient(state) => state.next(limit, window),
        };
        self.limit = next.clamp(self.min, self.max);
        self.limit as u32
    }

    #[cfg(test)]
    pub(super) const fn exact(&self) -> f64 {
        self.limit
    }

    #[cfg(test)]
    pub(super) const fn rule(&mut self) -> &mut Rule {
        &mut self.rule
    }
}

impl Rule {
    const fn new(config: &Adaptive) -> Self {
        match config.algorithm() {
            Algorithm::Knee(params) => Self::Knee(KneeState::new(params)),
            Algorithm::Aimd(params) => Self::Aimd(params),
            Algorithm::Vegas(params) => Self::Vegas(VegasState::new(&params)),
            Algorithm::Gradient(params) => Self::Gradient(GradientState::new(params)),
        }
    }
}
