//! What is counted: attempts by outcome, retries, and why there was no other one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::striped::Stripes;
use seawall_core::{EventSource, InstanceName, Outcome, Samples};

use crate::StopReason;

/// How an attempt was answered: the outcomes, with local rejections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Kind {
    Success,
    Failure,
    Throttled,
    Banned,
    QuotaExhausted,
    Ignored,
    Unknown,
    Rejected,
}

const KINDS: usize = 8;
const LABELS: [&str; KINDS] = [
    "success",
    "failure",
    "throttled",
    "banned",
    "quota_exhausted",
    "ignored",
    "unknown",
    "rejected",
];

impl Kind {
    pub(crate) const fn of(outcome: Outcome, rejected: bool) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure(_) => Self::Failure,
            Outcome::Throttled { .. } => Self::Throttled,
            Outcome::Banned { .. } => Self::Banned,
            Outcome::QuotaExhausted { .. } => Self::QuotaExhausted,
            Outcome::Unknown => Self::Unknown,
            Outcome::Ignored if rejected => Self::Rejected,
            // `Ignored`, and outcomes that this version does not know.
            _ => Self::Ignored,
        }
    }
}

const ENDS: usize = StopReason::ALL.len();
/// The counters of one stripe. A call that succeeds at once writes one of them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    attempts: [AtomicU64; KINDS],
    /// Attempts that were followed by another one, by their outcome.
    retried: [AtomicU64; KINDS],
    /// Answers of calls that ended where no attempt was under way.
    stopped: [AtomicU64; KINDS],
    ends: [AtomicU64; ENDS],
}

impl Counters {
    #[inline]
    pub(crate) fn answered(&self, kind: Kind) {
        self.attempts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self, kind: Kind) {
        self.retried[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self, kind: Kind) {
        self.stopped[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, end: StopReason) {
        self.ends[end as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counters of one layer value, its clones and all its services.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) observer: EventSource,
    pub(crate) stripes: Stripes,
    pub(crate) counters: Box<[Arc<Counters>]>,
}

impl Ledger {
    pub(crate) fn new(name: InstanceName) -> Arc<Self> {
        let stripes = Stripes::auto();
        Arc::new(Self {
            observer: EventSource::new("retry", name),
            stripes,
            counters: (0..stripes.get()).map(|_| Arc::default()).collect(),
        })
    }

    fn sum(&self, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let values = self.counters.iter().map(|c| of(c).load(Ordering::Relaxed));
        values.sum()
    }

    pub(crate) fn attempts(&self) -> u64 {
        (0..KINDS).map(|k| self.sum(|c| &c.attempts[k])).sum()
    }

    pub(crate) fn retries(&self) -> u64 {
        (0..KINDS).map(|k| self.sum(|c| &c.retried[k])).sum()
    }

    pub(crate) fn ended(&self, end: StopReason) -> u64 {
        self.sum(|c| &c.ends[end as usize])
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        for (kind, outcome) in LABELS.iter().enumerate() {
            let attempts = self.sum(|c| &c.attempts[kind]);
            sink.counter(
                "seawall_retry_attempts_total",
                &[("outcome", outcome)],
                attempts,
            );
            // What was not followed by another attempt was the answer of the call; the others
            // were answered by no attempt.
            let last = attempts.saturating_sub(self.sum(|c| &c.retried[kind]));
            let calls = last.saturating_add(self.sum(|c| &c.stopped[kind]));
            sink.counter(
                "seawall_calls_total",
                &[("layer", "retry"), ("outcome", outcome)],
                calls,
            );
        }
        sink.counter("seawall_retry_retries_total", &[], self.retries());
        for end in StopReason::ALL {
            if end != StopReason::Answered {
                sink.counter(
                    "seawall_retry_give_ups_total",
                    &[("cause", end.as_str())],
                    self.ended(end),
                );
            }
        }
    }
}
