//! What one hostile response, or a server that does everything wrong, does to a client with a stack.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use seawall::http_client::quota::TokenEstimate;
use seawall::{Limit, RateLimitConfig, Replay, RequestMeta, StackBuilder, TokenCount, Unit};
use seawall_tests::provider;
use support::raw_server::{Log, Server};
use support::{Body, hyper_client, quick};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn get() -> Request<Body> {
    support::get("http://vendor", "/v1/quote")
}

/// One response of `status` with this `Retry-After`; afterwards the vendor is well. After how long
/// the stack lets a call pass again.
async fn shut_by(status: StatusCode, hint: &'static str, builder: StackBuilder) -> Duration {
    let first = Arc::new(AtomicBool::new(true));
    let stack = builder.build().expect("valid");
    let client = ServiceBuilder::new()
        .layer(stack)
        .service(service_fn(move |_: Request<Body>| {
            let is_first = first.swap(false, Ordering::Relaxed);
            async move {
                let mut response = Response::new(Body::from("{}"));
                if is_first {
                    *response.status_mut() = status;
                    let hint = HeaderValue::from_static(hint);
                    response.headers_mut().insert("retry-after", hint);
                }
                Ok::<_, Infallible>(response)
            }
        }));
    let _ = client.clone().oneshot(get()).await;
    let began = Instant::now();
    for step in [HOUR / 4, HOUR, DAY, 32 * DAY, 400 * DAY] {
        tokio::time::advance(step).await;
        let again = client.clone().oneshot(get()).await;
        if again.is_ok_and(|response| response.status() == StatusCode::OK) {
            return Instant::now() - began;
        }
    }
    panic!("still rejected after {:?}", Instant::now() - began);
}

