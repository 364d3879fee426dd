//! A pool from outside: what runs on it, with which settings, and how to change that.

use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use seawall_core::{
    Command, Events, InstanceHandle, InstanceName, InvalidConfig, Samples, Unsupported,
};

use super::config::{BlockingConfig, IsolatedConfig};
use super::threads::PoolRef;
use crate::counts::BulkheadCounts;
use crate::mode::Mode;
use crate::pool::PoolLimits;
use crate::snapshot::BulkheadState;

/// Reads and controls a pool from any thread, without being part of any call: that of an
/// [`IsolatedLayer`](super::IsolatedLayer), with an [`IsolatedConfig`], or that of a
/// [`BlockingLayer`](super::BlockingLayer), with a [`BlockingConfig`].
///
/// It keeps the counters alive, not the threads.
pub struct ThreadPoolHandle<C> {
    pool: PoolRef,
    config: PhantomData<fn() -> C>,
}

impl<C> Clone for ThreadPoolHandle<C> {
    fn clone(&self) -> Self {
        Self::new(self.pool.clone())
    }
}

impl ThreadPoolHandle<IsolatedConfig> {
    /// The settings in force.
    pub fn config(&self) -> IsolatedConfig {
        IsolatedConfig::from_parts(self.pool.threads, self.limits())
    }

    /// Changes the settings while calls run. A lower `max_concurrent` stops no call; waiting calls
    /// keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` differs: the threads of a running pool cannot change.
    pub fn configure(&self, config: IsolatedConfig) -> Result<(), InvalidConfig> {
        self.set_limits(config.threads(), config.limits())
    }
}

impl ThreadPoolHandle<BlockingConfig> {
    /// The settings in force.
    pub fn config(&self) -> BlockingConfig {
        BlockingConfig::from_limits(self.limits())
    }

    /// Changes the settings while calls run. Waiting calls keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` differs: the threads of a running pool cannot change.
    pub fn configure(&self, config: BlockingConfig) -> Result<(), InvalidConfig> {
        self.set_limits(config.threads(), config.limits())
    }
}

impl<C> ThreadPoolHandle<C> {
    pub(crate) const fn new(pool: PoolRef) -> Self {
        let config = PhantomData;
        Self { pool, config }
    }

    fn limits(&self) -> PoolLimits {
        self.pool.state.permits.usage().limits
    }

    fn set_limits(&self, threads: u32, limits: PoolLimits) -> Result<(), InvalidConfig> {
        if threads != self.pool.threads {
            let accepted = format!(
                "{}: the threads of a running pool cannot change",
                self.pool.threads
            );
            return Err(InvalidConfig::new("threads", threads, accepted));
        }
        self.pool.state.permits.configure(limits);
        Ok(())
    }

    /// Back to automatic: ends [`Block`](Command::Block) and [`Bypass`](Command::Bypass).
    pub fn reset(&self) {
        self.pool.state.permits.set_mode(Mode::Normal);
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.pool.state.source.name()
    }

    /// How many permits are held: by calls that run, are about to, or were cancelled and have not
    /// stopped yet.
    pub fn in_flight(&self) -> u32 {
        self.pool.state.permits.usage().in_flight
    }

    /// How many calls wait for a permit.
    pub fn queue_depth(&self) -> usize {
        self.pool.state.permits.usage().queue_depth
    }

    /// How many threads of the pool are alive.
    pub fn threads(&self) -> u32 {
        self.pool.alive.load(Ordering::Relaxed)
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        self.pool.state.counts()
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> ThreadPoolSnapshot {
        let usage = self.pool.state.permits.usage();
        ThreadPoolSnapshot {
            name: self.name(),
            state: self.pool.state.state(),
            limit: usage.limits.max_concurrent,
            in_flight: usage.in_flight,
            queue_depth: usage.queue_depth,
            threads: self.threads(),
            counts: self.counts(),
        }
    }
}

impl<C> InstanceHandle for ThreadPoolHandle<C> {
    /// `"isolated"` or `"blocking"`.
    fn pattern(&self) -> &'static str {
        self.pool.state.source.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// That of [`BulkheadState::as_str`].
    fn state(&self) -> &'static str {
        self.pool.state.state().as_str()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.pool.state.samples(sink);
        let labels = [("layer", self.pattern())];
        let threads = f64::from(self.threads());
        sink.gauge("seawall_bulkhead_threads", &labels, threads);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let limits = self.limits();
        vec![
            ("threads", self.pool.threads.to_string()),
            ("max_concurrent", limits.max_concurrent.to_string()),
            ("max_waiting", limits.max_waiting.to_string()),
            ("max_wait", format!("{:?}", limits.max_wait)),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is notified.
        let _ = self.pool.state.source.attach(events);
    }

    /// [`Block`](Command::Block) rejects every call, [`Bypass`](Command::Bypass) lets every call
    /// have a permit (those of a blocking pool still wait for a thread), [`Reset`](Command::Reset)
    /// ends both.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        self.pool.state.control(command)
    }
}

seawall_core::impl_debug!(ThreadPoolHandle<C>: |this| name = this.name(), snapshot = this.snapshot());

/// A pool of threads at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ThreadPoolSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does now.
    pub state: BulkheadState,
    /// How many calls may hold a permit at once.
    pub limit: u32,
    /// How many calls hold a permit.
    pub in_flight: u32,
    /// How many calls wait.
    pub queue_depth: usize,
    /// How many threads are alive.
    pub threads: u32,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}
