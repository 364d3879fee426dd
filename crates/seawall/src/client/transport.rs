//! What sends the requests of a client: hyper's pooling client over rustls.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client, Error as LegacyError, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;
use seawall_core::{InvalidConfig, Outcome};
use seawall_http::{TransportError, outcome_of};
use tokio::time::Instant;
use tower_http::decompression::{
    Decompression, DecompressionBody, ResponseFuture as DecompressionFuture,
};
use tower_service::Service;

use super::body::RequestBody;
use super::connector::{Connector, LastHeard};
use super::tls::Tls;

type BoxError = Box<dyn StdError + Send + Sync>;

/// An attempt that was given up earlier than this says nothing about its connection.
const TOO_SHORT: Duration = Duration::from_millis(100);

/// Which version of HTTP a client speaks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where the server offers it in the TLS handshake, HTTP/1.1 otherwise.
    #[default]
    Negotiated,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, also without TLS: for servers that are known to speak it.
    Http2,
}

/// How connections are made and kept.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_idle_per_host: usize,
    pub(super) version: HttpVersion,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) decompress: bool,
    pub(super) tls: Tls,
}

/// Sends HTTP requests over pooled connections; what a [`Client`](super::Client) has below its stack.
///
/// Clones share the connections. The error knows whether the request was sent.
#[derive(Clone)]
pub struct HttpTransport {
    inner: Decompression<Pooling>,
}

impl HttpTransport {
    /// With TLS where `is_https`; otherwise it needs no certificates, and accepts none.
    pub(super) fn new(settings: &Connections, is_https: bool) -> Result<Self, InvalidConfig> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        // Among several addresses of a name, so that one that does not respond leaves time for others.
        http.set_connect_timeout(Some(settings.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(settings.tls.config(is_https)?)
            .https_or_http();
        let https = match settings.version {
            HttpVersion::Negotiated => https.enable_all_versions().wrap_connector(http),
            HttpVersion::Http1 => https.enable_http1().wrap_connector(http),
            HttpVersion::Http2 => https.enable_http2().wrap_connector(http),
        };
        let only_http2 = settings.version == HttpVersion::Http2;
        let speaks_http2 = Arc::new(AtomicBool::new(only_http2));
        let within = settings.connect_timeout;
        let connector = Connector::new(https, within, only_http2, Arc::clone(&speaks_http2));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.max_idle_per_host)
            .http2_only(only_http2)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(settings.ping_interval)
            .http2_keep_alive_timeout(settings.ping_timeout)
            .http2_keep_alive_while_idle(true)
            .build(connector);
        let pooling = Pooling {
            client,
            speaks_http2,
        };
        let decompress = settings.decompress;
        let inner = Decompression::new(pooling)
            .gzip(decompress)
            .deflate(decompress);
        Ok(Self { inner })
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl Service<Request<RequestBody>> for HttpTransport {
    type Response = Response<HttpBody>;
    type Error = HttpError;
    type Future = HttpFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        self.inner.poll_ready(cx).map_err(HttpError::of)
    }

    fn call(&mut self, request: Request<RequestBody>) -> HttpFuture {
        HttpFuture {
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The response of an [`HttpTransport`].
    pub struct HttpFuture {
        #[pin]
        inner: DecompressionFuture<PoolingFuture>,
    }
}

impl Future for HttpFuture {
    type Output = Result<Response<HttpBody>, HttpError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        let response = result.map_err(HttpError::of)?;
        Poll::Ready(Ok(response.map(|inner| HttpBody { inner })))
    }
}

seawall_core::impl_debug!(HttpFuture:);

/// The body of a response of an [`HttpTransport`], decompressed.
pub struct HttpBody {
    inner: DecompressionBody<Incoming>,
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        frame.map_err(HttpError)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

seawall_core::impl_debug!(HttpBody:);

/// Why an [`HttpTransport`] has no response, or no more of a body.
#[derive(Debug)]
pub struct HttpError(BoxError);

impl HttpError {
    fn of(error: LegacyError) -> Self {
        Self(error.into())
    }
}

impl TransportError for HttpError {
    fn outcome(&self) -> Outcome {
        outcome_of(&*self.0)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.downcast_ref::<LegacyError>() {
            Some(error) if error.is_connect() => f.write_str("no connection could be made"),
            // What it says is in its sources.
            Some(_) => f.write_str("the connection failed"),
            None => self.0.fmt(f),
        }
    }
}

impl StdError for HttpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// hyper's client, whose HTTP/2 connections are retired when they are silent.
#[derive(Clone)]
struct Pooling {
    client: Client<Connector, RequestBody>,
    /// Whether a connection speaks HTTP/2, or has: each of HTTP/1.1 is closed with its call.
    speaks_http2: Arc<AtomicBool>,
}

impl Service<Request<RequestBody>> for Pooling {
    type Response = Response<Incoming>;
    type Error = LegacyError;
    type Future = PoolingFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LegacyError>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> PoolingFuture {
        let speaks_http2 = self.speaks_http2.load(Ordering::Relaxed);
        let attempt = speaks_http2.then(|| Attempt {
            connection: capture_connection(&mut request),
            since: Instant::now(),
            is_over: false,
        });
        PoolingFuture {
            inner: self.client.call(request),
            attempt,
        }
    }
}

pin_project! {
    /// The response of a [`Pooling`].
    struct PoolingFuture {
        #[pin]
        inner: ResponseFuture,
        // `None` once there is a response or an error.
        attempt: Option<Attempt>,
    }
}

impl Future for PoolingFuture {
    type Output = Result<Response<Incoming>, LegacyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(mut attempt) = this.attempt.take() {
            attempt.is_over = true;
        }
        Poll::Ready(result)
    }
}

/// An attempt over HTTP/2. Given up while its connection was silent all the time, as by an attempt
/// timeout, it retires the connection: calls under way there go on, further ones get another. Without
/// that, a connection whose packets are lost would take every further attempt until the pings find
/// out.
struct Attempt {
    connection: CaptureConnection,
    since: Instant,
    /// There was a response or an error.
    is_over: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let lasted = Instant::now().saturating_duration_since(self.since);
        if self.is_over || lasted < TOO_SHORT {
            return;
        }
        let connection = self.connection.connection_metadata();
        let Some(connected) = &*connection else {
            return;
        };
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        let heard = extras.get::<LastHeard>();
        if heard.is_some_and(|heard| heard.is_silent_since(self.since)) {
            connected.poison();
        }
    }
}
