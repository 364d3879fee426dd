//! The caller gets the upstream's last result, whatever rejects a further attempt here.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use seawall::http_client::BodyNotKept;
use seawall::{
    Backoff, BreakerConfig, Budget, BudgetConfig, BulkheadConfig, RateLimitConfig, Reason,
    Rejection, RetryConfig, Sent, StackBuilder,
};
use tokio::time::Instant;
use tower::util::ServiceFn;
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn get() -> Request<Full<Bytes>> {
    Request::get("http://vendor/v1/quotes")
        .body(Full::default())
        .expect("a request")
}

/// Tokens enough, three attempts without a pause, a circuit that stays closed.
fn eager(builder: StackBuilder) -> StackBuilder {
    let rate = RateLimitConfig::builder().rate(10_000, SECOND).burst(1_000);
    let retry = RetryConfig::builder().backoff(Backoff::NONE);
    builder
        .rate_limit(rate.build().expect("valid"))
        .retry(retry.build().expect("valid"))
        .breaker(opens_after(1_000))
}

fn opens_after(failures: u32) -> BreakerConfig {
    BreakerConfig::builder()
        .consecutive_failures(failures)
        .open_for(3_600 * SECOND)
        .build()
        .expect("valid")
}

type Exchange = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// A vendor that fails always, and says why.
fn failing(
    status: u16,
    calls: Arc<AtomicU32>,
) -> ServiceFn<impl Fn(Request<Full<Bytes>>) -> Exchange + Clone> {
    service_fn(move |_| {
        calls.fetch_add(1, Ordering::SeqCst);
        let response = Response::builder()
            .status(status)
            .header("x-request-id", "abc")
            .body(Full::from("why"));
        ready(Ok(response.expect("a response")))
    })
}

/// One call through a stack around a vendor that fails: its status, its text, and the mark.
async fn call(stack: StackBuilder, status: u16) -> (u32, Option<Rejection>) {
    let stack = stack.build().expect("valid");
    let calls = Arc::new(AtomicU32::new(0));
    let vendor = failing(status, Arc::clone(&calls));
    let result = stack.layer(vendor).oneshot(get()).await;
    let response = result.expect("the upstream's last result");
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["x-request-id"], "abc");
    let mark = response.extensions().get().copied();
    let body = response.into_body().collect().await;
    assert_eq!(body.expect("a body").to_bytes(), "why");
    assert_eq!(stack.handles().bulkhead.in_flight(), 0);
    (calls.load(Ordering::SeqCst), mark)
}

