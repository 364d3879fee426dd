//! What a bulkhead counts, and where.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use seawall_core::striped::Local;
use seawall_core::{
    Clock, EventKind, EventSource, NonZeroCount, Outcome, Reason, Rejection, Samples, Vote, ns,
};

use crate::BulkheadConfig;
use crate::line::Rules;
use crate::places::{Places, Turned};
use crate::tune::{CallSample, Tuning, drop_of};

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) places: Places,
    pub(crate) clock: Clock,
    pub(crate) observer: EventSource,
    pub(crate) tuning: OnceLock<Tuning>,
    /// Its `max_concurrent` is that of the last configuration, not the one in force.
    config: Mutex<BulkheadConfig>,
}

impl Common {
    pub(crate) fn new(config: BulkheadConfig, observer: EventSource) -> Self {
        let limit = config.max_concurrent().get();
        Self {
            places: Places::new(limit, rules(&config), config.shadow()),
            clock: Clock::start(),
            observer,
            tuning: OnceLock::new(),
            config: Mutex::new(config),
        }
    }

    pub(crate) fn configure(&self, config: BulkheadConfig) {
        let mut held = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        *held = config;
        let limit = config.max_concurrent().get();
        // Of two that configure at once, the same one is last in both.
        let woken = self
            .places
            .configure(limit, rules(&config), config.shadow());
        drop(held);
        woken.wake();
    }

    pub(crate) fn config(&self) -> BulkheadConfig {
        let held = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = NonZeroCount::new(self.places.limit()).unwrap_or(NonZeroCount::ONE);
        held.with_max_concurrent(limit)
    }

    /// Tells the tuner of a call that was measured.
    #[cold]
    #[inline(never)]
    pub(crate) fn measured(&self, start_ns: u64, taken: u32, outcome: &Outcome) {
        let (Some(tuning), Some(dropped)) = (self.tuning.get(), drop_of(outcome)) else {
            return;
        };
        let now = self.clock.now();
        let limit = self.places.limit();
        let mut end = CallSample::new(now, now.saturating_sub(start_ns), taken.max(1), limit);
        end.dropped = dropped;
        let woken = tuning.ended(end, || self.places.limit(), |n| self.places.resize_to(n));
        if let Some(woken) = woken {
            woken.wake();
        }
    }
}

fn rules(config: &BulkheadConfig) -> Rules {
    Rules {
        max_waiting: config.max_waiting(),
        patience_ns: ns(config.max_wait().get()),
        // The classes have names 64 steps apart.
        step_ns: (ns(config.priority_aging().get()) / 64).max(1),
        lifo_threshold: config.lifo_threshold(),
        reject_doomed: config.reject_doomed(),
    }
}

pub(crate) type State = Local<Common, Stripe>;

/// The counters of one stripe. A call is counted once, when it ends.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    success: AtomicU64,
    failure: AtomicU64,
    ignored: AtomicU64,
    abandoned: AtomicU64,
    waited: AtomicU64,
    full: AtomicU64,
    timeout: AtomicU64,
    deadline: AtomicU64,
    reject_doomed: AtomicU64,
    paused: AtomicU64,
    draining: AtomicU64,
    shadowed: AtomicU64,
}

