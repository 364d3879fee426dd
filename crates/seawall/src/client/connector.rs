//! Connections that are made in time, and that remember when the server was heard last.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// When the server of a connection was heard last; in the extras of an HTTP/2 connection.
#[derive(Clone, Debug)]
pub(super) struct LastHeard {
    /// Nanoseconds since the origin; 0 where nothing has come yet.
    at: Arc<AtomicU64>,
    origin: Instant,
}

impl LastHeard {
    fn note(&self) {
        let at = Instant::now().saturating_duration_since(self.origin);
        let at = at.as_nanos() as u64;
        self.at.store(at.max(1), Ordering::Relaxed);
    }

    /// Whether nothing has come since `moment`.
    pub(super) fn is_silent_since(&self, moment: Instant) -> bool {
        let moment = moment.saturating_duration_since(self.origin);
        self.at.load(Ordering::Relaxed) < (moment.as_nanos() as u64).max(1)
    }
}

/// Makes connections: name, TCP and TLS within one time.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    within: Duration,
    /// Every connection speaks HTTP/2, also those that did not negotiate it.
    only_http2: bool,
    speaks_http2: Arc<AtomicBool>,
}

impl Connector {
    pub(super) const fn new(
        https: HttpsConnector<HttpConnector>,
        within: Duration,
        only_http2: bool,
        speaks_http2: Arc<AtomicBool>,
    ) -> Self {
        Self {
            https,
            within,
            only_http2,
            speaks_http2,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = HeardStream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HeardStream, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.https.call(target);
        let (within, only_http2) = (self.within, self.only_http2);
        let speaks_http2 = Arc::clone(&self.speaks_http2);
        Box::pin(async move {
            let inner = timeout(within, connecting).await.map_err(|_late| {
                let late = format!("no connection within {within:?}");
                io::Error::new(io::ErrorKind::TimedOut, late)
            })??;
            let is_http2 = only_http2 || inner.connected().is_negotiated_h2();
            if is_http2 {
                speaks_http2.store(true, Ordering::Relaxed);
            }
            let heard = is_http2.then(|| LastHeard {
                at: Arc::default(),
                origin: Instant::now(),
            });
            Ok(HeardStream { inner, heard })
        })
    }
}

pin_project! {
    /// A connection that notes when its server was heard, where it speaks HTTP/2.
    pub(super) struct HeardStream {
        #[pin]
        inner: Stream,
        heard: Option<LastHeard>,
    }
}

impl Read for HeardStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let read = this.inner.poll_read(cx, buf);
        if let (Some(heard), Poll::Ready(Ok(()))) = (this.heard, &read) {
            heard.note();
        }
        read
    }
}

impl Write for HeardStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl Connection for HeardStream {
    fn connected(&self) -> Connected {
        let connected = self.inner.connected();
        match &self.heard {
            Some(heard) => connected.extra(heard.clone()),
            None => connected,
        }
    }
}
