//! The facade's stack around an HTTP client that responds at once: what a user's request pays.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::RateLimitConfig;
use tower_layer::Layer;
use tower_service::Service;

use super::{MANY, Subject};

type Body = Full<Bytes>;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::service("raw/http/client", || Requests(Client)),
        Subject::service("seawall/stack/http", || Requests(stack().layer(Client))),
        Subject::service_cloned("seawall/stack/http-cloned", || {
            Requests(stack().layer(Client))
        }),
    ]
}

/// All layers that a stack has by default, none of which rejects or waits.
fn stack() -> seawall::HttpStack {
    let never = RateLimitConfig::builder()
        .rate(1_000_000_000, Duration::from_secs(1))
        .burst(1_000_000_000)
        .build();
    let bulkhead = seawall::BulkheadConfig::builder().max_concurrent(MANY);
    seawall::broker("bench")
        .rate_limit(never.expect("a valid rate"))
        .bulkhead(bulkhead.build().expect("a valid limit"))
        .build()
        .expect("valid settings")
}

/// Responds in `call`.
#[derive(Clone, Copy, Debug)]
struct Client;

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::default())))
    }
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
