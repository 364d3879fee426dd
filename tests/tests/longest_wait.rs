//! A longer wait than the usual one has effect in every layer that applies it.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::{
    BreakerConfig, ConstMeta, Policy, RateLimitConfig, RequestMeta, RetryConfig, StackBuilder,
};
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const QUARTER: Duration = Duration::from_secs(900);

/// How long the rate limit is paused and the circuit open after a response of that status which asks
/// to stay away for a year.
async fn stays_away(stack: StackBuilder, status: u16) -> (Option<Duration>, Option<Duration>) {
    let once = RetryConfig::builder().attempts(1).build();
    let stack = stack.retry(once.expect("valid")).build().expect("valid");
    let vendor = service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::builder()
            .status(status)
            .header("retry-after", "31536000");
        ready(Ok::<_, Infallible>(
            response.body(Full::<Bytes>::default()).expect("a response"),
        ))
    });
    let request = Request::get("http://vendor/").body(Full::default());
    let response = stack.layer(vendor).oneshot(request.expect("a request"));
    assert_eq!(response.await.expect("a response").status(), status);
    let handles = stack.handles();
    (
        handles.rate_limit.snapshot().resumes_in,
        handles.breaker.snapshot().probes_in,
    )
}

fn breaker() -> BreakerConfig {
    let config = BreakerConfig::builder().consecutive_failures(1);
    config.open_for(SECOND).build().expect("valid")
}

#[tokio::test(start_paused = true)]
async fn it_pauses_the_limit_and_keeps_the_circuit_open_for_as_long() {
    let rate = RateLimitConfig::builder().rate(10, SECOND);
    let rate = rate.build().expect("valid");
    let feed = || seawall::market_data("feed");
    for (stack, longest) in [
        (feed().breaker(breaker()), QUARTER),
        (feed().breaker(breaker()).longest_wait(HOUR), HOUR),
        // Whatever is set after it.
        (
            feed()
                .longest_wait(HOUR)
                .breaker(breaker())
                .rate_limit(rate),
            HOUR,
        ),
        (
            feed().breaker(breaker()).longest_wait(SECOND * 5),
            SECOND * 5,
        ),
    ] {
        let (paused, _) = stays_away(stack.clone(), 429).await;
        assert_eq!(paused, Some(longest));
        let (_, open) = stays_away(stack, 503).await;
        assert_eq!(open, Some(longest));
    }
}

#[test]
fn without_effect_it_is_an_error() {
    let zero = seawall::market_data("feed").longest_wait(Duration::ZERO);
    let rejected = zero.build().map(|_| ()).unwrap_err();
    assert_eq!(rejected.field(), "longest_wait");
    let policy = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
    let generic = seawall::market_data("feed").longest_wait(HOUR);
    let rejected = generic.build_generic(policy).map(|_| ()).unwrap_err();
    assert_eq!(rejected.field(), "longest_wait");
}