fn reason(mark: Option<Rejection>) -> Reason {
    let mark = mark.expect("marked");
    assert_eq!(mark.sent(), Sent::Maybe);
    mark.reason()
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_opens_the_circuit_is_not_lost() {
    let stack = eager(seawall::market_data("feed")).breaker(opens_after(1));
    let (calls, mark) = call(stack, 500).await;
    assert_eq!((calls, reason(mark)), (1, Reason::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_lost_when_the_rate_limit_rejects_the_next_attempt() {
    let limit = RateLimitConfig::builder()
        .rate(1, 3_600 * SECOND)
        .burst(1)
        .max_wait(Duration::ZERO);
    let limit = limit.build().expect("valid");
    for status in [500, 503] {
        let stack = eager(seawall::market_data("feed")).rate_limit(limit.clone());
        let (calls, mark) = call(stack, status).await;
        assert_eq!((calls, reason(mark)), (1, Reason::RateLimited));
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_pauses_the_limit_for_longer_than_the_retry_waits_is_not_lost() {
    let limit = RateLimitConfig::builder()
        .rate(10, SECOND)
        .max_wait(Duration::ZERO);
    let stack = eager(seawall::market_data("feed")).rate_limit(limit.build().expect("valid"));
    // A 429 without a time pauses the limit for a second, and the retry does not wait.
    let (calls, mark) = call(stack, 429).await;
    assert_eq!(calls, 1);
    assert!(matches!(reason(mark), Reason::Paused | Reason::RateLimited));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_marked_where_budget_or_deadline_end_the_attempts() {
    let empty = Budget::new(BudgetConfig::new(0.0, 0.0, 1).expect("valid"));
    assert!(empty.withdraw());
    let stack = eager(seawall::market_data("feed")).budget(empty);
    let (calls, mark) = call(stack, 500).await;
    assert_eq!((calls, reason(mark)), (1, Reason::BudgetExhausted));
    let slow = RetryConfig::builder().backoff(Backoff::constant(60 * SECOND).expect("valid"));
    let stack = eager(seawall::market_data("feed"))
        .retry(slow.build().expect("valid"))
        .attempt_timeout(SECOND)
        .deadline(2 * SECOND);
    let (calls, mark) = call(stack, 500).await;
    assert_eq!((calls, reason(mark)), (1, Reason::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_all_attempts_has_no_mark() {
    let (calls, mark) = call(eager(seawall::market_data("feed")), 500).await;
    assert_eq!((calls, mark), (3, None));
}

/// A body that has begun and never ends.
struct Endless(bool);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("partial")))))
    }
}

fn endless(
    status: u16,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Endless>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::builder().status(status).body(Endless(false));
        std::future::ready(Ok(response.expect("a response")))
    })
}

/// The only permit is in the body of the answer that is kept: the next attempt must not wait for
/// it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_kept_holds_no_permit() {
    let single = BulkheadConfig::builder().max_concurrent(1).build();
    let stack = eager(seawall::market_data("feed"))
        .bulkhead(single.expect("valid"))
        .build()
        .expect("valid");
    let start = Instant::now();
    let response = stack.layer(endless(500)).oneshot(get()).await;
    let response = response.expect("the third answer, as it is");
    assert_eq!(response.status(), 500);
    // Twice the time in which a body must come to its end.
    assert_eq!(Instant::now() - start, Duration::from_millis(100));
    assert_eq!(stack.handles().bulkhead.in_flight(), 1);
    drop(response);
    assert_eq!(stack.handles().bulkhead.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_whose_body_does_not_end_the_head_is_kept() {
    let stack = eager(seawall::market_data("feed")).breaker(opens_after(1));
    let stack = stack.build().expect("valid");
    let response = stack.layer(endless(500)).oneshot(get()).await;
    let response = response.expect("the upstream's last result");
    assert_eq!(response.status(), 500);
    assert_eq!(response.extensions().get(), Some(&BodyNotKept));
    assert!(response.extensions().get::<Rejection>().is_some());
    let body = response.into_body().collect().await;
    assert_eq!(body.expect("an empty body").to_bytes(), "");
}

/// The deadline passes while the body of an answer is read.
async fn deadline_while_reading(stack: StackBuilder, time: Duration) {
    let stack = stack.build().expect("valid");
    let slow = service_fn(|_: Request<Full<Bytes>>| async {
        tokio::time::sleep(Duration::from_millis(85)).await;
        let response = Response::builder().status(500).body(Endless(false));
        Ok::<_, Infallible>(response.expect("a response"))
    });
    let start = Instant::now();
    let response = stack.layer(slow).oneshot(get()).await;
    let response = response.expect("the upstream's last result");
    assert!(Instant::now() - start <= time);
    assert_eq!(response.status(), 500);
    assert_eq!(response.extensions().get(), Some(&BodyNotKept));
    let mark = response.extensions().get().copied();
    assert_eq!(reason(mark), Reason::DeadlineExceeded);
    assert_eq!(stack.handles().bulkhead.in_flight(), 0);
    assert_eq!(stack.handles().retry.counts().attempts.total(), 1);
}

const TIME: Duration = Duration::from_millis(120);

fn short() -> [StackBuilder; 2] {
    let deadline = eager(seawall::market_data("feed"))
        .attempt_timeout(TIME - Duration::from_millis(1))
        .deadline(TIME);
    let overall = RetryConfig::builder()
        .backoff(Backoff::NONE)
        .overall_timeout(TIME);
    let overall = eager(seawall::market_data("feed")).retry(overall.build().expect("valid"));
    [deadline, overall]
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_lost_when_the_time_is_up_while_its_body_is_read() {
    for stack in short() {
        deadline_while_reading(stack, TIME).await;
    }
}

#[tokio::test]
async fn an_answer_is_not_lost_when_the_time_is_up_in_real_time() {
    for stack in short() {
        deadline_while_reading(stack, TIME + Duration::from_millis(40)).await;
    }
}

/// The attempt that the deadline ends does not know of those before it.
#[tokio::test(start_paused = true)]
async fn a_deadline_without_an_answer_says_after_how_many_attempts() {
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let stack = eager(seawall::market_data("feed"))
        .attempt_timeout(1_500 * Duration::from_millis(1))
        .deadline(2 * SECOND)
        .build()
        .expect("valid");
    let error = stack.layer(hangs).oneshot(get()).await;
    let text = error.expect_err("the deadline").to_string();
    assert!(text.contains("has passed (after 2 attempts)"), "{text}");
}
