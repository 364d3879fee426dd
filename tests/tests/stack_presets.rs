//! Each provider's own throttle, ban and exhausted quota, as its documents and clients describe
//! them, through the stack of that provider: without any help of the user.

#[path = "support/replay.rs"]
mod replay;

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use replay::{Body, Effect, JSON, Reply, SECOND, replay};
use seawall::http_client::HttpClassifier;
use seawall::{CircuitState, HttpStack, RateLimitConfig, StackBuilder};
use seawall_tests::provider;
use tower::{Layer, ServiceExt, service_fn};

/// No more is sent for that long, nothing counts against the upstream, and there was one attempt.
fn assert_out_of_quota_for(seen: &Effect, lasts: Duration) {
    assert_eq!((seen.circuit, seen.failures), (CircuitState::Closed, 0));
    assert_eq!(seen.sends, 1, "not tried again");
    assert!(seen.rejected_for >= Some(lasts), "{:?}", seen.rejected_for);
    assert!(
        seen.rejected_for <= Some(lasts + 300 * SECOND),
        "{:?}",
        seen.rejected_for
    );
}

#[tokio::test(start_paused = true)]
async fn alpaca() {
    const THROTTLE: Reply = (
        429,
        &[
            JSON,
            ("x-ratelimit-limit", "200"),
            ("x-ratelimit-remaining", "0"),
            ("date", "Tue, 21 Mar 2023 16:26:57 GMT"),
            ("x-ratelimit-reset", "1679416057"),
        ],
        r#"{"code":42910000,"message":"too many requests"}"#,
    );
    // Its reset is 40 s after its date.
    let seen = replay(provider("alpaca", "alpaca"), THROTTLE).await;
    seen.is_throttled();
    assert_eq!(seen.sends, 1, "nothing is sent before the window ends");
    assert!(
        seen.rejected_for >= Some(35 * SECOND),
        "{:?}",
        seen.rejected_for
    );

    // About the account, and no throttle.
    let seen = replay(
        provider("alpaca", "alpaca-403"),
        (
            403,
            &[JSON],
            r#"{"code":40310000,"message":"insufficient buying power"}"#,
        ),
    )
    .await;
    assert_eq!((seen.sends, seen.failures), (1, 0));
    assert_eq!(seen.rejected_for, None);
}

