//! A server of its own for an [`Admin`]: HTTP/1.1 without TLS, which a proxy in front of it adds.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use seawall_core::InvalidConfig;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::Admin;
use crate::write_timeout::WriteTimeout;

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a head is read, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// How much of a response the system keeps for a client, in bytes: about a frame of a dashboard of 100 services.
const SEND_BUFFER: usize = 128 << 10;
/// How long connections have to end when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// A server that runs until it is stopped or dropped.
#[must_use = "the server stops when it is dropped"]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Why a server was not started.
#[non_exhaustive]
#[derive(Debug)]
pub enum BindError {
    /// The address is taken, not ours, or not one.
    Io(io::Error),
    /// The address can be reached from elsewhere, and there is no token.
    Unsafe(InvalidConfig),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the admin server cannot bind: {error}"),
            Self::Unsafe(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Unsafe(error) => Some(error),
        }
    }
}

impl AdminServer {
    /// Serves `admin` at an address: `127.0.0.1:9090`; port 0 is any free one.
    ///
    /// A head of a request has 10 s and 32 KiB, a body 10 s and 64 KiB, and a client that takes nothing of a
    /// response 30 s; there are at most 1,024 [connections](crate::AdminBuilder::max_connections).
    ///
    /// # Errors
    ///
    /// [`BindError`] when the address cannot be bound, or is not a loopback one and there are no
    /// [tokens](crate::AdminBuilder::tokens): anybody could see everything.
    pub async fn bind(address: impl ToSocketAddrs, admin: Admin) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address).await.map_err(BindError::Io)?;
        let address = listener.local_addr().map_err(BindError::Io)?;
        if !address.ip().to_canonical().is_loopback() && admin.shared.tokens().is_empty() {
            return Err(BindError::Unsafe(InvalidConfig::new(
                "address",
                address,
                "a loopback address such as 127.0.0.1:9090, or any where tokens are configured",
            )));
        }
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, admin, stopped));
        Ok(Self {
            address,
            stop: Some(stop),
            task,
        })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, lets requests end for up to 5 s, and ends.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, admin: Admin, mut stopped: oneshot::Receiver<()>) {
    let router = admin.router();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    let connections = Arc::new(Semaphore::new(admin.shared.max_connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                // Too many open files, mostly: some will be closed.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(connection) = Arc::clone(&connections).try_acquire_owned() else {
            continue;
        };
        let served = graceful.watch(connect(&http, stream, address, router.clone()));
        tokio::spawn(async move {
            // A client that hangs up is no news.
            let _ = served.await;
            drop(connection);
        });
    }
    drop(listener);
    admin.end_streams();
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

fn connect(
    http: &http1::Builder,
    stream: TcpStream,
    address: SocketAddr,
    router: axum::Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error: Send> + Send + 'static + use<> {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request.map(axum::body::Body::new)
    });
    // A heartbeat is not held back until there is more, and a viewer that takes little has no queue of frames in
    // the system.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
    let stream = TokioIo::new(WriteTimeout::new(stream));
    http.serve_connection(stream, TowerToHyperService::new(service))
}
