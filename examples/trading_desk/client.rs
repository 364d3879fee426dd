//! What both sides send through: one HTTP client per provider that counts what is sent.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall::Degradation;
use seawall_sim::incident::{Incidents, ProviderKind};
use tokio::time::Instant;
use tower::Service;

use crate::recorder::OrderResult;

pub(crate) type Body = Full<Bytes>;
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What a call comes to for its caller.
#[derive(Debug, Clone)]
pub(crate) enum CallResult {
    /// A complete response.
    Response(StatusCode, Bytes),
    /// An answer in place of one, since the provider failed.
    Degraded(Bytes, Degradation),
    /// Rejected on our own side, certainly not sent.
    Rejected(&'static str),
    /// No connection: certainly not sent.
    NotSent,
    /// It failed or took too long, and may have been executed.
    Unknown(&'static str),
}

/// One way to call the three providers.
pub(crate) trait Caller: Clone + Send + Sync + 'static {
    fn call(
        &self,
        provider: ProviderKind,
        request: Request<Body>,
    ) -> impl Future<Output = CallResult> + Send;

    /// What became of an order in doubt, where the client finds that out.
    fn settle(&self, id: &str) -> impl Future<Output = Option<OrderResult>> + Send {
        let _ = id;
        std::future::ready(None)
    }
}

/// Counts what is sent.
#[derive(Debug)]
pub(crate) struct Meter {
    incidents: Incidents,
    zero: Instant,
    sent: AtomicU64,
    in_outage: AtomicU64,
}

impl Meter {
    pub(crate) fn new(incidents: Incidents, zero: Instant) -> Arc<Self> {
        Arc::new(Self {
            incidents,
            zero,
            sent: AtomicU64::new(0),
            in_outage: AtomicU64::new(0),
        })
    }

    fn count(&self, provider: ProviderKind) {
        let at = Instant::now().saturating_duration_since(self.zero);
        self.sent.fetch_add(1, Ordering::Relaxed);
        if self.incidents.is_outage(provider, at) {
            self.in_outage.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Attempts that were sent, or for which a connection was tried.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Those of them that went to a provider during an outage.
    pub(crate) fn in_outage(&self) -> u64 {
        self.in_outage.load(Ordering::Relaxed)
    }
}

/// An HTTP client for one provider. Its responses are small and are read to the end, so that a body that
/// breaks off is an error of the attempt.
#[derive(Debug, Clone)]
pub(crate) struct CountingClient {
    client: HyperClient<HttpConnector, Body>,
    provider: ProviderKind,
    meter: Arc<Meter>,
}

impl CountingClient {
    pub(crate) fn new(provider: ProviderKind, meter: &Arc<Meter>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: HyperClient::builder(TokioExecutor::new()).build(connector),
            provider,
            meter: Arc::clone(meter),
        }
    }
}

impl Service<Request<Body>> for CountingClient {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.meter.count(self.provider);
        let response = self.client.call(request);
        Box::pin(async move {
            let (head, body) = response.await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Response::from_parts(head, Full::new(body)))
        })
    }
}

/// What an error of the client means.
pub(crate) fn result_of(error: &BoxError) -> CallResult {
    use seawall::{FailureKind, Outcome};
    match seawall_http::outcome_of(&**error) {
        Outcome::Failure(FailureKind::NotSent) => CallResult::NotSent,
        _ => CallResult::Unknown("connection broke"),
    }
}
