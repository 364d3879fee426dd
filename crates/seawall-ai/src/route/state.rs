//! What the services of a router share: what is known of each deployment and each provider.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_core::{BudgetHandle, Clock, EventSource, InstanceName, PartitionKey, ns};
use tokio::sync::Notify;

use super::config::RouterConfig;
use super::cool_down::{CoolDown, needs_trial};
use super::counts::{DeploymentCounters, RouterCounters};
use super::latency::PeakLatency;
use super::{ClassifyResponse, Headroom};
use crate::ErrorClass;

/// What every service and every handle of a router shares.
pub(crate) struct State {
    pub(crate) events: EventSource,
    pub(crate) clock: Clock,
    pub(crate) budget: BudgetHandle,
    pub(crate) models: Box<[ModelState]>,
    pub(crate) deployments: Box<[DeploymentState]>,
    pub(crate) providers: Box<[ProviderState]>,
    pub(crate) counters: RouterCounters,
    /// Wakes the calls that wait, when a trial is over or an operator has commanded something.
    pub(crate) changed: Arc<Notify>,
    config: Mutex<Arc<RouterConfig>>,
    /// What every call reads of the settings.
    max_attempts: AtomicU32,
    never_waits: AtomicBool,
    always_trace: AtomicBool,
    paused: AtomicBool,
    /// Whether the last choice of a new call found nothing.
    exhausted: AtomicBool,
    draws: AtomicU64,
}

pub(crate) struct ModelState {
    pub(crate) name: InstanceName,
    pub(crate) context_window: Option<u64>,
    /// Those of `State::deployments` that are its own.
    pub(crate) deployments: Range<usize>,
}

pub(crate) struct DeploymentState {
    pub(crate) events: EventSource,
    pub(crate) model: usize,
    pub(crate) provider: usize,
    pub(crate) weight: u32,
    pub(crate) headroom: Option<Arc<dyn Headroom>>,
    /// Of the limits of the model that it names.
    pub(crate) key: Option<PartitionKey>,
    pub(crate) classifier: Arc<dyn ClassifyResponse>,
    pub(crate) cool_down: CoolDown,
    pub(crate) blocked: AtomicBool,
    pub(crate) in_flight: AtomicU32,
    pub(crate) latency: PeakLatency,
    pub(crate) counters: DeploymentCounters,
}

pub(crate) struct ProviderState {
    pub(crate) events: EventSource,
    pub(crate) cool_down: CoolDown,
    /// Failures in a row that are no overload.
    pub(crate) failures: AtomicU32,
}

