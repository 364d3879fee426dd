//! The facade's stacks around an HTTP client that responds at once: what a user's request pays.
//!
//! Every call reads the body of its response to the end, as a caller does, so the guard of a body
//! is measured too. A case is `<what is sent>[-6]`, with six headers or with none: a `get` may be
//! repeated, so retry keeps a copy; a `post` is sent once.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use seawall::{HttpStack, RateLimitConfig, StackBuilder};
use tower_layer::Layer;
use tower_service::Service;

use super::{Instance, MANY, Subject, Worker, tower, tower_resilience, until_ready};

pub(super) type Body = Full<Bytes>;

pub(super) fn subjects() -> Vec<Subject> {
    let mut subjects = vec![
        Subject::service("raw/http/client", || Requests(Client)),
        Subject::service("seawall/stack/http", || Requests(broker().layer(Client))),
        Subject::service_cloned("seawall/stack/http-cloned", || {
            Requests(broker().layer(Client))
        }),
        // What a second attempt needs, in any stack.
        Subject::function("raw/http/copy-6", || {
            let request = GET_6.make();
            move |_| {
                black_box(request.clone());
                true
            }
        }),
    ];
    subjects.extend(ours());
    // What one scrape costs, not what a call does.
    #[cfg(feature = "telemetry")]
    subjects.push(Subject::function("telemetry/http/publish", || {
        let registry = seawall::Registry::new("bench");
        let stack = broker();
        stack.register(&registry).expect("the only stack");
        move |_| {
            registry.publish();
            true
        }
    }));
    subjects.extend(peers());
    subjects
}

fn ours() -> Vec<Subject> {
    vec![
        http("seawall/http/broker-get", GET, || broker().layer(Client)),
        http("parts/http/one-attempt", GET, || {
            let once = seawall::RetryConfig::builder().attempts(1).build();
            let once = seawall::broker("bench").retry(once.expect("one is valid"));
            stack(once).layer(Client)
        }),
        http("seawall/http/broker-get-6", GET_6, || {
            broker().layer(Client)
        }),
        http("seawall/http/broker-post", POST, || broker().layer(Client)),
        http("seawall/http/broker-post-6", POST_6, || {
            broker().layer(Client)
        }),
        http_cloned("seawall/http/broker-get-cloned", GET, || {
            broker().layer(Client)
        }),
        http_cloned("seawall/http/broker-post-6-cloned", POST_6, || {
            broker().layer(Client)
        }),
        http("seawall/http/data-get", GET, || data().layer(Client)),
        http("seawall/http/data-get-6", GET_6, || data().layer(Client)),
        http("seawall/http/ai-get", GET, || ai().layer(Client)),
        http("seawall/http/ai-post-6", POST_6, || ai().layer(Client)),
    ]
}

fn peers() -> Vec<Subject> {
    vec![
        http("raw/http/get", GET, || Client),
        http("raw/http/get-6", GET_6, || Client),
        http("raw/http/post", POST, || Client),
        http("raw/http/post-6", POST_6, || Client),
        http_alone("tower/http/five-get", GET, || tower::five(Client)),
        http_alone("tower/http/five-get-6", GET_6, || tower::five(Client)),
        http_alone("tower/http/five-post-6", POST_6, || tower::five(Client)),
        http("tower-resilience/http/five-get", GET, || {
            tower_resilience::five(Client)
        }),
        http("tower-resilience/http/five-get-6", GET_6, || {
            tower_resilience::five(Client)
        }),
    ]
}

/// All layers that a stack has by default, none of which rejects or waits.
fn stack(builder: StackBuilder) -> HttpStack {
    let never = RateLimitConfig::builder()
        .rate(1_000_000_000, Duration::from_secs(1))
        .burst(1_000_000_000)
        .build();
    let bulkhead = seawall::BulkheadConfig::builder().max_concurrent(MANY);
    builder
        .rate_limit(never.expect("a valid rate"))
        .bulkhead(bulkhead.build().expect("a valid limit"))
        .build()
        .expect("valid settings")
}

