//! What all services of a layer value and its handles share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use seawall_core::striped::{Anchor, Local, StripeSet};
use seawall_core::{
    BudgetHandle, Clock, EventSource, InstanceName, Misconfiguration, Quantile, ns,
};
use tokio::time::Instant;

use crate::HedgeConfig;
use crate::counts::HedgeStripe;

/// The settings, what was learned, the counters and the events of one layer value and its clones.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) events: EventSource,
    pub(crate) stripes: StripeSet<HedgeStripe>,
    pub(crate) clock: Clock,
    hot: HotSettings,
    /// Latencies, from when the delay is learned for the first time.
    quantile: OnceLock<Quantile>,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    config: HedgeConfig,
    /// Whether an operator has switched hedging off.
    bypassed: bool,
}

/// The settings as calls read them, in nanoseconds. They are written one by one while calls read
/// them; each combination of old and new ones is harmless.
#[derive(Debug, Default)]
struct HotSettings {
    flags: AtomicU32,
    /// 0 where the delay is learned.
    fixed: AtomicU64,
    /// 0 where there is no hedge until the delay is learned.
    initial: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    /// 0 while hedging is switched off.
    extra_attempts: AtomicU32,
}

/// Latencies are learned.
const LEARNS: u32 = 1;
/// There is a delay whatever is learned.
const HAS_DELAY: u32 = 2;
/// There is a delay once it is learned.
const LEARNS_DELAY: u32 = 4;

/// The settings of a call, read once when it is made.
#[derive(Clone, Copy)]
pub(crate) struct CallSettings(u32);

impl CallSettings {
    /// Whether the call trains the quantile.
    #[inline]
    pub(crate) const fn learns(self) -> bool {
        self.0 & LEARNS != 0
    }
}

impl HotSettings {
    fn publish(&self, control: &Control) {
        let config = &control.config;
        let set = |word: &AtomicU64, duration: Option<Duration>| {
            word.store(duration.map_or(0, ns), Ordering::Relaxed);
        };
        set(&self.fixed, config.fixed_delay());
        set(&self.initial, config.initial_delay());
        set(&self.min, Some(config.min_delay()));
        let max = config.max_delay().unwrap_or(Duration::MAX);
        set(&self.max, Some(max));
        let extra_attempts = if control.bypassed {
            0
        } else {
            config.extra_attempts()
        };
        self.extra_attempts.store(extra_attempts, Ordering::Relaxed);
        let learns = config.quantile().is_some();
        let delay = match (control.bypassed, config.initial_delay()) {
            (true, _) => 0,
            (false, None) if learns => LEARNS_DELAY,
            (false, _) => HAS_DELAY,
        };
        let flags = if learns { LEARNS | delay } else { delay };
        self.flags.store(flags, Ordering::Relaxed);
    }

    /// The delay for an estimate of the quantile.
    fn delay(&self, estimate: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
        let read = |word: &AtomicU64| match word.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        };
        if let Some(fixed) = read(&self.fixed) {
            return Some(fixed);
        }
        let Some(known) = estimate() else {
            return read(&self.initial);
        };
        // Not `clamp`, which panics where the two are of different settings.
        let (min, max) = (read(&self.min), read(&self.max));
        Some(
            known
                .max(min.unwrap_or_default())
                .min(max.unwrap_or(Duration::MAX)),
        )
    }
}

impl State {
    pub(crate) fn new(name: InstanceName, config: HedgeConfig) -> Arc<Self> {
        let state = Self {
            events: EventSource::new("hedge", name),
            stripes: StripeSet::new(),
            clock: Clock::start(),
            hot: HotSettings::default(),
            quantile: OnceLock::new(),
            control: Mutex::new(Control {
                config,
                bypassed: false,
            }),
        };
        state.change(|_| {});
        Arc::new(state)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> HedgeConfig {
        self.control().config.clone()
    }

    pub(crate) fn configure(&self, config: HedgeConfig) {
        self.change(|control| control.config = config);
    }

    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.change(|control| control.bypassed = bypassed);
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        let mut control = self.control();
        change(&mut control);
        // First, so that no call learns by settings without a quantile.
        if let Some(config) = control.config.quantile() {
            let quantile = self.quantile.get_or_init(|| Quantile::new(*config));
            if quantile.config() != *config {
                quantile.configure(*config);
            }
        }
        self.hot.publish(&control);
    }

