//! The limit from outside: how many connections there are, and under which settings.

use std::fmt;
use std::sync::Arc;

use seawall_core::{Events, InstanceHandle, InstanceName, PartitionKey, Samples};

use super::ConnectionLimitConfig;
use super::room::{Room, read};

/// What became of the connects so far. Each one that has ended is in exactly one of the fields,
/// `waited` aside.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// A connection was made.
    pub made: u64,
    /// The connector failed.
    pub failed: u64,
    /// The connector answered in a way that says nothing of the upstream, such as a rejection of a
    /// layer below.
    pub ignored: u64,
    /// Dropped by the caller before the connection was made, while it waited or connected.
    pub abandoned: u64,
    /// Had to wait for a place, whatever became of it afterwards.
    pub waited: u64,
    /// Rejected, since every place and every place in the line was taken.
    pub rejected_full: u64,
    /// Rejected, since no place became free in time.
    pub rejected_timeout: u64,
}

/// Reads a connection limit from any thread, without being part of any connection.
#[derive(Clone)]
pub struct ConnectionLimitHandle {
    room: Arc<Room>,
    config: ConnectionLimitConfig,
}

impl ConnectionLimitHandle {
    pub(crate) const fn new(room: Arc<Room>, config: ConnectionLimitConfig) -> Self {
        Self { room, config }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.room.observer.name()
    }

    /// The settings in force.
    pub const fn config(&self) -> ConnectionLimitConfig {
        self.config
    }

    /// How many places are taken: by connections that are open or being made.
    pub fn in_flight(&self) -> u32 {
        self.room.gate.in_flight()
    }

    /// How many of them belong to one key; 0 where there is no bound per key.
    pub fn in_flight_by(&self, key: PartitionKey) -> u32 {
        self.room.gate.in_flight_by(key)
    }

    /// How many connects wait for a place.
    pub fn waiting(&self) -> usize {
        self.room.gate.waiting()
    }

    /// What became of the connects so far.
    pub fn counts(&self) -> ConnectionCounts {
        let counters = &self.room.counters;
        ConnectionCounts {
            made: read(&counters.success),
            failed: read(&counters.failure),
            ignored: read(&counters.ignored),
            abandoned: read(&counters.abandoned),
            waited: read(&counters.waited),
            rejected_full: read(&counters.full),
            rejected_timeout: read(&counters.timeout),
        }
    }
}

impl InstanceHandle for ConnectionLimitHandle {
    fn pattern(&self) -> &'static str {
        self.room.observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while there is a free place, `"full"` when there is none, `"queueing"` when connects
    /// wait.
    fn state(&self) -> &'static str {
        self.room.state()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.room.samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config;
        let per_key = config.max_per_key();
        vec![
            (
                "max_connections",
                config.max_connections().get().to_string(),
            ),
            (
                "max_per_key",
                per_key.map_or_else(|| "none".to_owned(), |most| most.get().to_string()),
            ),
            ("max_waiting", config.max_waiting().to_string()),
            ("acquire_timeout", format!("{:?}", config.max_wait().get())),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.room.observer.attach(events);
    }
}

impl fmt::Debug for ConnectionLimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimitHandle")
            .field("name", &self.name())
            .field("taken", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
