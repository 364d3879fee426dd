//! What the services of one layer count into, and the settings behind it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_core::striped::Shared;
use seawall_core::{Clock, EventSource, InstanceName, ns};

use crate::HealthConfig;
use crate::counts::HealthCounters;
use crate::periods::Periods;
use crate::sync::{AtomicU64, Ordering};
use crate::window::{Sum, Window};

pub(crate) type State = Shared<Common, Stripe>;

#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) source: EventSource,
    clock: Clock,
    /// What calls read of the settings.
    periods: Periods,
    slow_after_ns: AtomicU64,
    config: Mutex<HealthConfig>,
}

#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) window: Window,
    pub(crate) counters: HealthCounters,
}

impl Stripe {
    pub(crate) fn new() -> Self {
        Self {
            window: Window::new(),
            counters: HealthCounters::default(),
        }
    }
}

impl Common {
    pub(crate) fn new(name: impl Into<InstanceName>, config: HealthConfig) -> Self {
        Self {
            source: EventSource::new("health", name),
            clock: Clock::start(),
            periods: Periods::new(period_ns(config)),
            slow_after_ns: AtomicU64::new(ns(config.slow_after())),
            config: Mutex::new(config),
        }
    }

    pub(crate) fn config(&self) -> HealthConfig {
        *self.lock()
    }

    pub(crate) fn configure(&self, config: HealthConfig) {
        let mut current = self.lock();
        *current = config;
        // Under the lock, so that calls read the settings that were set last.
        self.periods.set_length(self.clock.now(), period_ns(config));
        self.slow_after_ns
            .store(ns(config.slow_after()), Ordering::Relaxed);
    }

    /// The number of the tenth of a window that `now` lies in.
    pub(crate) fn period(&self, now_ns: u64) -> u64 {
        self.periods.at(now_ns)
    }

    /// Reads the clock, in nanoseconds.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    pub(crate) fn is_slow(&self, took_ns: u64) -> bool {
        took_ns > self.slow_after_ns.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HealthConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls of the window that ends now.
pub(crate) fn window(state: &State) -> Sum {
    let common = state.common();
    let period = common.period(common.now());
    let sums = state.stripes().map(|stripe| stripe.window.sum(period));
    sums.fold(Sum::default(), std::ops::Add::add)
}

fn period_ns(config: HealthConfig) -> u64 {
    ns(config.window()) / 10
}
