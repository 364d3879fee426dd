//! The layer: owner of the places.

use std::fmt;
use std::sync::Arc;

use seawall_core::{DefaultMeta, EventSource, InstanceName};
use tower_layer::Layer;

use super::gate::{Gate, Sizes};
use super::room::Room;
use super::{ConnectionLimit, ConnectionLimitConfig, ConnectionLimitHandle};

/// Limits how many connections a connector has open; see the [module](super).
///
/// Its clones and every service that they make share one set of places. `D` says the key of a
/// target.
///
/// ```
/// use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
/// use seawall_core::{PartitionKey, RequestMeta};
///
/// let config = ConnectionLimitConfig::builder().max_connections(20).max_per_key(8).build()?;
/// let layer = ConnectionLimitLayer::new("upstreams", config)
///     .describe(|host: &String| RequestMeta::default().with_key(PartitionKey::of(host)));
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct ConnectionLimitLayer<D = DefaultMeta> {
    room: Arc<Room>,
    config: ConnectionLimitConfig,
    describe: D,
}

impl ConnectionLimitLayer {
    /// A layer with places of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: ConnectionLimitConfig) -> Self {
        let gate = Gate::new(Sizes {
            total: config.max_connections().get(),
            per_key: config.max_per_key().map(seawall_core::NonZeroCount::get),
            waiting: config.max_waiting(),
        });
        let observer = EventSource::new("connections", name);
        Self {
            room: Room::new(gate, observer, config.max_wait().get()),
            config,
            describe: DefaultMeta,
        }
    }
}

impl<D> ConnectionLimitLayer<D> {
    /// Says what the key of a target is; nothing else of the description is looked at. Asked once
    /// per connect.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> ConnectionLimitLayer<D2> {
        ConnectionLimitLayer {
            room: self.room,
            config: self.config,
            describe,
        }
    }

    /// A handle to read the limit from outside.
    pub fn handle(&self) -> ConnectionLimitHandle {
        ConnectionLimitHandle::new(Arc::clone(&self.room), self.config)
    }
}

impl<S, D: Clone> Layer<S> for ConnectionLimitLayer<D> {
    type Service = ConnectionLimit<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectionLimit::new(inner, Arc::clone(&self.room), self.describe.clone())
    }
}

impl<D> fmt::Debug for ConnectionLimitLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimitLayer")
            .field("name", &self.room.observer.name())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
