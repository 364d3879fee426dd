//! How the layers of a stack work together.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::http_client::deadline::propagate_deadline;
use seawall::http_client::{ReplayBody, copy_request};
use seawall::{
    Backoff, BreakerConfig, Budget, BudgetConfig, BulkheadConfig, CircuitState, InvalidConfig,
    RateLimitConfig, Reason, Rejectable, Replay, RetryConfig, Sent, StackBuilder,
};
use seawall_tests::provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type CallResult = Result<Response<Full<Bytes>>, Infallible>;

fn request(replay: Replay) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    request.extensions_mut().insert(replay);
    request
}

/// Tokens enough for every test, and attempts without a pause.
fn eager(builder: StackBuilder) -> StackBuilder {
    let rate = RateLimitConfig::builder().rate(10_000, SECOND).burst(1_000);
    let retry = RetryConfig::builder().backoff(Backoff::NONE);
    builder
        .rate_limit(rate.build().expect("valid"))
        .retry(retry.build().expect("valid"))
}

fn opens_after(failures: u32) -> BreakerConfig {
    BreakerConfig::builder()
        .consecutive_failures(failures)
        .open_for(3_600 * SECOND)
        .build()
        .expect("valid")
}

/// The first attempt of an order timed out and opened the circuit; the second one was rejected, and
/// the caller was reported that nothing was sent.
#[tokio::test(start_paused = true)]
async fn an_order_whose_first_attempt_timed_out_is_never_reported_as_unsent() {
    let stack = eager(seawall::broker("timed-out"))
        .breaker(opens_after(1))
        .build()
        .expect("valid");
    let sends = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sends);
    let client = stack.layer(service_fn(move |_: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<CallResult>()
    }));
    let response = client.oneshot(request(Replay::SafeWithKey)).await;
    let error = response.map(drop).expect_err("a rejection");
    let rejected = error.rejection().expect("a rejection");
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    assert_eq!(rejected.sent(), Sent::Maybe);
    assert_eq!(sends.load(Ordering::SeqCst), 1);
}

/// A request with a deadline in 100 ms was queued in the bulkhead for ten seconds.
#[tokio::test(start_paused = true)]
async fn a_requests_own_deadline_ends_its_wait_for_a_permit() {
    let one = BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(5)
        .max_wait(10 * SECOND);
    let stack = eager(seawall::broker("own-deadline"))
        .bulkhead(one.build().expect("valid"))
        .build()
        .expect("valid");
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<CallResult>()
    }));
    let first = client.clone().oneshot(request(Replay::Never));
    tokio::spawn(async move { first.await.map(drop) });
    tokio::task::yield_now().await;
    let start = Instant::now();
    let mut urgent = request(Replay::Never);
    propagate_deadline(&mut urgent, start + SECOND / 10);
    let error = client.oneshot(urgent).await.map(drop);
    let error = error.expect_err("a rejection");
    let rejected = error.rejection().expect("a rejection");
    assert_eq!(rejected.reason(), Reason::DeadlineExceeded);
    assert_eq!(Instant::now(), start + SECOND / 10);
}

/// A deadline that comes before the attempt timeout cuts off every attempt that hangs, which is no
/// vote: a hundred calls, and the circuit stayed closed.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_leaves_no_time_for_an_attempt_is_an_error_that_names_it() {
    let rejected = |builder: StackBuilder| -> InvalidConfig { builder.build().expect_err("wrong") };
    for deadline in [5 * SECOND, 10 * SECOND] {
        let error = rejected(seawall::broker("short").deadline(deadline));
        assert_eq!((error.field(), error.value()), ("attempt_timeout", "10s"));
        let accepted = format!("shorter than the deadline, {deadline:?}");
        assert_eq!(error.accepted(), accepted);
    }
    let error = rejected(seawall::broker("zero").deadline(Duration::ZERO));
    assert_eq!(error.field(), "deadline");
    let unbounded = seawall::broker("unbounded").deadline(Duration::MAX);
    assert!(unbounded.attempt_timeout(Duration::MAX).build().is_ok());
    for preset in [
        seawall::broker("broker"),
        seawall::order_execution("orders"),
        provider("alpaca", "alpaca"),
        seawall::market_data("data"),
        provider("polygon", "polygon"),
        provider("alpha-vantage", "alpha-vantage"),
        provider("newsapi", "news-api"),
        seawall::ai_api("ai"),
        provider("anthropic", "anthropic"),
    ] {
        assert!(preset.build().is_ok());
    }

    let stack = eager(seawall::broker("hangs"))
        .deadline(5 * SECOND)
        .attempt_timeout(SECOND)
        .build()
        .expect("valid");
    let circuit = stack.handles().breaker;
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<CallResult>()
    }));
    for _ in 0..5 {
        let response = client.clone().oneshot(request(Replay::Never)).await;
        assert!(response.is_err());
    }
    assert_eq!(circuit.state(), CircuitState::Open);
}

/// The body was a throttle, its header asked for 30 seconds, and the next attempt came immediately.
#[tokio::test(start_paused = true)]
async fn the_header_holds_where_the_body_asks_for_a_shorter_wait() {
    let stack = provider("alpha-vantage", "hint").build().expect("valid");
    let (sent_at, mut sends) = tokio::sync::mpsc::unbounded_channel();
    let client = stack.layer(service_fn(move |_: Request<Full<Bytes>>| {
        let _ = sent_at.send(Instant::now());
        let body = r#"{"Information":"burst pattern detected"}"#;
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("retry-after", "30")
            .body(Full::<Bytes>::from(body));
        std::future::ready(Ok::<_, Infallible>(response.expect("valid")))
    }));
    let _ = client.oneshot(request(Replay::Safe)).await.map(drop);
    let first = sends.recv().await.expect("one");
    let second = sends.recv().await.expect("another");
    assert!(second - first >= 30 * SECOND);
}

