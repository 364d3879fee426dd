//! What was measured until one moment.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{HistogramSnapshot, InstanceName, LastRejection, Operation, Samples};

use crate::TelemetryCounts;
use crate::counts::{ENDS, ERRORS, End, add, error_word};
use crate::state::Instance;
use crate::stripe::{NAMED, OfOperation, Stripe};

seawall_core::state_words! {
    /// Whether calls are measured.
    pub enum TelemetryState {
        /// They are.
        On = "on",
        /// They are not, by the settings.
        Off = "off",
        /// They are not, since an operator has switched them off.
        Bypassed = "bypassed",
    }
}

/// What was measured until one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TelemetrySnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether calls are measured.
    pub state: TelemetryState,
    /// What was measured of each operation that there was: `other` first, then in the order in which they
    /// came. At most 15 have names of their own.
    pub operations: Vec<OperationSnapshot>,
    /// What the layers themselves cost.
    pub overhead: Overhead,
    /// The last call that was rejected.
    pub last_rejection: Option<LastRejection>,
    /// Calls and attempts of all operations.
    pub counts: TelemetryCounts,
}

/// What was measured of one operation.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OperationSnapshot {
    /// The name of the operation.
    pub operation: &'static str,
    /// How long calls took, by their outcome, where there was one.
    pub calls: Vec<Latencies>,
    /// How long attempts took, by their outcome, where there was one.
    pub attempts: Vec<Latencies>,
    /// Calls that succeeded and took longer than they may.
    pub slow: u64,
    /// Calls without success by the type of their error: the kind of a failure, another outcome, or the
    /// reason of a rejection.
    pub errors: Vec<(&'static str, u64)>,
}

/// How long the calls or attempts of one outcome took.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Latencies {
    /// The outcome as the label of metrics; `abandoned` for those that were dropped.
    pub outcome: &'static str,
    /// From when a call first had to wait: one that was ready when it was first polled took no time.
    pub latency: HistogramSnapshot,
}

/// What the layers themselves cost, measured of one call in
/// [`overhead_every`](crate::TelemetryConfig::overhead_every): the time in `call` and `poll` of the outermost service
/// that is not the client's. Waiting is not in it, and some 20 ns of measuring are.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Overhead {
    /// How many calls were measured.
    pub samples: u64,
    /// Of all measured calls together.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::seconds")
    )]
    pub sum: Duration,
}

impl Overhead {
    fn of(stripes: &[Arc<Stripe>]) -> Self {
        if !stripes.iter().any(|stripe| stripe.has_client()) {
            return Self::default();
        }
        let sum_ns = stripes.iter().map(|stripe| stripe.overhead_ns.get()).sum();
        let samples = stripes.iter().map(|stripe| stripe.overhead_samples.get());
        Self {
            samples: samples.sum(),
            sum: Duration::from_nanos(sum_ns),
        }
    }

    /// Of a measured call, on average.
    pub const fn mean(&self) -> Option<Duration> {
        match (self.sum.as_nanos() as u64).checked_div(self.samples) {
            None => None,
            Some(mean) => Some(Duration::from_nanos(mean)),
        }
    }
}

type Slots = fn(&OfOperation) -> &[std::sync::OnceLock<Box<seawall_core::HistogramStripe>>; ENDS];

