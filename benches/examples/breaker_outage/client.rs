//! What every breaker guards: an HTTP client of the vendor that notes each call that it makes.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall_core::{FailureKind, Outcome, Rejectable, Rejection};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::BoxError;

/// How long a call may take: the timeout that every team has.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// How a call failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fail {
    /// The vendor responded with this status, and asks for this wait.
    Status(StatusCode, Option<Duration>),
    /// No response in time.
    Late,
    /// No connection, or it broke.
    Broken,
    /// Rejected by a layer of Seawall.
    Rejected(Rejection),
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => write!(f, "the vendor responded with {status}"),
            Self::Late => f.write_str("no response in time"),
            Self::Broken => f.write_str("no connection"),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl std::error::Error for Fail {}

impl From<Rejection> for Fail {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Rejectable for Fail {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }
}

/// What a result means for the vendor. Only Seawall distinguishes a ban from a failure.
pub(crate) fn judge(result: Result<&(), &Fail>) -> Outcome {
    match result {
        Ok(()) => Outcome::Success,
        Err(Fail::Status(StatusCode::FORBIDDEN, lasts)) => Outcome::Banned { lasts: *lasts },
        Err(Fail::Status(..)) => Outcome::Failure(FailureKind::Server),
        Err(Fail::Late) => Outcome::Unknown,
        Err(_) => Outcome::Failure(FailureKind::Other),
    }
}

/// A client of one vendor. Clones share its connections and its notes.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    client: HyperClient<HttpConnector, Empty<Bytes>>,
    uri: Uri,
    sent: Arc<Mutex<Vec<Instant>>>,
}

impl Vendor {
    pub(crate) fn new(base_url: &str) -> Result<Self, BoxError> {
        Ok(Self {
            client: HyperClient::builder(TokioExecutor::new()).build_http(),
            uri: format!("{base_url}/v2/stocks/AAPL/quotes/latest").parse()?,
            sent: Arc::default(),
        })
    }

    /// When each call was sent.
    pub(crate) fn sent(&self) -> Vec<Instant> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.clone()
    }

    /// Asks for a quote.
    pub(crate) async fn quote(self) -> Result<(), Fail> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        match timeout(TIMEOUT, self.exchange()).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Fail::Late),
        }
    }

    async fn exchange(&self) -> Result<(), Fail> {
        let request = Request::get(self.uri.clone())
            .body(Empty::new())
            .map_err(|_broken| Fail::Broken)?;
        let response = self.client.request(request).await;
        let response = response.map_err(|_broken| Fail::Broken)?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        response
            .into_body()
            .collect()
            .await
            .map_err(|_broken| Fail::Broken)?;
        if status.is_success() {
            Ok(())
        } else {
            Err(Fail::Status(status, wait))
        }
    }
}

impl Service<()> for Vendor {
    type Response = ();
    type Error = Fail;
    type Future = Pin<Box<dyn Future<Output = Result<(), Fail>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fail>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        Box::pin(self.clone().quote())
    }
}