#[tokio::test(start_paused = true)]
async fn polygon() {
    const THROTTLE: Reply = (
        429,
        &[JSON],
        r#"{"status":"ERROR","request_id":"1","error":"You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."}"#,
    );
    let seen = replay(provider("polygon", "polygon"), THROTTLE).await;
    seen.is_throttled();
    // Every twelve seconds, as the free plan's five per minute allow, within the deadline.
    assert_eq!(seen.sends, 3);
    assert!(seen.took >= 24 * SECOND, "{:?}", seen.took);
    assert_eq!(seen.result.expect("the last one"), 429);

    let seen = replay(
        provider("polygon", "polygon-403"),
        (403, &[JSON], r#"{"status":"NOT_AUTHORIZED"}"#),
    )
    .await;
    assert_eq!((seen.sends, seen.failures), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn alpha_vantage() {
    const BURST: Reply = (
        200,
        &[JSON],
        r#"{"Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests per day), raise the per-second burst limit, ..."}"#,
    );
    let seen = replay(provider("alpha-vantage", "av-burst"), BURST).await;
    seen.is_throttled();
    assert_eq!(seen.sends, 2);
    assert!(seen.took >= SECOND);

    const DAY: Reply = (
        200,
        &[JSON],
        r#"{"Information": "We have detected your API key as X and our standard API rate limit is 25 requests per day."}"#,
    );
    for day in [DAY, (200, &[], DAY.2)] {
        let seen = replay(provider("alpha-vantage", "av-day"), day).await;
        assert_out_of_quota_for(&seen, 3_600 * SECOND);
        // Nothing but the body shows it to the caller.
        assert_eq!(seen.result.ok(), Some(StatusCode::OK));
    }

    let data = (
        200,
        &[JSON] as &[_],
        r#"{"Meta Data": {}, "Time Series (Daily)": {}}"#,
    );
    let seen = replay(provider("alpha-vantage", "av-data"), data).await;
    assert_eq!((seen.sends, seen.result.ok()), (1, Some(StatusCode::OK)));
}

#[tokio::test(start_paused = true)]
async fn news_api() {
    for body in [
        r#"{"status":"error","code":"rateLimited","message":"You have made too many requests recently. Developer accounts are limited to 100 requests over a 24 hour period (50 requests available every 12 hours)."}"#,
        r#"{"status":"error","code":"apiKeyExhausted","message":"no more requests available"}"#,
    ] {
        // The caller gets the 429, also when it does not show what it is.
        let replies: [Reply; 3] = [(429, &[JSON], body), (429, &[], body), (429, &[], "")];
        for reply in replies {
            let seen = replay(provider("newsapi", "news"), reply).await;
            assert_out_of_quota_for(&seen, 900 * SECOND);
            assert_eq!(seen.result.ok(), Some(StatusCode::TOO_MANY_REQUESTS));
        }
        // No quota of hours renews in a second, and it may well take longer than a quarter of one.
        for (asked, lasts) in [("1", 900), ("7200", 7_200)] {
            for body in [body, "{}"] {
                let stack = provider("newsapi", "news");
                let paused = pause_of(stack, 429, asked, body).await;
                assert_eq!(paused, Some(lasts * SECOND));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reddit() {
    const THROTTLE: Reply = (
        429,
        &[
            ("x-ratelimit-used", "1000"),
            ("x-ratelimit-remaining", "0.0"),
            ("x-ratelimit-reset", "43"),
        ],
        "Too Many Requests",
    );
    let seen = replay(provider("reddit", "reddit"), THROTTLE).await;
    seen.is_throttled();
    assert_eq!(seen.sends, 2, "again when the window has ended");
    assert!(seen.took >= 43 * SECOND, "{:?}", seen.took);
    assert!(
        seen.rejected_for >= Some(40 * SECOND),
        "{:?}",
        seen.rejected_for
    );

    const POST: Reply = (
        200,
        &[JSON],
        r#"{"json": {"errors": [["RATELIMIT", "you are doing that too much. try again in 9 minutes.", "ratelimit"]]}}"#,
    );
    let seen = replay(provider("reddit", "reddit-post"), POST).await;
    seen.is_throttled();
    assert!(
        seen.rejected_for >= Some(530 * SECOND),
        "{:?}",
        seen.rejected_for
    );
}

#[tokio::test(start_paused = true)]
async fn yahoo_finance() {
    const BLOCKS: [Reply; 3] = [
        (
            429,
            &[("content-type", "text/plain")],
            "Edge: Too Many Requests",
        ),
        (
            999,
            &[("content-type", "text/html")],
            "<html>Unable to process request</html>",
        ),
        // In place of the crumb that was asked for.
        (
            200,
            &[("content-type", "text/plain;charset=utf-8")],
            "Too Many Requests\r\n",
        ),
    ];
    for block in BLOCKS {
        let seen = replay(provider("yahoo-finance", "yahoo"), block).await;
        seen.is_banned_for(900 * SECOND);
    }
    let crumb = (
        200,
        &[("content-type", "text/plain")] as &[_],
        "a1B2c3D4e5F",
    );
    let seen = replay(provider("yahoo-finance", "yahoo-crumb"), crumb).await;
    assert_eq!(seen.circuit, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn sec_edgar() {
    const PAGE: (&str, &str) = ("content-type", "text/html");
    const BLOCKS: [Reply; 4] = [
        (
            403,
            &[PAGE],
            "<html><h1>Your Request Originates from an Undeclared Automated Tool</h1>",
        ),
        (
            403,
            &[PAGE],
            "<html><title>SEC.gov | Request Rate Threshold Exceeded</title>",
        ),
        (429, &[], ""),
        (
            200,
            &[PAGE],
            "<html><title>SEC.gov | Request Rate Threshold Exceeded</title>",
        ),
    ];
    for block in BLOCKS {
        let seen = replay(provider("sec-edgar", "edgar"), block).await;
        seen.is_banned_for(600 * SECOND);
    }
    // Where it names a time, that counts.
    let named = (429, &[("retry-after", "120")] as &[_], "");
    let seen = replay(provider("sec-edgar", "edgar-named"), named).await;
    seen.is_banned_for(120 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn openai() {
    const GONE: [&str; 3] = [
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"credit_balance_exhausted"}}"#,
        r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"project_spend_limit_exceeded"}}"#,
    ];
    for body in GONE {
        let seen = replay(provider("openai", "openai"), (429, &[JSON], body)).await;
        assert_eq!((seen.sends, seen.failures), (1, 0));
        assert_eq!(seen.circuit, CircuitState::Closed);
    }
    const THROTTLE: Reply = (
        429,
        &[
            JSON,
            ("retry-after-ms", "1500"),
            ("retry-after", "2"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
    );
    let seen = replay(provider("openai", "openai-throttle"), THROTTLE).await;
    seen.is_throttled();
    assert_eq!(seen.sends, 3);
    assert!(seen.took >= 3 * SECOND, "{:?}", seen.took);

    const OVERLOADED: Reply = (
        503,
        &[JSON],
        r#"{"error":{"type":"service_unavailable_error","code":"server_is_overloaded"}}"#,
    );
    let seen = replay(provider("openai", "openai-overloaded"), OVERLOADED).await;
    assert_eq!((seen.sends, seen.failures), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn anthropic() {
    const SPENT: [Reply; 2] = [
        (
            429,
            &[JSON],
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        ),
        (
            402,
            &[JSON],
            r#"{"type":"error","error":{"type":"billing_error","message":"x"},"request_id":"req_1"}"#,
        ),
    ];
    for reply in SPENT {
        let seen = replay(provider("anthropic", "anthropic"), reply).await;
        assert_eq!((seen.sends, seen.failures), (1, 0));
    }
    const THROTTLE: Reply = (
        429,
        &[JSON, ("retry-after", "5")],
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"},"request_id":"req_1"}"#,
    );
    let seen = replay(provider("anthropic", "anthropic-throttle"), THROTTLE).await;
    seen.is_throttled();
    assert_eq!(seen.sends, 3);
    assert!(seen.took >= 10 * SECOND, "{:?}", seen.took);

    const OVERLOADED: Reply = (
        529,
        &[JSON],
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
    );
    let seen = replay(provider("anthropic", "anthropic-overloaded"), OVERLOADED).await;
    assert_eq!((seen.sends, seen.failures), (3, 3));
}

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

/// The longest ban that an exchange documents is applied where its classifier is used, and no
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
            let stack = stack.classify(HttpClassifier::binance());
            let handles = stack.handles();
            let paused = paused_by(stack, 418, asked, "{}").await;
            assert_eq!(paused, Some(lasts));
            assert_eq!(handles.breaker.snapshot().probes_in, Some(lasts));
        }
        let paused = pause_of(stack, 418, "172800", "{}").await;
        assert_eq!(paused, Some(DAY));
    }
}
