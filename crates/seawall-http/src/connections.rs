//! A limit for the connections of hyper-util's client.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;
use seawall_bulkhead::connections::{
    ConnectFuture, ConnectionLimit, ConnectionLimitLayer, Limited,
};
use seawall_core::{Describe, InstanceName, Policies, Policy, Reason, Rejectable, Rejection};
use tower_layer::Layer;
use tower_service::Service;

use crate::background::is_background;

/// Limits how many connections the pooling client of hyper-util has at once, idle ones included.
///
/// The client opens a connection for each request that finds no idle one, however many there are;
/// a provider that bounds connections per address responds with resets. See
/// [`connections`](seawall_bulkhead::connections) for what waits and what is rejected.
///
/// **Give the client a [`BackgroundExecutor`](crate::BackgroundExecutor).** The client spawns a
/// connect whose request an idle connection serves meanwhile, also when it is still queued here. In
/// such an executor it leaves the queue at once. In another one, with more calls at once than
/// connections, the queue fills with connects that nobody waits for, and when it has reached
/// `max_waiting`, calls fail at once with `BulkheadFull`.
///
/// `pool_max_idle_per_host` of the client bounds what is idle.
///
/// ```
/// use http_body_util::Empty;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::client::legacy::connect::HttpConnector;
/// use hyper_util::rt::TokioExecutor;
/// use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
/// use seawall_core::WrapErrorLayer;
/// use seawall_http::{BackgroundExecutor, LimitConnections};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), seawall_core::InvalidConfig> {
/// let config = ConnectionLimitConfig::builder().max_connections(8).build()?;
/// let limit = ConnectionLimitLayer::new("broker", config);
/// let handle = limit.handle();
/// let connector = ServiceBuilder::new()
///     .layer(LimitConnections::new(limit))
///     .layer(WrapErrorLayer)
///     .service(HttpConnector::new());
/// let client: Client<_, Empty<bytes::Bytes>> =
///     Client::builder(BackgroundExecutor::new(TokioExecutor::new())).build(connector);
/// assert_eq!(handle.in_flight(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LimitConnections<X = Policy> {
    limit: ConnectionLimitLayer<X>,
}

impl<X> LimitConnections<X> {
    /// Limits by `limit`, whose handle has their number.
    pub const fn new(limit: ConnectionLimitLayer<X>) -> Self {
        Self { limit }
    }
}

impl<S, X: Clone> Layer<S> for LimitConnections<X> {
    type Service = LimitedConnector<S, X>;

    fn layer(&self, connector: S) -> Self::Service {
        LimitedConnector {
            limit: self.limit.layer(connector),
            name: self.limit.handle().name(),
        }
    }
}

/// A connector whose connections have permits; made by [`LimitConnections`].
#[derive(Clone)]
pub struct LimitedConnector<S, X = Policy> {
    limit: ConnectionLimit<S, X>,
    name: InstanceName,
}

impl<S, X> LimitedConnector<S, X> {
    /// The inner connector.
    pub fn get_ref(&self) -> &S {
        self.limit.get_ref()
    }
}

impl<S, X, Target> Service<Target> for LimitedConnector<S, X>
where
    S: Service<Target> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Describer: Describe<Target>,
{
    type Response = LimitedConnection<S::Response>;
    type Error = S::Error;
    type Future = LimitedConnecting<S, Target>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.limit.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        LimitedConnecting {
            connecting: Some(self.limit.call(target)),
            name: self.name,
        }
    }
}

seawall_core::impl_debug!(LimitedConnector<S, D> where [S: std::fmt::Debug]: |this| limit = this.limit);

pin_project! {
    /// The future of a [`LimitedConnector`].
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait, outside of a Tokio runtime
    /// with time enabled.
    pub struct LimitedConnecting<S, Target>
    where
        S: Service<Target>,
    {
        // `None` once it has left the queue since nobody waits for it.
        #[pin]
        connecting: Option<ConnectFuture<S, Target>>,
        name: InstanceName,
    }
}

impl<S, Target> Future for LimitedConnecting<S, Target>
where
    S: Service<Target> + Clone,
    S::Error: Rejectable,
{
    type Output = Result<LimitedConnection<S::Response>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(connecting) = this.connecting.as_mut().as_pin_mut() else {
            panic!("a connect was polled after it had completed")
        };
        if is_background() && connecting.is_waiting() {
            this.connecting.set(None);
            // The client ignores it.
            let left = Rejection::new(Reason::QueueTimeout, *this.name);
            return Poll::Ready(Err(left.with_pattern("connections").into()));
        }
        let limited = ready!(connecting.poll(cx))?;
        Poll::Ready(Ok(LimitedConnection { limited }))
    }
}

seawall_core::impl_debug!(LimitedConnecting<S, Target> where [S: Service<Target>]:);

pin_project! {
    /// A connection that keeps its permit for as long as it lives, in the form that hyper-util's
    /// client needs.
    #[derive(Debug)]
    pub struct LimitedConnection<C> {
        #[pin]
        limited: Limited<C>,
    }
}

impl<C> LimitedConnection<C> {
    /// The connection.
    pub const fn get_ref(&self) -> &C {
        self.limited.get_ref()
    }

    /// The connection, mutably.
    pub const fn get_mut(&mut self) -> &mut C {
        self.limited.get_mut()
    }

    fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().limited.get_pin_mut()
    }
}

impl<C: Read> Read for LimitedConnection<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection().poll_read(cx, buf)
    }
}

impl<C: Write> Write for LimitedConnection<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.limited.get_ref().is_write_vectored()
    }
}

impl<C: Connection> Connection for LimitedConnection<C> {
    fn connected(&self) -> Connected {
        self.limited.get_ref().connected()
    }
}
