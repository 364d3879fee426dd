//! A pool from outside: what it does, with which settings, and how to change that.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, PartitionKey, Samples,
};

use super::queue::{PoolLimits, PoolSupply};
use super::state::PoolState;
use crate::commands::{FlagChange, commands};
use crate::counts::BulkheadCounts;
use crate::keyed::KeyedSupply;
use crate::semaphore::packed::{BYPASS, SHADOW};
use crate::snapshot::BulkheadState;

/// Reads and controls the permits of connections
/// ([`ConnectionLimitConfig`](crate::connections::ConnectionLimitConfig)) or of a pool of threads
/// (the two configurations of `isolated`) from any thread, without being part of any call.
///
/// It keeps the state alive, not the services and not the threads.
///
/// In shadow mode, and when a registry commands it to let every call pass, calls and connections have
/// a permit beyond the limits; those of a blocking pool still wait for a thread. A drain ends
/// ([`drained`](Self::drained)) when the last connection is closed, or when the last call has left its
/// thread, also one that was cancelled and runs on.
///
/// ```
/// use seawall_bulkhead::BulkheadState;
/// use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let handle = ConnectionLimitLayer::new("broker", ConnectionLimitConfig::default()).handle();
/// // Before a restart: no new connections, until those that there are have been closed.
/// handle.drain();
/// assert_eq!(handle.snapshot().state, BulkheadState::Draining);
/// handle.drained().await;
/// # }
/// ```
pub struct PoolHandle<C> {
    pub(crate) state: Arc<PoolState>,
    threads: Option<Threads>,
    config: PhantomData<fn() -> C>,
}

/// How many threads there are to be, and how many are alive.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    pub(crate) configured: u32,
    pub(crate) alive: Arc<AtomicU32>,
}

impl<C> Clone for PoolHandle<C> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state), self.threads.clone())
    }
}

impl<C> PoolHandle<C> {
    pub(crate) const fn new(state: Arc<PoolState>, threads: Option<Threads>) -> Self {
        Self {
            state,
            threads,
            config: PhantomData,
        }
    }

    pub(crate) fn limits(&self) -> PoolLimits {
        let usage = self.state.usage();
        PoolLimits {
            shadow: usage.mode.has(SHADOW),
            ..usage.limits
        }
    }

    #[cfg(feature = "isolated")]
    pub(crate) fn configured_threads(&self) -> u32 {
        let threads = self.threads.as_ref();
        threads.map_or(0, |threads| threads.configured)
    }

    /// Other limits, if `threads` are as many as there are.
    pub(crate) fn set_limits(
        &self,
        threads: Option<u32>,
        limits: PoolLimits,
    ) -> Result<(), InvalidConfig> {
        if let (Some(there), Some(threads)) = (&self.threads, threads)
            && there.configured != threads
        {
            let there = there.configured;
            let accepted = format!("{there}: the threads of a running pool cannot change");
            return Err(InvalidConfig::new("threads", threads, accepted));
        }
        self.state.permits.update(|pool| pool.set_limits(limits));
        self.state.source.commanded("configure");
        Ok(())
    }

    /// Back to automatic: ends [`pause`](Self::pause), [`drain`](Self::drain),
    /// [`set_shadow`](Self::set_shadow) and what a registry has commanded. The settings are those of
    /// the last configuration. Calls and counters stay.
    pub fn reset(&self) {
        self.state.permits.update(PoolSupply::reset);
        self.state.source.commanded("reset");
    }

    fn change(&self, change: FlagChange) {
        self.state.permits.update(|pool| pool.command(change));
    }

    fn drains(&self) -> Arc<PoolState> {
        Arc::clone(&self.state)
    }

    fn source(&self) -> &EventSource {
        &self.state.source
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.source.name()
    }

    /// How many permits are held: by connections that are open or being made; by calls that run,
    /// are about to, or were cancelled and have not stopped yet.
    pub fn in_flight(&self) -> u32 {
        self.state.usage().in_flight
    }

    /// How many of them belong to one key; calls on threads have no key.
    pub fn in_flight_of(&self, key: PartitionKey) -> u32 {
        self.state.permits.read(|pool| pool.in_flight_of(key))
    }

    /// How many calls wait for a permit.
    pub fn queue_depth(&self) -> usize {
        self.state.usage().queue_depth
    }

    /// How many threads are alive; 0 for connections.
    pub fn threads(&self) -> u32 {
        let threads = self.threads.as_ref();
        threads.map_or(0, |threads| threads.alive.load(Ordering::Relaxed))
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        self.state.counts()
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> PoolSnapshot {
        let usage = self.state.usage();
        PoolSnapshot {
            name: self.name(),
            state: usage.state(),
            limit: usage.limits.max_concurrent,
            in_flight: usage.in_flight,
            queue_depth: usage.queue_depth,
            threads: self.threads(),
            shadow: usage.mode.has(SHADOW | BYPASS),
            counts: self.counts(),
        }
    }
}

/// Of the pattern `"connections"`, `"isolated"` or `"blocking"`.
///
/// [`Block`](seawall_core::Command::Block) is [`pause`](PoolHandle::pause);
/// [`Bypass`](seawall_core::Command::Bypass) lets every call have a permit as in shadow mode, until
/// another command (calls of a blocking pool still wait for a thread);
/// [`Reset`](seawall_core::Command::Reset) is [`reset`](PoolHandle::reset).
impl<C> InstanceHandle for PoolHandle<C> {
    seawall_core::handle_methods! { |this|
        pattern: this.state.source.pattern(),
        state: this.state.usage().state().as_str(),
        attach: this.state.source,
        commands: [Block => pause, Bypass => bypass, Reset => reset, Resume => resume, Drain => drain, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.state.samples(sink);
        if self.threads.is_some() {
            let labels = [("layer", self.pattern())];
            let threads = f64::from(self.threads());
            sink.gauge("seawall_bulkhead_threads", &labels, threads);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let limits = self.limits();
        let max = limits.max_concurrent.to_string();
        let mut settings = match &self.threads {
            Some(threads) => vec![
                ("threads", threads.configured.to_string()),
                ("max_concurrent", max),
            ],
            None => {
                let per_key = limits.max_per_key.map(|max| max.to_string());
                let per_key = per_key.unwrap_or_else(|| "none".to_owned());
                vec![("max_connections", max), ("max_per_key", per_key)]
            }
        };
        settings.push(("max_waiting", limits.max_waiting.to_string()));
        settings.push(("max_wait", format!("{:?}", limits.max_wait)));
        settings.push(("shadow", limits.shadow.to_string()));
        settings
    }
}

commands!(PoolHandle<C>);

seawall_core::impl_debug!(PoolHandle<C>: |this| name = this.name(), snapshot = this.snapshot());

/// A connection limit or a pool of threads at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PoolSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does now.
    pub state: BulkheadState,
    /// How many calls may hold a permit at once; of connections, how many there may be.
    pub limit: u32,
    /// How many permits are held.
    pub in_flight: u32,
    /// How many calls wait.
    pub queue_depth: usize,
    /// How many threads are alive; 0 for connections.
    pub threads: u32,
    /// Whether it is in shadow mode.
    pub shadow: bool,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}