impl Stripe {
    pub(crate) fn settled(&self, outcome: &Outcome) {
        let counter = match outcome.vote() {
            Vote::Success => &self.success,
            Vote::Failure => &self.failure,
            Vote::Abstain => &self.ignored,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    fn rejected(&self, reason: Reason) {
        let counter = match reason {
            Reason::QueueTimeout => &self.timeout,
            Reason::DeadlineExceeded => &self.deadline,
            Reason::Paused => &self.paused,
            Reason::Draining => &self.draining,
            _ => &self.full,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, counts: &mut BulkheadCounts) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        counts.success += read(&self.success);
        counts.failure += read(&self.failure);
        counts.ignored += read(&self.ignored);
        counts.abandoned += read(&self.abandoned);
        counts.waited += read(&self.waited);
        counts.rejected_full += read(&self.full);
        counts.rejected_timeout += read(&self.timeout);
        counts.rejected_deadline += read(&self.deadline);
        counts.reject_doomed += read(&self.reject_doomed);
        counts.rejected_paused += read(&self.paused);
        counts.rejected_draining += read(&self.draining);
        counts.shadowed += read(&self.shadowed);
    }
}

/// The call gets no place.
#[cold]
pub(crate) fn reject(observer: &EventSource, stripe: &Stripe, reason: Reason) -> Rejection {
    stripe.rejected(reason);
    tell_rejected(observer, reason)
}

/// The call may not join the line.
#[cold]
pub(crate) fn turn_away(observer: &EventSource, stripe: &Stripe, turned: Turned) -> Rejection {
    match turned {
        Turned::Away(reason) => reject(observer, stripe, reason),
        Turned::Shed => {
            stripe.reject_doomed.fetch_add(1, Ordering::Relaxed);
            tell_rejected(observer, Reason::DeadlineExceeded)
        }
    }
}

/// The call gets a place since the layer only watches. Without a reason, it would have waited.
#[cold]
pub(crate) fn shadow(observer: &EventSource, stripe: &Stripe, reason: Option<Reason>) {
    let Some(reason) = reason else {
        return stripe.waits();
    };
    stripe.shadowed.fetch_add(1, Ordering::Relaxed);
    observer.emit(|| EventKind::Shadowed(observer.rejection(reason)));
}

#[cold]
pub(crate) fn abandoned(observer: &EventSource, stripe: &Stripe) {
    stripe.abandoned.fetch_add(1, Ordering::Relaxed);
    observer.emit(|| EventKind::Abandoned);
}

fn tell_rejected(observer: &EventSource, reason: Reason) -> Rejection {
    let rejection = observer.rejection(reason);
    observer.emit(|| EventKind::Rejected(rejection));
    rejection
}

/// What became of the calls of a bulkhead so far. Each call that has ended is in exactly one of
/// the fields, `waited` and `shadowed` aside.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkheadCounts {
    /// Answered, and settled as a success.
    pub success: u64,
    /// Answered with a failure of the inner service.
    pub failure: u64,
    /// Answered in a way that says nothing of the upstream, such as a rejection of a layer below.
    pub ignored: u64,
    /// Dropped by the caller before the answer, while it waited or ran.
    pub abandoned: u64,
    /// Had to wait for a place, whatever became of it afterwards; or would have, if the layer did
    /// more than watch.
    pub waited: u64,
    /// Rejected, since every place and every place in the queue was taken.
    pub rejected_full: u64,
    /// Rejected, since the turn in the queue did not come in time.
    pub rejected_timeout: u64,
    /// Rejected, since their deadline had passed, before they came or while they waited.
    pub rejected_deadline: u64,
    /// Rejected at once, since their deadline would have passed before their turn.
    pub reject_doomed: u64,
    /// Rejected, since the layer was paused.
    pub rejected_paused: u64,
    /// Rejected, since the layer accepted no new calls.
    pub rejected_draining: u64,
    /// Let pass, though they would have been rejected if the layer did more than watch.
    pub shadowed: u64,
}

impl BulkheadCounts {
    /// All that were rejected, for whatever reason.
    pub const fn rejected(&self) -> u64 {
        self.rejected_full
            + self.rejected_timeout
            + self.rejected_deadline
            + self.reject_doomed
            + self.rejected_paused
            + self.rejected_draining
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let outcomes = [
            ("success", self.success),
            ("failure", self.failure),
            ("ignored", self.ignored),
            ("abandoned", self.abandoned),
        ];
        for (outcome, total) in outcomes {
            sink.counter(
                "seawall_calls_total",
                &[("layer", "bulkhead"), ("outcome", outcome)],
                total,
            );
        }
        let rejections = [
            ("bulkhead_full", self.rejected_full),
            ("queue_timeout", self.rejected_timeout),
            (
                "deadline_exceeded",
                self.rejected_deadline + self.reject_doomed,
            ),
            ("paused", self.rejected_paused),
            ("draining", self.rejected_draining),
        ];
        for (reason, total) in rejections {
            sink.counter(
                "seawall_rejections_total",
                &[("layer", "bulkhead"), ("reason", reason)],
                total,
            );
        }
        let others = [
            ("seawall_bulkhead_waited_total", self.waited),
            ("seawall_bulkhead_shed_total", self.reject_doomed),
            ("seawall_bulkhead_shadowed_total", self.shadowed),
        ];
        for (metric, total) in others {
            sink.counter(metric, &[], total);
        }
    }
}
