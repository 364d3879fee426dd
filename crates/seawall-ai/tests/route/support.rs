//! Deployments that respond by a script, and routers over them.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall_ai::route::{
    Deployment, Model, RouteTrace, Router, RouterBuilder, RouterConfig, RouterConfigBuilder,
    RouterHandle,
};
use seawall_core::{ConstMeta, Error, Reason, Rejectable, Rejection, RequestMeta};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

pub(crate) type Body = Full<Bytes>;
pub(crate) type Failure = Error<io::Error>;
pub(crate) type Reply = Result<Response<Body>, Failure>;
pub(crate) type Routes = Router<Upstream, Body, ConstMeta>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A deployment: it responds with what its script says next, or with its name.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<(Duration, Reply)>,
    delay: Duration,
    calls: Vec<Request<Body>>,
    in_flight: usize,
    peak: usize,
}

impl Upstream {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            state: Arc::default(),
        }
    }

    /// Responds to the next call that has no script yet with this.
    pub(crate) fn next(&self, reply: Reply) -> &Self {
        self.next_after(Duration::ZERO, reply)
    }

    pub(crate) fn next_after(&self, delay: Duration, reply: Reply) -> &Self {
        self.state.lock().unwrap().script.push_back((delay, reply));
        self
    }

    /// Responds to every call without a script after that time.
    pub(crate) fn takes(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls.len()
    }

    pub(crate) fn last_request(&self) -> Request<Body> {
        let state = self.state.lock().unwrap();
        state.calls.last().unwrap().clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().unwrap().in_flight
    }

    pub(crate) fn peak(&self) -> usize {
        self.state.lock().unwrap().peak
    }
}

struct InFlight(Upstream);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().in_flight -= 1;
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut state = self.state.lock().unwrap();
        state.calls.push(request);
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        let own = state.delay;
        let next = state.script.pop_front();
        drop(state);
        let (guard, name) = (InFlight(self.clone()), self.name);
        Box::pin(async move {
            let _guard = guard;
            let (delay, reply) = next.unwrap_or_else(|| (own, Ok(Response::new(name.into()))));
            if !delay.is_zero() {
                sleep(delay).await;
            }
            reply
        })
    }
}

/// The time since then.
pub(crate) fn since(began: Instant) -> Duration {
    Instant::now() - began
}

pub(crate) fn status(status: u16) -> Reply {
    Ok(Response::builder()
        .status(status)
        .body(format!("status {status}").into())
        .unwrap())
}

pub(crate) fn retry_after(code: u16, seconds: u32) -> Reply {
    let mut reply = status(code).unwrap();
    reply.headers_mut().insert("retry-after", seconds.into());
    Ok(reply)
}

pub(crate) fn text(code: u16, body: &'static str) -> Reply {
    Ok(Response::builder().status(code).body(body.into()).unwrap())
}

pub(crate) fn rejection(reason: Reason) -> Rejection {
    Rejection::new(reason, "below")
}

pub(crate) fn reset() -> Reply {
    Err(Error::Inner(io::ErrorKind::ConnectionReset.into()))
}

pub(crate) fn deployment(upstream: &Upstream, provider: &str) -> Deployment<Upstream, Body> {
    Deployment::new(upstream.name, provider, upstream.clone())
}

pub(crate) fn safe() -> ConstMeta {
    ConstMeta(RequestMeta::idempotent())
}

pub(crate) fn once() -> ConstMeta {
    ConstMeta(RequestMeta::non_idempotent())
}

/// Two keys of one model at one provider, and a fallback model at another.
pub(crate) struct Desk {
    pub(crate) one: Upstream,
    pub(crate) two: Upstream,
    pub(crate) other: Upstream,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            one: Upstream::new("key-1"),
            two: Upstream::new("key-2"),
            other: Upstream::new("other"),
        }
    }

    pub(crate) fn large(&self) -> Model<Upstream, Body> {
        Model::new("large")
            .deployment(deployment(&self.one, "alpha"))
            .deployment(deployment(&self.two, "alpha"))
    }

    pub(crate) fn small(&self) -> Model<Upstream, Body> {
        Model::new("small").deployment(deployment(&self.other, "beta"))
    }

    pub(crate) fn builder(&self) -> RouterBuilder<Upstream, Body, ConstMeta> {
        Router::builder("desk", self.large())
            .fallback(self.small())
            .describe(safe())
    }

    pub(crate) fn router(&self) -> Routes {
        self.builder().build().unwrap()
    }

    /// With key 2 blocked, so that it is known which one is chosen first.
    pub(crate) fn first_key(&self) -> (Routes, RouterHandle) {
        let router = self.router();
        let handle = router.handle();
        assert!(handle.block("key-2"));
        (router, handle)
    }

    /// Calls of the three deployments.
    pub(crate) fn calls(&self) -> [usize; 3] {
        [self.one.calls(), self.two.calls(), self.other.calls()]
    }
}

pub(crate) fn config(
    change: impl FnOnce(RouterConfigBuilder) -> RouterConfigBuilder,
) -> RouterConfig {
    change(RouterConfig::builder()).build().unwrap()
}

pub(crate) fn request() -> Request<Body> {
    Request::post("/v1/chat/completions")
        .body(r#"{"model":"large"}"#.into())
        .unwrap()
}

pub(crate) async fn call(router: &Routes) -> Reply {
    router.clone().oneshot(request()).await
}

/// The text of a response that is no error.
pub(crate) async fn answer(router: &Routes) -> String {
    let response = call(router).await.unwrap();
    assert_eq!(response.status(), 200);
    body(response).await
}

pub(crate) async fn body(response: Response<Body>) -> String {
    let data = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(data.to_vec()).unwrap()
}

pub(crate) fn rejected(reply: Reply) -> Rejection {
    *reply.unwrap_err().rejection().unwrap()
}

/// The deployments that a response has tried.
pub(crate) fn tried(response: &Response<Body>) -> Vec<&'static str> {
    let trace = response.extensions().get::<RouteTrace>();
    let attempts = trace.map(RouteTrace::attempts).unwrap_or_default();
    attempts.iter().map(|a| a.deployment.as_str()).collect()
}
