//! The timers of venues.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use seawall_core::InvalidConfig;
use serde_json::Value;

/// A venue's timer that cancels all orders when it is not set again.
///
/// Requests have a path and no host, no credentials and no nonce: the client adds them.
pub trait CancelAllAfter: fmt::Debug + Send + Sync {
    /// Whether the timer can be set to `timeout`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] with the field `timeout` if not.
    fn check(&self, timeout: Duration) -> Result<(), InvalidConfig>;

    /// The request that sets the timer to `timeout`; zero disarms it.
    fn request(&self, timeout: Duration) -> Request<Bytes>;

    /// Whether a response says that the timer was set to `timeout`.
    fn is_set(&self, timeout: Duration, response: &Response<Bytes>) -> bool;
}

/// Kraken's timer for Spot orders, in whole seconds.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::Response;
/// use seawall_orders::dead_man::{CancelAllAfter, KrakenTimer};
///
/// let minute = Duration::from_secs(60);
/// let request = KrakenTimer.request(minute);
/// assert_eq!(request.uri(), "/0/private/CancelAllOrdersAfter");
/// assert_eq!(request.body(), "timeout=60");
///
/// // An error comes with status 200.
/// let error = Response::new(Bytes::from(r#"{"error":["EGeneral:Internal error"]}"#));
/// assert!(!KrakenTimer.is_set(minute, &error));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct KrakenTimer;

impl CancelAllAfter for KrakenTimer {
    fn check(&self, timeout: Duration) -> Result<(), InvalidConfig> {
        if timeout.subsec_nanos() == 0 && (1..86_400).contains(&timeout.as_secs()) {
            return Ok(());
        }
        let (value, accepted) = (format!("{timeout:?}"), "whole seconds from 1 to 86399");
        Err(InvalidConfig::new("timeout", value, accepted))
    }

    fn request(&self, timeout: Duration) -> Request<Bytes> {
        let body = format!("timeout={}", timeout.as_secs());
        let form = "application/x-www-form-urlencoded";
        post("/0/private/CancelAllOrdersAfter", form, body)
    }

    fn is_set(&self, timeout: Duration, response: &Response<Bytes>) -> bool {
        let Some(body) = json(response) else {
            return false;
        };
        let no_error = matches!(body.get("error"), Some(Value::Array(errors)) if errors.is_empty());
        let trigger = body
            .get("result")
            .and_then(|result| result.get("triggerTime"));
        no_error && is_at(timeout, trigger)
    }
}

/// BitMEX's timer, in milliseconds.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::dead_man::{BitmexTimer, CancelAllAfter};
///
/// let request = BitmexTimer.request(Duration::from_secs(60));
/// assert_eq!(request.uri(), "/api/v1/order/cancelAllAfter");
/// assert_eq!(request.body(), r#"{"timeout":60000}"#);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BitmexTimer;

impl CancelAllAfter for BitmexTimer {
    fn check(&self, timeout: Duration) -> Result<(), InvalidConfig> {
        if timeout.subsec_nanos().is_multiple_of(1_000_000) && !timeout.is_zero() {
            return Ok(());
        }
        let value = format!("{timeout:?}");
        Err(InvalidConfig::new(
            "timeout",
            value,
            "whole milliseconds from 1",
        ))
    }

    fn request(&self, timeout: Duration) -> Request<Bytes> {
        let body = format!(r#"{{"timeout":{}}}"#, timeout.as_millis());
        post("/api/v1/order/cancelAllAfter", "application/json", body)
    }

    fn is_set(&self, timeout: Duration, response: &Response<Bytes>) -> bool {
        json(response).is_some_and(|body| is_at(timeout, body.get("cancelTime")))
    }
}

fn post(path: &'static str, content_type: &'static str, body: String) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let content_type = http::HeaderValue::from_static(content_type);
    request.headers_mut().insert(CONTENT_TYPE, content_type);
    request
}

fn json(response: &Response<Bytes>) -> Option<Value> {
    let body = response.status().is_success().then(|| response.body())?;
    serde_json::from_slice(body).ok()
}

/// Whether the moment at which the timer fires is there, or is not where it was disarmed: venues write
/// none, 0 or `"0"` then.
fn is_at(timeout: Duration, moment: Option<&Value>) -> bool {
    let is_moment = match moment {
        Some(Value::String(text)) => text != "0" && !text.is_empty(),
        Some(Value::Number(number)) => number.as_u64() != Some(0),
        _ => false,
    };
    is_moment != timeout.is_zero()
}
