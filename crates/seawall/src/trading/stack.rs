//! The stack.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use seawall_breaker::{BreakerHandle, BreakerLayer};
use seawall_bulkhead::{BulkheadHandle, BulkheadLayer};
use seawall_core::{AlreadyRegistered, DepartureLayer, InstanceName, Registry, Rejectable};
use seawall_http::NoteDeparture;
use seawall_http::inspect::BodyRules;
use seawall_orders::{OrderHandle, OrderLayer, OrderService};
use seawall_ratelimit::KeyedRateLimitLayer;
use seawall_retry::RetryLayer;
use seawall_timeout::AttemptTimeoutLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::stack::remove;
use crate::{HttpHandles, HttpPolicy, HttpStack, NoLayer, Slots, StackHandles};

/// The slots of a [`TradeStack`].
pub type TradeSlots = Slots<
    RetryLayer,
    NoLayer,
    NoLayer,
    BulkheadLayer,
    KeyedRateLimitLayer,
    BreakerLayer,
    NoLayer,
    AttemptTimeoutLayer,
    DepartureLayer<NoteDeparture>,
>;

/// The layers of an [`OrderStack`] between the one of orders and the client.
pub type TradeStack = HttpStack<HttpPolicy, BodyRules, TradeSlots>;

/// The handles of a [`TradeStack`].
pub type TradeHandles = StackHandles<TradeSlots, HttpHandles>;

/// The stack of a broker's tier, whose orders are sent once; see the [module](super).
///
/// ```
/// use seawall_orders::journal::MemoryJournal;
/// use tower::{Layer, ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
///
/// let stack = seawall::alpaca()?.order_stack(MemoryJournal::default())?.build()?;
/// let handles = stack.handles();
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// assert_eq!(handles.orders.snapshot().in_doubt, 0);
/// # let _ = client;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `B` is the body of requests.
#[derive(Debug)]
pub struct OrderStack<B> {
    pub(super) orders: OrderLayer<B>,
    pub(super) stack: TradeStack,
    pub(super) reserved: TradeStack,
}

impl<B> Clone for OrderStack<B> {
    fn clone(&self) -> Self {
        Self {
            orders: self.orders.clone(),
            stack: self.stack.clone(),
            reserved: self.reserved.clone(),
        }
    }
}

impl<B> OrderStack<B> {
    /// The name of the stack and of its layers; the reserved permits and circuit are named `NAME.reserved`.
    pub fn name(&self) -> InstanceName {
        self.stack.name()
    }

    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> OrderHandles {
        let reserved = self.reserved.handles();
        OrderHandles {
            orders: self.orders.handle(),
            stack: self.stack.handles(),
            reserved_permits: reserved.bulkhead,
            reserved_circuit: reserved.breaker,
        }
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.handles().register(registry)
    }
}

type Below<S> = <TradeStack as Layer<S>>::Service;

impl<S, B, R> Layer<S> for OrderStack<B>
where
    S: Clone,
    TradeStack: Layer<S>,
    Below<S>: Service<Request<B>, Response = Response<R>, Future: Send, Error: Rejectable + Send>
        + Clone
        + Send
        + 'static,
    B: From<Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Service = OrderService<Below<S>>;

    fn layer(&self, client: S) -> Self::Service {
        let reserved = self.reserved.layer(client.clone());
        self.orders
            .layer_with_reserved(self.stack.layer(client), reserved)
    }
}

/// Handles of an [`OrderStack`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct OrderHandles {
    /// The orders.
    pub orders: OrderHandle,
    /// The layers between orders and client.
    pub stack: TradeHandles,
    /// The permits of cancels and look-ups.
    pub reserved_permits: BulkheadHandle,
    /// The circuit of cancels and look-ups.
    pub reserved_circuit: BreakerHandle,
}

impl OrderHandles {
    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.stack.register(registry)?;
        registry.register(self.reserved_permits.clone())?;
        registry.register(self.reserved_circuit.clone())?;
        registry.register(self.orders.clone())
    }

    /// The inverse of [`register`](Self::register): see
    /// [`StackHandles::unregister`](crate::StackHandles::unregister).
    pub fn unregister(&self, registry: &Registry) {
        self.stack.unregister(registry);
        remove(registry, &self.reserved_permits);
        remove(registry, &self.reserved_circuit);
        remove(registry, &self.orders);
    }
}
