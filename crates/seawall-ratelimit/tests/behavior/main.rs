//! What a user of a rate limit sees.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_core::{
    ConstMeta, Error, ErrorIsFailure, EventKind, Events, InstanceHandle, Policy, Reason, Received,
    Registry, Rejectable, Rejection, Replay, RequestMeta, Sent, Value,
};
use seawall_ratelimit::{
    RateLimit, RateLimitConfig, RateLimitConfigBuilder, RateLimitHandle, RateLimitLayer,
    ResponseFuture,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{BoxError, Mock, MockHandle, PolledFuture, Stage, mock};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::{Instant, advance};
use tower::limit::ConcurrencyLimit;
use tower_layer::Layer;
use tower_service::Service;

mod account;
mod apply_signal;
mod bounds;
mod chaos;
mod clock_model;
mod clocks;
mod command_models;
mod commands;
mod corrections;
mod faults;
mod keyed;
mod live;
mod max_wait;
mod memory;
mod model;
mod operator;
mod priorities;
mod queue;
mod rates;
mod reserved;
mod several;
mod shadow;
mod shape;
mod stress;
mod unpolled;
mod unpolled_keys;
mod unpolled_many;
mod unpolled_model;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Ten per second.
fn builder(burst: u32) -> RateLimitConfigBuilder {
    RateLimitConfig::builder().rate(10, SECOND).burst(burst)
}

fn layer(burst: u32, max_wait: Duration) -> RateLimitLayer {
    RateLimitLayer::new(
        "desk",
        builder(burst)
            .max_wait(max_wait)
            .build()
            .expect("valid settings"),
    )
}

fn subject(burst: u32, max_wait: Duration) -> (RateLimit<Mock>, RateLimitHandle, MockHandle) {
    let (inner, mock) = mock();
    let layer = layer(burst, max_wait);
    (layer.layer(inner), layer.handle(), mock)
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, request: u32) -> PolledFuture<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    PolledFuture::new(service.call(request))
}

fn rejection<T: std::fmt::Debug>(result: Poll<Result<T, BoxError>>) -> Rejection {
    let Poll::Ready(Err(error)) = result else {
        panic!("{result:?} is no rejection")
    };
    *error.rejection().expect("an error of the limit")
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_a_rejection_names_the_exact_time_to_come_back() {
    let (mut svc, handle, mock) = subject(3, Duration::ZERO);
    for n in 0..3 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let rejected = rejection(call(&mut svc, 3).poll());
    assert_eq!(rejected.reason(), Reason::RateLimited);
    assert_eq!(rejected.retry_after(), Some(ms(100)));
    assert_eq!(
        (rejected.sent(), rejected.name().as_str()),
        (Sent::No, "desk")
    );
    advance(ms(100) - Duration::from_nanos(1)).await;
    let early = rejection(call(&mut svc, 4).poll());
    assert_eq!(early.retry_after(), Some(Duration::from_nanos(1)));
    advance(Duration::from_nanos(1)).await;
    assert!(call(&mut svc, 5).poll().is_ready());
    assert_eq!(mock.requests(), [0, 1, 2, 5]);
    let counts = handle.counts();
    assert_eq!((counts.granted, counts.rejected), (4, 2));
    assert_eq!(handle.state(), "exhausted");
}

#[tokio::test(start_paused = true)]
async fn an_idle_limit_saves_no_more_than_its_burst() {
    let (mut svc, handle, _mock) = subject(3, Duration::ZERO);
    advance(Duration::from_secs(1 << 30)).await;
    assert_eq!(handle.tokens(), 3.0);
    for n in 0..3 {
        assert!(matches!(call(&mut svc, n).poll(), Poll::Ready(Ok(_))));
    }
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn a_granted_call_that_is_never_polled_has_used_its_token() {
    let (mut svc, handle, _mock) = subject(1, Duration::ZERO);
    drop(call(&mut svc, 0));
    assert_eq!(handle.tokens(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn requests_cost_what_the_describer_returns() {
    let by_number = |n: &u32| RequestMeta::new(Replay::Safe).with_cost(*n);
    let (inner, mock) = mock();
    let layer = layer(5, Duration::ZERO).describe(by_number);
    let mut svc = layer.layer(inner);
    assert!(matches!(call(&mut svc, 4).poll(), Poll::Ready(Ok(4))));
    // One token is left.
    let rejected = rejection(call(&mut svc, 3).poll());
    assert_eq!(rejected.retry_after(), Some(ms(200)));
    let never = rejection(call(&mut svc, 6).poll());
    assert_eq!(
        (never.reason(), never.retry_after()),
        (Reason::TooExpensive, None)
    );
    assert_eq!(never.cost_and_capacity(), Some((6, 5)));
    assert!(matches!(call(&mut svc, 0).poll(), Poll::Ready(Ok(0))));
    assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(1))));
    assert!(matches!(call(&mut svc, 0).poll(), Poll::Ready(Ok(0))));
    assert_eq!(mock.requests(), [4, 0, 1, 0]);
    assert_eq!(layer.handle().counts().too_expensive, 1);
}

/// Responds with the time since `start`, in milliseconds, at which it was called.
#[derive(Clone)]
struct Departures {
    start: Instant,
    log: Arc<Mutex<Vec<(u32, u64)>>>,
}

impl Departures {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            log: Arc::default(),
        }
    }

    fn log(&self) -> Vec<(u32, u64)> {
        self.log.lock().expect("no panic under it").clone()
    }
}

#[derive(Clone, Debug)]
struct Echo;
