//! The HTTP client under every contender, and the requests that it sends.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall::{FailureKind, Outcome};
use tokio::time::timeout;
use tower::Service;

use crate::contender::OrderResult;
use crate::plan::Order;
use crate::world::VALID_FOR;

pub(crate) type Body = Full<Bytes>;

/// How long one attempt may take.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(150);

/// How a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// No connection: certainly not sent.
    NotSent(Box<dyn Error + Send + Sync>),
    /// The connection broke, and the request may have been read.
    Broken(Box<dyn Error + Send + Sync>),
    /// No response in time.
    Timeout,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent(_) => "no connection",
            Self::Broken(_) => "the connection broke",
            Self::Timeout => "no response in time",
        })
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotSent(error) | Self::Broken(error) => Some(error.as_ref()),
            Self::Timeout => None,
        }
    }
}

impl CallError {
    fn new(error: Box<dyn Error + Send + Sync>) -> Self {
        match seawall_http::outcome_of(error.as_ref()) {
            Outcome::Failure(FailureKind::NotSent) => Self::NotSent(error),
            _ => Self::Broken(error),
        }
    }
}

/// Reads responses to their end, so that a body that breaks off is an error of the call.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    client: HyperClient<HttpConnector, Body>,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = HyperClient::builder(TokioExecutor::new());
        // Repeating is the contenders' matter.
        builder.retry_canceled_requests(false);
        Self {
            client: builder.build(connector),
            timeout,
        }
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        // hyper's client is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if [Method::POST, Method::PATCH].contains(request.method()) {
            let until = HeaderValue::from(valid_until());
            request.headers_mut().insert("x-valid-until", until);
        }
        let response = self.client.request(request);
        let read = async move {
            let response = response.await.map_err(|error| CallError::new(error.into()));
            let (head, body) = response?.into_parts();
            let body = body.collect().await;
            let body = body.map_err(|error| CallError::Broken(error.into()))?;
            Ok(Response::from_parts(head, Full::new(body.to_bytes())))
        };
        let read = timeout(self.timeout, read);
        Box::pin(async move { read.await.unwrap_or(Err(CallError::Timeout)) })
    }
}

/// Until when an order that leaves now may be executed, in microseconds since 1970: the broker rejects it
/// afterwards, as Kraken's `deadline` and Binance's `recvWindow` have it.
fn valid_until() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let until = now.unwrap_or_default() + VALID_FOR;
    u64::try_from(until.as_micros()).unwrap_or(u64::MAX)
}

/// A request, valid as all that are made of a base URL and an id are.
pub(crate) fn request(method: Method, url: String, body: Bytes) -> Request<Body> {
    let request = Request::builder().method(method).uri(url);
    let request = request.header("content-type", "application/json");
    request.body(Full::new(body)).unwrap_or_default()
}

/// The request that places an order.
pub(crate) fn create(base: &str, order: &Order) -> Request<Body> {
    let body = order.body.to_string().into();
    request(Method::POST, format!("{base}/v2/orders"), body)
}

/// The request that replaces the order that the broker has by this id.
pub(crate) fn replace(base: &str, broker_id: &str, order: &Order) -> Request<Body> {
    let body = order.body.to_string().into();
    let url = format!("{base}/v2/orders/{broker_id}");
    request(Method::PATCH, url, body)
}

/// The request that an order is sent with; `None` where the order that it replaces is not found.
pub(crate) async fn request_by_hand(
    client: &Client,
    base: &str,
    order: &Order,
) -> Option<Request<Body>> {
    let Some(target) = &order.replaces else {
        return Some(create(base, order));
    };
    // It may be on its way.
    for _ in 0..10 {
        if let Some(broker_id) = find_by_hand(client, base, target).await {
            return Some(replace(base, &broker_id, order));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

/// What a team that looks at nothing but the last attempt makes of it.
pub(crate) fn result_of<E: AsRef<CallError>>(result: &Result<Response<Body>, E>) -> OrderResult {
    match result {
        Ok(response) => status_result(response.status()),
        Err(error) => match error.as_ref() {
            CallError::NotSent(_) => OrderResult::NotExecuted,
            CallError::Broken(_) | CallError::Timeout => OrderResult::InDoubt,
        },
    }
}

impl AsRef<CallError> for CallError {
    fn as_ref(&self) -> &CallError {
        self
    }
}

pub(crate) fn status_result(status: StatusCode) -> OrderResult {
    match status {
        status if status.is_success() => OrderResult::Executed,
        status if is_transient(status) => OrderResult::InDoubt,
        _ => OrderResult::Rejected,
    }
}

/// What most teams try again.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Finds an order by its client order id and cancels it, in three attempts: without a layer that
/// knows orders, more cannot be done.
pub(crate) async fn cancel_by_hand(client: &Client, base: &str, order: &Order) {
    for _ in 0..3 {
        if let Some(broker_id) = find_by_hand(client, base, &order.id).await {
            let url = format!("{base}/v2/orders/{broker_id}");
            let cancel = request(Method::DELETE, url, Bytes::new());
            if client.clone().call(cancel).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The broker's id of an order.
async fn find_by_hand(client: &Client, base: &str, id: &str) -> Option<String> {
    let find = format!("{base}/v2/orders:by_client_order_id?client_order_id={id}");
    let find = request(Method::GET, find, Bytes::new());
    broker_id(client.clone().call(find).await.ok()?).await
}

async fn broker_id(response: Response<Body>) -> Option<String> {
    if !response.status().is_success() {
        return None;
    }
    let Ok(body) = response.into_body().collect().await;
    let order: serde_json::Value = serde_json::from_slice(&body.to_bytes()).ok()?;
    order["id"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_attempt_means_what_its_status_says() {
        for (status, result) in [
            (200, OrderResult::Executed),
            (422, OrderResult::Rejected),
            (429, OrderResult::InDoubt),
            (504, OrderResult::InDoubt),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(status_result(status), result, "{status}");
        }
        let failed: Result<_, CallError> = Err(CallError::Timeout);
        assert_eq!(result_of(&failed), OrderResult::InDoubt);
        let failed: Result<_, CallError> = Err(CallError::NotSent("refused".into()));
        assert_eq!(result_of(&failed), OrderResult::NotExecuted);
    }
}