/// How a random number follows from the one before: splitmix64, by Steele, Lea and Flood.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl State {
    pub(crate) fn new(
        name: InstanceName,
        config: RouterConfig,
        budget: BudgetHandle,
        models: Vec<ModelState>,
        deployments: Vec<DeploymentState>,
        providers: Vec<ProviderState>,
    ) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self {
            events: EventSource::new("router", name),
            clock: Clock::start(),
            budget,
            models: models.into(),
            deployments: deployments.into(),
            providers: providers.into(),
            counters: RouterCounters::default(),
            changed: Arc::default(),
            max_attempts: AtomicU32::new(config.max_attempts()),
            never_waits: AtomicBool::new(config.max_wait().is_zero()),
            always_trace: AtomicBool::new(config.always_trace()),
            config: Mutex::new(Arc::new(config)),
            paused: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            // Random bits without a dependency: the keys of the standard library's hash maps.
            draws: AtomicU64::new(RandomState::new().build_hasher().finish()),
        }
    }

    pub(crate) fn config(&self) -> Arc<RouterConfig> {
        let config = self.config.lock();
        Arc::clone(&config.unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn configure(&self, config: RouterConfig) {
        self.max_attempts
            .store(config.max_attempts(), Ordering::Relaxed);
        self.never_waits
            .store(config.max_wait().is_zero(), Ordering::Relaxed);
        self.always_trace
            .store(config.always_trace(), Ordering::Relaxed);
        let config = Arc::new(config);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        // What is waited for may be allowed no longer, or a trial be lost earlier.
        self.changed.notify_waiters();
    }

    pub(crate) fn always_traces(&self) -> bool {
        self.always_trace.load(Ordering::Relaxed)
    }

    pub(crate) fn max_attempts(&self) -> u32 {
        self.max_attempts.load(Ordering::Relaxed)
    }

    /// Whether a call could go elsewhere, or come back to the same deployment after a wait.
    pub(crate) fn has_alternatives(&self) -> bool {
        self.deployments.len() > 1 || !self.never_waits.load(Ordering::Relaxed)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Ends every command and every cool-down.
    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
        let now = self.clock.now();
        for deployment in &self.deployments {
            deployment.resume(now);
        }
        for provider in &self.providers {
            provider.resume(now);
        }
        self.changed.notify_waiters();
    }

    /// [`resume`](Self::resume), and forgets what was learned.
    pub(crate) fn reset(&self) {
        for deployment in &self.deployments {
            deployment.latency.forget();
        }
        self.resume();
    }

    pub(crate) fn provider_of(&self, deployment: &DeploymentState) -> &ProviderState {
        &self.providers[deployment.provider]
    }

    /// Notes whether a new call found a deployment, and emits a change of that.
    pub(crate) fn note_exhausted(&self, exhausted: bool) {
        let before = self.exhausted.load(Ordering::Relaxed);
        if before == exhausted || self.exhausted.swap(exhausted, Ordering::Relaxed) == exhausted {
            return;
        }
        let (from, to, reason) = match exhausted {
            true => ("ok", "exhausted", "no_route"),
            false => ("exhausted", "ok", "recovered"),
        };
        self.events
            .emit_transition(from, to, reason, &self.deployments.len());
    }

    /// A random number below `bound`, which is not 0.
    pub(crate) fn draw(&self, bound: u64) -> u64 {
        let mut z = self.draws.fetch_add(STEP, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(bound)) >> 64) as u64
    }
}

impl DeploymentState {
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Ends what is held against it; those that wait must be woken.
    pub(crate) fn resume(&self, now: u64) {
        self.blocked.store(false, Ordering::Relaxed);
        let class = self.cool_down.reason().map(|(_, class)| class);
        if self.cool_down.end(now)
            && let Some(class) = class
        {
            emit_back(&self.events, class, "operator");
        }
    }
}

impl ProviderState {
    pub(crate) fn resume(&self, now: u64) {
        self.failures.store(0, Ordering::Relaxed);
        let class = self.cool_down.reason().map(|(_, class)| class);
        if self.cool_down.end(now)
            && let Some(class) = class
        {
            emit_back(&self.events, class, "operator");
        }
    }

    /// The provider has responded, whatever it was.
    pub(crate) fn is_alive(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

/// Leaves something alone for `time`, and emits that once.
pub(crate) fn cool(
    cool_down: &CoolDown,
    events: &EventSource,
    now: u64,
    time: Duration,
    class: ErrorClass,
) {
    if cool_down.cool(now, now.saturating_add(ns(time)), class) {
        events.emit_transition(
            "available",
            "cooling",
            class.as_str(),
            &seawall_core::Span(time),
        );
    }
}

/// A call has shown that the reason is gone.
pub(crate) fn recover(cool_down: &CoolDown, events: &EventSource, now: u64) {
    let Some((_, class)) = cool_down.reason() else {
        return;
    };
    if cool_down.recover(now) {
        let reason = match needs_trial(class) {
            true => "trial_succeeded",
            false => "cool_down_over",
        };
        emit_back(events, class, reason);
    }
}

fn emit_back(events: &EventSource, class: ErrorClass, reason: &'static str) {
    events.emit_transition("cooling", "available", reason, &class.as_str());
}
