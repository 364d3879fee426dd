//! What the services of one layer share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{EventKind, EventSource, InstanceName, Rejection, Sent};

use super::config::BodyTimeoutConfig;
use super::limit::BodyLimit;
use crate::state::Bypass;

pub(super) const PATTERN: &str = "body_timeout";

seawall_core::counters! {
    /// How many responses timed out, by the limit at which they did.
    pub struct BodyTimeoutCounts;

    /// The counters of one layer: it times out too rarely to need stripes.
    #[derive(Debug, Default)]
    pub(super) struct Counters {
        /// There was no head within the time to the first byte.
        head => "seawall_body_timeouts_total" [limit = "head"],
        /// There was a head, and no first byte in time.
        first_byte => "seawall_body_timeouts_total" [limit = "first_byte"],
        /// There was nothing to read for too long.
        idle => "seawall_body_timeouts_total" [limit = "idle"],
        /// The body took too long in total.
        total => "seawall_body_timeouts_total" [limit = "total"],
        /// The deadline of the request passed.
        deadline => "seawall_body_timeouts_total" [limit = "deadline"],
    }
}

impl BodyTimeoutCounts {
    /// The count of one limit.
    pub const fn of(&self, limit: BodyLimit) -> u64 {
        match limit {
            BodyLimit::Head => self.head,
            BodyLimit::FirstByte => self.first_byte,
            BodyLimit::Idle => self.idle,
            BodyLimit::Total => self.total,
            BodyLimit::Deadline => self.deadline,
        }
    }

    /// How many responses timed out in total; saturates.
    pub fn timed_out(&self) -> u64 {
        let counts = BodyLimit::ALL.map(|limit| self.of(limit));
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The limits that calls read: one relaxed load for each, so that they can change while calls run.
#[derive(Debug)]
pub(super) struct LiveLimits {
    first_byte: AtomicU64,
    idle: AtomicU64,
    total: AtomicU64,
    within_deadline: AtomicBool,
}

const NO_LIMIT: u64 = u64::MAX;

fn load(limit: &AtomicU64) -> Option<Duration> {
    let ns = limit.load(Ordering::Relaxed);
    (ns != NO_LIMIT).then(|| Duration::from_nanos(ns))
}

/// Limits of more than 584 years are none.
fn store(limit: &AtomicU64, duration: Option<Duration>) {
    let ns = duration.and_then(|limit| u64::try_from(limit.as_nanos()).ok());
    limit.store(ns.unwrap_or(NO_LIMIT), Ordering::Relaxed);
}

impl LiveLimits {
    pub(super) fn new(config: &BodyTimeoutConfig) -> Self {
        let limits = Self {
            first_byte: AtomicU64::new(NO_LIMIT),
            idle: AtomicU64::new(NO_LIMIT),
            total: AtomicU64::new(NO_LIMIT),
            within_deadline: AtomicBool::new(false),
        };
        limits.store(Some(config));
        limits
    }

    fn store(&self, config: Option<&BodyTimeoutConfig>) {
        store(
            &self.first_byte,
            config.and_then(BodyTimeoutConfig::first_byte),
        );
        store(&self.idle, config.and_then(BodyTimeoutConfig::idle));
        store(&self.total, config.and_then(BodyTimeoutConfig::total));
        let within = config.is_some_and(BodyTimeoutConfig::within_deadline);
        self.within_deadline.store(within, Ordering::Relaxed);
    }

    pub(super) fn first_byte(&self) -> Option<Duration> {
        load(&self.first_byte)
    }

    pub(super) fn idle(&self) -> Option<Duration> {
        load(&self.idle)
    }

    pub(super) fn total(&self) -> Option<Duration> {
        load(&self.total)
    }

    pub(super) fn within_deadline(&self) -> bool {
        self.within_deadline.load(Ordering::Relaxed)
    }
}

/// What the services of one layer value and its clones share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) name: InstanceName,
    pub(super) limits: LiveLimits,
    pub(super) events: EventSource,
    pub(super) counters: Counters,
    pub(super) bypass: Bypass,
    /// What the limits are set to; calls do not take this lock.
    config: Mutex<BodyTimeoutConfig>,
}

/// The stripes hold nothing: only their reference counts are needed, so that it scales.
pub(super) type State = Shared<Common, ()>;
/// The state as a future or a body holds it.
pub(super) type LocalState = Local<Common, ()>;

pub(super) fn new(name: InstanceName, config: BodyTimeoutConfig) -> State {
    let common = Common {
        name,
        limits: LiveLimits::new(&config),
        events: EventSource::new(PATTERN, name),
        counters: Counters::default(),
        bypass: Bypass::default(),
        config: Mutex::new(config),
    };
    Shared::new(common, Stripes::auto(), || ())
}

impl Common {
    pub(super) fn config(&self) -> BodyTimeoutConfig {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the limits, and whether they are bypassed.
    pub(super) fn set(&self, config: Option<BodyTimeoutConfig>, bypass: Option<bool>) {
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = config {
            *current = config;
        }
        if let Some(bypass) = bypass {
            self.bypass.set(bypass);
        }
        let in_force = (!self.bypass.is_on()).then_some(&*current);
        self.limits.store(in_force);
    }

    /// Counts and emits that a response timed out, and makes the rejection of it.
    #[cold]
    pub(super) fn time_out(&self, limit: BodyLimit) -> Rejection {
        let rejection = Rejection::new(limit.reason(), self.name)
            .with_pattern(PATTERN)
            .with_sent(Sent::Maybe);
        let counter = match limit {
            BodyLimit::Head => &self.counters.head,
            BodyLimit::FirstByte => &self.counters.first_byte,
            BodyLimit::Idle => &self.counters.idle,
            BodyLimit::Total => &self.counters.total,
            BodyLimit::Deadline => &self.counters.deadline,
        };
        counter.add();
        self.events.emit(|| EventKind::Rejected(rejection));
        rejection
    }
}
