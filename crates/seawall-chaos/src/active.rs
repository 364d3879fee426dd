//! Faults that are on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_core::RequestMeta;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::FaultSet;
use crate::counts::ChaosCounters;
use crate::decide::Draws;

/// Faults that are on, from one start to its end.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: u64,
    pub(crate) set: FaultSet,
    pub(crate) seed: u64,
    /// When they end by themselves.
    pub(crate) ends_at: Option<Instant>,
    stopped: AtomicBool,
    /// Whether that was before their time was over.
    stopped_early: AtomicBool,
    /// Wakes the calls that wait.
    pub(crate) end: Arc<Notify>,
    calls: AtomicU64,
    pub(crate) counters: ChaosCounters,
}

impl Active {
    pub(crate) fn new(id: u64, set: FaultSet, seed: u64, ends_at: Option<Instant>) -> Self {
        Self {
            id,
            set,
            seed,
            ends_at,
            stopped: AtomicBool::new(false),
            stopped_early: AtomicBool::new(false),
            end: Arc::new(Notify::new()),
            calls: AtomicU64::new(0),
            counters: ChaosCounters::default(),
        }
    }

    /// Ends the faults, those of calls under way included.
    pub(crate) fn stop(&self) {
        if !self.is_over() {
            self.stopped_early.store(true, Ordering::Relaxed);
        }
        // In this order: who is asked to be woken reads the flag afterwards.
        self.stopped.store(true, Ordering::Release);
        self.end.notify_waiters();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopped_early(&self) -> bool {
        self.is_stopped() && self.stopped_early.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_stopped() || self.ends_at.is_some_and(|at| Instant::now() >= at)
    }

    /// How many calls there were since the start.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Counts a call, and finds which faults hit it.
    pub(crate) fn draw(&self, meta: &RequestMeta) -> Vec<(usize, Draws)> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let faults = self.set.faults().iter().enumerate();
        let drawn = faults.filter_map(|(index, fault)| {
            let mut draws = Draws::new(self.seed, index as u64, call);
            // Drawn whether or not the call is in reach: so the reach of one fault changes nothing
            // about the draws of others, and a call has the same draws with another reach.
            let is_hit = draws.happens(fault.intensity());
            (is_hit && fault.reach().includes(meta, self.seed)).then_some((index, draws))
        });
        drawn.collect()
    }
}
