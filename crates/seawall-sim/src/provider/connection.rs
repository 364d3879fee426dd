//! One TCP connection, and how it is cut off.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::control::{ConnectionControl, Disconnect};
use super::server::Shared;
use crate::incident::ListenerMode;

/// The stream under hyper; it resets instead of closing on request.
#[derive(Debug)]
struct ResettableStream {
    stream: TcpStream,
    control: Arc<ConnectionControl>,
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.control.resets() {
            reset_on_drop(&self.stream);
        }
    }
}

/// A close with a linger of zero sends RST. If the option cannot be set, the peer sees a plain end.
pub(crate) fn reset_on_drop(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pub(crate) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut mode: watch::Receiver<ListenerMode>,
) {
    // Without it, a body in pieces would wait for acknowledgements; a failure only makes it slow.
    let _ = stream.set_nodelay(true);
    let control = Arc::new(ConnectionControl::default());
    let io = TokioIo::new(ResettableStream {
        stream,
        control: Arc::clone(&control),
    });
    let service = service_fn(|request| {
        let (shared, control) = (Arc::clone(&shared), Arc::clone(&control));
        async move { Ok::<_, Infallible>(shared.handle(request, &control).await) }
    });
    let connection = pin!(http1::Builder::new().serve_connection(io, service));
    tokio::select! {
        // The connection first: it has to flush before it is cut.
        biased;
        // An error here is the client's leaving, which it may do.
        _ = connection => {}
        () = control.requested() => {}
        _ = mode.wait_for(|mode| mode.resets_connections()) => control.request(Disconnect::Reset),
    }
}
