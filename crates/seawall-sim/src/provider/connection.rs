//! One TCP connection, and the power to end it badly.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use super::server::Shared;
use crate::incident::Gate;

/// How a connection ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A regular end of the stream (FIN).
    Close,
    /// A reset (RST); what was sent and not yet delivered may be lost.
    Reset,
}

/// Lets a request or a body, deep inside hyper, ask for the end of its connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    cut: AtomicU8,
    asked: Notify,
}

impl Control {
    pub(crate) fn request(&self, cut: Cut) {
        let value = match cut {
            Cut::Close => 1,
            Cut::Reset => 2,
        };
        self.cut.store(value, Ordering::Release);
        self.asked.notify_one();
    }

    fn resets(&self) -> bool {
        self.cut.load(Ordering::Acquire) == 2
    }
}

/// The stream under hyper; it resets instead of closing when it was asked to.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    control: Arc<Control>,
}

impl Drop for Wire {
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

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
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

pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>, mut gate: watch::Receiver<Gate>) {
    // Without it, a body in pieces would wait for acknowledgements; a failure only makes it slow.
    let _ = stream.set_nodelay(true);
    let control = Arc::new(Control::default());
    let io = TokioIo::new(Wire {
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
        // An error here is the client's leaving, which is its right.
        _ = connection => {}
        () = control.asked.notified() => {}
        _ = gate.wait_for(|gate| gate.cuts()) => control.request(Cut::Reset),
    }
}
