//! What one thread counts of one instance.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use seawall_core::{HistogramStripe, Operation, Rejection, ns};

use crate::TelemetryConfig;
use crate::counts::{ENDS, ERRORS, End};

/// How many operations have names of their own in metrics; further ones are `other`.
pub(crate) const NAMED: usize = 15;

/// How many instances make spans. Nearly always none do, so calls read this first.
#[cfg(feature = "tracing")]
static WITH_SPANS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// What calls read of the settings, and the operations that they had.
#[derive(Debug)]
pub(crate) struct Settings {
    #[cfg(feature = "tracing")]
    name: seawall_core::InstanceName,
    is_on: AtomicBool,
    #[cfg(feature = "tracing")]
    has_spans: AtomicBool,
    slow_ns: AtomicU64,
    overhead_every: AtomicU32,
    /// The numbers of the named operations, in the order in which they came; 0 is none.
    operations: [AtomicU16; NAMED],
}

impl Settings {
    pub(crate) fn new(#[cfg(feature = "tracing")] name: seawall_core::InstanceName) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            name,
            is_on: AtomicBool::new(true),
            #[cfg(feature = "tracing")]
            has_spans: AtomicBool::new(false),
            slow_ns: AtomicU64::new(u64::MAX),
            overhead_every: AtomicU32::new(0),
            operations: std::array::from_fn(|_| AtomicU16::new(0)),
        }
    }

    pub(crate) fn set(&self, config: TelemetryConfig, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        self.set_spans(is_on && config.spans());
        self.slow_ns
            .store(ns(config.slow_after()), Ordering::Relaxed);
        self.overhead_every
            .store(config.overhead_every(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn set_spans(&self, on: bool) {
        match (self.has_spans.swap(on, Ordering::Relaxed), on) {
            (false, true) => WITH_SPANS.fetch_add(1, Ordering::Relaxed),
            (true, false) => WITH_SPANS.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Whether any instance of the process makes spans.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn any_spans() -> bool {
        WITH_SPANS.load(Ordering::Relaxed) != 0
    }

    /// The name of the instance, where it makes spans.
    #[cfg(feature = "tracing")]
    pub(crate) fn spans_of(&self) -> Option<seawall_core::InstanceName> {
        self.has_spans.load(Ordering::Relaxed).then_some(self.name)
    }

    pub(crate) fn overhead_every(&self) -> u32 {
        self.overhead_every.load(Ordering::Relaxed)
    }

    /// Where that operation is counted: 0 for those without a name of their own.
    #[inline]
    fn place(&self, operation: Operation) -> usize {
        if operation.is_other() {
            0
        } else {
            self.named(operation.number())
        }
    }

    #[inline(never)]
    fn named(&self, number: u16) -> usize {
        for (index, known) in self.operations.iter().enumerate() {
            let mut found = known.load(Ordering::Relaxed);
            if found == 0 {
                let claimed =
                    known.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
                found = claimed.err().unwrap_or(number);
            }
            if found == number {
                return index + 1;
            }
        }
        0
    }

    /// The operation that is counted there, if there is one.
    pub(crate) fn operation(&self, place: usize) -> Option<Operation> {
        let Some(index) = place.checked_sub(1) else {
            return Some(Operation::OTHER);
        };
        let number = self.operations[index].load(Ordering::Relaxed);
        (number != 0).then_some(Operation::from_number(number))
    }
}

/// A counter that one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Own(AtomicU64);

impl Own {
    #[inline]
    fn add(&self, n: u64) {
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count.wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The latencies by how calls ended.
type Latencies = [OnceLock<Box<HistogramStripe>>; ENDS];

/// What is counted of one operation.
#[derive(Debug)]
pub(crate) struct OfOperation {
    pub(crate) calls: Latencies,
    pub(crate) attempts: Latencies,
    pub(crate) errors: [Own; ERRORS],
    pub(crate) slow: Own,
}

impl Default for OfOperation {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            attempts: Default::default(),
            errors: std::array::from_fn(|_| Own::default()),
            slow: Own::default(),
        }
    }
}

/// Written by one thread, read by any.
#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) settings: Arc<Settings>,
    /// Of calls without an operation of their own.
    other: OfOperation,
    named: [OnceLock<Box<OfOperation>>; NAMED],
    pub(crate) overhead_ns: Own,
    pub(crate) overhead_samples: Own,
    has_client: AtomicBool,
    last: Mutex<Option<(u64, Rejection)>>,
}

/// What a part of a measured call took.
pub(crate) struct Took {
    /// Without the client.
    pub(crate) own_ns: u64,
    /// Whether the client was seen.
    pub(crate) has_client: bool,
}

/// What is known of a call or an attempt when it is over.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) is_attempt: bool,
    pub(crate) operation: Operation,
    pub(crate) end: End,
    pub(crate) took_ns: u64,
}

impl Stripe {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            other: OfOperation::default(),
            named: Default::default(),
            overhead_ns: Own::default(),
            overhead_samples: Own::default(),
            has_client: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    pub(crate) fn count(&self, ended: Ended) {
        if !self.settings.is_on() {
            return;
        }
        let of = self.of(ended.operation);
        let latencies = if ended.is_attempt {
            &of.attempts
        } else {
            &of.calls
        };
        let latency = &latencies[ended.end as usize];
        latency
            .get_or_init(Box::default)
            .record_here(ended.took_ns, true);
        if ended.took_ns > self.settings.slow_ns.load(Ordering::Relaxed)
            && ended.end == End::Success
            && !ended.is_attempt
        {
            of.slow.add(1);
        }
    }

    #[inline]
    fn of(&self, operation: Operation) -> &OfOperation {
        match self.settings.place(operation).checked_sub(1) {
            None => &self.other,
            Some(index) => self.named[index].get_or_init(Box::default),
        }
    }

    /// What is counted at that place, if anything was.
    pub(crate) fn at(&self, place: usize) -> Option<&OfOperation> {
        match place.checked_sub(1) {
            None => Some(&self.other),
            Some(index) => self.named[index].get().map(|of| &**of),
        }
    }

    /// Counts a success that did not wait.
    #[inline]
    pub(crate) fn count_at_once(&self, is_attempt: bool, operation: Operation) {
        if self.settings.is_on() {
            let of = self.of(operation);
            let latencies = if is_attempt { &of.attempts } else { &of.calls };
            match latencies[End::Success as usize].get() {
                Some(latency) => latency.record_zero_here(),
                None => self.count_first(is_attempt, operation),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn count_first(&self, is_attempt: bool, operation: Operation) {
        let end = End::Success;
        self.count(Ended {
            is_attempt,
            operation,
            end,
            took_ns: 0,
        });
    }

    /// Counts the error of a call, and keeps it when it is a rejection.
    #[cold]
    pub(crate) fn fail(&self, operation: Operation, error: u8, rejected: Option<(u64, Rejection)>) {
        if !self.settings.is_on() {
            return;
        }
        self.of(operation).errors[usize::from(error)].add(1);
        // Only a reader can have the lock, and the next rejection comes.
        if let (Some(_), Ok(mut last)) = (rejected, self.last.try_lock()) {
            *last = rejected;
        }
    }

    /// A part of a measured call is over.
    pub(crate) fn add_overhead(&self, took: &Took) {
        self.overhead_ns.add(took.own_ns);
        if took.has_client {
            self.has_client.store(true, Ordering::Relaxed);
        }
    }

    /// A measured call is over.
    #[cold]
    pub(crate) fn add_overhead_sample(&self) {
        self.overhead_samples.add(1);
    }

    /// Whether a client was marked. Without, all of its time would be taken for that of the layers.
    pub(crate) fn has_client(&self) -> bool {
        self.has_client.load(Ordering::Relaxed)
    }

    pub(crate) fn last(&self) -> Option<(u64, Rejection)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget_last(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
