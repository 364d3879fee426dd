//! A client for the tests: the response, or how the call failed.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of several test crates")]

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall_sim::incident::Incidents;
use serde_json::{Value, json};

/// A complete response.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("text")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    pub fn number(&self, name: &str) -> u64 {
        self.header(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name}: {:?}", self.headers))
    }
}

/// How a call failed.
#[derive(Debug)]
pub enum CallError {
    /// Before the head of a response.
    Call(Box<dyn Error + Send + Sync>),
    /// After the head, in the body, of which this much had arrived.
    Body(StatusCode, Vec<u8>, Box<dyn Error + Send + Sync>),
}

impl CallError {
    /// The kind of the I/O error at the bottom, if there is one.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        let (Self::Call(error) | Self::Body(_, _, error)) = self;
        let mut error: Option<&(dyn Error + 'static)> = Some(error.as_ref());
        while let Some(cause) = error {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return Some(error.kind());
            }
            error = cause.source();
        }
        None
    }
}

/// A hyper client.
#[derive(Debug, Clone)]
pub struct Client(Pool<HttpConnector, Full<Bytes>>);

impl Client {
    pub fn new() -> Self {
        let mut builder = Pool::builder(TokioExecutor::new());
        // Otherwise the client itself would repeat what a reused connection lost.
        Self(builder.retry_canceled_requests(false).build_http())
    }

    pub async fn send(
        &self,
        method: Method,
        url: String,
        body: String,
    ) -> Result<Response, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::from(body));
        self.call(request.expect("a valid request")).await
    }

    pub async fn call(&self, request: Request<Full<Bytes>>) -> Result<Response, CallError> {
        let response = self
            .0
            .request(request)
            .await
            .map_err(|error| CallError::Call(error.into()))?;
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
                Err(error) => return Err(CallError::Body(head.status, bytes, error.into())),
            }
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: bytes.into(),
        })
    }

    pub async fn get(&self, url: String) -> Result<Response, CallError> {
        self.send(Method::GET, url, String::new()).await
    }

    pub async fn post(&self, url: String, body: &Value) -> Result<Response, CallError> {
        self.send(Method::POST, url, body.to_string()).await
    }

    pub async fn order(&self, base: &str, id: &str) -> Result<Response, CallError> {
        let order = json!({
            "symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "client_order_id": id,
        });
        self.post(format!("{base}/v2/orders"), &order).await
    }
}

pub fn prompt(text: &str, stream: bool) -> Value {
    json!({
        "model": "sim-1", "max_tokens": 8, "stream": stream,
        "messages": [{ "role": "user", "content": text }],
    })
}

/// One fault for an hour.
pub fn always(provider: &str, fault: &str) -> Incidents {
    let text = format!(
        "[[incident]]\nprovider = \"{provider}\"\nfrom = \"0s\"\nfor = \"1h\"\nfault = {fault}\n"
    );
    Incidents::from_toml(&text).expect("valid")
}

/// Repeats `ask` until it returns something; fails after a generous time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .expect("it happens eventually")
}