/// Twenty calls failed together and opened the circuit. Their second attempts were rejected before
/// they were sent, and used up the budget all the same.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_empty_the_budget() {
    let budget = Budget::new(BudgetConfig::new(0.2, 0.0, 20).expect("valid"));
    let permits = BulkheadConfig::builder().max_concurrent(100);
    let stack = eager(seawall::broker("budget"))
        .breaker(opens_after(1))
        .bulkhead(permits.build().expect("valid"))
        .budget(budget.clone())
        .build()
        .expect("valid");
    let sends = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sends);
    let client = stack.layer(service_fn(move |_: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(SECOND).await;
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Ok::<_, Infallible>(response)
        }
    }));
    let calls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client.clone().oneshot(request(Replay::Safe))))
        .collect();
    for call in calls {
        let _ = call.await.expect("no panic").map(drop);
    }
    assert_eq!(
        sends.load(Ordering::SeqCst),
        20,
        "no extra attempt was sent"
    );
    assert!((budget.balance() - 20.0).abs() < 1e-9);
}

/// A server that responds to each connection with 503: when it has read the head, or all of the
/// request.
async fn overloaded(reads_all: bool) -> (String, Arc<AtomicU32>) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let server = server.expect("a socket");
    let url = format!("http://{}/x", server.local_addr().expect("bound"));
    let received = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&received);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = server.accept().await {
            let mut all = Vec::new();
            while !all.windows(4).any(|w| w == b"\r\n\r\n")
                || (reads_all && !all.ends_with(b"0\r\n\r\n"))
            {
                if stream.read_buf(&mut all).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let response = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
            let _ = stream.write_all(response).await;
            open.push(stream);
        }
    });
    (url, received)
}

/// A stream of so many pieces that announces no length, and either ends or pends forever.
struct Stream {
    pieces: u32,
    ends: bool,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.pieces.checked_sub(1) else {
            return if self.ends {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        };
        self.pieces = left;
        let piece = Bytes::from_static(&[b'x'; 1_000]);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// The response was dropped for a second attempt, which failed for lack of a body: the caller got
/// the error that the body was too long, or in use, and not the 503.
#[tokio::test]
async fn a_response_is_not_dropped_for_a_body_that_cannot_be_sent_again() {
    let too_long = Stream {
        pieces: 100,
        ends: true,
    };
    let in_use = Stream {
        pieces: 1,
        ends: false,
    };
    for body in [too_long, in_use] {
        let (url, received) = overloaded(body.ends).await;
        let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Stream>>();
        let stack = eager(seawall::broker("replay"))
            .build()
            .expect("valid")
            .copy(copy_request::<Stream>);
        let attempts = stack.handles().retry;
        let mut upload = Request::put(url)
            .body(ReplayBody::stream_with_cap(body, 10_000))
            .expect("valid");
        upload.extensions_mut().insert(Replay::Safe);
        let response = stack.layer(client).oneshot(upload).await;
        let status = response.expect("the upstream's response").status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(received.load(Ordering::SeqCst), 1);
        assert_eq!(attempts.counts().attempts.total(), 1);
    }
}

/// A body that cannot be read.
#[derive(Clone)]
struct Unreadable;

impl Body for Unreadable {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("no such file"))))
    }
}

/// Five uploads whose file could not be read opened the circuit for all callers.
#[tokio::test]
async fn a_callers_broken_upload_does_not_open_the_circuit() {
    let (url, _) = overloaded(true).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Unreadable>();
    let stack = eager(seawall::broker("upload"))
        .breaker(opens_after(1))
        .build()
        .expect("valid");
    let handles = stack.handles();
    let client = stack.layer(client);
    for calls in 1..=5 {
        let mut upload = Request::put(&url).body(Unreadable).expect("valid");
        upload.extensions_mut().insert(Replay::Safe);
        let error = client.clone().oneshot(upload).await.map(drop);
        let error = error.expect_err("no body");
        assert!(error.rejection().is_none(), "the client's own error");
        assert_eq!(
            handles.retry.counts().attempts.total(),
            calls,
            "not retried"
        );
    }
    assert_eq!(handles.breaker.state(), CircuitState::Closed);
}

/// A server that says "retry" does not know whether the order was placed: `x-should-retry: true`,
/// whatever the status, must not send one twice.
#[tokio::test(start_paused = true)]
async fn x_should_retry_does_not_send_an_order_twice() {
    for status in [400, 408, 409, 422, 429, 500, 503] {
        let sends = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&sends);
        let stack = seawall::broker("b").build().expect("valid");
        let client = stack.layer(service_fn(move |_: Request<Full<Bytes>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let response = Response::builder()
                .status(status)
                .header("x-should-retry", "true")
                .header("retry-after", "0")
                .body(Full::<Bytes>::default());
            std::future::ready(CallResult::Ok(response.expect("a response")))
        }));
        let order = Request::post("http://b/v2/orders").body(Full::default());
        let response = client.oneshot(order.expect("a request")).await;
        assert_eq!(response.expect("a response").status(), status);
        assert_eq!(sends.load(Ordering::SeqCst), 1, "{status}");
    }
}
