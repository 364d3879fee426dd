//! A call through a complete stack, dropped at every stage at which it can wait: nothing stays
//! held, and the next call succeeds. And what a call costs: nothing is allocated.

use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall::{
    Backoff, BreakerConfig, BulkheadConfig, CircuitState, ClientStack, ConstMeta, Error, Policy,
    RateLimitConfig, RequestMeta, RetryConfig, StackBuilder, StackHandles,
};
use seawall_testkit::contract::{Mock, MockError, MockHandle, PolledFuture, mock};
use tower::{Layer, Service};

const SECOND: Duration = Duration::from_secs(1);

type Described = ClientStack<Policy<seawall::ErrorIsFailure, ConstMeta>>;
type Subject = <Described as Layer<Mock>>::Service;

struct Bench {
    service: Subject,
    handles: StackHandles,
    mock: MockHandle,
}

/// One permit, one waiter, one token per second, two attempts.
fn narrow(builder: StackBuilder) -> Bench {
    let stack = builder
        .deadline(60 * SECOND)
        .bulkhead(
            BulkheadConfig::builder()
                .max_concurrent(1)
                .max_waiting(1)
                .max_wait(30 * SECOND)
                .build()
                .expect("valid"),
        )
        .rate_limit(
            RateLimitConfig::builder()
                .rate(1, SECOND)
                .burst(1)
                .max_wait(30 * SECOND)
                .build()
                .expect("valid"),
        )
        .breaker(
            BreakerConfig::builder()
                .consecutive_failures(2)
                .open_for(10 * SECOND)
                .build()
                .expect("valid"),
        )
        .retry(
            RetryConfig::builder()
                .attempts(2)
                .backoff(Backoff::constant(5 * SECOND).expect("valid"))
                .build()
                .expect("valid"),
        )
        .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())))
        .expect("valid");
    let handles = stack.handles();
    let (inner, mock) = mock();
    mock.respond_immediately();
    Bench {
        service: stack.layer(inner),
        handles,
        mock,
    }
}

impl Bench {
    fn call(&mut self) -> PolledFuture<impl Future<Output = bool> + use<>> {
        let mut service = self.service.clone();
        PolledFuture::new(async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            ready.is_ok() && service.call(1).await.is_ok()
        })
    }

    /// Nothing is held, and a call succeeds.
    async fn is_clean(&mut self) {
        assert_eq!(self.handles.bulkhead.in_flight(), 0);
        assert_eq!(self.handles.bulkhead.queue_depth(), 0);
        assert_eq!(self.handles.rate_limit.queue_depth(), 0);
        assert_eq!((self.mock.in_flight(), self.mock.reserved()), (0, 0));
        assert_eq!(self.mock.futures(), 0);
        self.mock.set_ready();
        self.mock.respond_immediately();
        tokio::time::advance(SECOND).await;
        assert_eq!(self.call().poll(), Poll::Ready(true));
        assert_eq!(self.handles.breaker.state(), CircuitState::Closed);
    }
}

