//! A stack sends a request, gets a reply, and shows what that has done to it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::{BreakerHandle, CircuitState, Error, Reason, Rejectable, StackBuilder};
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Body = Full<Bytes>;
/// Status, headers, body.
pub(crate) type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// What a provider's response did to the stack.
#[derive(Debug)]
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
    /// The times between its attempts.
    pub(crate) gaps: Vec<Duration>,
    /// How long after its last attempt the next call is sent, or may come again.
    pub(crate) next_after: Option<Duration>,
}

/// What the stack of a provider is put around.
pub(crate) type Upstream = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// Sends a read through the stack of a provider that responds with `reply`, and then another.
pub(crate) async fn replay(builder: StackBuilder, reply: Reply) -> Effect {
    let stack = builder.build().expect("valid");
    let breaker = stack.handles().breaker;
    replay_through(&stack, &breaker, ["GET /v1/x"; 2], reply).await
}

fn request(line: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').expect("method and path");
    let request = Request::builder().method(method).uri(path);
    request.body(Body::default()).expect("valid")
}

/// Sends two requests, each a method and a path, through the layer of a stack.
pub(crate) async fn replay_through<L, B>(
    stack: &L,
    breaker: &BreakerHandle,
    [first, next]: [&str; 2],
    reply: Reply,
) -> Effect
where
    L: Layer<Upstream>,
    L::Service: Service<Request<Body>, Response = Response<B>, Error = Error<Infallible>> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let sends = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sends);
    let start = Instant::now();
    let client = stack.layer(BoxCloneService::new(service_fn(move |_: Request<Body>| {
        log.lock().expect("no panic").push(Instant::now() - start);
        let (status, headers, body) = reply;
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(body)).expect("valid");
        std::future::ready(Ok::<_, Infallible>(response))
    })));
    let result = client.clone().oneshot(request(first)).await;
    let took = Instant::now() - start;
    let result = match result {
        Ok(response) => {
            let status = response.status();
            let whole = response.into_body().collect().await.expect("whole");
            let unchanged = whole.to_bytes() == reply.2;
            assert!(unchanged, "the caller gets the body unchanged");
            Ok(status)
        }
        Err(error) => Err(error),
    };
    let departures = sends.lock().expect("no panic").clone();
    let failures = breaker.snapshot().counts.failure;
    // A caller that does not wait, and where that is neither sent nor rejected one that does.
    let impatient = client.clone().oneshot(request(next));
    let impatient = tokio::time::timeout(Duration::ZERO, impatient).await;
    let circuit = breaker.state();
    let rejection = match &impatient {
        Ok(Err(error)) => error.rejection().copied(),
        _ => None,
    };
    if impatient.is_err() {
        let _ = client.oneshot(request(next)).await;
    }
    let rejected_for = rejection.and_then(|r| r.retry_after());
    let last = *departures.last().expect("it was sent");
    let following = sends
        .lock()
        .expect("no panic")
        .get(departures.len())
        .copied();
    let next_sent = following.or_else(|| Some(took + rejected_for?));
    Effect {
        sends: u32::try_from(departures.len()).expect("few"),
        result,
        circuit,
        rejected_for,
        reason: rejection.map(|r| r.reason()),
        failures,
        took,
        gaps: departures.windows(2).map(|two| two[1] - two[0]).collect(),
        next_after: next_sent.map(|at| at - last),
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
