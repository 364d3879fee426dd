//! For how long a provider's exhausted quota and ban pause its stack, with settings of one's own as well.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall::http_client::HttpClassifier;
use seawall::{HttpStack, RateLimitConfig, StackBuilder};
use seawall_tests::provider;
use tower::{Layer, ServiceExt, service_fn};

type Body = Full<Bytes>;
const SECOND: Duration = Duration::from_secs(1);

/// For how long the rate limit of a stack is paused by such a response.
async fn pause_of(
    stack: StackBuilder,
    status: u16,
    retry_after: &'static str,
    body: &'static str,
) -> Option<Duration> {
    paused_by(stack.build().expect("valid"), status, retry_after, body).await
}

async fn paused_by(
    stack: HttpStack,
    status: u16,
    retry_after: &'static str,
    body: &'static str,
) -> Option<Duration> {
    let client = stack.layer(service_fn(move |_: Request<Body>| {
        let response = Response::builder()
            .status(status)
            .header("retry-after", retry_after)
            .header("content-type", "application/json");
        std::future::ready(Ok::<_, Infallible>(
            response.body(Body::from(body)).expect("valid"),
        ))
    }));
    let request = Request::get("/v1/x").body(Body::default()).expect("valid");
    let response = client.oneshot(request).await.expect("the response");
    response.into_body().collect().await.expect("whole");
    stack.handles().snapshot().rate_limit.resumes_in
}

/// A paid plan has another rate, and the same pauses.
#[tokio::test(start_paused = true)]
async fn the_pauses_of_a_provider_stay_when_its_rate_is_overridden() {
    let fast = || RateLimitConfig::builder().rate(100, SECOND);
    let daily = r#"{"Information": "our standard API rate limit is 25 requests per day"}"#;
    let news = |name: &'static str| provider("newsapi", name);
    let alpha_vantage = |name: &'static str| provider("alpha-vantage", name);
    let own = fast().default_pause(60 * SECOND).build().expect("valid");
    let short = fast().max_pause(600 * SECOND).build().expect("valid");
    let fast = fast().build().expect("valid");
    // Not of these: a header without a number names no time.
    let quota = pause_of(news("n").rate_limit(fast.clone()), 429, "", "{}").await;
    assert_eq!(quota, Some(900 * SECOND));
    let quota = pause_of(alpha_vantage("a").rate_limit(fast.clone()), 200, "", daily).await;
    assert_eq!(quota, Some(3_600 * SECOND));
    // What the override sets itself holds.
    let quota = pause_of(alpha_vantage("a").rate_limit(own), 200, "", daily).await;
    assert_eq!(quota, Some(60 * SECOND));
    let stack = alpha_vantage("a").rate_limit(short);
    let bounded = &stack.settings().expect("valid").rate_limit;
    assert_eq!(bounded.max_pause(), 600 * SECOND);
    assert_eq!(bounded.default_pause(), 600 * SECOND);
    // Of an override over an override the last one holds.
    let stack = alpha_vantage("a").rate_limit(fast.clone()).rate_limit(fast);
    let kept = &stack.settings().expect("valid").rate_limit;
    assert_eq!(kept.default_pause(), 3_600 * SECOND);
    assert_eq!(kept.limits()[0].count(), 100);
}

/// The longest ban that an exchange documents is applied where its classifier allows it, and no
/// longer than a day elsewhere.
#[tokio::test(start_paused = true)]
async fn a_ban_of_days_pauses_the_stack_of_a_classifier_that_allows_it() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let rate = RateLimitConfig::builder().rate(100, SECOND).build();
    for stack in [
        seawall::broker("exchange"),
        seawall::broker("exchange").rate_limit(rate.expect("valid")),
    ] {
        for (asked, lasts) in [("172800", 2 * DAY), ("31536000", 3 * DAY)] {
            let stack = stack.clone().build().expect("valid");
            let exchange = HttpClassifier::new()
                .ban_on(StatusCode::IM_A_TEAPOT, 120 * SECOND)
                .with_longest_ban(3 * DAY);
            let stack = stack.classify(exchange.expect("valid"));
            let handles = stack.handles();
            let paused = paused_by(stack, 418, asked, "{}").await;
            assert_eq!(paused, Some(lasts));
            assert_eq!(handles.breaker.snapshot().probes_in, Some(lasts));
        }
        let paused = pause_of(stack, 418, "172800", "{}").await;
        assert_eq!(paused, Some(DAY));
    }
}
