//! A pool from outside: what runs on it, and with which settings.

use std::fmt;
use std::sync::atomic::Ordering;

use seawall_core::{Events, InstanceHandle, InstanceName, Samples};

use super::pool::Seen;
use crate::connections::room::read;

/// What became of the calls of a pool so far. Each call that has ended is in exactly one of the
/// fields, `waited` aside.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsolatedCounts {
    /// Answered, and settled as a success.
    pub success: u64,
    /// Answered with a failure of the inner service.
    pub failure: u64,
    /// Answered in a way that says nothing of the upstream, such as a rejection of a layer below.
    pub ignored: u64,
    /// Panicked.
    pub panicked: u64,
    /// Dropped by the caller before the answer, while it waited or ran.
    pub abandoned: u64,
    /// Had to wait for a place, whatever became of it afterwards.
    pub waited: u64,
    /// Rejected, since every place and every place in the line was taken.
    pub rejected_full: u64,
    /// Rejected, since no place became free in time.
    pub rejected_timeout: u64,
}

/// Reads a pool from any thread, without being part of any call; of either kind, that of an
/// [`IsolatedLayer`](super::IsolatedLayer) or of a [`BlockingLayer`](super::BlockingLayer).
///
/// It keeps the counters alive, not the threads.
#[derive(Clone)]
pub struct IsolatedHandle {
    seen: Seen,
}

impl IsolatedHandle {
    pub(crate) const fn new(seen: Seen) -> Self {
        Self { seen }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.seen.room.observer.name()
    }

    /// How many places are taken: by calls that run, are about to, or were cancelled and have not
    /// stopped yet.
    pub fn in_flight(&self) -> u32 {
        self.seen.room.gate.in_flight()
    }

    /// How many calls wait for a place.
    pub fn waiting(&self) -> usize {
        self.seen.room.gate.waiting()
    }

    /// How many threads of the pool are alive.
    pub fn threads(&self) -> u32 {
        self.seen.alive.load(Ordering::Relaxed)
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> IsolatedCounts {
        let counters = &self.seen.room.counters;
        IsolatedCounts {
            success: read(&counters.success),
            failure: read(&counters.failure),
            ignored: read(&counters.ignored),
            panicked: read(&counters.panicked),
            abandoned: read(&counters.abandoned),
            waited: read(&counters.waited),
            rejected_full: read(&counters.full),
            rejected_timeout: read(&counters.timeout),
        }
    }
}

impl InstanceHandle for IsolatedHandle {
    /// `"isolated"` or `"blocking"`.
    fn pattern(&self) -> &'static str {
        self.seen.room.observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while there is a free place, `"full"` when there is none, `"queueing"` when calls
    /// wait.
    fn state(&self) -> &'static str {
        self.seen.room.state()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.seen.room.samples(sink);
        sink.gauge(
            "seawall_bulkhead_threads",
            &[("layer", self.pattern())],
            f64::from(self.threads()),
        );
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let settings = self.seen.settings;
        vec![
            ("threads", settings.threads.to_string()),
            ("max_concurrent", settings.max_concurrent.to_string()),
            ("max_waiting", settings.max_waiting.to_string()),
            ("acquire_timeout", format!("{:?}", settings.max_wait)),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.seen.room.observer.attach(events);
    }
}

impl fmt::Debug for IsolatedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsolatedHandle")
            .field("name", &self.name())
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