pub(crate) fn broker() -> HttpStack {
    stack(seawall::broker("bench"))
}

fn data() -> HttpStack {
    stack(seawall::market_data("bench"))
}

fn ai() -> HttpStack {
    stack(seawall::ai_api("bench"))
}

/// What a caller sends.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    method: fn() -> Method,
    headers: bool,
}

pub(super) const GET: Sent = Sent {
    method: || Method::GET,
    headers: false,
};
const GET_6: Sent = Sent {
    headers: true,
    ..GET
};
const POST: Sent = Sent {
    method: || Method::POST,
    headers: false,
};
const POST_6: Sent = Sent {
    headers: true,
    ..POST
};

impl Sent {
    /// Inlined, so that a method is the constant that it is in a caller's code.
    #[inline(always)]
    pub(super) fn make(self) -> Request<Body> {
        let mut request = Request::new(Body::default());
        *request.method_mut() = (self.method)();
        if self.headers {
            let headers = request.headers_mut();
            for (name, value) in [
                (header::HOST, "api.example.com"),
                (header::AUTHORIZATION, "Bearer 0123456789abcdef"),
                (header::CONTENT_TYPE, "application/json"),
                (header::ACCEPT, "application/json"),
                (header::USER_AGENT, "desk/1.0"),
                (header::CONTENT_LENGTH, "0"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        request
    }
}

/// A service whose clones share their state.
pub(super) fn http<S, B>(name: &'static str, sent: Sent, make: impl Fn() -> S + 'static) -> Subject
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    B: http_body::Body,
{
    Subject::new(name, move || {
        let template = make();
        Instance::of::<S, _>(move || {
            let mut service = template.clone();
            Some(calling(move || call(&mut service, sent)))
        })
    })
}

/// The same, cloned for every call, as servers do it.
fn http_cloned<S, B>(name: &'static str, sent: Sent, make: impl Fn() -> S + 'static) -> Subject
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    B: http_body::Body,
{
    Subject::new(name, move || {
        let template = make();
        Instance::of::<S, _>(move || {
            let template = template.clone();
            Some(calling(move || call(&mut template.clone(), sent)))
        })
    })
}

/// A service that cannot be cloned.
fn http_alone<S, B>(name: &'static str, sent: Sent, make: impl Fn() -> S + 'static) -> Subject
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    B: http_body::Body,
{
    Subject::new(name, move || {
        let mut only = Some(make());
        Instance::of::<S, _>(move || {
            let mut service = only.take()?;
            Some(calling(move || call(&mut service, sent)))
        })
    })
}

fn calling(mut call: impl FnMut() -> bool + Send + 'static) -> Worker {
    Box::new(move |calls| (0..calls).fold(0, |ok, _| ok + u64::from(call())))
}

/// One call, its response's body read to the end.
#[inline(always)]
fn call<S, B>(service: &mut S, sent: Sent) -> bool
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    if until_ready(|| service.poll_ready(&mut cx)).is_err() {
        return false;
    }
    let mut future = pin!(service.call(black_box(sent.make())));
    let Ok(response) = until_ready(|| future.as_mut().poll(&mut cx)) else {
        return false;
    };
    let mut body = pin!(black_box(response).into_body());
    let mut frames = 0;
    while let Some(frame) = until_ready(|| body.as_mut().poll_frame(&mut cx)) {
        if black_box(frame).is_err() {
            return false;
        }
        frames += 1;
    }
    frames == 1
}

/// Responds in `call`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client;

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(response()))
    }
}

#[inline(always)]
pub(super) fn response() -> Response<Body> {
    Response::new(Body::new(Bytes::from_static(b"[\"AAPL\",\"SPY\"]")))
}

/// Makes a request of each number.
#[derive(Clone, Debug)]
struct Requests<S>(S);

impl<S: Service<Request<Body>>> Service<u64> for Requests<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, _: u64) -> S::Future {
        self.0.call(Request::new(Body::default()))
    }
}