impl TelemetrySnapshot {
    pub(crate) fn of(instance: &Instance) -> Self {
        let stripes = instance.stripes();
        let settings = &instance.settings;
        let operations = (0..=NAMED).filter_map(|place| {
            let operation = settings.operation(place)?;
            OperationSnapshot::of(operation, place, &stripes)
        });
        let operations: Vec<_> = operations.collect();
        Self {
            name: instance.source.name(),
            state: if instance.is_bypassed() {
                TelemetryState::Bypassed
            } else if settings.is_on() {
                TelemetryState::On
            } else {
                TelemetryState::Off
            },
            counts: counts(&operations),
            operations,
            overhead: Overhead::of(&stripes),
            last_rejection: last_rejection(instance, &stripes),
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        for of in &self.operations {
            let operation = ("operation", of.operation);
            for Latencies { outcome, latency } in &of.calls {
                let outcome = ("outcome", *outcome);
                let labels = [("layer", "telemetry"), operation, outcome];
                sink.counter("seawall_calls_total", &labels, latency.count());
                sink.histogram("seawall_call_duration_seconds", &labels[1..], latency);
            }
            for Latencies { outcome, latency } in &of.attempts {
                let labels = [operation, ("outcome", *outcome)];
                sink.histogram("seawall_attempt_duration_seconds", &labels, latency);
            }
            for (error, count) in &of.errors {
                let labels = [operation, ("error_type", *error)];
                sink.counter("seawall_errors_total", &labels, *count);
            }
            sink.counter("seawall_slow_calls_total", &[operation], of.slow);
        }
        let mean = self.overhead.mean().map_or(0.0, |mean| mean.as_secs_f64());
        sink.gauge("seawall_overhead_seconds", &[], mean);
        let samples = self.overhead.samples;
        sink.counter("seawall_overhead_samples_total", &[], samples);
    }
}

impl OperationSnapshot {
    /// `None` when there was no call of it.
    fn of(operation: Operation, place: usize, stripes: &[Arc<Stripe>]) -> Option<Self> {
        let of: Vec<&OfOperation> = stripes
            .iter()
            .filter_map(|stripe| stripe.at(place))
            .collect();
        let latencies = |slots: Slots| {
            let all = End::ALL.iter().map(|end| {
                let stripes = of.iter().filter_map(|of| slots(of)[*end as usize].get());
                Latencies {
                    outcome: end.as_str(),
                    latency: HistogramSnapshot::of(stripes.map(|stripe| &**stripe)),
                }
            });
            all.filter(|of| !of.latency.is_empty()).collect()
        };
        let errors = (0..ERRORS).map(|index| {
            let count = of.iter().map(|of| of.errors[index].get()).sum();
            (error_word(index), count)
        });
        let mut by_word: Vec<(&'static str, u64)> = Vec::new();
        for (word, count) in errors.filter(|(_, count)| *count > 0) {
            match by_word.iter_mut().find(|(known, _)| *known == word) {
                Some((_, sum)) => *sum += count,
                None => by_word.push((word, count)),
            }
        }
        let of = Self {
            operation: operation.as_str(),
            calls: latencies(|of| &of.calls),
            attempts: latencies(|of| &of.attempts),
            slow: of.iter().map(|of| of.slow.get()).sum(),
            errors: by_word,
        };
        (!of.calls.is_empty() || !of.attempts.is_empty()).then_some(of)
    }
}

/// The last call that was rejected, of all stripes.
pub(crate) fn last_rejection(
    instance: &Instance,
    stripes: &[Arc<Stripe>],
) -> Option<LastRejection> {
    let last = stripes.iter().filter_map(|stripe| stripe.last());
    let (at, rejection) = last.max_by_key(|(at, _)| *at)?;
    let ago = instance.clock().now().saturating_sub(at);
    Some(LastRejection::new(rejection, Duration::from_nanos(ago)))
}

fn counts(operations: &[OperationSnapshot]) -> TelemetryCounts {
    let mut counts = TelemetryCounts::default();
    let count = |latencies: &Latencies| {
        let end = End::ALL
            .iter()
            .find(|end| end.as_str() == latencies.outcome);
        (*end.unwrap_or(&End::Ignored), latencies.latency.count())
    };
    for of in operations {
        for (end, calls) in of.calls.iter().map(count) {
            counts.abandoned += add(&mut counts.calls, end, calls);
        }
        for (end, attempts) in of.attempts.iter().map(count) {
            counts.abandoned_attempts += add(&mut counts.attempts, end, attempts);
        }
        counts.slow += of.slow;
    }
    counts
}
