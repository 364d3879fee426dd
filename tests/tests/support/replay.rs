//! A stack sends a request, gets a reply, and shows what that has done to it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::{CircuitState, Error, Reason, Rejectable, StackBuilder};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Body = Full<Bytes>;
/// Status, headers, body.
pub(crate) type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// What a provider's response did to the stack.
pub(crate) struct Effect {
    /// How often the request was sent.
    pub(crate) sends: u32,
    /// What became of the call.
    pub(crate) result: Result<StatusCode, Error<Infallible>>,
    pub(crate) circuit: CircuitState,
    /// How long the next call is rejected for, if it is.
    pub(crate) rejected_for: Option<Duration>,
    /// Why.
    pub(crate) reason: Option<Reason>,
    pub(crate) failures: u64,
    /// How long the call took.
    pub(crate) took: Duration,
}

/// Sends a read through the stack of a provider that responds with `reply`, and then another.
pub(crate) async fn replay(builder: StackBuilder, reply: Reply) -> Effect {
    let stack = builder.build().expect("valid");
    let handles = stack.handles();
    let sends = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sends);
    let client = stack.layer(service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (status, headers, body) = reply;
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(body)).expect("valid");
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let request = || Request::get("/v1/x").body(Body::default()).expect("valid");
    let start = Instant::now();
    let result = client.clone().oneshot(request()).await;
    let took = Instant::now() - start;
    let result = match result {
        Ok(response) => {
            let status = response.status();
            let whole = response.into_body().collect().await.expect("whole");
            assert_eq!(
                whole.to_bytes(),
                reply.2,
                "the caller gets the body unchanged"
            );
            Ok(status)
        }
        Err(error) => Err(error),
    };
    let sent = sends.load(Ordering::SeqCst);
    let failures = handles.breaker.snapshot().counts.failure;
    // A caller that does not wait.
    let next = tokio::time::timeout(Duration::ZERO, client.oneshot(request())).await;
    let rejection = match &next {
        Ok(Err(error)) => error.rejection().copied(),
        _ => None,
    };
    Effect {
        sends: sent,
        result,
        circuit: handles.breaker.state(),
        rejected_for: rejection.and_then(|r| r.retry_after()),
        reason: rejection.map(|r| r.reason()),
        failures,
        took,
    }
}

impl Effect {
    /// The circuit is open for that long, and there was one attempt.
    pub(crate) fn is_banned_for(&self, lasts: Duration) {
        assert_eq!(self.circuit, CircuitState::Open);
        assert_eq!(self.reason, Some(Reason::CircuitOpen));
        assert_eq!(self.rejected_for, Some(lasts));
        assert_eq!(self.sends, 1, "not tried again");
    }

    /// Retry and rate limit waited; nothing counts against the upstream.
    pub(crate) fn is_throttled(&self) {
        assert_eq!((self.circuit, self.failures), (CircuitState::Closed, 0));
    }
}
