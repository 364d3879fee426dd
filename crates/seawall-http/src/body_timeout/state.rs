//! What the services of one layer share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{Clock, EventKind, EventSource, InstanceName, Rejection, Sent};

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
    /// How many responses timed out in total; saturates.
    pub fn timed_out(&self) -> u64 {
        [
            self.head,
            self.first_byte,
            self.idle,
            self.total,
            self.deadline,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// The limits in force, each one load for a call, so that they can change while calls run.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// In nanoseconds; zero is no limit.
    first_byte: AtomicU64,
    idle: AtomicU64,
    total: AtomicU64,
    within_deadline: AtomicBool,
}

fn load(limit: &AtomicU64) -> Option<Duration> {
    let ns = limit.load(Ordering::Relaxed);
    (ns > 0).then(|| Duration::from_nanos(ns))
}

impl Limits {
    pub(super) fn first_byte(&self) -> Option<Duration> {
        load(&self.first_byte)
    }

    /// In nanoseconds; zero is no limit.
    pub(super) fn idle(&self) -> u64 {
        self.idle.load(Ordering::Relaxed)
    }

    pub(super) fn total(&self) -> Option<Duration> {
        load(&self.total)
    }

    pub(super) fn within_deadline(&self) -> bool {
        self.within_deadline.load(Ordering::Relaxed)
    }

    /// Saturates at 584 years.
    pub(super) fn store(&self, config: &BodyTimeoutConfig) {
        for (field, limit) in [
            (&self.first_byte, config.first_byte()),
            (&self.idle, config.idle()),
            (&self.total, config.total()),
        ] {
            let ns = limit.map_or(0, |limit| {
                u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
            });
            field.store(ns, Ordering::Relaxed);
        }
        self.within_deadline
            .store(config.within_deadline(), Ordering::Relaxed);
    }
}

/// What the services of one layer value and its clones share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) name: InstanceName,
    pub(super) events: EventSource,
    pub(super) counters: Counters,
    pub(super) bypass: Bypass,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    /// What the limits are set to, also while they are bypassed; no call takes this lock.
    config: Mutex<BodyTimeoutConfig>,
}

/// The stripes hold nothing: only their reference counts are needed, so that it scales.
pub(super) type State = Shared<Common, ()>;
/// The state as a future or a body holds it.
pub(super) type LocalState = Local<Common, ()>;

pub(super) fn new(name: InstanceName, config: BodyTimeoutConfig) -> State {
    let common = Common {
        name,
        events: EventSource::new(PATTERN, name),
        counters: Counters::default(),
        bypass: Bypass::default(),
        limits: Limits::default(),
        clock: Clock::start(),
        config: Mutex::new(config),
    };
    common.change(|_| ());
    Shared::new(common, Stripes::auto(), || ())
}

impl Common {
    pub(super) fn config(&self) -> BodyTimeoutConfig {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_bypass(&self, on: bool) {
        self.change(|_| self.bypass.set(on));
    }

    /// Changes the settings or the bypass, and then the limits in force.
    pub(super) fn change(&self, change: impl FnOnce(&mut BodyTimeoutConfig)) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut config);
        self.limits.store(if self.bypass.is_on() {
            &BodyTimeoutConfig::UNLIMITED
        } else {
            &config
        });
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
        self.events.emit_call(|| EventKind::Rejected(rejection));
        rejection
    }
}
