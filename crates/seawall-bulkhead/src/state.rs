//! What every service of a layer shares.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{Clock, EventSource, InstanceName, Outcome};

use crate::config::BulkheadConfig;
use crate::counts::BulkheadStripe;
use crate::limit_algorithm::{CallSample, InstalledAlgorithm, LimitAlgorithm, drop_of};
use crate::semaphore::Semaphore;
use crate::semaphore::packed::SHADOW;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) semaphore: Semaphore,
    pub(crate) clock: Clock,
    pub(crate) source: EventSource,
    pub(crate) algorithm: OnceLock<InstalledAlgorithm>,
    /// As configured last: limit and shadow mode may have been changed since.
    config: Mutex<BulkheadConfig>,
}

/// The state with the counters of the thread that runs a call.
pub(crate) type CallState = Local<State, BulkheadStripe>;
pub(crate) type SharedState = Shared<State, BulkheadStripe>;

impl State {
    pub(crate) fn shared(name: InstanceName, config: BulkheadConfig) -> SharedState {
        let limit = config.max_concurrent();
        let state = Self {
            semaphore: Semaphore::new(limit, config.queue_rules(), config.shadow()),
            clock: Clock::start(),
            source: EventSource::new("bulkhead", name),
            algorithm: OnceLock::new(),
            config: Mutex::new(config),
        };
        Shared::new(state, Stripes::auto(), BulkheadStripe::default)
    }

    pub(crate) fn configure(&self, config: BulkheadConfig) {
        let mut current = self.lock_config();
        *current = config;
        // An algorithm keeps the limit that it has found.
        let limit = match self.algorithm.get() {
            Some(_) => None,
            None => Some(config.max_concurrent()),
        };
        // Of two that configure at once, the same one is last in both.
        let rules = config.queue_rules();
        let now = self.clock.now();
        let wakers = (self.semaphore).configure(limit, rules, config.shadow(), now);
        drop(current);
        wakers.wake();
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> BulkheadConfig {
        let current = self.lock_config();
        let shadow = self.semaphore.has(SHADOW);
        current.in_force(self.semaphore.limit(), shadow)
    }

    /// Installs an algorithm, unless there is one.
    pub(crate) fn install(&self, algorithm: InstalledAlgorithm) {
        if self.algorithm.set(algorithm).is_ok() {
            self.restart_algorithm();
        }
    }

    /// Whether the calls of a service are measured: for the algorithm that there is when it is made.
    /// One that learns from outcomes needs a classifier.
    pub(crate) fn is_measured<S, X>(&self) -> bool {
        let algorithm = self.algorithm.get();
        if algorithm.is_some_and(|algorithm| algorithm.uses_outcomes) {
            self.source.check_classifier::<S, X>();
        }
        algorithm.is_some()
    }

    /// Ends every command and forgets what was learned.
    pub(crate) fn reset(&self) {
        let current = self.lock_config();
        let limit = current.max_concurrent();
        let now = self.clock.now();
        let wakers = self.semaphore.reset(limit, current.shadow(), now);
        drop(current);
        wakers.wake();
        self.restart_algorithm();
    }

    fn restart_algorithm(&self) {
        if let Some(algorithm) = self.algorithm.get() {
            algorithm.restart(|algorithm| self.start(algorithm));
        }
    }

    fn start(&self, algorithm: &mut dyn LimitAlgorithm) {
        let configured = self.lock_config().max_concurrent();
        let limit = algorithm.start(configured).max(1);
        self.set_limit(limit);
    }

    /// Changes the limit alone.
    pub(crate) fn set_limit(&self, limit: u32) {
        let now = self.clock.now();
        self.semaphore.set_limit(limit, now).wake();
    }

    /// Sets some flags of the semaphore and clears others.
    pub(crate) fn command(&self, set: u64, clear: u64) {
        self.semaphore.command(set, clear, self.clock.now());
    }

    /// When a permit is acquired that is acquired now, if an algorithm measures it; 0 otherwise.
    #[inline]
    pub(crate) fn start_ns(&self, measured: bool) -> u64 {
        if measured { self.clock.now().max(1) } else { 0 }
    }

    /// Feeds the algorithm with a call that was measured.
    #[cold]
    #[inline(never)]
    pub(crate) fn measured(&self, start_ns: u64, in_flight: u32, outcome: &Outcome) {
        let (Some(algorithm), Some(dropped)) = (self.algorithm.get(), drop_of(outcome)) else {
            return;
        };
        let now = self.clock.now();
        let limit = self.semaphore.limit();
        let latency = now.saturating_sub(start_ns);
        let mut sample = CallSample::new(now, latency, in_flight.max(1), limit);
        sample.dropped = dropped;
        let wakers = algorithm.on_sample(
            sample,
            || self.semaphore.limit(),
            |limit| self.semaphore.set_limit(limit, now),
        );
        if let Some(wakers) = wakers {
            wakers.wake();
        }
        algorithm.restart_if_requested(|algorithm| self.start(algorithm));
    }

    fn lock_config(&self) -> MutexGuard<'_, BulkheadConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
