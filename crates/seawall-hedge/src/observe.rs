//! What is counted: calls by outcome, extra attempts by their fate, and why there was none; and
//! what is learned of the latencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::striped::Stripes;
use seawall_core::{EventSource, InstanceName, Outcome, Quantile, Samples};
use tokio::time::Instant;

use crate::HedgeConfig;

/// How a call was answered: the outcomes, with local rejections apart.
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

const KINDS: [&str; 8] = [
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

/// What became of an extra attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Fate {
    /// Its answer was the answer of the call.
    Won,
    /// Another attempt was answered first.
    Lost,
    /// Its answer was no good one.
    Failed,
    /// It was never sent: its service was not ready in time, or rejected it.
    Unsent,
    /// The call was dropped.
    Abandoned,
}

const FATES: [&str; 5] = ["won", "lost", "failed", "unsent", "abandoned"];

/// Why no extra attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Skip {
    /// The budget had no token.
    Budget,
    /// The request must not be sent twice.
    Unsafe,
    /// The request cannot be copied.
    NoCopy,
    /// Its answer would come after the deadline.
    Deadline,
}

const SKIPS: [&str; 4] = ["budget", "unsafe", "no_copy", "deadline"];

/// The counters of one stripe. A call that is answered before the delay writes one of them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    calls: [AtomicU64; KINDS.len()],
    hedges: AtomicU64,
    fates: [AtomicU64; FATES.len()],
    skips: [AtomicU64; SKIPS.len()],
}

impl Counters {
    #[inline]
    pub(crate) fn answered(&self, kind: Kind) {
        self.calls[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hedges(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, fate: Fate) {
        self.fates[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self, skip: Skip) {
        self.skips[skip as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// What one layer value, its clones and all its services count and learn.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) config: HedgeConfig,
    pub(crate) observer: EventSource,
    pub(crate) stripes: Stripes,
    pub(crate) counters: Box<[Arc<Counters>]>,
    /// Where the delay is learned.
    pub(crate) quantile: Option<Quantile>,
}

impl Ledger {
    pub(crate) fn new(name: InstanceName, config: HedgeConfig) -> Arc<Self> {
        let stripes = Stripes::auto();
        Arc::new(Self {
            quantile: config.quantile().copied().map(Quantile::new),
            config,
            observer: EventSource::new("hedge", name),
            stripes,
            counters: (0..stripes.get()).map(|_| Arc::default()).collect(),
        })
    }

    /// Whether there is a delay, as far as is known without the clock.
    #[inline]
    pub(crate) fn has_delay(&self) -> bool {
        match &self.quantile {
            Some(quantile) => {
                quantile.last_estimate().is_some() || self.config.initial_delay().is_some()
            }
            None => true,
        }
    }

    /// The delay before each extra attempt.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        let estimate = self.quantile.as_ref().and_then(|q| q.estimate(now));
        self.config.delay(estimate)
    }

    /// What an answer typically takes; zero while it is not known.
    pub(crate) fn typical(&self) -> Duration {
        let median = self.quantile.as_ref().and_then(Quantile::last_median);
        median.unwrap_or_default()
    }

    fn sum(&self, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let values = self.counters.iter().map(|c| of(c).load(Ordering::Relaxed));
        values.sum()
    }

    pub(crate) fn hedges(&self) -> u64 {
        self.sum(|c| &c.hedges)
    }

    pub(crate) fn ended(&self, fate: Fate) -> u64 {
        self.sum(|c| &c.fates[fate as usize])
    }

    pub(crate) fn skipped(&self, skip: Skip) -> u64 {
        self.sum(|c| &c.skips[skip as usize])
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        for (kind, outcome) in KINDS.iter().enumerate() {
            sink.counter(
                "seawall_calls_total",
                &[("layer", "hedge"), ("outcome", outcome)],
                self.sum(|c| &c.calls[kind]),
            );
        }
        sink.counter("seawall_hedge_fired_total", &[], self.hedges());
        for (fate, outcome) in FATES.iter().enumerate() {
            sink.counter(
                "seawall_hedge_attempts_total",
                &[("outcome", outcome)],
                self.sum(|c| &c.fates[fate]),
            );
        }
        for (skip, cause) in SKIPS.iter().enumerate() {
            sink.counter(
                "seawall_hedge_skips_total",
                &[("cause", cause)],
                self.sum(|c| &c.skips[skip]),
            );
        }
        let estimate = self.quantile.as_ref().and_then(Quantile::last_estimate);
        if let Some(delay) = self.config.delay(estimate) {
            sink.gauge("seawall_hedge_delay_seconds", &[], delay.as_secs_f64());
        }
    }
}
