//! The limit from outside: how many connections there are, and under which settings.

use std::sync::Arc;

use seawall_core::{
    Command, Events, InstanceHandle, InstanceName, InvalidConfig, PartitionKey, Samples,
    Unsupported,
};

use super::config::ConnectionLimitConfig;
use crate::counts::BulkheadCounts;
use crate::mode::Mode;
use crate::pool::PoolState;
use crate::snapshot::BulkheadState;

/// Reads and controls a connection limit from any thread, without being part of any connection.
#[derive(Clone)]
pub struct ConnectionLimitHandle {
    state: Arc<PoolState>,
}

impl ConnectionLimitHandle {
    pub(crate) const fn new(state: Arc<PoolState>) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.source.name()
    }

    /// The settings in force.
    pub fn config(&self) -> ConnectionLimitConfig {
        ConnectionLimitConfig::from_limits(self.state.permits.usage().limits)
    }

    /// Changes the settings while connections are open. New permits go to waiting connects; a
    /// lower limit closes no connection, and until enough of them are closed, none is made.
    /// Waiting connects keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// None today: a [`ConnectionLimitConfig`] is valid.
    pub fn configure(&self, config: ConnectionLimitConfig) -> Result<(), InvalidConfig> {
        self.state.permits.configure(config.limits());
        Ok(())
    }

    /// Back to automatic: ends [`Block`](Command::Block) and [`Bypass`](Command::Bypass).
    pub fn reset(&self) {
        self.state.permits.set_mode(Mode::Normal);
    }

    /// How many permits are held: by connections that are open or being made.
    pub fn in_flight(&self) -> u32 {
        self.state.permits.usage().in_flight
    }

    /// How many of them belong to one key.
    pub fn in_flight_of(&self, key: PartitionKey) -> u32 {
        self.state.permits.in_flight_of(key)
    }

    /// How many connects wait for a permit.
    pub fn queue_depth(&self) -> usize {
        self.state.permits.usage().queue_depth
    }

    /// What became of the connects so far.
    pub fn counts(&self) -> BulkheadCounts {
        self.state.counts()
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> ConnectionLimitSnapshot {
        let usage = self.state.permits.usage();
        ConnectionLimitSnapshot {
            name: self.name(),
            state: self.state.state(),
            limit: usage.limits.max_concurrent,
            in_flight: usage.in_flight,
            queue_depth: usage.queue_depth,
            counts: self.counts(),
        }
    }
}

impl InstanceHandle for ConnectionLimitHandle {
    fn pattern(&self) -> &'static str {
        self.state.source.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// That of [`BulkheadState::as_str`].
    fn state(&self) -> &'static str {
        self.state.state().as_str()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.state.samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let per_key = config.max_per_key().map(|max| max.to_string());
        vec![
            ("max_connections", config.max_connections().to_string()),
            ("max_per_key", per_key.unwrap_or_else(|| "none".to_owned())),
            ("max_waiting", config.max_waiting().to_string()),
            ("max_wait", format!("{:?}", config.max_wait())),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is notified.
        let _ = self.state.source.attach(events);
    }

    /// [`Block`](Command::Block) rejects every connect, [`Bypass`](Command::Bypass) lets every
    /// connect pass, [`Reset`](Command::Reset) ends both. Open connections stay open.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        self.state.control(command)
    }
}

seawall_core::impl_debug!(ConnectionLimitHandle: |this| name = this.name(), snapshot = this.snapshot());

/// A connection limit at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ConnectionLimitSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does now.
    pub state: BulkheadState,
    /// How many connections there may be at once.
    pub limit: u32,
    /// How many connections are open or being made.
    pub in_flight: u32,
    /// How many connects wait.
    pub queue_depth: usize,
    /// What became of the connects so far.
    pub counts: BulkheadCounts,
}
