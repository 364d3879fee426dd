//! A connection with the permit that it holds.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use crate::pool::PoolPermit;

pin_project! {
    /// A connection, or a service on one, that holds a permit of a
    /// [`ConnectionLimit`](super::ConnectionLimit) for as long as it lives.
    ///
    /// It is a `Service`, and tokio's `AsyncRead` and `AsyncWrite`, where the connection is;
    /// `seawall-http` makes of it what hyper-util's client asks for. Clones share one permit, which
    /// is released when the last of them is gone. The connection is dropped, and so closed, before
    /// its permit is released.
    #[derive(Clone)]
    pub struct Limited<C> {
        #[pin]
        connection: C,
        permit: Arc<PoolPermit>,
    }
}

impl<C> Limited<C> {
    pub(crate) fn new(connection: C, permit: PoolPermit) -> Self {
        Self {
            connection,
            permit: Arc::new(permit),
        }
    }

    /// The connection.
    pub const fn get_ref(&self) -> &C {
        &self.connection
    }

    /// The connection, mutably.
    pub const fn get_mut(&mut self) -> &mut C {
        &mut self.connection
    }

    /// The connection, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C, Req> Service<Req> for Limited<C>
where
    C: Service<Req>,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        self.connection.call(req)
    }
}

impl<C: AsyncRead> AsyncRead for Limited<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().connection.poll_read(cx, buf)
    }
}

impl<C: AsyncWrite> AsyncWrite for Limited<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().connection.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().connection.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().connection.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().connection.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

seawall_core::impl_debug!(Limited<C> where [C: std::fmt::Debug]: |this|
    connection = this.connection,
    limit = this.permit.state().source.name(),
);