/// A Unix time is a known slip of servers and proxies.
#[tokio::test(start_paused = true)]
async fn absurd_values_of_retry_after_do_not_shut_a_client() {
    for absurd in [
        "1764386400",
        "1764386400000",
        "1000000000000000000000000000000",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "31536000",
    ] {
        let presets: [StackBuilder; 6] = [
            seawall::market_data("data"),
            seawall::broker("broker"),
            seawall::ai_api("ai"),
            provider("openai", "openai"),
            provider("anthropic", "anthropic"),
            provider("alpaca", "alpaca"),
        ];
        for preset in presets {
            let shut = shut_by(StatusCode::TOO_MANY_REQUESTS, absurd, preset).await;
            assert!(shut <= HOUR, "{absurd}: {shut:?}");
        }
        // A failure with a wait that the breaker and the retry read.
        let broker = seawall::broker("failed");
        let shut = shut_by(StatusCode::SERVICE_UNAVAILABLE, absurd, broker).await;
        assert!(shut <= 2 * HOUR, "{absurd}: {shut:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_ban_ends_within_a_day() {
    for absurd in ["1764386400", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let shut = shut_by(StatusCode::IM_A_TEAPOT, absurd, seawall::broker("b")).await;
        assert!(shut >= DAY && shut <= 2 * DAY, "{absurd}: {shut:?}");
        let sec = provider("sec-edgar", "sec");
        let shut = shut_by(StatusCode::FORBIDDEN, absurd, sec).await;
        assert!(shut >= DAY && shut <= 2 * DAY, "{absurd}: {shut:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sane_retry_after_pauses_for_as_long() {
    let data = seawall::market_data("m");
    let shut = shut_by(StatusCode::TOO_MANY_REQUESTS, "60", data).await;
    assert!(shut <= HOUR, "{shut:?}");
}

/// A number of tokens that no model can have used must not put the limit into debt for years.
#[tokio::test(start_paused = true)]
async fn an_absurd_token_usage_does_not_shut_a_client() {
    let tokens = Limit::bucket(100_000, Duration::from_secs(60))
        .burst(10_000)
        .with_unit(Unit::Tokens);
    let config = RateLimitConfig::builder()
        .rate(100, Duration::from_secs(1))
        .burst(10)
        .limit(tokens);
    let stack = seawall::ai_api("a").rate_limit(config.build().expect("valid"));
    let stack = stack.build().expect("valid").count_tokens(16 * 1024);
    let handles = stack.handles();
    let client = ServiceBuilder::new().layer(stack).service(service_fn(|_: Request<Body>| async {
        let text = r#"{"usage":{"prompt_tokens":1000000000000000,"completion_tokens":1,"total_tokens":1000000000000001}}"#;
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Body::from(text)).expect("a response"))
    }));
    let estimate = TokenCount::new(10, 10);
    let mut request = Request::post("http://ai/v1/chat/completions")
        .body(Body::default())
        .expect("a request");
    request.extensions_mut().insert(TokenEstimate(estimate));
    drop(client.oneshot(request).await.expect("a response"));
    let next = RequestMeta::new(Replay::Safe).with_tokens(estimate);
    let wait = handles.rate_limit.time_to_next(&next);
    assert!(wait.is_none_or(|wait| wait < DAY), "{wait:?}");
    let counts = handles.protocol.feedback.counts();
    assert_eq!(counts.bounded_usage, 1);
}

/// `x-should-retry: true` from the server must not make an order be sent twice.
#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_retry_gets_no_order_twice() {
    for status in [400_u16, 408, 409, 422, 429, 500, 503] {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let stack = seawall::broker("b").build().expect("valid");
        let mut client =
            ServiceBuilder::new()
                .layer(stack)
                .service(service_fn(move |_: Request<Body>| {
                    count.fetch_add(1, Ordering::Relaxed);
                    async move {
                        let response = Response::builder()
                            .status(status)
                            .header("x-should-retry", "true")
                            .header("retry-after", "0");
                        Ok::<_, Infallible>(response.body(Body::default()).expect("a response"))
                    }
                }));
        let order = support::order("http://b", "1");
        let client = client.ready().await.expect("ready");
        let response = client.call(order).await.expect("a response");
        assert_eq!(response.status(), status);
        assert_eq!(sent.load(Ordering::Relaxed), 1, "{status}");
    }
}

/// In real time, over real sockets: resets, half responses, silence, a megabyte of header, bytes that
/// are no HTTP, informational responses without an end.
#[tokio::test]
async fn a_server_that_does_everything_wrong_gets_no_order_twice_and_the_client_recovers() {
    fastrand::seed(11);
    let server = Server::start(Arc::new(Log::default())).await;
    let builder = quick(seawall::broker("hostile"))
        .breaker(
            seawall::BreakerConfig::builder()
                .consecutive_failures(50)
                .open_for(Duration::from_millis(100))
                .build()
                .expect("valid"),
        )
        .attempt_timeout(Duration::from_millis(300));
    let client = ServiceBuilder::new()
        .layer(builder.build().expect("valid"))
        .service(hyper_client());
    let calls: Vec<_> = (0..60)
        .map(|n| {
            let order = support::order(&server.url(), &n.to_string());
            let mut order = order;
            *order.uri_mut() = format!("{}/orders/{n}", server.url())
                .parse()
                .expect("a URI");
            tokio::spawn(client.clone().oneshot(order))
        })
        .collect();
    let mut succeeded = 0;
    for call in calls {
        let result = call.await.expect("no panic");
        succeeded += usize::from(result.is_ok_and(|r| r.status().is_success()));
    }
    assert!((1..60).contains(&succeeded), "{succeeded}");
    for (path, read) in server.log().read() {
        assert!(read <= 1, "{path} was read {read} times");
    }

    server.log().is_well();
    let recovered = async {
        loop {
            let read = support::get(&server.url(), "/positions");
            match client.clone().oneshot(read).await {
                Ok(response) if response.status().is_success() => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(20), recovered).await;
    within.expect("the client is not shut");
}