async fn cancels(builder: fn() -> StackBuilder) {
    // Never polled.
    let mut b = narrow(builder());
    std::future::poll_fn(|cx| b.service.poll_ready(cx))
        .await
        .expect("ready");
    drop(b.service.call(1));
    b.is_clean().await;

    // In readiness.
    let mut b = narrow(builder());
    b.mock.set_pending();
    let mut waiting = b.call();
    assert!(waiting.poll().is_pending());
    drop(waiting);
    b.is_clean().await;

    // In flight.
    let mut b = narrow(builder());
    b.mock.hold_responses();
    let mut in_flight = b.call();
    assert!(in_flight.poll().is_pending());
    assert_eq!((b.handles.bulkhead.in_flight(), b.mock.in_flight()), (1, 1));
    drop(in_flight);
    b.is_clean().await;
    assert_eq!(b.handles.breaker.snapshot().counts.abandoned, 1);

    // In the bulkhead's queue, and behind it: full.
    let mut b = narrow(builder());
    b.mock.hold_responses();
    let (mut first, mut second, mut third) = (b.call(), b.call(), b.call());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert_eq!(b.handles.bulkhead.queue_depth(), 1);
    assert_eq!(third.poll(), Poll::Ready(false));
    drop(second);
    assert_eq!(b.handles.bulkhead.queue_depth(), 0);
    drop(first);
    b.is_clean().await;

    // Granted a permit, between the wake-up and the poll.
    let mut b = narrow(builder());
    b.mock.hold_responses();
    let (mut first, mut second) = (b.call(), b.call());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(first);
    assert!(second.wakes() > 0);
    drop(second);
    b.is_clean().await;

    // Waiting for a token.
    let mut b = narrow(builder());
    assert_eq!(b.call().poll(), Poll::Ready(true));
    let mut waiting = b.call();
    assert!(waiting.poll().is_pending());
    assert_eq!(b.handles.rate_limit.queue_depth(), 1);
    drop(waiting);
    b.is_clean().await;

    // During a backoff: no permit is held.
    let mut b = narrow(builder());
    b.mock.script([Err(MockError::Failed(1))]);
    let mut backing_off = b.call();
    assert!(backing_off.poll().is_pending());
    assert_eq!((b.handles.bulkhead.in_flight(), b.mock.calls()), (0, 1));
    drop(backing_off);
    b.is_clean().await;

    // A probe of the half-open circuit.
    let mut b = narrow(builder());
    b.mock
        .script([Err(MockError::Failed(1)), Err(MockError::Failed(1))]);
    let mut failing = b.call();
    assert!(failing.poll().is_pending());
    tokio::time::advance(6 * SECOND).await;
    assert_eq!(failing.poll(), Poll::Ready(false));
    assert_eq!(b.handles.breaker.state(), CircuitState::Open);
    tokio::time::advance(11 * SECOND).await;
    b.mock.hold_responses();
    let mut probe = b.call();
    assert!(probe.poll().is_pending());
    assert_eq!(b.handles.breaker.state(), CircuitState::HalfOpen);
    drop(probe);
    b.is_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_call_can_be_dropped_anywhere() {
    cancels(|| seawall::broker("broker")).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_can_be_dropped_anywhere() {
    cancels(|| seawall::order_execution("orders")).await;
}

#[tokio::test(start_paused = true)]
async fn a_quote_can_be_dropped_anywhere() {
    cancels(|| seawall::market_data("data")).await;
}

#[tokio::test(start_paused = true)]
async fn an_ai_call_can_be_dropped_anywhere() {
    cancels(|| seawall::ai_api("ai").attempt_timeout(30 * SECOND)).await;
    cancels(|| seawall::ai_agents("agents").attempt_timeout(30 * SECOND)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_of_every_other_kind_can_be_dropped_anywhere() {
    cancels(|| seawall::news("news")).await;
    cancels(|| seawall::database("database")).await;
    cancels(|| seawall::api_client("api")).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_readiness_waits_and_attempts_together() {
    let mut b = narrow(seawall::broker("broker").attempt_timeout(50 * SECOND));
    b.mock.hold_responses();
    let mut in_flight = b.call();
    // An attempt that times out, a pause, and an attempt that is cut off.
    for seconds in [0, 51, 5] {
        tokio::time::advance(seconds * SECOND).await;
        assert!(in_flight.poll().is_pending());
    }
    assert_eq!(b.handles.attempt_timeout.counts().timed_out, 1);
    assert_eq!(b.mock.calls(), 2);
    tokio::time::advance(5 * SECOND).await;
    assert_eq!(in_flight.poll(), Poll::Ready(false));
    assert_eq!(b.handles.deadline.counts().deadline_exceeded, 1);
    b.is_clean().await;
}

#[derive(Clone)]
struct Leaf;

impl Service<u64> for Leaf {
    type Response = u64;
    type Error = Error<()>;
    type Future = std::future::Ready<Result<u64, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: u64) -> Self::Future {
        std::future::ready(Ok(req))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_through_a_complete_stack_allocates_nothing() {
    for builder in [
        seawall::broker("b"),
        seawall::order_execution("o"),
        seawall::market_data("m"),
        seawall::ai_api("a"),
        seawall::ai_agents("a"),
        seawall::news("n"),
        seawall::database("d"),
        seawall::api_client("c"),
    ] {
        let rate = RateLimitConfig::builder()
            .rate(1_000_000, SECOND)
            .burst(1_000_000);
        let stack: ClientStack = builder
            .rate_limit(rate.build().expect("valid"))
            .build_generic(Policy::new())
            .expect("valid");
        let mut service = stack.layer(Leaf);
        let mut cx = Context::from_waker(Waker::noop());
        let mut once = |service: &mut <ClientStack as Layer<Leaf>>::Service| {
            assert!(service.poll_ready(&mut cx).is_ready());
            let call = std::pin::pin!(service.call(7));
            assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(7))));
        };
        once(&mut service);
        let counts = seawall_testkit::alloc::count(|| {
            for _ in 0..1_000 {
                once(&mut service);
                once(&mut service.clone());
            }
        });
        assert_eq!(counts.allocations, 0);
    }
}
