//! A stack applies what the provider reports of its limits, and sends no more than that.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::http_client::quota::{MeteredBody, RateLimitHeaders, ResetFormat, TokenEstimate};
use seawall::{
    Error, HttpStack, LateUsage, Limit, RateLimitConfig, Reason, Rejectable, Replay, RequestMeta,
    RetryConfig, TokenCount, Unit,
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

/// Responds to the nth call with `respond(n)`.
async fn send(
    stack: &HttpStack,
    calls: u32,
    respond: impl Fn(usize) -> Response<Body> + Clone + Send + Sync + 'static,
) -> (Vec<Result<StatusCode, Error<Infallible>>>, Vec<Duration>) {
    let departures = Departures::default();
    let (start, log) = (Instant::now(), Arc::clone(&departures));
    let client = stack.layer(service_fn(move |_: Request<Body>| {
        let mut log = log.lock().expect("no panic under it");
        log.push(Instant::now() - start);
        let response = respond(log.len());
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let mut responses = Vec::new();
    for _ in 0..calls {
        let response = client.clone().oneshot(quote()).await;
        responses.push(response.map(|response| response.status()));
    }
    let departures = departures.lock().expect("no panic under it").clone();
    (responses, departures)
}

#[tokio::test(start_paused = true)]
async fn a_throttle_pauses_all_calls_for_its_retry_after() {
    let stack = stack("throttled", MINUTE);
    let (responses, departures) = send(&stack, 5, |nth| {
        let response = Response::builder();
        let response = match nth {
            2 => response.status(429).header("retry-after", "7"),
            _ => response,
        };
        response.body(Body::default()).expect("valid")
    })
    .await;
    assert_eq!(
        responses[1].as_ref().ok(),
        Some(&StatusCode::TOO_MANY_REQUESTS)
    );
    assert!(
        responses[2..]
            .iter()
            .all(|response| matches!(response, Ok(StatusCode::OK)))
    );
    assert!(departures[1] < SECOND);
    // Not all of them immediately when it is over.
    assert!(departures[2] >= 7 * SECOND, "{departures:?}");
    let gaps = departures[2..].windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.min() >= Some(SECOND / 10), "{departures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_for_the_end_of_a_throttle_gets_its_retry_after() {
    let stack = stack("throttled-immediately", SECOND);
    let (responses, departures) = send(&stack, 3, |_| {
        let response = Response::builder().status(429).header("retry-after", "7");
        response.body(Body::default()).expect("valid")
    })
    .await;
    assert_eq!(departures.len(), 1);
    let rejected = responses[1].as_ref().expect_err("paused");
    let rejection = rejected.rejection().expect("of the rate limit");
    assert_eq!(rejection.reason(), Reason::Paused);
    assert!(rejection.retry_after() >= Some(7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_depart_than_the_headers_report_as_remaining() {
    let stack = stack("headers", MINUTE);
    let stack = stack.rate_limit_headers(RateLimitHeaders::x_ratelimit(ResetFormat::SecondsLeft));
    // Another program has used nearly all of it.
    let (responses, departures) = send(&stack, 8, |nth| {
        let left = 4_usize.saturating_sub(nth);
        let response = Response::builder()
            .header("x-ratelimit-remaining", format!("{left}.0"))
            .header("x-ratelimit-reset", "30");
        let response = if nth > 4 {
            // From then on the limit is reset.
            Response::builder()
        } else {
            response
        };
        response.body(Body::default()).expect("valid")
    })
    .await;
    assert!(responses.iter().all(Result::is_ok));
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
async fn tokens_are_taken_as_estimated_and_corrected_by_the_response() {
    let stack = model("tokens");
    let limit = stack.handles().rate_limit;
    let left = || limit.snapshot().limits[1].available;
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(completion(150))
    }));
    let response = client
        .clone()
        .oneshot(prompt(600))
        .await
        .expect("within the limit");
    assert_eq!(left(), 850.0);
    // The body is complete: it was read, and is still there.
    let body = response
        .into_body()
        .collect()
        .await
        .expect("complete")
        .to_bytes();
    assert!(body.starts_with(b"{\"usage\""));
    // 900 are more than remain, and are not available within a second.
    let rejected = client
        .clone()
        .oneshot(prompt(900))
        .await
        .expect_err("too many");
    let rejection = rejected.rejection().expect("of the rate limit");
    assert_eq!(rejection.reason(), Reason::RateLimited);
    // More than a minute ever grants is rejected as too expensive.
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
async fn a_stream_corrects_usage_at_its_end() {
    let stack = model("stream");
    let limit = stack.handles().rate_limit;
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        let stream = "data: {\"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": 31}}\n\n";
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(Body::from(stream)).expect("valid"))
    }));
    let response = client.oneshot(prompt(600)).await.expect("within the limit");
    let late = response.extensions().get::<LateUsage>().cloned();
    let late = late.expect("written by the feedback");
    let metered = MeteredBody::new(response.into_body(), move |usage| {
        if let Some(usage) = usage {
            late.correct(&usage.units());
        }
    });
    tokio::time::advance(40 * SECOND).await;
    assert_eq!(limit.snapshot().limits[1].available, 400.0);
    metered.collect().await.expect("complete");
    assert_eq!(limit.snapshot().limits[1].available, 960.0);
    // It counts as of the departure.
    tokio::time::advance(20 * SECOND).await;
    assert_eq!(limit.snapshot().limits[1].available, 1_000.0);
}

#[tokio::test(start_paused = true)]
async fn tokens_can_be_reserved_without_a_call() {
    let stack = model("batch");
    let limit = stack.handles().rate_limit;
    let batch = RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(700, 0));
    let reserved = limit.try_reserve(&batch).expect("there");
    let client = stack.layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(completion(150))
    }));
    assert!(client.clone().oneshot(prompt(600)).await.is_err());
    reserved.correct_usage(&[(Unit::Tokens, 100)]);
    assert!(client.oneshot(prompt(600)).await.is_ok());
}