    /// The latencies, where the delay is learned from them.
    pub(crate) fn quantile(&self) -> Option<&Quantile> {
        let learns = self.call_settings().learns();
        self.quantile.get().filter(|_| learns)
    }

    /// The latencies, for a call that learns.
    #[inline]
    pub(crate) fn learned(&self, settings: CallSettings) -> Option<&Quantile> {
        if settings.learns() {
            self.quantile.get()
        } else {
            None
        }
    }

    /// The most extra attempts of a call; 0 while hedging is switched off.
    pub(crate) fn extra_attempts(&self) -> u32 {
        self.hot.extra_attempts.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn call_settings(&self) -> CallSettings {
        CallSettings(self.hot.flags.load(Ordering::Relaxed))
    }

    /// Whether there can be a hedge, as far as is known without the clock.
    #[inline]
    pub(crate) fn has_delay(&self, settings: CallSettings) -> bool {
        let estimate = || self.quantile.get().and_then(Quantile::last_estimate);
        settings.0 & HAS_DELAY != 0 || (settings.0 & LEARNS_DELAY != 0 && estimate().is_some())
    }

    /// The delay before each extra attempt.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        self.hot.delay(|| self.quantile()?.estimate(now))
    }

    /// The same by the estimate that was computed last.
    pub(crate) fn last_delay(&self) -> Option<Duration> {
        self.hot.delay(|| self.quantile()?.last_estimate())
    }

    /// What a response typically takes; zero while it is not known.
    pub(crate) fn typical(&self) -> Duration {
        let median = self.quantile().and_then(Quantile::last_median);
        median.unwrap_or_default()
    }

    /// A call is not hedged only because nobody has described its request.
    pub(crate) fn not_described(&self) {
        self.events.misconfigure(Misconfiguration::Undescribed);
    }
}

/// What does not depend on the types of a service.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) state: Arc<State>,
    pub(crate) budget: BudgetHandle,
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, X> {
    pub(crate) core: Core,
    pub(crate) policy: X,
    /// Never called itself: extra attempts call clones of it. One template here saves every call
    /// a clone that it will most likely not need.
    template: Mutex<S>,
}

impl<S, X> Common<S, X> {
    pub(crate) const fn new(core: Core, policy: X, template: S) -> Self {
        Self {
            core,
            policy,
            template: Mutex::new(template),
        }
    }
}

impl<S: Clone, X> Common<S, X> {
    /// A service for an extra attempt.
    pub(crate) fn service(&self) -> S {
        let template = self.template.lock();
        template.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<S, X> = Anchor<Common<S, X>, Arc<HedgeStripe>>;
pub(crate) type CommonLocal<S, X> = Local<Common<S, X>, Arc<HedgeStripe>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HedgeConfigBuilder;

    const MS: Duration = Duration::from_millis(1);

    fn delay(builder: HedgeConfigBuilder, estimate: Option<Duration>) -> Option<Duration> {
        let state = State::new("h".into(), builder.build().unwrap());
        state.hot.delay(|| estimate)
    }

    #[test]
    fn a_learned_delay_keeps_to_its_bounds() {
        let builder = HedgeConfig::builder()
            .min_delay(10 * MS)
            .max_delay(100 * MS);
        assert_eq!(delay(builder.clone(), Some(MS)), Some(10 * MS));
        assert_eq!(delay(builder.clone(), Some(50 * MS)), Some(50 * MS));
        assert_eq!(delay(builder.clone(), Some(Duration::MAX)), Some(100 * MS));
        assert_eq!(delay(builder.clone(), None), None);
        assert_eq!(delay(builder.initial_delay(MS), None), Some(MS));
        let fixed = HedgeConfig::builder().delay(MS);
        assert_eq!(delay(fixed, Some(50 * MS)), Some(MS));
    }
}
