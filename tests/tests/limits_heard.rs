//! A stack hears what the provider says of its limits, and sends no more than that.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::http::quota::MeteredBody;
use seawall::http::{RateLimitHeaders, TokenEstimate};
use seawall::{
    Error, HttpStack, Limit, RateLimitConfig, Reason, Rejectable, Replay, RequestMeta, RetryConfig,
    TokenCount, Unit,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Body = Full<Bytes>;
type Departures = Arc<Mutex<Vec<Duration>>>;

/// Ten per second, ten at once, and one attempt.
fn stack(name: &'static str, max_wait: Duration) -> HttpStack {
    let rate = RateLimitConfig::builder()
        .rate(10, SECOND)
        .burst(10)
        .max_wait(max_wait);
    let retry = RetryConfig::builder().attempts(1);
    seawall::broker(name)
        .rate_limit(rate.build().expect("valid"))
        .retry(retry.build().expect("valid"))
        .deadline(2 * MINUTE)
        .build()
        .expect("valid")
}

fn quote() -> Request<Body> {
    Request::get("/v2/quotes")
        .body(Body::default())
        .expect("valid")
}

/// Answers the nth call with what `answer` says.
async fn send(
    stack: &HttpStack,
    calls: u32,
    answer: impl Fn(usize) -> Response<Body> + Clone + Send + Sync + 'static,
) -> (Vec<Result<StatusCode, Error<Infallible>>>, Vec<Duration>) {
    let departures = Departures::default();
    let (start, log) = (Instant::now(), Arc::clone(&departures));
    let client = stack.layer(service_fn(move |_: Request<Body>| {
        let mut log = log.lock().expect("no panic under it");
        log.push(Instant::now() - start);
        let answer = answer(log.len());
        std::future::ready(Ok::<_, Infallible>(answer))
    }));
    let mut answers = Vec::new();
    for _ in 0..calls {
        let answer = client.clone().oneshot(quote()).await;
        answers.push(answer.map(|answer| answer.status()));
    }
    let departures = departures.lock().expect("no panic under it").clone();
    (answers, departures)
}

#[tokio::test(start_paused = true)]
async fn a_throttle_pauses_all_calls_for_as_long_as_it_says() {
    let stack = stack("throttled", MINUTE);
    let (answers, departures) = send(&stack, 5, |nth| {
        let answer = Response::builder();
        let answer = match nth {
            2 => answer.status(429).header("retry-after", "7"),
            _ => answer,
        };
        answer.body(Body::default()).expect("valid")
    })
    .await;
    assert_eq!(
        answers[1].as_ref().ok(),
        Some(&StatusCode::TOO_MANY_REQUESTS)
    );
    assert!(
        answers[2..]
            .iter()
            .all(|answer| matches!(answer, Ok(StatusCode::OK)))
    );
    assert!(departures[1] < SECOND);
    // Not at once when it is over, either.
    assert!(departures[2] >= 7 * SECOND, "{departures:?}");
    let gaps = departures[2..].windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.min() >= Some(SECOND / 10), "{departures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_for_the_end_of_a_throttle_hears_when_it_is() {
    let stack = stack("throttled-at-once", SECOND);
    let (answers, departures) = send(&stack, 3, |_| {
        let answer = Response::builder().status(429).header("retry-after", "7");
        answer.body(Body::default()).expect("valid")
    })
    .await;
    assert_eq!(departures.len(), 1);
    let rejected = answers[1].as_ref().expect_err("paused");
    let rejection = rejected.rejection().expect("of the rate limit");
    assert!(matches!(
        rejection.reason(),
        Reason::Paused | Reason::RateLimited
    ));
    assert!(rejection.retry_after() >= Some(7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn no_more_departs_than_the_headers_say_is_left() {
    let stack = stack("headers", MINUTE);
    let stack = stack.rate_limit_headers(RateLimitHeaders::reddit());
    // Another program has used nearly all of it.
    let (answers, departures) = send(&stack, 8, |nth| {
        let left = 4_usize.saturating_sub(nth);
        let answer = Response::builder()
            .header("x-ratelimit-remaining", format!("{left}.0"))
            .header("x-ratelimit-reset", "30");
        let answer = if nth > 4 {
            // As of then all is whole again.
            Response::builder()
        } else {
            answer
        };
        answer.body(Body::default()).expect("valid")
    })
    .await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(departures[3] < 2 * SECOND, "{departures:?}");
    assert!(departures[4] >= 30 * SECOND, "{departures:?}");
}

/// 1,000 tokens per minute.
fn model(name: &'static str) -> HttpStack {
    let limits = RateLimitConfig::builder()
        .rate(100, SECOND)
        .burst(10)
        .limit(Limit::strict(1_000, MINUTE).with_unit(Unit::Tokens))
        .max_wait(SECOND);
    seawall::ai_api(name)
        .rate_limit(limits.build().expect("valid"))
        .build()
        .expect("valid")
        .count_tokens(64 * 1024)
}

fn prompt(estimate: u32) -> Request<Body> {
    let mut request = Request::post("/v1/chat/completions")
        .body(Body::default())
        .expect("valid");
    let estimate = TokenEstimate(TokenCount::new(estimate, 0));
    request.extensions_mut().insert(estimate);
    request
}

fn completion(tokens: u32) -> Response<Body> {
    let body = format!(r#"{{"usage": {{"prompt_tokens": {tokens}, "completion_tokens": 0}}}}"#);
    Response::builder()
        .header("content-type", "application/json")
        .body(body.into())
        .expect("valid")
}

#[tokio::test(start_paused = true)]
async fn tokens_are_taken_as_estimated_and_settled_by_the_answer() {
    let stack = model("tokens");
    let limit = stack.handles().rate_limit;
    let left = || limit.snapshot().limits[1].available;
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(completion(150))
    }));
    let answer = client
        .clone()
        .oneshot(prompt(600))
        .await
        .expect("within the limit");
    assert_eq!(left(), 850.0);
    // The body is whole: it was read, and is there still.
    let body = answer
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    assert!(body.starts_with(b"{\"usage\""));
    // 900 are more than are left, and never come within a second.
    let rejected = client
        .clone()
        .oneshot(prompt(900))
        .await
        .expect_err("too many");
    let rejection = rejected.rejection().expect("of the rate limit");
    assert_eq!(rejection.reason(), Reason::RateLimited);
    // What no minute grants is rejected as such.
    let never = client
        .clone()
        .oneshot(prompt(1_001))
        .await
        .expect_err("never");
    let rejection = never.rejection().expect("of the rate limit");
    assert_eq!(rejection.reason(), Reason::TooExpensive);
    assert_eq!(left(), 850.0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_settles_at_its_end() {
    let stack = model("stream");
    let limit = stack.handles().rate_limit;
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        let stream = "data: {\"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": 31}}\n\n";
        let answer = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(answer.body(Body::from(stream)).expect("valid"))
    }));
    let answer = client.oneshot(prompt(600)).await.expect("within the limit");
    let handle = limit.clone();
    let metered = MeteredBody::new(answer.into_body(), move |usage| {
        if let Some(usage) = usage {
            handle.settle(Unit::Tokens, 600, usage.total());
        }
    });
    assert_eq!(limit.snapshot().limits[1].available, 400.0);
    metered.collect().await.expect("whole");
    assert_eq!(limit.snapshot().limits[1].available, 960.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_call_reserves_of_the_same_limit() {
    let stack = model("batch");
    let limit = stack.handles().rate_limit;
    let batch = RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(700, 0));
    let reserved = limit.try_reserve(&batch).expect("there");
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(completion(150))
    }));
    assert!(client.clone().oneshot(prompt(600)).await.is_err());
    reserved.settle(Unit::Tokens, 100);
    assert!(client.oneshot(prompt(600)).await.is_ok());
}
